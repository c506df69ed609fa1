//! Told to go down (SIGTERM), as in a deploy: rooms are told to connect again, and nothing is lost.

use futures::future::join_all;
use tests::harness::client::{Client, Room};
use tests::harness::shop::Shop;
use uuid::Uuid;

/// RFC 6455, with the registry at IANA: "service restart".
const SERVICE_RESTART: u16 = 1012;

async fn enter(shop: &Shop) -> (Client, Room) {
    let client = shop.customer().await;
    let mut room = client.room(&["deploy"]).await;
    room.next_of("welcome").await;
    (client, room)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_in_the_middle_of_a_crowd_tells_every_room_to_reconnect_and_loses_nothing() {
    let mut shop = Shop::start(&[("SANDBOX_LATENCY", "300ms"), ("WORKER_CONCURRENCY", "10"), ("LOG", "warn")]).await;
    shop.sale("deploy", 100, &[]).await;
    let mut shoppers = join_all((0..100).map(|_| enter(&shop))).await;
    let orders: Vec<Uuid> = shoppers.iter().map(|_| Uuid::new_v4()).collect();
    let purchase = |place: usize, client: &Client| client.purchase(orders[place], "deploy", 1, "pm_card_visa");

    // The first half is answered before the shop is told to go down, and most of it still waits to be charged.
    let first = shoppers.iter().take(50).enumerate();
    let answers = join_all(first.map(|(place, (client, _))| {
        let body = purchase(place, client);
        async move { client.try_post("/charges", &body).await }
    }));
    for answer in answers.await {
        assert_eq!(answer.unwrap().0, 202);
    }
    // The second half arrives while it goes down: some are answered, some find nobody.
    let second = shoppers.iter().skip(50).enumerate().map(|(place, (client, _))| {
        let body = purchase(place + 50, client);
        async move { client.try_post("/charges", &body).await }
    });
    let second = join_all(second);
    let (ended, answers) = tokio::join!(shop.stop(), second);
    assert_eq!(ended.code(), Some(0), "{}", shop.log());
    for (status, body) in answers.into_iter().flatten() {
        assert!(matches!(status, 202 | 503), "{status} {body}");
    }

    for (_, room) in &mut shoppers {
        let (messages, code) = room.rest().await;
        assert_eq!(code, Some(SERVICE_RESTART), "{messages:?}");
        let last = messages.last().unwrap();
        assert_eq!(last["type"], "reconnect");
        assert!(last["retry_in_ms"].as_i64().is_some_and(|ms| (1..=10_000).contains(&ms)), "{last}");
    }

    shop.start_again(&[]).await;
    let ends = shoppers.iter().enumerate().map(|(place, (client, _))| {
        let body = purchase(place, client);
        let order = orders[place];
        async move {
            assert_eq!(client.post("/charges", &body).await.0, 202);
            client.room(&[]).await.until(order, &["paid"]).await
        }
    });
    assert_eq!(join_all(ends).await.len(), 100);
    shop.expect_single_charges(100).await;
    let tier = shop.check("deploy").await["tiers"][0].clone();
    assert_eq!((&tier["sold"], &tier["free"]), (&100.into(), &0.into()), "{tier}");
}

#[tokio::test]
async fn an_event_stream_is_told_to_reconnect_too() {
    let mut shop = Shop::start(&[]).await;
    shop.sale("deploy", 1, &[]).await;
    let client = shop.customer().await;
    let mut events = client.events("deploy").await;
    assert_eq!(events.next().await.unwrap()["type"], "welcome");
    assert_eq!(events.next().await.unwrap()["type"], "stock");
    assert_eq!(shop.stop().await.code(), Some(0));
    let mut last = None;
    while let Some(message) = events.next().await {
        last = Some(message);
    }
    assert_eq!(last.unwrap()["type"], "reconnect");
}
