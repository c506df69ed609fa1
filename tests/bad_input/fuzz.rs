//! Anything that is JSON, and much that is not: refused or accepted, but never a failure of ours.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use super::{open_shop, post_text, still_sells};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "gate",
            "std",
            "pm_card_visa",
            "tok_visa",
            "a@example.com",
            "0198f2c0-7c1e-7d6a-8f7e-0d6f3c1b2a39"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((field(), inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn field() -> impl Strategy<Value = String> {
    let known = ["order", "token", "hold", "sale", "items", "tier", "quantity", "email", "name"];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"]
}

/// A purchase of which some parts were replaced.
fn nearly_right() -> impl Strategy<Value = Value> {
    let good = json!({
        "order": "0198f2c0-7c1e-7d6a-8f7e-0d6f3c1b2a39", "token": "pm_card_visa", "sale": "gate",
        "items": [{"tier": "std", "quantity": 1}], "email": "a@example.com", "name": "A. Shopper",
    });
    prop::collection::vec((field(), any_json()), 1..3).prop_map(move |changes| {
        let mut body = good.clone();
        for (name, value) in changes {
            match name.as_str() {
                "tier" | "quantity" => body["items"] = json!([{"tier": "std", "quantity": 1, name: value}]),
                _ => body[name] = value,
            }
        }
        body
    })
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => nearly_right().prop_map(|body| body.to_string().into_bytes()),
        2 => any_json().prop_map(|body| body.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

#[test]
fn no_body_whatever_makes_the_shop_fail() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let shop = runtime.block_on(open_shop());
    let client = runtime.block_on(shop.customer());
    // A failure prints the smallest body that shows it; nothing is written beside the sources.
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(
        &(bodies(), prop::sample::select(vec!["/charges", "/api/holds"])),
        |(body, path)| {
            let reply = runtime.block_on(post_text(&shop, &client, path, body));
            if reply.status >= 400 {
                let _ = reply.refusal(path);
            }
            prop_assert!(reply.status < 500 && reply.status >= 200);
            Ok(())
        },
    );
    if let Err(error) = run {
        panic!("{error}");
    }
    runtime.block_on(still_sells(&shop));
}
