//! The descriptions of the HTTP calls (OpenAPI) and of the sockets (AsyncAPI) say what is so: every route and method, and
//! every field of real answers and real messages.

mod answers;
mod description;
mod fuzzer;
mod schema;

use serde_json::Value;
use tests::harness::client::get;
use tests::harness::shop::Shop;

/// What the shop serves as its description.
async fn served(shop: &Shop, path: &str) -> Value {
    let (status, body) = get(&format!("{}{path}", shop.url())).await.expect("the shop");
    assert_eq!(status, 200, "{path}");
    body
}
