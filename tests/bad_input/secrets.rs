//! What must never stand in the log.

use serde_json::json;
use uuid::Uuid;

use super::{ask, post_text};
use tests::harness::shop::Shop;

#[tokio::test]
async fn tokens_addresses_names_and_secrets_never_reach_the_log() {
    let ours = "info,web=debug,worker=debug,shared=debug,sandbox=debug,stampede=debug";
    let mut shop = Shop::start(&[("LOG", ours)]).await;
    shop.sale("gate", 10, &[]).await;
    let client = shop.customer().await;
    let mut room = client.try_room("gate").await.unwrap_or_else(|status| panic!("{status}"));
    room.next_of("welcome").await;
    let mut orders = Vec::new();
    for token in
        ["pm_card_visa", "tok_visa", "pm_card_chargeDeclined", "pm_card_threeDSecure2Required", "pm_nosuchcard"]
    {
        let (order, (status, body)) = client.buy("gate", 1, token).await;
        assert_eq!(status, 202, "{body}");
        room.until(order, &["paid", "declined", "requires_action", "review"]).await;
        orders.push(order);
    }
    // Refused, and cut off: a token in the wrong place, a card number in the token's.
    let mut wrong = client.purchase(Uuid::new_v4(), "gate", 1, "4242424242424242");
    assert_eq!(client.post("/charges", &wrong).await.0, 422);
    wrong["items"] = json!("pm_card_visa");
    assert_eq!(client.post("/charges", &wrong).await.0, 422);
    let _ = post_text(&shop, &client, "/charges", "{\"token\":\"pm_card_visa\"").await;
    let _ = ask(&shop, "GET", &format!("/events?access_token={}x", client.token), &[], "").await;
    let cookie = ask(&shop, "GET", "/", &[], "").await.header("set-cookie").split(';').next().unwrap().to_owned();
    assert!(shop.stop().await.success());
    shop.start_again(&[("LOG_FORMAT", "json")]).await;
    assert_eq!(client.order(orders[0]).await["state"], "paid");

    let log = shop.log();
    assert!(log.contains(&orders[0].to_string()) && log.contains("\"level\""), "it logs, in both formats:\n{log}");
    let (email, id) = (client.email(), client.id.simple().to_string());
    let secrets = [
        client.token.as_str(),
        client.token.split_once('.').unwrap().1,
        cookie.split_once('.').unwrap().1,
        "access_token",
        "pm_card",
        "pm_nosuch",
        "tok_visa",
        "4242424242424242",
        "_secret_",
        "sk_test",
        "A. Shopper",
        &email,
        &id,
        "example.com",
    ];
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret:?} stands in the log: {line:?}");
    }
}
