//! Other people's holds, orders, cookies and pages.

use serde_json::json;
use tests::harness::client::Reply;
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::{ask, open_shop, still_sells};

/// A browser's session: `stampede=…`.
async fn cookie(shop: &Shop) -> String {
    let reply = ask(shop, "GET", "/api/session", &[], "").await;
    assert_eq!(reply.status, 200);
    reply.header("set-cookie").split(';').next().unwrap().to_owned()
}

async fn hold_by_cookie(shop: &Shop, cookie: &str, more: &[(&str, &str)]) -> Reply {
    let headers = [&[("content-type", "application/json"), ("cookie", cookie)], more].concat();
    let body = json!({"sale": "gate", "items": [{"tier": "std", "quantity": 1}]}).to_string();
    ask(shop, "POST", "/api/holds", &headers, body).await
}

/// What a browser sends to open a socket.
const UPGRADE: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn a_foreign_hold_can_neither_be_given_up_nor_paid() {
    let shop = open_shop().await;
    let (owner, thief) = (shop.customer().await, shop.customer().await);
    let (hold, (status, _)) = owner.hold("gate", 2).await;
    assert_eq!(status, 201);

    let (status, body) = thief.delete(&format!("/api/holds/{hold}")).await;
    assert_eq!((status, &body["code"]), (404, &"not_found".into()));
    let (status, body) = thief.post("/charges", &thief.payment(Uuid::new_v4(), hold, "pm_card_visa")).await;
    assert_eq!((status, &body["code"]), (409, &"hold_expired".into()));
    let same = json!({"hold": hold, "sale": "gate", "items": [{"tier": "std", "quantity": 2}]});
    let (status, body) = thief.post("/api/holds", &same).await;
    assert_eq!((status, &body["code"]), (409, &"hold_conflict".into()), "{body}");

    let order = Uuid::new_v4();
    assert_eq!(owner.post("/charges", &owner.payment(order, hold, "pm_card_visa")).await.0, 202);
    owner.room(&[]).await.until(order, &["paid"]).await;
    let (status, body) = owner.delete(&format!("/api/holds/{hold}")).await;
    assert_eq!(status, 404, "what is paid is no hold any more: {body}");
    still_sells(&shop).await;
}

#[tokio::test]
async fn somebody_elses_order_is_not_there_and_its_id_is_a_bare_conflict() {
    let shop = open_shop().await;
    let (owner, thief) = (shop.customer().await, shop.customer().await);
    let (order, (status, _)) = owner.buy("gate", 1, "pm_card_visa").await;
    assert_eq!(status, 202);
    owner.room(&[]).await.until(order, &["paid"]).await;

    let (status, mut foreign) = thief.get(&format!("/api/orders/{order}")).await;
    let (_, mut missing) = thief.get(&format!("/api/orders/{}", Uuid::new_v4())).await;
    for refusal in [&mut foreign, &mut missing] {
        assert!(refusal.as_object_mut().unwrap().remove("request_id").is_some(), "each has one of its own");
    }
    assert_eq!((status, &foreign), (404, &missing), "it cannot be told from one that does not exist");
    assert_eq!(thief.get("/api/orders").await.1["orders"], json!([]));

    let mut bodies =
        vec![thief.purchase(order, "gate", 1, "pm_card_visa"), thief.purchase(order, "gate", 3, "pm_card_x")];
    bodies.push(thief.payment(order, order, "pm_card_visa"));
    bodies.push(
        json!({"order": order, "token": "pm_card_visa", "sale": "gate", "email": owner.email(), "name": "A. Shopper",
        "items": [{"tier": "std", "quantity": 1}]}),
    );
    for body in bodies {
        let (status, conflict) = thief.post("/charges", &body).await;
        assert_eq!((status, &conflict["code"]), (409, &"order_conflict".into()), "{conflict}");
        let mut words: Vec<&str> = conflict.as_object().unwrap().keys().map(String::as_str).collect();
        words.sort_unstable();
        assert_eq!(words, ["code", "detail", "request_id", "status", "title", "type"], "bare");
    }
    assert_eq!(owner.order(order).await["state"], "paid");
    shop.expect_single_charges(1).await;
    still_sells(&shop).await;
}

