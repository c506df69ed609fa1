//! The processes of a shop as an operator sees and steers them: listed by their own beats, told how much to do, drained.

mod books;
mod steering;

use std::time::Duration;

use serde_json::{Value, json};
use tests::harness::client::{get, post, send};
use tests::harness::fleet::Fleet;
use tests::harness::process::READY_WITHIN;

/// Until what was asked for is seen: a beat, and a look.
const SEEN_WITHIN: Duration = READY_WITHIN;

/// A key of the shop that may look and steer.
async fn key(fleet: &Fleet) -> String {
    let made = fleet.cli_json(&["key", "add", "night-watch", "--scope", "see,steer"]).await;
    made["key"].as_str().expect("a key").to_owned()
}

/// What a door says of the processes.
async fn listed(fleet: &Fleet, key: &str) -> Value {
    let request = hyper::Request::get(format!("{}/ops/api/processes", fleet.url(0)));
    let request = request.header("authorization", format!("Bearer {key}")).body(http_body_util::Full::default());
    let (status, body) = send(request.expect("a request")).await.expect("the shop");
    assert_eq!(status, 200, "{body}");
    body
}

/// The processes of a kind, as a door lists them.
async fn of_kind(fleet: &Fleet, key: &str, kind: &str) -> Vec<Value> {
    let body = listed(fleet, key).await;
    let all = body["processes"].as_array().expect("a list").iter();
    all.filter(|process| process["kind"] == kind).cloned().collect()
}

/// Waits until so many workers are listed; their names.
async fn workers(fleet: &Fleet, key: &str, number: usize) -> Vec<String> {
    let all = until("so many workers are listed", async || {
        let all = of_kind(fleet, key, "worker").await;
        (all.len() == number).then_some(all)
    });
    all.await.iter().map(|worker| worker["name"].as_str().expect("a name").to_owned()).collect()
}

/// The worker whose process has this id.
async fn worker_of(fleet: &Fleet, key: &str, pid: u32) -> String {
    until("the worker is listed", async || {
        let all = of_kind(fleet, key, "worker").await;
        let found = all.iter().find(|worker| worker["pid"] == pid)?;
        Some(found["name"].as_str().expect("a name").to_owned())
    })
    .await
}

/// Tells a worker something; what was answered.
async fn tell(fleet: &Fleet, key: &str, name: &str, what: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/ops/api/workers/{name}/{what}", fleet.url(0));
    post(&url, Some(key), &body).await.expect("the shop")
}

/// Waits until something is there.
async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SEEN_WITHIN, waiting).await.unwrap_or_else(|_| panic!("not within {SEEN_WITHIN:?}: {what}"))
}

/// What the sandbox counts under this name.
async fn stat(fleet: &Fleet, name: &str) -> u64 {
    let (_, stats) = get(&format!("{}/_sandbox/stats", fleet.sandbox_url())).await.expect("the sandbox");
    stats[name].as_u64().expect("a number")
}

/// The last lines of the trail, the newest first.
async fn trail(fleet: &Fleet) -> Vec<Value> {
    fleet.cli_json(&["operator", "log"]).await["log"].as_array().expect("a list").clone()
}

fn concurrency(most: impl Into<Value>) -> Value {
    json!({"concurrency": most.into(), "reason": "the sale begins"})
}
