//! The sandbox's controls from the command line.

use std::process::Output;

use tests::harness::shop::Shop;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Something that must be done.
async fn done(shop: &Shop, command: &str) -> String {
    let arguments: Vec<&str> = ["sandbox"].into_iter().chain(command.split(' ')).collect();
    let output = shop.cli(&arguments).await;
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    out(&output)
}

#[tokio::test]
async fn a_running_sandbox_is_steered_from_the_shell() {
    let shop = Shop::start(&[]).await;
    for command in [
        "webhooks drop 3",
        "webhooks duplicate 2",
        "webhooks hold",
        "webhooks release",
        "webhooks delay 10",
        "latency 0",
        "rate-limit 0",
        "settle-refunds",
        "forward 60",
        "fault throttled --count 1 --reason global-rate --path /v1/payment_intents --method POST",
        "fault http-500-after-commit --path /v1/nothing",
    ] {
        assert_eq!(done(&shop, command).await, "Done.\n", "{command}");
    }
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let (order, _) = client.buy("demo", 1, "pm_card_visa").await;
    let paid = room.until(order, &["paid"]).await;
    let log = done(&shop, "log --limit 50").await;
    assert!(log.contains("fault http_429") && log.contains("/v1/payment_intents"), "{log}");
    let stats = shop.cli_json(&["sandbox", "stats"]).await;
    assert_eq!((&stats["charges_succeeded"], &stats["throttled"]), (&1.into(), &1.into()), "{stats}");
    assert!(done(&shop, "stats").await.contains("charges succeeded"));

    let charge = paid["charge"].as_str().expect("ch_…");
    done(&shop, &format!("dispute open {charge}")).await;
    let again = shop.cli(&["sandbox", "dispute", "open", charge]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("disputed already"), "{again:?}");
    done(&shop, &format!("dispute close {charge} --won")).await;
    done(&shop, "clear").await;
    done(&shop, "reset").await;
    assert_eq!(shop.cli_json(&["sandbox", "stats"]).await["charges_succeeded"], 0);
}

#[tokio::test]
async fn a_sandbox_that_is_not_there_is_said_to_be_not_there() {
    let shop = Shop::sandbox_alone().await;
    let output = shop.cli(&["sandbox", "--at", "127.0.0.1:9", "stats"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("127.0.0.1:9") && said.contains("SANDBOX_BIND"), "{said}");
}

#[tokio::test]
async fn every_command_says_what_it_causes() {
    let shop = Shop::sandbox_alone().await;
    for (arguments, words) in [
        (vec!["sandbox", "--help"], vec!["webhooks", "fault", "forward", "dispute", "reset"]),
        (vec!["sandbox", "webhooks", "--help"], vec!["drop", "duplicate", "hold", "release", "delay"]),
        (vec!["sandbox", "fault", "--help"], vec!["answer-lost-after-commit", "http-500", "lock-timeout", "hang"]),
        (vec!["stripe", "reconcile", "--help"], vec!["unknown_order", "not_paid_at_stripe"]),
    ] {
        let help = out(&shop.cli(&arguments).await);
        for word in words {
            assert!(help.contains(word), "{arguments:?} lacks {word}: {help}");
        }
    }
}
