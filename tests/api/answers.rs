//! Real answers and real messages, held against the descriptions: no field is missing there, and none is there alone.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::harness::client::Client;
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::schema::{faults, resolved};
use super::served;

/// The shop's own description, and what was seen of it.
struct Book {
    document: Value,
    seen: BTreeSet<String>,
}

impl Book {
    /// Holds an answer against the description of its operation.
    fn check(&mut self, method: &str, path: &str, (status, body): (u16, Value)) -> Value {
        let name = format!("{method} {path} {status}");
        let operation = &self.document["paths"][path][method.to_ascii_lowercase()];
        let answer = operation["responses"].get(status.to_string());
        let answer = resolved(&self.document, answer.unwrap_or_else(|| panic!("{name} is not described: {body}")));
        let kind = if status < 400 { "application/json" } else { "application/problem+json" };
        match answer["content"].get(kind) {
            Some(content) => {
                let found = faults(&self.document, &content["schema"], &body);
                assert!(found.is_empty(), "{name}: {found:#?}\n{body:#}");
            }
            None => assert!(body.is_null(), "{name} has no body: {body}"),
        }
        self.seen.insert(name);
        body
    }

    /// Holds what is sent against the description.
    fn sent(&self, method: &str, path: &str, body: &Value) {
        let operation = &self.document["paths"][path][method.to_ascii_lowercase()];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let found = faults(&self.document, schema, body);
        assert!(found.is_empty(), "{method} {path}: {found:#?}\n{body:#}");
    }

    async fn get(&mut self, client: &Client, template: &str, path: &str) -> Value {
        let answer = client.get(path).await;
        self.check("GET", template, answer)
    }

    async fn post(&mut self, client: &Client, template: &str, path: &str, body: &Value) -> Value {
        self.sent("POST", template, body);
        let answer = client.post(path, body).await;
        self.check("POST", template, answer)
    }
}

/// A client whose token is a key.
async fn desk(shop: &Shop) -> Client {
    let made = shop.cli_json(&["key", "add", "desk", "--scope", "see,see_orders,refund,steer"]).await;
    let mut client = shop.customer().await;
    made["key"].as_str().expect("a key").clone_into(&mut client.token);
    client
}

