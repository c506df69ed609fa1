//! What operators and keys may do, at the one call that asks so far; and that whoever is changed is out at once.

use serde_json::json;
use shared::access::{Permission, Role};
use tests::harness::client::post;
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::*;

const KEY: &str = "an operator's key of some length: 0123456789";

/// A shop with a paid order of ten tickets, and that order.
async fn sold() -> (Shop, Uuid) {
    let shop = Shop::start(&[("OPERATOR_KEY", KEY), ("LOG", "info,web=debug,shared=debug,stampede=debug")]).await;
    shop.sale("night", 20, &[]).await;
    let client = shop.customer().await;
    let (order, (status, answer)) = client.buy("night", 10, "pm_card_visa").await;
    assert_eq!(status, 202, "{answer}");
    client.room(&[]).await.until(order, &["paid"]).await;
    (shop, order)
}

/// Who asked for refunds of this order, as its story says.
async fn refunders(shop: &Shop, order: Uuid) -> Vec<Value> {
    let shown = shop.cli_json(&["order", "show", &order.to_string()]).await;
    let lines = shown["audit"].as_array().expect("a story").iter();
    lines.filter(|line| line["what"] == "refund_requested").map(|line| line["by"].clone()).collect()
}

#[tokio::test]
async fn each_role_refunds_only_if_the_table_says_so_and_the_story_says_who() {
    let (shop, order) = sold().await;
    let (url, path) = (shop.url(), format!("/api/orders/{order}/refunds"));
    let mut expected = Vec::new();
    for role in Role::ALL {
        let name = format!("{}-ann", role.as_str());
        add(&shop, &name, role.as_str()).await;
        let cookie = log_in(&url, &name).await;
        let permissions = me(&url, &cookie).await.json()["permissions"].clone();
        assert_eq!(permissions, serde_json::to_value(role.permissions()).unwrap(), "{role}");
        let headers = [("cookie", cookie.as_str()), ("content-type", "application/json"), ("origin", url.as_str())];
        let body = json!({"request": Uuid::new_v4(), "amount": 100}).to_string();
        let reply = ask(&url, "POST", &path, &headers, body).await;
        if role.may(Permission::Refund) {
            assert_eq!(reply.status, 202, "{role}: {}", reply.text());
            expected.push(json!(format!("operator:{name}")));
        } else {
            assert_eq!((reply.status, reply.refusal(role.as_str()).as_str()), (403, "not_allowed"), "{role}");
            // Nor does anybody hear first what is wrong with their wish.
            assert_eq!(ask(&url, "POST", &path, &headers, "{}").await.refusal(role.as_str()), "not_allowed");
        }
    }
    assert_eq!(refunders(&shop, order).await, expected);
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_until_it_is_revoked() {
    let (shop, order) = sold().await;
    let url = format!("{}/api/orders/{order}/refunds", shop.url());
    let refund = async |key: &str| {
        let (status, body) = post(&url, Some(key), &json!({"request": Uuid::new_v4(), "amount": 100})).await.unwrap();
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let made = shop.cli_json(&["key", "add", "till", "--scope", "refund,see_orders"]).await;
    let till = made["key"].as_str().unwrap().to_owned();
    assert!(till.starts_with("stk_") && till.len() == 68, "{made}");
    assert_eq!(made["scopes"], json!(["see_orders", "refund"]));
    let looks = shop.cli_json(&["key", "add", "looks", "--scope", "see,see_orders,steer"]).await["key"].clone();
    let looks = looks.as_str().unwrap().to_owned();
    assert_eq!(shop.cli_json(&["key", "list"]).await["keys"][1]["last_used"], Value::Null);

    assert_eq!(refund(&till).await.0, 202);
    assert_eq!(refund(&looks).await, (403, "not_allowed".into()));
    assert_eq!(refund(KEY).await.0, 202, "the shop's own key goes on");
    for wrong in
        [&till[4..], &till[..67], &format!("{till}0"), &till.to_uppercase(), &till.replace("stk_", "sk_"), "stk_"]
    {
        assert_eq!(refund(wrong).await, (401, "no_operator".into()), "{wrong}");
    }
    let bearer = format!("Bearer {till}");
    let known = ask(&shop.url(), "GET", "/ops/api/me", &[("authorization", &bearer)], "").await.json();
    assert_eq!(known, json!({"name": "till", "kind": "key", "role": null, "permissions": ["see_orders", "refund"]}));
    assert_eq!(refunders(&shop, order).await, ["key:till", "operator"]);

    let listed = shop.cli_json(&["key", "list"]).await;
    assert_eq!((&listed["keys"][0]["name"], &listed["keys"][1]["name"]), (&"looks".into(), &"till".into()));
    assert!(listed["keys"][1]["last_used"].is_string(), "{listed}");
    shop.cli_json(&["key", "revoke", "till"]).await;
    assert_eq!(refund(&till).await, (401, "no_operator".into()), "at once");
    assert_eq!(refund(&looks).await, (403, "not_allowed".into()));
    let trail = shop.cli_json(&["operator", "log"]).await.to_string();
    let words = listed.to_string() + &trail + &shop.log();
    for secret in [&till[4..], &looks[4..], KEY] {
        assert!(!words.contains(secret), "{secret} in {words}");
    }
    assert!(trail.contains("key:till"), "{trail}");
}

#[tokio::test]
async fn an_operator_who_is_changed_or_removed_is_out_at_once() {
    let shop = Shop::start(&[("LOG", "info,web=debug,shared=debug")]).await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    add(&shop, "bob", "operator").await;
    let ann = log_in(&url, "ann").await;

    let bob = [log_in(&url, "bob").await, log_in(&url, "bob").await];
    shop.cli_json(&["operator", "role", "bob", "support"]).await;
    for cookie in &bob {
        is_nobody(&url, cookie).await;
    }
    let bob = log_in(&url, "bob").await;
    assert_eq!(me(&url, &bob).await.json()["role"], "support");
    let other = "another password of bob's";
    let changed = with_password(&shop, &["operator", "password", "bob"], other).await;
    assert_eq!(said(&changed).0, Some(0), "{}", said(&changed).1);
    is_nobody(&url, &bob).await;
    assert_eq!(try_log_in(&url, "bob", PASSWORD, &[]).await.status, 401, "the old one");
    let bob = cookie_of(&try_log_in(&url, "bob", other, &[]).await);
    is_known(&url, &bob, "bob").await;
    shop.cli_json(&["operator", "remove", "bob"]).await;
    is_nobody(&url, &bob).await;
    is_known(&url, &ann, "ann").await;
    let log = shop.log();
    for secret in [PASSWORD, other, ann.strip_prefix("operator=").unwrap(), bob.strip_prefix("operator=").unwrap()] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    assert!(log.contains("an operator has logged in"), "{log}");
}
