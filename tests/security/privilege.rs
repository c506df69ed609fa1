//! Each route, and each of those who may come: nobody, a customer, every role, every scope of a key, the shop's own key.
//! And what every answer has with it.

use shared::access::{Permission, Permissions, Role};
use tests::harness::client::Reply;
use tests::harness::shop::Shop;

use super::ask;
use super::routes::{Door, Row, table};
use crate::access::{add, log_in};

const KEY: &str = "an operator's key of some length: 0123456789";
const FOREIGN: [(&str, &str); 4] = [
    ("origin", "https://evil.example"),
    ("origin", "null"),
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-site", "none"),
];

/// Somebody at the door.
struct Visitor {
    name: String,
    headers: Vec<(&'static str, String)>,
    /// What they may do, if they are known as an operator or a key.
    permissions: Option<Permissions>,
    is_customer: bool,
}

impl Visitor {
    async fn ask(&self, url: &str, row: &Row) -> Reply {
        let mut headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.extend([("content-type", "application/json"), ("origin", url)]);
        ask(url, row.method, &row.address(), &headers, row.sent()).await
    }

    /// What the table says to this one.
    fn expected(&self, row: &Row) -> Expected {
        match row.door {
            Door::Open | Door::Login | Door::Signed => Expected::In,
            Door::Customer if self.is_customer => Expected::In,
            Door::Customer => Expected::Refused(401, "no_customer"),
            Door::Known | Door::May(_) if self.permissions.is_none() => Expected::Refused(401, "no_operator"),
            Door::Known => Expected::In,
            Door::May(needed) if self.permissions.is_some_and(|all| all.has(needed)) => Expected::In,
            Door::May(_) => Expected::Refused(403, "not_allowed"),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    In,
    Refused(u16, &'static str),
}

/// Everybody who may come.
async fn visitors(shop: &Shop) -> Vec<Visitor> {
    let url = shop.url();
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let customer = shop.customer().await;
    let shops_key = Permissions::of(&[Permission::See, Permission::SeeOrders, Permission::Refund]);
    let visitor = |name: &str, headers, permissions, is_customer| Visitor {
        name: name.to_owned(),
        headers,
        permissions,
        is_customer,
    };
    let mut all = vec![
        visitor("nobody", vec![], None, false),
        visitor("a made-up key", vec![bearer(&format!("stk_{}", "0".repeat(64)))], None, false),
        visitor("a made-up session", vec![("cookie", format!("operator={}", "0".repeat(64)))], None, false),
        visitor(
            "a made-up customer",
            vec![("cookie", "stampede=0198f2c0-7c1e-7d6a-8f7e-0d6f3c1b2a39".into())],
            None,
            false,
        ),
        visitor("a customer", vec![bearer(&customer.token)], None, true),
        visitor("the shop's own key", vec![bearer(KEY)], Some(shops_key), false),
    ];
    for scope in Permission::ALL.into_iter().filter(|scope| *scope != Permission::Manage) {
        let made = shop.cli_json(&["key", "add", scope.as_str(), "--scope", scope.as_str()]).await;
        let key = made["key"].as_str().expect("a key");
        all.push(visitor(&format!("a key for {scope}"), vec![bearer(key)], Some(Permissions::of(&[scope])), false));
    }
    for role in Role::ALL {
        add(shop, role.as_str(), role.as_str()).await;
        let cookie = log_in(&url, role.as_str()).await;
        let headers = vec![("cookie", cookie)];
        all.push(visitor(&format!("an operator ({role})"), headers, Some(role.permissions()), false));
    }
    all
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_says_and_nobody_else() {
    let shop = Shop::start(&[("OPERATOR_KEY", KEY)]).await;
    let (url, visitors) = (shop.url(), visitors(&shop).await);
    let mut wrong = Vec::new();
    for row in table() {
        // It takes the session that it is asked with: nobody could come after it. And a stream never ends.
        if row.path == "/ops/api/logout" || row.path == "/events" {
            continue;
        }
        for visitor in &visitors {
            let reply = visitor.ask(&url, &row).await;
            let code = if reply.status >= 400 {
                reply.json()["code"].as_str().unwrap_or_default().to_owned()
            } else {
                String::new()
            };
            let good = match visitor.expected(&row) {
                Expected::In => {
                    row.answers.contains(&reply.status)
                        && !["no_operator", "not_allowed", "no_customer"].contains(&code.as_str())
                }
                Expected::Refused(status, word) => (reply.status, code.as_str()) == (status, word),
            };
            if !good {
                let expected = visitor.expected(&row);
                wrong.push(format!(
                    "{} to {}: {} {code}, and not {expected:?} {:?}",
                    row.name(),
                    visitor.name,
                    reply.status,
                    row.answers
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn no_cookie_opens_a_changing_route_to_another_sites_page() {
    let shop = Shop::start(&[]).await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    let operator = log_in(&url, "ann").await;
    let session = ask(&url, "GET", "/api/session", &[], "").await;
    let customer = session.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    let both = format!("{operator}; {customer}");
    let mut wrong = Vec::new();
    for row in table().iter().filter(|row| row.changes()) {
        // Neither looks at a cookie: the one makes a new customer whoever asks, the other believes a signature.
        if row.door == Door::Signed || row.name() == "POST /api/session" {
            continue;
        }
        for foreign in FOREIGN {
            let headers = [("cookie", both.as_str()), ("content-type", "application/json"), foreign];
            let reply = ask(&url, row.method, &row.address(), &headers, row.sent()).await;
            if (reply.status, reply.refusal(&row.name()).as_str()) != (403, "cross_site") {
                wrong.push(format!("{} from {foreign:?}: {} {}", row.name(), reply.status, reply.text()));
            }
        }
        // A form cannot send JSON, and nothing else is read.
        if row.path != "/ops/api/logout" && row.body.is_some() {
            let headers = [("cookie", both.as_str()), ("content-type", "text/plain"), ("origin", url.as_str())];
            let reply = ask(&url, row.method, &row.address(), &headers, row.sent()).await;
            if reply.status != 415 {
                wrong.push(format!("{} with a form: {} {}", row.name(), reply.status, reply.text()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // And the sockets, which no browser keeps to their own site.
    for path in ["/ws", "/events"] {
        let headers = [("cookie", customer.as_str()), ("origin", "https://evil.example")];
        let reply = ask(&url, "GET", path, &headers, "").await;
        assert_eq!((reply.status, reply.refusal(path).as_str()), (403, "cross_site"));
    }
}

#[tokio::test]
async fn every_answer_says_how_it_may_be_used() {
    let shop = Shop::start(&[]).await;
    let url = shop.url();
    let mut rows = table();
    // An address that is none, and one that is asked in a wrong way.
    rows.push(Row { method: "GET", path: "/nothing/here", door: Door::Open, body: None, answers: &[404] });
    rows.push(Row { method: "PATCH", path: "/charges", door: Door::Open, body: None, answers: &[405] });
    for row in rows.iter().filter(|row| row.path != "/events") {
        let reply = ask(&url, row.method, &row.address(), &[("content-type", "application/json")], row.sent()).await;
        let csp = reply.header("content-security-policy");
        let policy = |directive: &str, value: &str| {
            let found = csp.split(';').map(str::trim).find_map(|one| one.strip_prefix(directive).map(str::trim));
            assert_eq!(found, Some(value), "{}: {csp}", row.name());
        };
        policy("default-src", "'none'");
        policy("base-uri", "'none'");
        policy("frame-ancestors", "'none'");
        policy("form-action", "'self'");
        policy("style-src", "'self'");
        assert!(!csp.contains("unsafe") && !csp.contains('*'), "{}: {csp}", row.name());
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name), value, "{} {name}", row.name());
        }
        assert!(reply.header("access-control-allow-origin").is_empty(), "{}", row.name());
        assert!(!reply.header("x-request-id").is_empty() && reply.header("server").is_empty(), "{}", row.name());
        // A page that says that there is no such sale is a page.
        if reply.status >= 400 && row.path != "/sales/{sale}" {
            assert_eq!(reply.header("content-type"), "application/problem+json", "{}", row.name());
            assert_eq!(reply.header("cache-control"), "no-store", "{}", row.name());
        }
        if row.path.starts_with("/ops/") {
            assert_eq!(reply.header("cache-control"), "no-store", "{}", row.name());
        }
    }
}
