//! Stripe's own SDKs and types against the sandbox: independent clients that do not know ours.

use std::path::Path;
use std::process::Output;

use tests::harness::shop::Shop;
use tokio::process::Command;

async fn passes(program: &str, script: &str) {
    let shop = Shop::start(&[("SANDBOX_LATENCY", "20ms")]).await;
    runs(program, script, &[&shop.sandbox_url()]).await;
}

async fn runs(program: &str, script: &str, arguments: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
    let mut command = Command::new(program);
    let run = command.arg(script).args(arguments).current_dir(folder).kill_on_drop(true).output().await;
    let Output { status, stdout, stderr } = run.unwrap_or_else(|error| panic!("{program}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{program} {script}: {status}\n{out}\n{err}");
}

#[tokio::test]
async fn the_node_sdk_creates_confirms_declines_retrieves_refunds_and_lists() {
    passes("node", "check.mjs").await;
}

#[tokio::test]
async fn the_python_sdk_creates_confirms_declines_retrieves_refunds_and_lists() {
    let python = std::env::var("STAMPEDE_TEST_PYTHON").expect("run the tests by `cargo xtask test`");
    passes(&python, "check.py").await;
}

#[tokio::test]
async fn recorded_answers_have_every_field_of_stripes_types_and_no_other() {
    passes("node", "types/check.mjs").await;
}

#[tokio::test]
async fn what_stripes_sdks_sign_is_believed_by_the_shop_and_what_the_sandbox_signs_by_them() {
    let secret = "whsec_of_an_sdk";
    let shop = Shop::start(&[("STRIPE_WEBHOOK_SECRET", secret)]).await;
    let python = std::env::var("STAMPEDE_TEST_PYTHON").expect("run the tests by `cargo xtask test`");
    runs("node", "webhook.mjs", &[&shop.url(), secret]).await;
    runs(&python, "webhook.py", &[&shop.url(), secret, &shop.sandbox_url()]).await;
}
