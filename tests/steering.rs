//! Operators steer sales, jobs and orders: by HTTP and by command alike, and with a trail of who did what and why.

mod sales;
mod work;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::Value;
use tests::harness::client::{Reply, exchange};
use tests::harness::desk::Desk;

/// Somebody with a key.
struct Machine {
    base: String,
    key: String,
}

impl Machine {
    /// A key with these scopes.
    async fn with(desk: &Desk, base: &str, name: &str, scopes: &str) -> Self {
        let made = desk.cli_json(&["key", "add", name, "--scope", scopes]).await;
        Self { base: base.to_owned(), key: made["key"].as_str().expect("a key").to_owned() }
    }

    async fn ask(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json");
        exchange(request.body(Full::new(body.into())).expect("a request")).await.expect("the shop")
    }

    async fn get(&self, path: &str) -> Value {
        let reply = self.ask("GET", path, "").await;
        assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"), "{path}: {}", reply.text());
        reply.json()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let reply = self.ask("POST", path, body.to_string()).await;
        assert!(reply.status < 300, "{path} {body}: {} {}", reply.status, reply.text());
        if reply.status == 204 { Value::Null } else { reply.json() }
    }

    /// The status and the machine word of a refusal.
    async fn refused(&self, path: &str, body: &Value) -> (u16, String) {
        let reply = self.ask("POST", path, body.to_string()).await;
        (reply.status, reply.refusal(path))
    }
}

/// What the trail says of deeds: what, by whom, to what, why, and what came of it; the oldest first.
async fn deeds(machine: &Machine) -> Vec<[String; 5]> {
    let trail = machine.get("/ops/api/trail").await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |line: &Value| ["what", "by", "whom", "why", "result"].map(|name| text(&line[name]));
    trail["trail"].as_array().expect("a list").iter().rev().map(of).collect()
}
