//! The table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::access::Permission;
use uuid::Uuid;

/// Who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Anybody.
    Open,
    /// A customer, by cookie or token.
    Customer,
    /// An operator or a key with this permission.
    May(Permission),
    /// An operator or a key, whatever they may do.
    Known,
    /// Whoever has the password.
    Login,
    /// Whoever signs with Stripe's secret.
    Signed,
}

/// A route.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) door: Door,
    /// What is sent, so that nothing but the door refuses it.
    pub(crate) body: Option<Value>,
    /// What is answered to somebody who is let in and asks for what is not there; several, if it depends.
    pub(crate) answers: &'static [u16],
}

use Door::{Customer, Known, Login, May, Open, Signed};
use Permission::{Refund, See, SeeOrders, Steer};

/// **The table**: every route and method of the web process.
pub(crate) fn table() -> Vec<Row> {
    let get = |path, door, answers| Row { method: "GET", path, door, body: None, answers };
    let post = |path, door, body, answers| Row { method: "POST", path, door, body: Some(body), answers };
    let id = Uuid::from_u128(7);
    let purchase =
        json!({"order": id, "hold": id, "email": "a@example.com", "name": "A. Shopper", "token": "tok_visa"});
    let page = json!({"order": id, "hold": id, "email": "a@example.com", "name": "A. Shopper"});
    let why = || json!({"reason": "a test"});
    let job = || json!({"queue": "webhook", "key": "evt_nothing"});
    vec![
        get("/", Open, &[200]),
        get("/sales/{sale}", Open, &[404]),
        get("/tickets", Open, &[200]),
        get("/static/{build}/{*path}", Open, &[404]),
        get("/favicon.ico", Open, &[200]),
        get("/api", Open, &[200]),
        get("/openapi.json", Open, &[200]),
        get("/asyncapi.json", Open, &[200]),
        get("/healthz", Open, &[200]),
        get("/readyz", Open, &[200]),
        get("/metrics", Open, &[200]),
        get("/api/session", Open, &[200]),
        post("/api/session", Open, json!({}), &[200]),
        get("/api/sales", Open, &[200]),
        get("/api/sales/{sale}", Open, &[404]),
        post(
            "/api/holds",
            Customer,
            json!({"sale": "nowhere", "items": [{"tier": "std", "quantity": 1}]}),
            &[404, 409, 422],
        ),
        Row { method: "DELETE", path: "/api/holds/{hold}", door: Customer, body: None, answers: &[404] },
        post("/charges", Customer, purchase, &[409]),
        post("/checkout", Customer, page, &[409]),
        get("/api/orders", Customer, &[200]),
        get("/api/orders/{order}", Customer, &[404]),
        post("/api/orders/{order}/refresh", Customer, json!({}), &[404]),
        // A socket without an upgrade, and streams that are opened by whom the table of rooms tests.
        get("/ws", Customer, &[400, 426]),
        get("/events", Customer, &[200]),
        post("/webhooks/stripe", Signed, json!({}), &[400]),
        post("/api/orders/{order}/refunds", May(Refund), json!({"request": id}), &[404]),
        post("/ops/api/login", Login, json!({"name": "nobody", "password": "no password of anybody"}), &[401, 429]),
        post("/ops/api/logout", Open, json!({}), &[204]),
        get("/ops/api/me", Known, &[200]),
        get("/ops/api/sales", May(See), &[200]),
        post("/ops/api/sales/{sale}/open", May(Steer), why(), &[404]),
        post("/ops/api/sales/{sale}/pause", May(Steer), why(), &[404]),
        post("/ops/api/sales/{sale}/resume", May(Steer), why(), &[404]),
        post("/ops/api/sales/{sale}/close", May(Steer), why(), &[404]),
        post("/ops/api/sales/{sale}/stock", May(Steer), json!({"tier": "std", "quantity": 1, "request": id}), &[404]),
        get("/ops/api/jobs", May(See), &[200]),
        post("/ops/api/jobs/retry", May(Steer), job(), &[404]),
        post("/ops/api/jobs/discard", May(Steer), job(), &[404]),
        get("/ops/api/orders/{order}", May(SeeOrders), &[404]),
        post("/ops/api/orders/{order}/review", May(Steer), json!({"decision": "look_again"}), &[404]),
        get("/ops/api/reviews", May(SeeOrders), &[200]),
        get("/ops/api/trail", May(See), &[200]),
        get("/ops/api/processes", May(See), &[200]),
        post("/ops/api/workers/{name}/concurrency", May(Steer), json!({"concurrency": 1}), &[404]),
        post("/ops/api/workers/{name}/drain", May(Steer), why(), &[404]),
        get("/ops", Open, &[200]),
        get("/ops/live", May(See), &[400, 426]),
    ]
}

