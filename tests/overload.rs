//! More shoppers than can be served: what is let in is answered in time, and the rest are told when to come again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::json;
use tests::harness::client::{Client, exchange};
use tests::harness::driver::{drive, numbers};
use tests::harness::shop::Shop;
use uuid::Uuid;

/// So few at the same time, and in line, that a machine of any speed has more shoppers than it can serve.
const SMALL: [(&str, &str); 3] = [("PURCHASES_AT_ONCE", "2"), ("PURCHASES_WAITING", "6"), ("LOG", "warn")];

#[tokio::test]
async fn a_crowd_beyond_the_capacity_is_told_to_wait_comes_again_and_loses_nothing() {
    let shop = Shop::start(&SMALL).await;
    shop.sale("rush", 1_000, &[]).await;
    let options = ["--shoppers", "400", "--pool", "64", "--timeout", "90", "--again"];
    let report = drive(&shop, "rush", &options).await;
    let told = ["purchases", "accepted", "succeeded", "lost", "misdelivered", "sockets_lost"];
    assert_eq!(numbers(&report, told), [400, 400, 400, 0, 0, 0], "{report}");
    assert_eq!(report["seen"]["errors"], json!({}), "{report}");
    let [sent_away] = numbers(&report, ["sent_away"]);
    assert!(sent_away > 0, "the line was never full: {report}");
    assert_eq!(shop.counter("purchases_shed_total").await, sent_away);
    // Three seconds in line at most, and an accept; far less than the five that an accept may take.
    let slowest = report["figures"]["answer_ms"]["max"].as_f64().unwrap();
    assert!(slowest < 5_000.0, "{report}");
    shop.expect_single_charges(400).await;
    assert_eq!(shop.check("rush").await["tiers"][0]["sold"], 400);
    assert!(!shop.log().contains("ERROR"), "{}", shop.log());

    // It is over: who comes now need not wait.
    let began = Instant::now();
    let calm = drive(&shop, "rush", &["--shoppers", "1", "--again"]).await;
    assert_eq!(numbers(&calm, ["accepted", "sent_away"]), [1, 0], "{calm}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn whoever_comes_for_what_is_gone_hears_so_without_standing_in_line() {
    let shop = Shop::start(&SMALL).await;
    shop.sale("tiny", 5, &[]).await;
    let options = ["--shoppers", "300", "--pool", "64", "--timeout", "60", "--again"];
    let report = drive(&shop, "tiny", &options).await;
    assert_eq!(numbers(&report, ["succeeded", "lost"]), [5, 0], "{report}");
    assert_eq!(report["seen"]["refused"], json!({"sold_out": 295}), "{report}");
    assert!(shop.counter("refused_from_memory_total").await > 0);
}

#[tokio::test]
async fn who_is_sent_away_hears_in_the_contracts_words_when_to_come_again() {
    let shop = Shop::start(&[("PURCHASES_AT_ONCE", "1"), ("PURCHASES_WAITING", "0")]).await;
    shop.sale("rush", 100, &[]).await;
    let customer = shop.customer().await;
    // Until two requests meet at the one place that there is.
    for _ in 0..50 {
        let asked = (0..16).map(|_| exchange(purchase(&shop, &customer)));
        let answers = futures::future::join_all(asked).await.into_iter().map(|answer| answer.expect("an answer"));
        let Some(sent_away) = answers.into_iter().find(|answer| answer.status == 503) else { continue };
        let problem = sent_away.json();
        assert_eq!(problem["code"], "unavailable", "{problem}");
        let wait = problem["retry_in_ms"].as_u64().unwrap();
        assert!((1_000..=10_000).contains(&wait), "{problem}");
        assert_eq!(sent_away.header("retry-after"), wait.div_ceil(1_000).to_string());
        return;
    }
    panic!("nobody was sent away");
}

/// It is worked on for a while, since the ledger writes it.
fn purchase(shop: &Shop, customer: &Client) -> Request<Full<Bytes>> {
    let body = json!({
        "order": Uuid::new_v4(), "sale": "rush", "items": [{"tier": "std", "quantity": 1}],
        "token": "tok_visa", "email": "ada@example.com", "name": "Ada",
    });
    let request = Request::post(format!("{}/charges", shop.url())).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {}", customer.token));
    request.body(Full::from(body.to_string())).expect("a request")
}
