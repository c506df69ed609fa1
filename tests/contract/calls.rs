//! The calls of the API and the shapes of their answers.

use http_body_util::Full;
use hyper::Request;
use serde_json::json;
use tests::harness::client::{Reply, exchange};
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::{has, is_an_order};

async fn get(shop: &Shop, path: &str, headers: &[(&str, &str)]) -> Reply {
    ask(shop, "GET", path, headers).await
}

async fn ask(shop: &Shop, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(format!("{}{path}", shop.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    exchange(request.body(Full::default()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_browser_gets_a_cookie_that_scripts_cannot_read_and_keeps_its_customer() {
    let mut shop = Shop::start(&[]).await;
    for path in ["/", "/api/session"] {
        let cookie = get(&shop, path, &[]).await.header("set-cookie").to_owned();
        for flag in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="] {
            assert!(cookie.contains(flag), "{path}: {cookie}");
        }
        assert!(!cookie.contains("Secure"), "it would not travel over http: {cookie}");
    }
    let first = get(&shop, "/api/session", &[]).await;
    let session = first.json();
    has(&session, &["customer", "stripe", "server_time"]);
    has(&session["stripe"], &["publishable_key", "js"]);
    assert!(session.get("token").is_none(), "a script on the page must not turn the cookie into a token");
    assert!(session["stripe"]["publishable_key"].as_str().unwrap().starts_with("pk_"));

    let cookie = first.header("set-cookie").split(';').next().unwrap().to_owned();
    let again = get(&shop, "/api/session", &[("cookie", &cookie)]).await;
    assert_eq!((&again.json()["customer"], again.header("set-cookie")), (&session["customer"], ""));
    let fresh = ask(&shop, "POST", "/api/session", &[("cookie", &cookie), ("origin", &shop.url())]).await;
    assert_ne!(fresh.json()["customer"], session["customer"], "cookies are ignored");
    assert_eq!(fresh.header("set-cookie"), "");

    // The secret outlives the process; behind https the cookie stays there.
    shop.stop().await;
    shop.start_again(&[("PUBLIC_URL", "https://tickets.example.com")]).await;
    let known = get(&shop, "/api/session", &[("cookie", &cookie)]).await;
    assert_eq!(known.json()["customer"], session["customer"]);
    let secure = get(&shop, "/", &[]).await;
    assert!(secure.header("set-cookie").contains("; Secure"), "{:?}", secure.headers);
    assert!(secure.header("strict-transport-security").contains("max-age="));
    let orders = get(&shop, "/api/orders", &[("cookie", &cookie), ("origin", "https://tickets.example.com")]).await;
    assert_eq!(orders.status, 200, "the public address is ours, too");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let shop = Shop::start(&[]).await;
    for path in ["/", "/api/sales", "/nosuch", "/healthz", "/api/orders"] {
        let reply = get(&shop, path, &[]).await;
        let policy = reply.header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe-"), "{path}: {policy}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("x-frame-options"), "DENY");
        assert!(!reply.header("referrer-policy").is_empty() && !reply.header("x-request-id").is_empty());
    }
    assert_eq!(get(&shop, "/", &[]).await.header("cache-control"), "no-store", "the page differs by customer");
}

#[tokio::test]
async fn a_sale_is_listed_and_shown_with_everything_that_a_buyer_must_know() {
    let shop = Shop::start(&[]).await;
    shop.sale_of("club", &["--tier", "std:Standard:2500:50:4", "--tier", "vip:Front: row A:9900:5"]).await;
    let list = get(&shop, "/api/sales", &[]).await.json();
    let slugs: Vec<_> = list["sales"].as_array().unwrap().iter().map(|sale| sale["sale"].as_str().unwrap()).collect();
    assert_eq!(slugs, ["club", "demo"], "the newest first");
    let sale = get(&shop, "/api/sales/club", &[]).await.json();
    assert_eq!(sale, list["sales"][0]);
    has(&sale, &["opens_at", "closes_at", "status", "tiers"]);
    assert_eq!(sale["status"], "open");
    for tier in sale["tiers"].as_array().unwrap() {
        has(tier, &["id", "name", "amount", "currency", "capacity", "free", "max_per_customer"]);
    }
    let (std, vip) = (&sale["tiers"][0], &sale["tiers"][1]);
    assert_eq!((&std["max_per_customer"], &vip["max_per_customer"]), (&4.into(), &json!(null)));
    assert_eq!((&vip["name"], &vip["amount"], &vip["free"]), (&"Front: row A".into(), &9_900.into(), &5.into()));
}

#[tokio::test]
async fn a_hold_is_shown_repeated_and_given_back_at_once() {
    let shop = Shop::start(&[]).await;
    shop.sale("solo", 1, &["--hold-seconds", "60"]).await;
    let (client, rival) = (shop.customer().await, shop.customer().await);
    let (hold, (status, body)) = client.hold("solo", 1).await;
    assert_eq!(status, 201);
    has(&body, &["hold", "items", "amount", "currency", "expires_in_ms"]);
    assert_eq!((&body["hold"], &body["amount"]), (&hold.to_string().into(), &2_500.into()));

    let same = json!({"hold": hold, "sale": "solo", "items": [{"tier": "std", "quantity": 1}]});
    let (status, again) = client.post("/api/holds", &same).await;
    assert_eq!((status, &again["hold"]), (201, &body["hold"]), "safe to repeat");
    assert!(again["expires_in_ms"].as_i64() <= body["expires_in_ms"].as_i64(), "no new time by repeating");
    let (_, (status, refusal)) = rival.hold("solo", 1).await;
    assert_eq!((status, &refusal["code"], &refusal["tier"]), (409, &"sold_out".into(), &"std".into()));

    assert_eq!(client.delete(&format!("/api/holds/{hold}")).await.0, 204);
    assert_eq!(rival.hold("solo", 1).await.1.0, 201, "its stock is back at once");
    assert_eq!(client.delete(&format!("/api/holds/{hold}")).await.0, 404);
    // Without an id the shop makes one.
    let (status, refusal) =
        client.post("/api/holds", &json!({"sale": "solo", "items": [{"tier": "std", "quantity": 1}]})).await;
    assert_eq!((status, &refusal["code"]), (409, &"sold_out".into()));
}

#[tokio::test]
async fn a_purchase_is_answered_at_once_and_found_again_by_its_buyer() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let (hold, (status, _)) = client.hold("demo", 2).await;
    assert_eq!(status, 201);
    let order = Uuid::new_v4();
    let (status, accepted) = client.post("/charges", &client.payment(order, hold, "pm_card_visa")).await;
    assert_eq!(status, 202);
    is_an_order(&accepted);
    assert_eq!((&accepted["id"], &accepted["charge"]), (&order.to_string().into(), &json!(null)));
    assert!(["accepted", "charging", "paid"].contains(&accepted["state"].as_str().unwrap()));

    let paid = client.room(&[]).await.until(order, &["paid"]).await;
    is_an_order(&paid);
    assert!(paid["charge"].as_str().unwrap().starts_with("ch_"));
    for ticket in paid["tickets"].as_array().unwrap() {
        has(ticket, &["id", "tier", "code"]);
    }
    assert_eq!(client.order(order).await["version"], paid["version"]);
    let (_, mine) = client.get("/api/orders").await;
    assert_eq!(mine["orders"][0]["id"], paid["id"], "my tickets");
    let text = paid.to_string();
    assert!(!text.contains(&client.email()) && !text.contains("pm_card") && !text.contains("Shopper"), "{text}");
}

#[tokio::test]
async fn operators_see_whether_it_lives_whether_it_is_ready_and_what_it_counts() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let (order, _) = client.buy("demo", 1, "pm_card_visa").await;
    client.room(&[]).await.until(order, &["paid"]).await;
    assert_eq!(get(&shop, "/healthz", &[]).await.status, 200);
    let ready = get(&shop, "/readyz", &[]).await;
    assert_eq!((ready.status, &ready.json()["ledger"], &ready.json()["stock"]), (200, &"ok".into(), &"ok".into()));
    let metrics = get(&shop, "/metrics", &[]).await;
    assert!(metrics.header("content-type").starts_with("text/plain"), "{:?}", metrics.headers);
    assert!(metrics.text().contains("# TYPE orders_accepted_total counter"), "{}", metrics.text());
    assert_eq!(shop.counter("orders_accepted_total").await, 1);
    assert_eq!(shop.counter("orders_settled_total").await, 1);
}
