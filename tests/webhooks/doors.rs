//! Who is believed: nobody without a fresh signature over these very bytes, in the right mode.

use futures::future::join_all;
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::{SECRET, counted, event, seconds_now, send, shop, signature, signed, tell};

fn some_event() -> String {
    event("evt_door", "payment_intent.succeeded", "pi_1", Uuid::new_v4()).to_string()
}

#[tokio::test]
async fn a_body_without_a_good_signature_is_refused_and_nothing_of_it_is_kept() {
    let shop = shop().await;
    let (body, now) = (some_event(), seconds_now());
    let good = signature(SECRET, now, &body);
    let at = |time: i64| format!("t={time},{}", signature(SECRET, time, &body));
    for (what, header, code) in [
        ("no header", None, "no_signature"),
        ("an empty header", Some(String::new()), "no_signature"),
        ("no time", Some(good.clone()), "no_signature"),
        ("another scheme", Some(format!("t={now},{}", good.replace("v1", "v0"))), "no_signature"),
        ("half a signature", Some(format!("t={now},{}", &good[..40])), "no_signature"),
        ("a forged signature", Some(format!("t={now},v1={}", "a".repeat(64))), "bad_signature"),
        ("another secret", Some(signed("whsec_of_another", &body)), "bad_signature"),
        ("another time than was signed", Some(format!("t={},{good}", now + 1)), "bad_signature"),
        ("a signature of another body", Some(signed(SECRET, &some_event())), "bad_signature"),
        ("a body changed after signing", Some(signed(SECRET, &format!("{body} "))), "bad_signature"),
        ("six minutes old", Some(at(now - 360)), "stale_signature"),
        ("of the future", Some(at(now + 360)), "stale_signature"),
    ] {
        let before = counted(&shop, code).await;
        let reply = send(&shop, body.clone(), header.as_deref()).await;
        assert_eq!((reply.status, reply.refusal(what).as_str()), (400, code), "{what}");
        assert_eq!(counted(&shop, code).await, before + 1, "{what} is counted");
    }
    assert_eq!(counted(&shop, "stored").await, 0);
    assert!(!shop.log().contains(SECRET), "the secret was logged");
}

#[tokio::test]
async fn signed_nonsense_is_refused_too() {
    let shop = shop().await;
    let other_mode = some_event().replace("\"livemode\":false", "\"livemode\":true");
    for (what, body, code) in [
        ("not JSON", "certainly".to_owned(), "malformed"),
        ("nothing", String::new(), "malformed"),
        ("an event without an object", r#"{"id":"evt_1","type":"x","livemode":false}"#.to_owned(), "malformed"),
        ("an id that is none", some_event().replace("evt_door", "evt door"), "malformed"),
        ("real money, for test keys", other_mode, "wrong_mode"),
    ] {
        let reply = send(&shop, body.clone(), Some(&signed(SECRET, &body))).await;
        assert_eq!((reply.status, reply.refusal(what).as_str()), (400, code), "{what}");
    }
    let long = some_event().replace("pi_1", &"x".repeat(256 * 1024));
    let reply = send(&shop, long.clone(), Some(&signed(SECRET, &long))).await;
    assert_eq!((reply.status, reply.refusal("a body above the limit").as_str()), (413, "too_large"));
    assert_eq!((counted(&shop, "wrong_mode").await, counted(&shop, "stored").await), (1, 0));

    let large = some_event().replace("pi_1", &"x".repeat(200 * 1024));
    assert_eq!(send(&shop, large.clone(), Some(&signed(SECRET, &large))).await.status, 200, "within its own limit");
}

#[tokio::test]
async fn live_keys_take_live_events_only() {
    let keys = [("STRIPE_SECRET_KEY", "sk_live_1"), ("STRIPE_PUBLISHABLE_KEY", "pk_live_1")];
    let nowhere = [("STRIPE_API_BASE", "http://127.0.0.1:9"), ("STRIPE_WEBHOOK_SECRET", SECRET)];
    let shop = Shop::start(&[keys, nowhere].concat()).await;
    let body = some_event();
    let reply = send(&shop, body.clone(), Some(&signed(SECRET, &body))).await;
    assert_eq!(reply.refusal("test money, for live keys"), "wrong_mode");
    let live = body.replace("\"livemode\":false", "\"livemode\":true");
    assert_eq!(send(&shop, live.clone(), Some(&signed(SECRET, &live))).await.status, 200);
}

#[tokio::test]
async fn while_secrets_rotate_either_is_enough_and_each_of_several_signatures_is_tried() {
    let shop = Shop::start(&[("STRIPE_WEBHOOK_SECRET", "whsec_old, whsec_new")]).await;
    let (body, now) = (some_event(), seconds_now());
    let of = |secret| signature(secret, now, &body);
    for header in [
        signed("whsec_old", &body),
        signed("whsec_new", &body),
        format!("t={now},{},{}", of("whsec_retired"), of("whsec_new")),
        format!("t={now}, {}, v0=00, {}", of("whsec_old"), of("whsec_retired")),
    ] {
        assert_eq!(send(&shop, body.clone(), Some(&header)).await.status, 200, "{header}");
    }
    let retired = send(&shop, body.clone(), Some(&signed("whsec_retired", &body))).await;
    assert_eq!(retired.refusal("a retired secret"), "bad_signature");
}

#[tokio::test]
async fn a_shop_without_a_secret_says_so_and_keeps_nothing() {
    let keys = [("STRIPE_SECRET_KEY", "sk_test_1"), ("STRIPE_PUBLISHABLE_KEY", "pk_test_1")];
    let shop = Shop::start(&[keys.as_slice(), &[("STRIPE_API_BASE", "http://127.0.0.1:9")]].concat()).await;
    let body = some_event();
    for secret in ["", "whsec_"] {
        let reply = send(&shop, body.clone(), Some(&signed(secret, &body))).await;
        assert_eq!((reply.status, &reply.json()["code"]), (503, &"no_webhook_secret".into()));
        assert!(reply.text().contains("STRIPE_WEBHOOK_SECRET"), "{}", reply.text());
    }
    assert_eq!(shop.log().matches("STRIPE_WEBHOOK_SECRET is not set").count(), 1, "said once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_two_thousand_events_is_answered_and_each_is_stored_once() {
    const EVENTS: usize = 2_000;
    let shop = Shop::start(&[("STRIPE_WEBHOOK_SECRET", SECRET), ("LOG", "warn"), ("LIMIT_LOOPBACK", "true")]).await;
    let all: Vec<_> = (0..EVENTS)
        .map(|n| event(&format!("evt_burst_{n}"), "customer.created", &format!("pi_{n}"), Uuid::new_v4()))
        .collect();
    for hundreds in all.chunks(250) {
        join_all(hundreds.iter().flat_map(|event| [tell(&shop, event), tell(&shop, event)])).await;
    }
    let (stored, again) = (counted(&shop, "stored").await, counted(&shop, "duplicate").await);
    assert_eq!((stored, again), (EVENTS as u64, EVENTS as u64));
    let handled = async { while shop.counter("webhook_events_handled_total").await < EVENTS as u64 {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), handled).await.expect("every event is handled");
    assert_eq!(shop.counter("webhook_events_handled_total").await, EVENTS as u64, "each once");
}
