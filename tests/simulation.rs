//! The command that plays made-up worlds.

use std::process::Output;

use serde_json::Value;
use tests::harness::desk::binary;

async fn simulate(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(binary("STAMPEDE_BIN"));
    command.arg("simulate").args(arguments).kill_on_drop(true);
    command.output().await.expect("STAMPEDE_BIN starts")
}

#[tokio::test]
async fn anybody_can_play_a_seed_again_and_hears_the_same_story() {
    let output = simulate(&["--seeds", "6", "--json"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let played: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    assert_eq!((&played["seeds"], &played["failed"]), (&6.into(), &Value::Array(vec![])));
    let seed = played["first_seed"].to_string();
    let tale = async || {
        let output = simulate(&["--seed", &seed, "--story"]).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // How long it took is the machine's business.
        text.lines().filter(|line| !line.starts_with("took ")).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let told = tale().await;
    assert!(told.iter().any(|line| line.contains("from now on nothing goes wrong")), "{told:#?}");
    assert_eq!(told, tale().await, "seed {seed}");
}
