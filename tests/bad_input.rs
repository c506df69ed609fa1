//! What must not be sent, sent: every answer is a refusal that says why, never a failure of ours, and afterwards the
//! shop still sells.

mod bodies;
mod floods;
mod fuzz;
mod secrets;
mod sockets;
mod strangers;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tests::harness::client::{Client, Reply, exchange};
use tests::harness::shop::Shop;

/// A shop with a sale `gate` of a hundred.
async fn open_shop() -> Shop {
    let shop = Shop::start(&[]).await;
    shop.sale("gate", 100, &[]).await;
    shop
}

/// Somebody buys a ticket, as if nothing had happened; nothing panicked, nothing was out of reach.
async fn still_sells(shop: &Shop) {
    let client = shop.customer().await;
    let (order, (status, body)) = client.buy("gate", 1, "pm_card_visa").await;
    assert_eq!(status, 202, "{body}");
    client.room(&["gate"]).await.until(order, &["paid"]).await;
    shop.check("gate").await;
    for counter in ["http_panics_total", "http_unavailable_total", "second_gate_fired_total"] {
        assert_eq!(shop.counter(counter).await, 0, "{counter}\n{}", shop.log());
    }
}

/// Sends any method to any path of the shop, with these headers.
async fn ask(shop: &Shop, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut request = Request::builder().method(method).uri(format!("{}{path}", shop.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    exchange(request.body(Full::new(body.into())).expect("a request")).await.expect("the shop")
}

/// Sends a body to a path as this customer says it is JSON.
async fn post_text(shop: &Shop, client: &Client, path: &str, body: impl Into<Bytes>) -> Reply {
    let bearer = format!("Bearer {}", client.token);
    ask(shop, "POST", path, &[("content-type", "application/json"), ("authorization", &bearer)], body).await
}
