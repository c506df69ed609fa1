//! Logging in and out: what is refused, what a cookie is worth, and what ends it.

use serde_json::{Value, json};
use tests::harness::shop::Shop;

use super::*;

#[tokio::test]
async fn an_operator_logs_in_is_known_and_logs_out_for_good() {
    let shop = Shop::start(&[]).await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    let reply = try_log_in(&url, "Ann", PASSWORD, &[]).await;
    assert_eq!((reply.status, reply.header("cache-control")), (204, "no-store"), "{}", reply.text());
    let set = reply.header("set-cookie").to_owned();
    let rest = set.strip_prefix("operator=").and_then(|set| set.split_once("; ")).expect("a cookie");
    assert_eq!((rest.0.len(), rest.1), (64, "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{set}");
    let cookie = cookie_of(&reply);
    let known = me(&url, &cookie).await;
    assert_eq!((known.status, known.header("cache-control")), (200, "no-store"));
    let permissions = ["see", "see_orders", "refund", "steer", "manage"];
    assert_eq!(known.json(), json!({"name": "ann", "kind": "operator", "role": "owner", "permissions": permissions}));

    let out = log_out(&url, &cookie).await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").starts_with("operator=; Path=/; Max-Age=0; "), "{}", out.header("set-cookie"));
    is_nobody(&url, &cookie).await;
    assert_eq!(log_out(&url, &cookie).await.status, 204, "to go twice is no mistake");
    let line = |what: &str, who: &str, whom: Value| (what.to_owned(), who.to_owned(), whom);
    let expected = [
        line("operator_added", "cli", "operator:ann".into()),
        line("logged_in", "operator:ann", Value::Null),
        line("logged_out", "operator:ann", Value::Null),
    ];
    assert_eq!(trail(&shop).await, expected);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_hear_the_same_and_leave_no_secret() {
    let shop = Shop::start(&[("LOG", "info,web=debug,shared=debug")]).await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    let mut heard = Vec::new();
    // People type a password into the wrong field, too.
    for (name, password) in [
        ("ann", "correct horse battery stapl"),
        ("bob", PASSWORD),
        ("hunter2hunter2", "x"),
        ("not a name", ""),
        ("ann", ""),
    ] {
        let reply = try_log_in(&url, name, password, &[]).await;
        assert_eq!((reply.status, reply.refusal(name).as_str()), (401, "bad_login"), "{name}");
        assert_eq!(reply.header("set-cookie"), "", "{name}");
        let mut said = reply.json();
        // Each answer has one of its own.
        said.as_object_mut().expect("a problem").remove("request_id");
        heard.push(said.to_string());
    }
    heard.dedup();
    assert_eq!(heard.len(), 1, "{heard:?}");
    let long = try_log_in(&url, "eve", &"x".repeat(2_000), &[]).await;
    assert_eq!(long.refusal("a long one"), "bad_login");
    for body in
        ["", "{}", r#"{"name":"ann"}"#, r#"{"name":"ann","password":7}"#, r#"{"name":1,"password":"hunter2hunter2"}"#]
    {
        let headers = [("content-type", "application/json"), ("origin", url.as_str())];
        let reply = ask(&url, "POST", "/ops/api/login", &headers, body).await;
        assert!([400, 422].contains(&reply.status) && !reply.text().contains("hunter2"), "{body}: {}", reply.text());
    }
    let told = trail(&shop).await;
    let failures: Vec<&Value> = told.iter().filter(|line| line.0 == "login_failed").map(|line| &line.2).collect();
    let ann = Value::from("operator:ann");
    assert_eq!(failures, [&ann, &Value::Null, &Value::Null, &Value::Null, &ann, &Value::Null], "names nobody has");
    let words = said(&shop.cli(&["operator", "log"]).await).1 + &shop.log();
    for secret in ["hunter2", "correct horse"] {
        assert!(!words.contains(secret), "{secret}: {words}");
    }
    assert!(shop.counter("operator_logins_total").await >= 6);
}

#[tokio::test]
async fn too_many_tries_have_to_wait_with_the_right_password_too_and_nobody_else_has_to() {
    let shop = Shop::start(&[]).await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    add(&shop, "bob", "support").await;
    let known = log_in(&url, "ann").await;
    for _ in 0..4 {
        assert_eq!(try_log_in(&url, "ann", "some other password", &[]).await.status, 401);
    }
    for password in ["some other password", PASSWORD] {
        let reply = try_log_in(&url, "ann", password, &[]).await;
        assert_eq!((reply.status, reply.refusal("too often").as_str()), (429, "slow_down"));
        let wait: u64 = reply.header("retry-after").parse().expect("seconds");
        let told = reply.json()["retry_in_ms"].as_u64().expect("milliseconds");
        assert!((1..=30).contains(&wait) && told.div_ceil(1_000) == wait, "{wait} {told}");
        assert_eq!(reply.header("set-cookie"), "");
    }
    is_known(&url, &known, "ann").await;
    is_known(&url, &log_in(&url, "bob").await, "bob").await;
}

#[tokio::test]
async fn an_outsiders_guesses_keep_no_operator_out() {
    let shop = Shop::start(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    let outside = [("x-forwarded-for", "10.9.9.9, 198.51.100.7")];
    let mut heard = Vec::new();
    for _ in 0..10 {
        heard.push(try_log_in(&url, "ann", "some other password", &outside).await.status);
    }
    assert_eq!(heard, [[401; 5], [429; 5]].concat());
    assert_eq!(try_log_in(&url, "ann", PASSWORD, &outside).await.status, 429);
    let pretended = [("x-forwarded-for", "203.0.113.9, 198.51.100.7")];
    assert_eq!(try_log_in(&url, "ann", PASSWORD, &pretended).await.status, 429, "what a client says of itself");
    let inside = try_log_in(&url, "ann", PASSWORD, &[("x-forwarded-for", "203.0.113.9")]).await;
    is_known(&url, &cookie_of(&inside), "ann").await;
    let log = shop.cli_json(&["operator", "log"]).await;
    let from = |at: usize| (log["log"][at]["what"].as_str(), log["log"][at]["address"].as_str());
    assert_eq!(from(0), (Some("logged_in"), Some("203.0.113.9")));
    assert_eq!(from(1), (Some("login_failed"), Some("198.51.100.7")));
    assert_eq!(log["log"].as_array().map(Vec::len), Some(7), "what was not tried is not written down: {log}");
}

#[tokio::test]
async fn a_login_makes_a_session_of_its_own_whatever_the_browser_brought() {
    let shop = Shop::start(&[]).await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    let planted = format!("operator={}", "0123456789abcdef".repeat(4));
    is_nobody(&url, &planted).await;
    let reply = try_log_in(&url, "ann", PASSWORD, &[("cookie", &planted)]).await;
    let first = cookie_of(&reply);
    assert!(reply.status == 204 && first != planted);
    is_nobody(&url, &planted).await;
    let second = cookie_of(&try_log_in(&url, "ann", PASSWORD, &[("cookie", &first)]).await);
    is_nobody(&url, &first).await;
    is_known(&url, &second, "ann").await;
    let digits = second.strip_prefix("operator=").unwrap();
    for wrong in [format!("operator={}", digits.to_uppercase()), format!("operator={digits}0"), "operator=".into()] {
        is_nobody(&url, &wrong).await;
    }
    let bearer = format!("Bearer {digits}");
    let headers = [("authorization", bearer.as_str()), ("cookie", second.as_str())];
    assert_eq!(ask(&url, "GET", "/ops/api/me", &headers, "").await.status, 401, "a cookie is no key");
}

#[tokio::test]
async fn an_operators_cookie_counts_only_from_a_page_of_ours() {
    let shop = Shop::start(&[]).await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    let cookie = log_in(&url, "ann").await;
    let foreign = [
        vec![],
        vec![("origin", "https://evil.example".to_owned())],
        vec![("origin", "null".to_owned())],
        vec![("origin", format!("{url}.evil.example"))],
        vec![("origin", shop.sandbox_url())],
        vec![("sec-fetch-site", "cross-site".to_owned())],
        vec![("sec-fetch-site", "none".to_owned())],
    ];
    let refund = format!("/api/orders/{}/refunds", uuid::Uuid::new_v4());
    let login = json!({"name": "ann", "password": PASSWORD}).to_string();
    for more in &foreign {
        let more: Vec<(&str, &str)> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let headers = [&[("cookie", cookie.as_str()), ("content-type", "application/json")], more.as_slice()].concat();
        for (path, body) in [(refund.as_str(), "{}"), ("/ops/api/logout", ""), ("/ops/api/login", &login)] {
            let reply = ask(&url, "POST", path, &headers, body.to_owned()).await;
            assert_eq!((reply.status, reply.refusal(path).as_str()), (403, "cross_site"), "{path} {more:?}");
            assert_eq!(reply.header("set-cookie"), "", "{path} {more:?}");
        }
    }
    let headers = [("cookie", cookie.as_str()), ("sec-fetch-site", "cross-site")];
    assert_eq!(ask(&url, "GET", "/ops/api/me", &headers, "").await.refusal("me"), "cross_site");
    is_known(&url, &cookie, "ann").await;
    let form = [("content-type", "text/plain"), ("origin", url.as_str())];
    assert_eq!(ask(&url, "POST", "/ops/api/login", &form, login).await.status, 415, "what a form can send");
    let body = json!({"request": uuid::Uuid::new_v4()}).to_string();
    let ours = [("cookie", cookie.as_str()), ("content-type", "application/json"), ("origin", url.as_str())];
    assert_eq!(ask(&url, "POST", &refund, &ours, body).await.refusal("no such order"), "not_found");
}

#[tokio::test]
async fn over_https_the_cookie_is_for_this_host_alone() {
    let shop = Shop::start(&[("PUBLIC_URL", "https://tickets.example.com")]).await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    let reply = try_log_in(&url, "ann", PASSWORD, &[]).await;
    let set = reply.header("set-cookie");
    assert!(set.starts_with("__Host-operator=") && set.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{set}");
    let cookie = cookie_of(&reply);
    is_known(&url, &cookie, "ann").await;
    is_nobody(&url, &cookie.replace("__Host-", "")).await;
    let headers = [("cookie", cookie.as_str()), ("origin", "https://tickets.example.com")];
    assert_eq!(ask(&url, "POST", "/ops/api/logout", &headers, "").await.status, 204);
    is_nobody(&url, &cookie).await;
}