impl Row {
    /// The address, with something in each place that is not there.
    pub(super) fn address(&self) -> String {
        let id = Uuid::from_u128(7).to_string();
        let filled = self.path.replace("{sale}", "nowhere").replace("{order}", &id).replace("{hold}", &id);
        let filled = filled.replace("{name}", "worker-nobody");
        filled.replace("{build}", "x").replace("{*path}", "nothing.js")
    }

    pub(super) fn sent(&self) -> String {
        self.body.as_ref().map(Value::to_string).unwrap_or_default()
    }

    pub(super) fn changes(&self) -> bool {
        self.method != "GET"
    }

    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The routes that a source text adds to a router: method and path.
pub(crate) fn routes_in(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for call in source.split(".route(").skip(1) {
        let call = call.trim_start();
        let Some((path, rest)) = call.strip_prefix('"').and_then(|call| call.split_once('"')) else {
            panic!("a route whose path is no text: {}", call.lines().next().unwrap_or_default());
        };
        // As far as the call goes.
        let mut depth = 1;
        let end = rest.char_indices().find(|(_, c)| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            depth == 0
        });
        let methods = &rest[..end.expect("a call that ends").0];
        let before = found.len();
        for method in ["get", "post", "put", "patch", "delete", "head", "options", "any"] {
            let is_call =
                |at: usize| !methods[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':');
            let called = methods.match_indices(&format!("{method}(")).any(|(at, _)| is_call(at));
            if called {
                found.push((method.to_ascii_uppercase(), path.to_owned()));
            }
        }
        assert!(found.len() > before, "{path}: no method is seen in {methods}");
    }
    found
}

/// Every route of the web process, as its source adds them.
pub(crate) fn routes() -> BTreeSet<(String, String)> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/src");
    let mut files = Vec::new();
    sources(&web, &mut files);
    let mut found = BTreeSet::new();
    for file in files {
        let source = std::fs::read_to_string(&file).expect("a source file");
        for hidden in [".nest(", ".nest_service(", ".route_service(", ".fallback_service("] {
            assert!(!source.contains(hidden), "{}: {hidden} hides routes from this test", file.display());
        }
        found.extend(routes_in(&source));
    }
    found
}

#[test]
fn the_table_has_every_route_and_no_other() {
    let known: BTreeSet<(String, String)> =
        table().iter().map(|row| (row.method.to_owned(), row.path.to_owned())).collect();
    let routes = routes();
    let unknown: Vec<_> = routes.difference(&known).collect();
    assert!(unknown.is_empty(), "routes without a row in the table of tests/security/routes.rs: {unknown:?}");
    let gone: Vec<_> = known.difference(&routes).collect();
    assert!(gone.is_empty(), "rows without a route: {gone:?}");
}

#[test]
fn a_route_is_seen_however_it_is_written() {
    let source = "Router::new()\n    .route(\n        \"/a/{b}\",\n        get(x::show)\n            .post(x::get),\n    )\n    .route(\"/c\", delete(gone))";
    let found = routes_in(source);
    let route = |method: &str, path: &str| (method.to_owned(), path.to_owned());
    assert_eq!(found, [route("GET", "/a/{b}"), route("POST", "/a/{b}"), route("DELETE", "/c")]);
}
