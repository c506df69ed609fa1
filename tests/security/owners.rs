//! What is one customer's is no other's: orders, holds, rooms. And no operator's call tells one customer of another.

use serde_json::json;
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::ask;

#[tokio::test]
async fn nobody_sees_changes_or_pays_with_what_is_another_customers() {
    let shop = Shop::start(&[]).await;
    shop.sale("night", 10, &[]).await;
    let (owner, other) = (shop.customer().await, shop.customer().await);
    let (order, (status, _)) = owner.buy("night", 1, "pm_card_visa").await;
    assert_eq!(status, 202);
    owner.room(&[]).await.until(order, &["paid"]).await;
    let (hold, _) = owner.hold("night", 2).await;

    assert_eq!(other.get(&format!("/api/orders/{order}")).await.0, 404);
    assert_eq!(other.post(&format!("/api/orders/{order}/refresh"), &json!({})).await.0, 404);
    assert_eq!(other.get("/api/orders").await.1["orders"], json!([]));
    assert_eq!(other.delete(&format!("/api/holds/{hold}")).await.0, 404);
    // To pay for another one's hold, and to take over another one's order.
    let (status, answer) = other.post("/charges", &other.payment(Uuid::now_v7(), hold, "pm_card_visa")).await;
    assert_eq!((status, &answer["code"]), (409, &"hold_expired".into()));
    for quantity in [1, 3] {
        let taken = other.purchase(order, "night", quantity, "pm_card_mastercard");
        let (status, answer) = other.post("/charges", &taken).await;
        assert_eq!((status, &answer["code"]), (409, &"order_conflict".into()));
        assert_eq!(answer["detail"], "There is another order of this id.", "and nothing about it");
    }
    let mut page = other.payment(order, hold, "pm_card_visa");
    page.as_object_mut().expect("a body").remove("token");
    let (status, answer) = other.post("/checkout", &page).await;
    assert_eq!((status, &answer["code"]), (409, &"order_conflict".into()));
    // A refund is no customer's to ask for, of their own order neither.
    for customer in [&owner, &other] {
        let (status, answer) =
            customer.post(&format!("/api/orders/{order}/refunds"), &json!({"request": Uuid::new_v4()})).await;
        assert_eq!((status, &answer["code"]), (401, &"no_operator".into()));
        assert_eq!(customer.get(&format!("/ops/api/orders/{order}")).await.0, 401);
    }
    let welcome = other.room(&["night"]).await.next_of("welcome").await;
    assert_eq!((&welcome["orders"], &welcome["holds"]), (&json!([]), &json!([])));
    // All is as it was.
    assert_eq!(owner.order(order).await["state"], "paid");
    assert_eq!(owner.delete(&format!("/api/holds/{hold}")).await.0, 204);
    shop.expect_single_charges(1).await;
    shop.check("night").await;
}

#[tokio::test]
async fn an_operators_answers_hold_no_secret_of_a_customer() {
    let shop = Shop::start(&[]).await;
    shop.sale("night", 10, &[]).await;
    let client = shop.customer().await;
    let (order, _) = client.buy("night", 1, "pm_card_visa").await;
    let paid = client.room(&[]).await.until(order, &["paid"]).await;
    let code = paid["tickets"][0]["code"].as_str().expect("a code").to_owned();
    let made = shop.cli_json(&["key", "add", "desk", "--scope", "see,see_orders"]).await;
    let bearer = format!("Bearer {}", made["key"].as_str().expect("a key"));
    let headers = [("authorization", bearer.as_str())];
    let story = ask(&shop.url(), "GET", &format!("/ops/api/orders/{order}"), &headers, "").await;
    assert_eq!(story.status, 200, "{}", story.text());
    let shown = story.json();
    assert_eq!((&shown["order"]["state"], &shown["order"]["email"]), (&"paid".into(), &client.email().into()));
    let what: Vec<&str> =
        shown["timeline"].as_array().unwrap().iter().filter_map(|line| line["what"].as_str()).collect();
    assert_eq!(what, ["accepted", "charging", "paid"]);
    assert_eq!((&shown["attempts"][0]["state"], &shown["refunds"]), (&"succeeded".into(), &json!([])));
    for secret in [code.as_str(), "pm_card_visa", &client.token] {
        assert!(!story.text().contains(secret), "{secret}: {}", story.text());
    }
    // Who may see the shop sees no buyer.
    for path in ["/ops/api/sales", "/ops/api/jobs", "/ops/api/trail"] {
        let reply = ask(&shop.url(), "GET", path, &headers, "").await;
        assert!(reply.status == 200 && !reply.text().contains(&client.email()), "{path}");
    }
}
