//! The room: what it is told, in which order, over sockets and event streams.

use futures::future::join_all;
use serde_json::{Value, json};
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::{has, is_an_order};

#[tokio::test]
async fn the_welcome_comes_first_and_is_complete() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let (order, _) = client.buy("demo", 1, "pm_card_visa").await;
    client.room(&[]).await.until(order, &["paid"]).await;
    let (hold, _) = client.hold("demo", 2).await;

    let mut room = client.room(&["demo", "nosuch"]).await;
    let welcome = room.next().await.unwrap();
    assert_eq!(welcome["type"], "welcome");
    has(&welcome, &["customer", "server_time", "epochs", "orders", "holds"]);
    assert_eq!(welcome["customer"], client.id.to_string());
    is_an_order(&welcome["orders"][0]);
    has(&welcome["holds"][0], &["hold", "sale", "items", "amount", "currency", "expires_in_ms"]);
    assert_eq!(
        (&welcome["holds"][0]["hold"], &welcome["holds"][0]["amount"]),
        (&hold.to_string().into(), &5_000.into())
    );
    let epochs = welcome["epochs"].as_object().unwrap();
    assert_eq!(epochs.keys().collect::<Vec<_>>(), ["demo"]);

    let stock = room.next().await.unwrap();
    assert_eq!((&stock["type"], &stock["sale"], &stock["status"]), (&"stock".into(), &"demo".into(), &"open".into()));
    has(&stock, &["epoch", "tiers"]);
    assert_eq!(stock["epoch"], epochs["demo"]);
    assert_eq!((&stock["tiers"][0]["id"], &stock["tiers"][0]["free"]), (&"std".into(), &9_997.into()));
}

#[tokio::test]
async fn duplicate_tab_same_uuid_both_sockets_get_every_message_of_the_one_order() {
    let shop = Shop::start(&[("SANDBOX_LATENCY", "50ms")]).await;
    let client = shop.customer().await;
    let (mut tab, mut twin, mut stream) = (client.room(&[]).await, client.room(&[]).await, client.events("demo").await);
    for welcome in [tab.next().await, twin.next().await, stream.next().await] {
        assert_eq!(welcome.unwrap()["type"], "welcome");
    }
    let mut stranger = shop.customer().await.room(&[]).await;
    stranger.next_of("welcome").await;

    let (order, (status, _)) = client.buy("demo", 1, "pm_card_visa").await;
    assert_eq!(status, 202);
    let (one, other) = (tab.until(order, &["paid"]).await, twin.until(order, &["paid"]).await);
    assert_eq!(one, other);
    let streamed = loop {
        let message = stream.next().await.unwrap();
        if message["order"]["state"] == "paid" {
            break message["order"].clone();
        }
    };
    assert_eq!(streamed, one, "an event stream is told the same");

    stranger.say(r#"{"type":"ping"}"#).await.unwrap();
    assert_eq!(stranger.next().await.unwrap()["type"], "pong", "nobody else heard of it");
}

#[tokio::test]
async fn subscribe_then_snapshot_a_tab_that_opens_at_any_moment_of_a_purchase_learns_its_end() {
    let shop = Shop::start(&[("LOG", "warn")]).await;
    let stories = (0..40).map(|_| async {
        let client = shop.customer().await;
        let order = Uuid::new_v4();
        let purchase = client.purchase(order, "demo", 1, "pm_card_visa");
        let (mut room, (status, _)) = tokio::join!(client.room(&[]), client.post("/charges", &purchase));
        assert_eq!(status, 202);
        let paid = room.until(order, &["paid"]).await;
        paid["version"].as_i64().unwrap()
    });
    assert!(join_all(stories).await.into_iter().all(|version| version > 1));
}

#[tokio::test]
async fn stock_is_told_to_whoever_asked_for_that_sale() {
    let shop = Shop::start(&[]).await;
    shop.sale("small", 3, &[]).await;
    let (watcher, buyer) = (shop.customer().await, shop.customer().await);
    let mut room = watcher.room(&["small"]).await;
    assert_eq!(room.next_of("stock").await["tiers"], json!([{"id": "std", "free": 3}]));
    let (hold, _) = buyer.hold("small", 3).await;
    let sold_out = room.next_of("stock").await;
    assert_eq!((&sold_out["status"], &sold_out["tiers"][0]["free"]), (&"sold_out".into(), &0.into()));
    buyer.delete(&format!("/api/holds/{hold}")).await;
    assert_eq!(room.next_of("stock").await["tiers"][0]["free"], 3);
    shop.cli_json(&["sale", "add-stock", "small", "std", "4"]).await;
    assert_eq!(room.next_of("stock").await["tiers"][0]["free"], 7);
    shop.cli_json(&["sale", "close", "small"]).await;
    assert_eq!(room.next_of("stock").await["status"], "closed");
}

#[tokio::test]
async fn who_waits_is_told_a_place_that_moves_and_an_honest_time() {
    let shop = Shop::start(&[("SANDBOX_LATENCY", "600ms"), ("WORKER_CONCURRENCY", "1")]).await;
    let clients = join_all((0..8).map(|_| shop.customer())).await;
    for client in &clients[..7] {
        assert_eq!(client.buy("demo", 1, "pm_card_visa").await.1.0, 202);
    }
    let last = &clients[7];
    let mut room = last.room(&[]).await;
    room.next_of("welcome").await;
    let (order, (status, _)) = last.buy("demo", 1, "pm_card_visa").await;
    assert_eq!(status, 202);
    let mut places: Vec<Value> = Vec::new();
    loop {
        let message = room.next().await.unwrap();
        match message["type"].as_str() {
            Some("queue") => {
                let mine = message["orders"].as_array().unwrap().iter().find(|place| place["id"] == order.to_string());
                places.extend(mine.cloned());
            }
            Some("order") if message["order"]["state"] == "paid" => break,
            _ => {}
        }
    }
    let positions: Vec<i64> = places.iter().map(|place| place["position"].as_i64().unwrap()).collect();
    assert!(positions.first().is_some_and(|first| *first > 1), "{positions:?}");
    assert!(
        positions.windows(2).all(|pair| pair[1] <= pair[0]) && positions.iter().all(|at| *at >= 1),
        "{positions:?}"
    );
    let etas: Vec<i64> = places.iter().filter_map(|place| place["eta_ms"].as_i64()).collect();
    assert!(!etas.is_empty() && etas.iter().all(|eta| (1..120_000).contains(eta)), "{places:?}");
}
