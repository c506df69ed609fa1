//! Schemathesis makes requests from the description, sensible ones and others, and holds every answer against it.
//! (<https://schemathesis.readthedocs.io>)

use std::path::Path;
use std::process::Output;

use tests::harness::shop::Shop;
use tokio::process::Command;

/// What is checked of every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// Requests that are made up for each operation; `cargo xtask api` asks for more.
const EXAMPLES: &str = "25";

/// Asks every operation of these tags, as whoever has this token.
async fn run(shop: &Shop, token: &str, tags: &[&str]) {
    let python = std::env::var("STAMPEDE_TEST_SCHEMATHESIS").expect("run the tests by `cargo xtask test`");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("api");
    let mut command = Command::new(python);
    command.args(["-m", "schemathesis.cli", "run", &format!("{}/openapi.json", shop.url())]);
    command.args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"]);
    // Bounded by the number of requests, and the same ones each time.
    let examples = std::env::var("STAMPEDE_TEST_API_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned());
    command.args(["--max-examples", &examples, "--generation-deterministic"]);
    command.args(["--suppress-health-check", "all", "--no-color", "--request-timeout", "10"]);
    command.args(["--header", &format!("Authorization: Bearer {token}")]);
    // A stream has no end, and a socket is no call.
    command.args(["--exclude-path", "/events", "--exclude-path", "/ws", "--exclude-path", "/ops/live"]);
    for tag in tags {
        command.args(["--include-tag", tag]);
    }
    let ran = command.current_dir(folder).kill_on_drop(true).output().await;
    let Output { status, stdout, stderr } = ran.unwrap_or_else(|error| panic!("schemathesis: {error}"));
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}\n{out}\n{err}\n{}", shop.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fuzzer_with_the_description_finds_no_error_and_no_break_of_it() {
    // What a fuzzer takes for a sale's name is told to operators, and may look like anything, a secret too.
    let shop = Shop::start(&[("LOG", "warn")]).await;
    let made = shop.cli_json(&["key", "add", "fuzzer", "--scope", "see,see_orders,refund,steer"]).await;
    let customer = shop.customer().await;
    // Of the demo sale, which the description's examples name.
    run(&shop, &customer.token, &["shoppers", "pages", "operation", "stripe"]).await;
    run(&shop, made["key"].as_str().expect("a key"), &["operators"]).await;
    assert_eq!(shop.counter("http_panics_total").await, 0);
    shop.check("demo").await;
}
