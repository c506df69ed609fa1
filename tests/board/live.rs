//! The socket of the operators' page: who may look, what they see, and what ends it.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};
use tests::harness::client::Room;
use tests::harness::shop::Shop;

use super::{look, try_look};
use crate::access::{add, log_in, log_out};

const SALE: &str = "gala";
/// As many look at one process at most (`web/src/board.rs`).
const LOOKERS_MAX: usize = 64;

async fn shop() -> Shop {
    let shop = Shop::start(&[("DEMO", "false")]).await;
    shop.sale(SALE, 100, &[]).await;
    shop
}

/// Waits for an overview of which this is true.
async fn until(room: &mut Room, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..30 {
        let overview = room.next_of("overview").await;
        if is(&overview) {
            return overview;
        }
    }
    panic!("no overview in which {what}");
}

#[tokio::test]
async fn who_may_look_sees_the_shop_and_nobody_else_does() {
    let shop = shop().await;
    let url = shop.url();
    add(&shop, "ron", "read_only").await;
    let cookie = log_in(&url, "ron").await;
    let key = shop.cli_json(&["key", "add", "till", "--scope", "refund"]).await;
    let bearer = format!("Bearer {}", key["key"].as_str().expect("a key"));
    let refused = [
        (401, vec![("origin", url.as_str())]),
        (401, vec![("cookie", "operator=0123"), ("origin", &url)]),
        (403, vec![("cookie", &cookie)]),
        (403, vec![("cookie", &cookie), ("origin", "https://evil.example")]),
        (403, vec![("authorization", &bearer)]),
    ];
    for (status, headers) in refused {
        assert_eq!(try_look(&url, &headers).await.err(), Some(status), "{headers:?}");
    }

    let (mut room, welcome) = look(&url, &cookie).await;
    let ron = json!({"name": "ron", "kind": "operator", "role": "read_only", "permissions": ["see", "see_orders"]});
    assert_eq!(welcome["operator"], ron);
    assert!(welcome["history"].is_array(), "{welcome}");
    let overview = until(&mut room, "there is a sale", |seen| seen["sales"][0]["sale"] == SALE).await;
    let sale = &overview["sales"][0];
    let tier = json!({
        "id": "std", "name": "Standard", "amount": 2500, "currency": "usd", "capacity": 100, "free": 100, "held": 0,
        "sold": 0, "blocked": 0, "max_per_customer": null,
    });
    assert_eq!((&sale["sale"], &sale["status"], &sale["tiers"]), (&SALE.into(), &"open".into(), &json!([tier])));
    assert_eq!((&sale["conservation"]["holds"], &sale["conservation"]["wrong"]), (&true.into(), &json!([])));
    let queues: Vec<&str> =
        overview["queues"].as_array().unwrap().iter().filter_map(|row| row["queue"].as_str()).collect();
    assert_eq!(queues, shared::jobs::QUEUES);
}

#[tokio::test]
async fn what_is_bought_is_seen_while_it_happens_and_by_whoever_comes_later() {
    let shop = shop().await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    let cookie = log_in(&url, "ann").await;
    let (mut room, _) = look(&url, &cookie).await;
    let first = until(&mut room, "all is unsold", |seen| seen["forecast"]["unsold"] == 100).await;
    let client = shop.customer().await;
    for _ in 0..3 {
        let (_, (status, answer)) = client.buy(SALE, 2, "pm_card_visa").await;
        assert_eq!(status, 202, "{answer}");
    }
    let overview = until(&mut room, "six are sold", |seen| seen["sales"][0]["tiers"][0]["sold"] == 6).await;
    assert_eq!(overview["sales"][0]["tiers"][0]["free"], 94);
    assert_eq!((&overview["forecast"]["unsold"], &overview["forecast"]["waiting"]), (&94.into(), &0.into()));
    // A worker says what it has charged with its next beat.
    let moves = |seen: &Value| {
        ["accepted_per_second", "paid_per_second"].iter().all(|rate| seen["rates"][*rate].as_f64() > Some(0.0))
    };
    until(&mut room, "orders come in and are paid", moves).await;
    let agreed = |seen: &Value| seen["sales"][0]["conservation"]["agreed_at"].as_str() > first["at"].as_str();
    until(&mut room, "stock and ledger were compared again", agreed).await;

    let (_, welcome) = look(&url, &cookie).await;
    let accepted = |point: &Value| point["accepted"].as_f64() > Some(0.0);
    assert!(welcome["history"].as_array().unwrap().iter().any(accepted), "{welcome}");
}

