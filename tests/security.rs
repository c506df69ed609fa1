//! Every route of the web process, and who may do what there: a route that is added without a row here is red.

mod cookies;
mod owners;
mod privilege;
pub(crate) mod routes;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tests::harness::client::{Reply, exchange};

/// Sends a request to a door.
async fn ask(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut request = Request::builder().method(method).uri(format!("{base}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    exchange(request.body(Full::new(body.into())).expect("a request")).await.expect("the shop")
}
