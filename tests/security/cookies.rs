//! Cookies: how they may travel, and what one is worth that was planted.

use tests::harness::shop::Shop;

use super::ask;
use crate::access::{PASSWORD, add, is_known, is_nobody, try_log_in};

/// Name, and the attributes in order, of the cookie that an answer sets.
fn set(reply: &tests::harness::client::Reply) -> (String, String, Vec<String>) {
    let text = reply.header("set-cookie");
    let mut parts = text.split("; ");
    let (name, value) = parts.next().and_then(|first| first.split_once('=')).expect("a cookie");
    let mut rest: Vec<String> = parts.map(ToOwned::to_owned).collect();
    rest.sort();
    (name.to_owned(), value.to_owned(), rest)
}

#[tokio::test]
async fn cookies_are_for_no_script_and_over_https_for_https_alone() {
    for (public, secure) in [(None, false), (Some("https://shop.example.com"), true)] {
        let settings: Vec<(&str, &str)> = public.iter().map(|url| ("PUBLIC_URL", *url)).collect();
        let shop = Shop::start(&settings).await;
        let url = shop.url();
        let origin = public.unwrap_or(&url).to_owned();
        add(&shop, "ann", "owner").await;
        for path in ["/", "/tickets", "/api/session"] {
            let (_, _, rest) = set(&ask(&url, "GET", path, &[], "").await);
            let has = |attribute: &str| rest.iter().any(|one| one == attribute);
            assert!(has("HttpOnly") && has("SameSite=Lax") && has("Path=/"), "{path}: {rest:?}");
            assert_eq!(has("Secure"), secure, "{path}: {rest:?}");
            assert!(!rest.iter().any(|one| one.starts_with("Domain")), "{path}: {rest:?}");
        }
        let reply = try_log_in(&url, "ann", PASSWORD, &[("origin", &origin)]).await;
        let (name, value, rest) = set(&reply);
        let has = |attribute: &str| rest.iter().any(|one| one == attribute);
        assert!(has("HttpOnly") && has("SameSite=Strict") && has("Path=/") && has("Max-Age=43200"), "{rest:?}");
        assert_eq!((has("Secure"), name.as_str()), (secure, if secure { "__Host-operator" } else { "operator" }));
        assert_eq!(value.len(), 64);
        let told = ask(&url, "GET", "/", &[], "").await;
        assert_eq!(told.header("strict-transport-security"), if secure { "max-age=31536000" } else { "" });
    }
}

#[tokio::test]
async fn a_session_that_was_planted_before_the_login_is_worth_nothing_afterwards() {
    let shop = Shop::start(&[]).await;
    let url = shop.url();
    add(&shop, "ann", "owner").await;
    add(&shop, "eve", "read_only").await;
    // An attacker's own good session, planted in the browser of somebody who may do more.
    let planted = try_log_in(&url, "eve", PASSWORD, &[]).await;
    let planted = planted.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    is_known(&url, &planted, "eve").await;
    let reply = try_log_in(&url, "ann", PASSWORD, &[("cookie", &planted)]).await;
    let (_, value, _) = set(&reply);
    let session = format!("operator={value}");
    assert_ne!(session, planted);
    is_known(&url, &session, "ann").await;
    is_nobody(&url, &planted).await;
    // One that nobody made does not become good by a login.
    let made_up = format!("operator={}", "f".repeat(64));
    try_log_in(&url, "ann", PASSWORD, &[("cookie", &made_up)]).await;
    is_nobody(&url, &made_up).await;
}

#[tokio::test]
async fn a_customer_who_was_planted_unsigned_or_altered_is_nobody() {
    let shop = Shop::start(&[]).await;
    let url = shop.url();
    let (name, value, _) = set(&ask(&url, "GET", "/api/session", &[], "").await);
    let mut altered = value.clone().into_bytes();
    altered[0] = if altered[0] == b'0' { b'1' } else { b'0' };
    let altered = String::from_utf8(altered).expect("text");
    for planted in ["0198f2c0-7c1e-7d6a-8f7e-0d6f3c1b2a39", "", &altered, &value[..value.len() - 1]] {
        let cookie = format!("{name}={planted}");
        let reply = ask(&url, "GET", "/api/orders", &[("cookie", &cookie)], "").await;
        assert_eq!((reply.status, reply.refusal("orders").as_str()), (401, "no_customer"), "{planted}");
        let fresh = ask(&url, "GET", "/api/session", &[("cookie", &cookie)], "").await;
        let (_, given, _) = set(&fresh);
        assert!(given != planted && !planted.contains(fresh.json()["customer"].as_str().expect("an id")), "{planted}");
    }
    let cookie = format!("{name}={value}");
    assert_eq!(ask(&url, "GET", "/api/orders", &[("cookie", &cookie)], "").await.status, 200, "the one that was given");
}
