//! Bodies that are no JSON, or not the right one.

use serde_json::{Value, json};

use super::{ask, open_shop, post_text, still_sells};

/// A valid body with one part replaced; a dot leads into an object or a list.
fn with(mut body: Value, path: &str, value: Value) -> Value {
    let pointer = format!("/{}", path.replace('.', "/"));
    match body.pointer_mut(&pointer) {
        Some(part) => *part = value,
        None => body[path] = value,
    }
    body
}

/// A valid body with one part left out.
fn without(mut body: Value, name: &str) -> Value {
    body.as_object_mut().unwrap().remove(name).unwrap();
    body
}

#[tokio::test]
async fn a_body_that_is_no_json_is_told_so() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let deep = format!("{{\"x\":{}", "[".repeat(10_000));
    let wrong: [&[u8]; 8] =
        [b"", b"{", b"sale=gate", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{'a':1}", b"{\"a\":NaN}", deep.as_bytes()];
    for path in ["/api/holds", "/charges"] {
        for body in wrong {
            let what = format!("{path} {:.40}", String::from_utf8_lossy(body));
            let reply = post_text(&shop, &client, path, body.to_vec()).await;
            assert_eq!(reply.refusal(&what), "malformed", "{what}");
            assert_eq!(reply.status, 400, "{what}");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            let bearer = format!("Bearer {}", client.token);
            let reply = ask(&shop, "POST", path, &[("authorization", &bearer), ("content-type", kind)], "{}").await;
            assert_eq!((reply.refusal(kind).as_str(), reply.status), ("unsupported_media_type", 415), "{kind}");
        }
    }
    still_sells(&shop).await;
}

#[tokio::test]
async fn price_and_currency_are_the_servers_frozen_in_the_hold() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let body = json!({
        "sale": "gate", "amount": 1, "currency": "jpy",
        "items": [{"tier": "std", "quantity": 2, "amount": 1, "price": 1, "currency": "jpy"}],
    });
    let (status, held) = client.post("/api/holds", &body).await;
    assert_eq!((status, &held["amount"], &held["currency"]), (201, &5_000.into(), &"usd".into()), "{held}");

    let order = uuid::Uuid::new_v4();
    let mut payment = client.payment(order, held["hold"].as_str().unwrap().parse().unwrap(), "pm_card_visa");
    payment["amount"] = json!(1);
    payment["items"] = json!([{"tier": "std", "quantity": 1, "amount": 1}]);
    let (status, accepted) = client.post("/charges", &payment).await;
    assert_eq!((status, &accepted["amount"], &accepted["items"][0]["quantity"]), (202, &5_000.into(), &2.into()));
    let paid = client.room(&[]).await.until(order, &["paid"]).await;
    assert_eq!((&paid["amount"], &paid["currency"]), (&5_000.into(), &"usd".into()));
    still_sells(&shop).await;
}

