//! Sales are opened, paused, closed and enlarged, at whichever door, and all doors know at once.

use serde_json::json;
use tests::harness::client::Room;
use tests::harness::fleet::Fleet;
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::*;

#[tokio::test]
async fn a_sale_is_steered_by_http_and_by_command_and_the_trail_has_both() {
    let shop = Shop::start(&[]).await;
    shop.sale("night", 10, &[]).await;
    let ann = Machine::with(&shop, &shop.url(), "ann", "see,steer").await;
    let paused = ann.post("/ops/api/sales/night/pause", &json!({"reason": "the hall is dark"})).await;
    assert_eq!((&paused["sale"], &paused["status"], &paused["epoch"]), (&"night".into(), &"paused".into(), &1.into()));
    let expected = json!([{
        "id": "std", "name": "Standard", "amount": 2_500, "currency": "usd", "capacity": 10, "free": 10, "held": 0,
        "sold": 0, "blocked": 0, "max_per_customer": null,
    }]);
    assert_eq!(paused["tiers"], expected);
    let client = shop.customer().await;
    let (_, (status, answer)) = client.hold("night", 1).await;
    assert_eq!((status, &answer["code"]), (409, &"paused".into()), "whoever asked the same process knows");
    assert_eq!(ann.post("/ops/api/sales/night/resume", &json!({})).await["status"], "open");
    shop.cli_json(&["sale", "close", "night", "--reason", "that was it"]).await;
    assert_eq!(ann.post("/ops/api/sales/night/open", &json!({})).await["status"], "open");

    // More units, safe to repeat, and by the same ids on both ways.
    let request = Uuid::new_v4();
    let add = json!({"tier": "std", "quantity": 5, "request": request, "reason": "a wing was opened"});
    for _ in 0..2 {
        let more = ann.post("/ops/api/sales/night/stock", &add).await;
        assert_eq!((&more["tiers"][0]["capacity"], &more["tiers"][0]["free"]), (&15.into(), &15.into()));
    }
    let again = ["sale", "add-stock", "night", "std", "5", "--request", &request.to_string()];
    assert_eq!(shop.cli_json(&again).await["tiers"][0]["capacity"], 15);
    let other = json!({"tier": "std", "quantity": 6, "request": request});
    assert_eq!(ann.refused("/ops/api/sales/night/stock", &other).await, (409, "request_conflict".into()));
    shop.check("night").await;

    let by_key = |what: &str, why: &str, result: &str| [what, "key:ann", "sale:night", why, result].map(String::from);
    let by_cli = |what: &str, why: &str, result: &str| [what, "cli", "sale:night", why, result].map(String::from);
    let expected = [
        by_key("sale_paused", "the hall is dark", "done"),
        by_key("sale_resumed", "", "done"),
        by_cli("sale_closed", "that was it", "done"),
        by_key("sale_opened", "", "done"),
        by_key("stock_added", "a wing was opened", "done"),
        by_key("stock_added", "a wing was opened", "again"),
        by_cli("stock_added", "", "again"),
        by_key("stock_added", "", "request_conflict"),
    ];
    assert_eq!(deeds(&ann).await, expected);
    let log = shop.cli_json(&["operator", "log"]).await;
    assert_eq!(
        (&log["log"][0]["result"], &log["log"][7]["why"]),
        (&"request_conflict".into(), &"the hall is dark".into())
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let shop = Shop::start(&[]).await;
    shop.sale("night", 10, &[]).await;
    let ann = Machine::with(&shop, &shop.url(), "ann", "see,steer").await;
    let request = Uuid::new_v4();
    let stock = "/ops/api/sales/night/stock";
    for (path, body, refusal) in [
        ("/ops/api/sales/nowhere/pause", json!({}), (404, "not_found")),
        ("/ops/api/sales/No%20Slug/pause", json!({}), (404, "not_found")),
        ("/ops/api/sales/night/pause", json!({"reason": "two\nlines"}), (422, "invalid")),
        ("/ops/api/sales/night/pause", json!({"reason": "x".repeat(501)}), (422, "invalid")),
        ("/ops/api/sales/night/pause", json!({"why": "misspelt"}), (422, "invalid")),
        (stock, json!({"tier": "box", "quantity": 1, "request": request}), (422, "invalid")),
        (stock, json!({"tier": "std", "quantity": 0, "request": request}), (422, "invalid")),
        (stock, json!({"tier": "std", "quantity": -1, "request": request}), (422, "invalid")),
        (stock, json!({"tier": "std", "quantity": 1}), (422, "invalid")),
        (stock, json!({"tier": "std", "quantity": 1, "request": Uuid::nil()}), (422, "invalid")),
        (stock, json!({"tier": "std", "quantity": u32::MAX, "request": request}), (409, "too_much")),
    ] {
        let refused = ann.refused(path, &body).await;
        assert_eq!((refused.0, refused.1.as_str()), refusal, "{path} {body}");
    }
    let shown = ann.get("/ops/api/sales").await;
    let night = shown["sales"].as_array().unwrap().iter().find(|sale| sale["sale"] == "night").unwrap();
    assert_eq!((&night["status"], &night["tiers"][0]["capacity"]), (&"open".into(), &10.into()));
    let results: Vec<String> = deeds(&ann).await.into_iter().map(|[.., result]| result).collect();
    assert_eq!(results, ["unknown_sale", "unknown_tier", "too_much"], "what came as far as the shop");
}

/// Waits until the room is told that the sale is so.
async fn until(room: &mut Room, status: &str) -> Value {
    loop {
        let stock = room.next_of("stock").await;
        if stock["status"] == status {
            return stock;
        }
    }
}

#[tokio::test]
async fn every_door_and_every_watching_page_hears_of_it_wherever_it_was_steered() {
    let fleet = Fleet::start(&[]).await;
    fleet.sale("night", 2, &[]).await;
    let ann = Machine::with(&fleet, &fleet.url(0), "ann", "see,steer").await;
    let far = fleet.customer(1).await;
    let mut room = far.room(&["night"]).await;
    until(&mut room, "open").await;
    ann.post("/ops/api/sales/night/pause", &json!({"reason": "stop"})).await;
    until(&mut room, "paused").await;
    let (_, (status, answer)) = far.hold("night", 1).await;
    assert_eq!((status, &answer["code"]), (409, &"paused".into()));
    // By command, beside the processes that sell.
    fleet.cli_json(&["sale", "resume", "night", "--reason", "go on"]).await;
    until(&mut room, "open").await;

    // Sold out, until there is more: at the other door, too.
    assert_eq!(far.hold("night", 2).await.1.0, 201);
    until(&mut room, "sold_out").await;
    assert_eq!(far.hold("night", 1).await.1.0, 409);
    let add = json!({"tier": "std", "quantity": 3, "request": Uuid::new_v4()});
    assert_eq!(ann.post("/ops/api/sales/night/stock", &add).await["tiers"][0]["free"], 3);
    assert_eq!(until(&mut room, "open").await["tiers"][0]["free"], 3);
    assert_eq!(far.hold("night", 3).await.1.0, 201);
    fleet.check("night").await;
    let told: Vec<[String; 5]> = deeds(&ann).await;
    let who: Vec<(&str, &str)> = told.iter().map(|line| (line[0].as_str(), line[1].as_str())).collect();
    assert_eq!(who, [("sale_paused", "key:ann"), ("sale_resumed", "cli"), ("stock_added", "key:ann")]);
}