#[tokio::test]
async fn a_look_ends_with_its_session_and_says_so() {
    let shop = shop().await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    for name in ["bob", "cy", "dora"] {
        add(&shop, name, "operator").await;
    }
    let cookies = join_all(["bob", "cy", "dora", "ann"].map(|name| log_in(&url, name))).await;
    let mut looks = Vec::new();
    for cookie in &cookies {
        looks.push(look(&url, cookie).await.0);
    }
    assert_eq!(log_out(&url, &cookies[0]).await.status, 204);
    shop.cli_json(&["operator", "role", "cy", "support"]).await;
    shop.cli_json(&["operator", "remove", "dora"]).await;
    for room in &mut looks[..3] {
        let (messages, code) = room.rest().await;
        let last = messages.last().expect("a last word");
        assert_eq!((last, code), (&json!({"type": "end", "why": "session_ended"}), Some(1008)));
    }
    looks[3].next_of("overview").await;
    looks[3].next_of("overview").await;

    let key = shop.cli_json(&["key", "add", "board", "--scope", "see"]).await;
    let bearer = format!("Bearer {}", key["key"].as_str().expect("a key"));
    let mut board = try_look(&url, &[("authorization", &bearer)]).await.expect("a key that may see");
    board.next_of("overview").await;
    shop.cli_json(&["key", "revoke", "board"]).await;
    assert_eq!(board.rest().await.1, Some(1008));
}

#[tokio::test]
async fn all_who_look_get_the_same_frame_and_it_is_written_once() {
    let shop = shop().await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    let cookie = log_in(&url, "ann").await;
    let mut looks = join_all((0..12).map(|_| look(&url, &cookie))).await;
    let hear = looks.iter_mut().map(|(room, _)| async {
        let mut heard = Vec::new();
        for _ in 0..4 {
            heard.push(room.next_of("overview").await);
        }
        heard
    });
    let mut frames: BTreeMap<String, Value> = BTreeMap::new();
    for frame in join_all(hear).await.into_iter().flatten() {
        let at = frame["at"].as_str().expect("a time").to_owned();
        assert_eq!(*frames.entry(at).or_insert(frame.clone()), frame, "of one moment there is one frame");
    }
    let written = shop.counter("operator_overviews_total").await;
    let told = u64::try_from(frames.len()).unwrap();
    assert!((told..=told + 3).contains(&written), "{written} were written for {told} moments and twelve who look");
    assert_eq!(shop.counter("operator_sockets").await, 12);
}

#[tokio::test]
async fn a_process_shows_itself_to_so_many_and_who_talks_too_much_is_closed() {
    let shop = shop().await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    let cookie = log_in(&url, "ann").await;
    let mut looks = Vec::new();
    for _ in 0..LOOKERS_MAX {
        looks.push(look(&url, &cookie).await.0);
    }
    let headers = [("cookie", cookie.as_str()), ("origin", url.as_str())];
    assert_eq!(try_look(&url, &headers).await.err(), Some(503));
    let mut loud = looks.pop().unwrap();
    for _ in 0..40 {
        if loud.say(r#"{"type":"active"}"#).await.is_err() {
            break;
        }
    }
    assert_eq!(loud.rest().await.1, Some(1008));
    drop(looks);
    while shop.counter("operator_sockets").await > 0 {}
    look(&url, &cookie).await.0.next_of("overview").await;
}

#[tokio::test]
async fn who_looks_is_told_when_the_server_goes_down() {
    let mut shop = shop().await;
    add(&shop, "ann", "owner").await;
    let cookie = log_in(&shop.url(), "ann").await;
    let (mut room, _) = look(&shop.url(), &cookie).await;
    assert!(shop.stop().await.success());
    let (messages, code) = room.rest().await;
    assert_eq!((&messages.last().expect("a last word")["type"], code), (&"reconnect".into(), Some(1012)));
}