#[tokio::test]
async fn a_wrong_basket_is_refused_and_its_field_named() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let good = || json!({"sale": "gate", "items": [{"tier": "std", "quantity": 1}]});
    let quantity = "items.0.quantity";
    let cases = [
        (with(good(), quantity, json!(0)), "items[0].quantity"),
        (with(good(), quantity, json!(-1)), "items[0].quantity"),
        (with(good(), quantity, json!(1.5)), "items[0].quantity"),
        (with(good(), quantity, json!(1e300)), "items[0].quantity"),
        (with(good(), quantity, json!("1")), "items[0].quantity"),
        (with(good(), quantity, json!(null)), "items[0].quantity"),
        (with(good(), quantity, json!(u64::MAX)), "items[0].quantity"),
        (with(good(), quantity, json!(1_000_000_000)), "items"),
        (with(good(), "items.0.tier", json!("nosuch")), "items[0].tier"),
        (with(good(), "items.0.tier", json!("std\u{0}")), "items[0].tier"),
        (with(good(), "items.0.tier", json!({"$ne": ""})), "items[0].tier"),
        (with(good(), "items", json!([])), "items"),
        (with(good(), "items", json!("std")), "items"),
        (
            with(good(), "items", json!([{"tier": "std", "quantity": 1}, {"tier": "std", "quantity": 1}])),
            "items[1].tier",
        ),
        (with(good(), "items.0", json!({"quantity": 1})), "tier"),
        (with(good(), "sale", json!(7)), "sale"),
        (with(good(), "sale", json!("../../etc/passwd")), "sale"),
        (with(good(), "sale", json!("gate'; DROP TABLE orders; --")), "sale"),
        (with(good(), "hold", json!("not-a-uuid")), "hold"),
        (without(good(), "items"), "items"),
        (without(good(), "sale"), "sale"),
    ];
    for (hold, field) in cases {
        let what = hold.to_string();
        let reply = post_text(&shop, &client, "/api/holds", what.clone()).await;
        assert_eq!((reply.refusal(&what).as_str(), reply.status), ("invalid", 422), "{what}: {}", reply.text());
        assert_eq!(reply.json()["field"], field, "{what}");

        if hold.get("hold").is_none() && hold.get("sale").is_some() && hold.get("items").is_some() {
            let mut purchase = client.purchase(uuid::Uuid::new_v4(), "gate", 1, "pm_card_visa");
            (purchase["sale"], purchase["items"]) = (hold["sale"].clone(), hold["items"].clone());
            let reply = post_text(&shop, &client, "/charges", purchase.to_string()).await;
            assert_eq!((reply.refusal(&what).as_str(), reply.status), ("invalid", 422), "{what}: {}", reply.text());
        }
    }
    let unknown = json!({"sale": "nosuch", "items": [{"tier": "std", "quantity": 1}]});
    let reply = post_text(&shop, &client, "/api/holds", unknown.to_string()).await;
    assert_eq!((reply.refusal("an unknown sale").as_str(), reply.status), ("not_found", 404));
    assert_eq!(shop.check("gate").await["tiers"][0]["free"], 100, "something was held all the same");
    still_sells(&shop).await;
}

#[tokio::test]
async fn a_wrong_payment_is_refused_its_field_named_and_its_value_not_repeated() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let good = || client.purchase(uuid::Uuid::new_v4(), "gate", 1, "pm_card_visa");
    let long = "x".repeat(5_000);
    let mut cases = Vec::new();
    for token in [
        "",
        "4242424242424242",
        "visa",
        "sk_test_secret",
        "pm_",
        "pm_x&amount=1",
        "tok_\r\nX: y",
        "pi_123",
        long.as_str(),
    ] {
        cases.push((with(good(), "token", json!(token)), "token"));
    }
    for token in [json!(null), json!(1), json!(["pm_card_visa"]), json!({"id": "pm_card_visa"})] {
        cases.push((with(good(), "token", token), "token"));
    }
    for email in
        ["", "nobody", "a@", "@example.com", "a b@example.com", "a@example.com\nBcc: b@example.com", "ä@example.com"]
    {
        cases.push((with(good(), "email", json!(email)), "email"));
    }
    cases.push((with(good(), "email", json!(format!("{long}@example.com"))), "email"));
    for name in ["", "   ", "a\u{0}b", "a\nb", long.as_str()] {
        cases.push((with(good(), "name", json!(name)), "name"));
    }
    for order in ["", "1", "00000000-0000-0000-0000-000000000000", "0198f2c0-7c1e-7d6a-8f7e-0d6f3c1b2a3", "../orders"] {
        cases.push((with(good(), "order", json!(order)), "order"));
    }
    for name in ["order", "token", "email", "name", "items"] {
        cases.push((without(good(), name), name));
    }
    cases.push((without(good(), "sale"), "hold"));
    for (body, field) in cases {
        let what = body.to_string();
        let reply = post_text(&shop, &client, "/charges", what.clone()).await;
        assert_eq!((reply.refusal(&what).as_str(), reply.status), ("invalid", 422), "{what:.200}: {}", reply.text());
        assert_eq!(reply.json()["field"], field, "{what:.200}");
        assert!(reply.text().len() < 400, "{}", reply.text());
    }
    assert_eq!(shop.stats().await["requests"], 0, "Stripe was asked");
    assert_eq!(shop.check("gate").await["tiers"][0]["free"], 100);
    still_sells(&shop).await;
}
