//! The command that people type.

use std::process::Output;

use serde_json::Value;
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::has;

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command that must fail with this code, and say this.
async fn fails(shop: &Shop, arguments: &[&str], code: i32, says: &str) {
    let output = shop.cli(arguments).await;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(text.contains(says), "{arguments:?}: {text}");
    for machinery in ["panicked", "RUST_BACKTRACE", "Err(", "Some("] {
        assert!(!text.contains(machinery), "{arguments:?}: {text}");
    }
}

const TIER: [&str; 2] = ["--tier", "std:Standard:2500:10:4"];

#[tokio::test]
async fn sales_are_made_listed_shown_opened_closed_and_enlarged() {
    let shop = Shop::start(&[]).await;
    let create = ["sale", "create", "--slug", "spring", "--name", "Spring concert", "--currency", "usd"];
    let made = shop.cli_json(&[&create[..], &TIER, &["--hold-seconds", "30"]].concat()).await;
    has(&made, &["sale", "name", "status", "opens_at", "tiers", "hold_seconds"]);
    assert_eq!((&made["sale"], &made["status"], &made["hold_seconds"]), (&"spring".into(), &"open".into(), &30.into()));
    assert_eq!(made["late"], "fulfil", "what becomes of money that comes late, unless it was said");
    let strict = ["sale", "create", "--slug", "strict", "--name", "Strict", "--currency", "usd", "--late", "refund"];
    assert_eq!(shop.cli_json(&[&strict[..], &TIER].concat()).await["late"], "refund");
    fails(&shop, &[&strict[..9], &["maybe"], &TIER].concat(), 2, "fulfil").await;
    assert_eq!(shop.cli_json(&["sale", "show", "strict"]).await["late"], "refund");
    let sales = shop.cli_json(&["sale", "list"]).await;
    assert_eq!(sales["sales"][1]["sale"], "spring", "the newest first");
    let closed = shop.cli_json(&["sale", "close", "spring"]).await;
    assert_eq!(closed["status"], "closed");
    assert_eq!(shop.cli_json(&["sale", "open", "spring"]).await["status"], "open");
    let more = shop.cli_json(&["sale", "add-stock", "spring", "std", "5"]).await;
    assert_eq!((&more["tiers"][0]["capacity"], &more["tiers"][0]["free"]), (&15.into(), &15.into()));
    assert_eq!(shop.cli_json(&["sale", "show", "spring"]).await["tiers"], more["tiers"]);

    for arguments in [&["sale", "list"][..], &["sale", "show", "spring"], &["stock", "check", "spring"]] {
        let output = shop.cli(arguments).await;
        assert!(output.status.success() && said(&output).contains("spring"), "{}", said(&output));
        assert!(serde_json::from_slice::<Value>(&output.stdout).is_err(), "words for people without --json");
    }
    let output = shop.cli(&["sale", "show", "spring"]).await;
    assert!(said(&output).contains("25.00") && said(&output).contains("Spring concert"), "{}", said(&output));
}

#[tokio::test]
async fn an_order_is_shown_with_its_story_and_without_its_buyer() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let (order, _) = client.buy("demo", 2, "pm_card_visa").await;
    client.room(&[]).await.until(order, &["paid"]).await;
    let shown = shop.cli_json(&["order", "show", &order.to_string()]).await;
    has(
        &shown,
        &["id", "state", "version", "sale", "items", "amount", "currency", "charge", "payment_intent", "audit"],
    );
    let story: Vec<&str> =
        shown["audit"].as_array().unwrap().iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!((story.first(), story.last()), (Some(&"accepted"), Some(&"paid")), "{story:?}");
    let words = said(&shop.cli(&["order", "show", &order.to_string()]).await);
    for private in [client.email().as_str(), "A. Shopper", "pm_card"] {
        assert!(!shown.to_string().contains(private) && !words.contains(private), "{private}: {shown} {words}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_said_in_a_sentence_and_in_the_exit_code() {
    let shop = Shop::start(&[]).await;
    let create = |slug: &'static str, more: &[&'static str]| {
        [&["sale", "create", "--slug", slug, "--name", "x", "--currency", "usd"][..], more].concat()
    };
    fails(&shop, &["sale", "show", "nosuch"], 1, "there is no sale \"nosuch\"").await;
    fails(&shop, &["stock", "check", "nosuch"], 1, "there is no sale").await;
    fails(&shop, &["sale", "close", "nosuch"], 1, "there is no sale").await;
    fails(&shop, &["order", "show", &Uuid::new_v4().to_string()], 1, "there is no order").await;
    fails(&shop, &["sale", "add-stock", "demo", "nosuch", "1"], 1, "no such tier").await;
    fails(&shop, &["sale", "add-stock", "demo", "std", "4000000000"], 1, "more than a tier may have").await;
    fails(&shop, &create("demo", &TIER), 1, "there is a sale \"demo\" already").await;
    fails(&shop, &create("No Slug", &TIER), 1, "slug").await;
    fails(&shop, &create("short", &["--tier", "a:A:1:1", "--hold-seconds", "5"]), 1, "10 seconds").await;
    fails(&shop, &create("twice", &["--tier", "a:A:100:1", "--tier", "a:B:100:1"]), 1, "twice").await;
    fails(&shop, &create("none", &[]), 2, "--tier").await;
    fails(&shop, &create("bad", &["--tier", "std:Standard:free:10"]), 2, "ID:NAME:AMOUNT:CAPACITY").await;
    fails(&shop, &create("when", &["--tier", "a:A:100:1", "--opens-at", "tomorrow"]), 2, "--opens-at").await;
    fails(&shop, &["sale", "add-stock", "demo", "std", "0"], 2, "0").await;
    fails(&shop, &["order", "show", "not-a-uuid"], 2, "not-a-uuid").await;
    fails(&shop, &["nosuch"], 2, "nosuch").await;
    let output = shop.cli(&["sale", "show", "nosuch", "--json"]).await;
    let refusal: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), refusal["error"].is_string()), (Some(1), true), "{refusal}");
}

#[tokio::test]
async fn stock_check_compares_what_is_held_and_sold_and_works_without_a_running_shop() {
    let mut shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    client.hold("demo", 3).await;
    let (order, _) = client.buy("demo", 2, "pm_card_visa").await;
    client.room(&[]).await.until(order, &["paid"]).await;
    let live = shop.check("demo").await;
    has(&live, &["sale", "ok", "live", "tiers", "wrong"]);
    assert_eq!((&live["ok"], &live["live"]), (&true.into(), &true.into()));
    let tier = &live["tiers"][0];
    assert_eq!((&tier["free"], &tier["held"], &tier["sold"]), (&9_995.into(), &3.into(), &2.into()));
    shop.stop().await;
    let alone = shop.check("demo").await;
    assert_eq!((&alone["ok"], &alone["live"], &alone["tiers"][0]["sold"]), (&true.into(), &false.into(), &2.into()));
    assert_eq!(shop.cli_json(&["order", "show", &order.to_string()]).await["state"], "paid");
    shop.cli_json(&["sale", "create", "--slug", "next", "--name", "Next", "--currency", "eur", TIER[0], TIER[1]]).await;
    shop.start_again(&[]).await;
    assert_eq!(client.get("/api/sales/next").await.1["status"], "open");
}