#[tokio::test]
async fn a_room_can_be_entered_only_with_the_signed_cookie_or_token() {
    let shop = open_shop().await;
    let (client, cookie, own) = (shop.customer().await, cookie(&shop).await, shop.url());
    let id = client.id.simple().to_string();
    let signature = cookie.split_once('.').unwrap().1;
    let forged = [
        format!("stampede={id}"),
        format!("stampede={id}.{signature}"),
        format!("stampede={}", client.token),
        cookie[..cookie.len() - 1].to_owned(),
        cookie.to_uppercase(),
        "stampede=".to_owned(),
        format!("stampede={}.", "9".repeat(4_000)),
    ];
    for cookie in forged {
        let what = format!("{cookie:.80}");
        let mut headers = vec![("cookie", cookie.as_str()), ("origin", own.as_str())];
        let reply = hold_by_cookie(&shop, &cookie, &[("origin", &own)]).await;
        assert_eq!((reply.refusal(&what).as_str(), reply.status), ("no_customer", 401), "{what}");
        for path in ["/api/orders", "/events"] {
            let reply = ask(&shop, "GET", path, &headers, "").await;
            assert_eq!((reply.refusal(&what).as_str(), reply.status), ("no_customer", 401), "{path} {what}");
        }
        headers.extend(UPGRADE);
        assert_eq!(ask(&shop, "GET", "/ws", &headers, "").await.refusal(&what), "no_customer", "{what}");
    }
    let as_token = format!("Bearer {}", cookie.strip_prefix("stampede=").unwrap());
    for bearer in [as_token.as_str(), "Bearer", "Bearer ", &format!("Bearer {id}"), &format!("Bearer {id}.{id}")] {
        // A valid cookie beside it does not help.
        let headers = [("authorization", bearer), ("cookie", cookie.as_str()), ("origin", own.as_str())];
        let reply = ask(&shop, "GET", "/api/orders", &headers, "").await;
        if bearer.trim() == "Bearer" {
            assert_eq!(reply.status, 200, "no token was given, so that the cookie counts");
        } else {
            assert_eq!((reply.refusal(bearer).as_str(), reply.status), ("no_customer", 401), "{bearer}");
        }
    }
    for path in ["/ws", "/events"] {
        let reply = ask(&shop, "GET", &format!("{path}?access_token={id}&customer={id}"), &UPGRADE, "").await;
        assert_eq!((reply.refusal(path).as_str(), reply.status), ("no_customer", 401));
    }
    assert!(ask(&shop, "GET", &format!("/api/orders?access_token={}", client.token), &[], "").await.status == 401);
    still_sells(&shop).await;
}

#[tokio::test]
async fn a_cookie_counts_only_from_a_page_of_ours_and_a_token_from_anywhere() {
    let shop = open_shop().await;
    let (client, cookie, own) = (shop.customer().await, cookie(&shop).await, shop.url());
    let port = own.rsplit(':').next().unwrap();
    let foreign = [
        vec![],
        vec![("origin", "https://evil.example".to_owned())],
        vec![("origin", "null".to_owned())],
        vec![("origin", "http://127.0.0.1".to_owned())],
        vec![("origin", format!("{own}.evil.example"))],
        vec![("origin", shop.sandbox_url())],
        vec![("sec-fetch-site", "cross-site".to_owned())],
        vec![("sec-fetch-site", "none".to_owned())],
        vec![("origin", "https://evil.example".to_owned()), ("sec-fetch-site", "same-origin".to_owned())],
        vec![("referer", format!("http://127.0.0.1:{port}/"))],
    ];
    for headers in &foreign {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let what = format!("{headers:?}");
        let reply = hold_by_cookie(&shop, &cookie, &headers).await;
        assert_eq!((reply.refusal(&what).as_str(), reply.status), ("cross_site", 403), "{what}");
        let socket = [&[("cookie", cookie.as_str())], headers.as_slice(), &UPGRADE].concat();
        let reply = ask(&shop, "GET", "/ws", &socket, "").await;
        assert_eq!((reply.refusal(&what).as_str(), reply.status), ("cross_site", 403), "{what}");
    }
    let bearer = format!("Bearer {}", client.token);
    let body = json!({"sale": "gate", "items": [{"tier": "std", "quantity": 1}]}).to_string();
    let headers =
        [("authorization", bearer.as_str()), ("content-type", "application/json"), ("origin", "https://evil.example")];
    assert_eq!(ask(&shop, "POST", "/api/holds", &headers, body).await.status, 201, "a token is exempt");
    assert_eq!(hold_by_cookie(&shop, &cookie, &[("origin", &own)]).await.status, 201);
    assert_eq!(hold_by_cookie(&shop, &cookie, &[("sec-fetch-site", "same-origin")]).await.status, 201);
    assert_eq!(shop.check("gate").await["tiers"][0]["held"], 3, "what was refused holds nothing");
    still_sells(&shop).await;
}