#[tokio::test]
async fn every_field_of_real_answers_is_described() {
    let shop = Shop::start(&[]).await;
    shop.sale_of(
        "night",
        &["--tier", "std:Standard:2500:20:4", "--tier", "vip:Front:9900:1", "--closes-at", "2040-01-01T00:00:00Z"],
    )
    .await;
    let mut book = Book { document: served(&shop, "/openapi.json").await, seen: BTreeSet::new() };
    let client = shop.customer().await;
    let base = shop.url();
    let fresh = tests::harness::client::post(&format!("{base}/api/session"), None, &json!({})).await.expect("the shop");
    book.check("POST", "/api/session", fresh);
    book.get(&client, "/api/session", "/api/session").await;
    book.get(&client, "/api/sales", "/api/sales").await;
    book.get(&client, "/api/sales/{sale}", "/api/sales/night").await;
    book.get(&client, "/api/sales/{sale}", "/api/sales/nowhere").await;
    book.get(&client, "/readyz", "/readyz").await;

    // A purchase in two calls, a decline, one at the bank's challenge, and Stripe's own page.
    let hold = json!({"sale": "night", "items": [{"tier": "std", "quantity": 2}]});
    let held = book.post(&client, "/api/holds", "/api/holds", &hold).await;
    let hold: Uuid = held["hold"].as_str().and_then(|id| id.parse().ok()).expect("a hold");
    let order = Uuid::now_v7();
    book.post(&client, "/charges", "/charges", &client.payment(order, hold, "pm_card_visa")).await;
    let mut room = client.room(&[]).await;
    room.until(order, &["paid"]).await;
    for (token, state) in
        [("pm_card_chargeDeclined", "declined"), ("pm_card_authenticationRequired", "requires_action")]
    {
        let order = Uuid::now_v7();
        let body = client.purchase(order, "night", 1, token);
        book.post(&client, "/charges", "/charges", &body).await;
        room.until(order, &[state]).await;
        book.get(&client, "/api/orders/{order}", &format!("/api/orders/{order}")).await;
        book.post(&client, "/api/orders/{order}/refresh", &format!("/api/orders/{order}/refresh"), &json!({})).await;
    }
    let other = shop.customer().await;
    let mut page = other.purchase(Uuid::now_v7(), "night", 1, "");
    page.as_object_mut().expect("a body").remove("token");
    book.post(&other, "/checkout", "/checkout", &page).await;
    book.get(&client, "/api/orders", "/api/orders").await;
    book.get(&client, "/api/orders/{order}", &format!("/api/orders/{order}")).await;

    // Refusals with each of their fields.
    let too_many = json!({"sale": "night", "items": [{"tier": "std", "quantity": 9}]});
    assert_eq!(book.post(&other, "/api/holds", "/api/holds", &too_many).await["tier"], "std");
    let invalid = json!({"sale": "night"});
    let answer = client.post("/api/holds", &invalid).await;
    assert_eq!(book.check("POST", "/api/holds", answer)["field"], "items");
    let answer = client.delete(&format!("/api/holds/{}", Uuid::new_v4())).await;
    book.check("DELETE", "/api/holds/{hold}", answer);

    // Operators.
    let desk = desk(&shop).await;
    book.get(&desk, "/ops/api/me", "/ops/api/me").await;
    book.get(&desk, "/ops/api/sales", "/ops/api/sales").await;
    let refund = json!({"request": Uuid::new_v4(), "amount": 100, "reason": "late start", "restock": false});
    let path = format!("/api/orders/{order}/refunds");
    book.post(&desk, "/api/orders/{order}/refunds", &path, &refund).await;
    for verb in ["pause", "resume", "close", "open"] {
        let template = format!("/ops/api/sales/{{sale}}/{verb}");
        book.post(&desk, &template, &format!("/ops/api/sales/night/{verb}"), &json!({"reason": "a test"})).await;
    }
    let add = json!({"tier": "std", "quantity": 1, "request": Uuid::new_v4()});
    book.post(&desk, "/ops/api/sales/{sale}/stock", "/ops/api/sales/night/stock", &add).await;
    book.get(&desk, "/ops/api/jobs", "/ops/api/jobs").await;
    let job = json!({"queue": "webhook", "key": "evt_nothing"});
    book.post(&desk, "/ops/api/jobs/retry", "/ops/api/jobs/retry", &job).await;
    book.post(&desk, "/ops/api/jobs/discard", "/ops/api/jobs/discard", &job).await;
    book.get(&desk, "/ops/api/orders/{order}", &format!("/ops/api/orders/{order}")).await;
    book.get(&desk, "/ops/api/reviews", "/ops/api/reviews").await;
    let path = format!("/ops/api/orders/{order}/review");
    let verdict = json!({"decision": "look_again", "reason": "a test"});
    assert_eq!(book.post(&desk, "/ops/api/orders/{order}/review", &path, &verdict).await["code"], "not_in_review");
    book.get(&desk, "/ops/api/trail", "/ops/api/trail").await;
    assert!(book.seen.len() >= 30, "{:?}", book.seen);
}

#[tokio::test]
async fn every_field_of_real_messages_is_described() {
    let mut shop = Shop::start(&[("SANDBOX_LATENCY", "1500ms"), ("STRIPE_RATE_PER_SECOND", "2")]).await;
    shop.sale("night", 50, &[]).await;
    let document = served(&shop, "/asyncapi.json").await;
    let client = shop.customer().await;
    let mut room = client.room(&["night"]).await;
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut check = |message: &Value| {
        let kind = message["type"].as_str().expect("a type");
        let described = &document["components"]["messages"][kind];
        assert!(described.is_object(), "{kind} is not described");
        let found = faults(&document, &described["payload"], message);
        assert!(found.is_empty(), "{kind}: {found:#?}\n{message:#}");
        seen.insert(kind.to_owned());
        seen.len()
    };
    for _ in 0..8 {
        client.buy("night", 1, "pm_card_visa").await;
    }
    client.hold("night", 1).await;
    let other = client.room(&["night"]).await.next_of("welcome").await;
    check(&other);
    // Until those who wait were told their places.
    while check(&room.next().await.expect("a message")) < 4 {}
    let (rest, ()) = tokio::join!(room.rest(), async {
        shop.stop().await;
    });
    for message in &rest.0 {
        check(message);
    }
    let expected = ["order", "queue", "reconnect", "stock", "welcome"];
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let described = document["channels"]["room"]["messages"].as_object().expect("messages").keys();
    let mut heard: Vec<&str> = described.map(String::as_str).filter(|kind| *kind != "ping").collect();
    heard.sort_unstable();
    assert_eq!(heard, expected, "every described message was seen");
}
