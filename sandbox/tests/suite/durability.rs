//! Nothing that was answered is forgotten, however the process ends.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::harness::{Api, purchase, quick};

/// The example that serves a sandbox; it is built together with this test.
fn server() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let path = this.parent().and_then(Path::parent).unwrap().join("examples/serve");
    assert!(path.exists(), "{} is missing: build it with `cargo build -p sandbox --examples`", path.display());
    path
}

/// A sandbox in a process of its own.
async fn spawn(database: &Path) -> (Child, Api) {
    let mut child = Command::new(server())
        .env("SANDBOX_BIND", "127.0.0.1:0")
        .env("SANDBOX_LATENCY", "0")
        .env("SANDBOX_DATABASE", database)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let origin = lines.next_line().await.unwrap().unwrap();
    (child, Api::at(origin))
}

#[tokio::test]
async fn a_sandbox_killed_right_after_its_answers_remembers_every_charge_and_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("sandbox.db");
    let (mut child, api) = spawn(&database).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let api = Api::at(api.base.clone());
        tasks.spawn(async move {
            let key = format!("key-{n}");
            let answer = api.keyed(&key, "/v1/payment_intents", &purchase("pm_card_visa")).await;
            (key, answer.ok())
        });
    }
    let paid = tasks.join_all().await;
    child.kill().await.unwrap();

    let (mut child, api) = spawn(&database).await;
    for (key, intent) in paid {
        let again = api.keyed(&key, "/v1/payment_intents", &purchase("pm_card_visa")).await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.ok(), intent);
        assert_eq!(api.intent(&intent["id"]).await["latest_charge"], intent["latest_charge"]);
    }
    assert_eq!(api.stat("charges_succeeded").await, 50);
    child.kill().await.unwrap();
}

#[tokio::test]
async fn lists_refunds_and_challenges_go_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = || sandbox::Config { database: Some(folder.path().join("sandbox.db")), ..quick() };
    let api = Api::start_with(config()).await;
    let paid = api.pay("pm_card_visa").await.ok();
    let open = api.pay("pm_card_threeDSecure2Required").await.ok();
    let id = paid["id"].as_str().unwrap();
    api.post("/v1/refunds", &[("payment_intent", id), ("amount", "1000")]).await.ok();
    api.stop().await;

    let api = Api::start_with(config()).await;
    let error = api.post("/v1/refunds", &[("payment_intent", id), ("amount", "1501")]).await.error(400);
    assert_eq!(error["param"], "amount");
    api.answer_challenge(&open, "complete").await;
    assert_eq!(api.intent(&open["id"]).await["status"], "succeeded");
    let later = api.pay("pm_card_visa").await.ok();
    let list = api.get("/v1/payment_intents", &[]).await.ok();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|intent| intent["id"].clone()).collect();
    assert_eq!(json!(ids), json!([later["id"], open["id"], paid["id"]]));
    assert_eq!(api.post("/_sandbox/reset", &[]).await.status, 200);
    api.stop().await;

    let api = Api::start_with(config()).await;
    assert_eq!(api.stat("payment_intents").await, 0, "what was reset stays forgotten");
}
