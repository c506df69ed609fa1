//! What a test can make go wrong.

use hyper::Method;
use serde_json::json;

use crate::harness::{Api, purchase};

#[tokio::test]
async fn an_answer_lost_after_the_commit_is_found_again_by_its_key() {
    let api = Api::start().await;
    api.control(
        json!({"faults": [{"fault": "answer_lost_after_commit", "method": "POST", "path": "/v1/payment_intents"}]}),
    )
    .await;
    let lost = api.try_send(Method::POST, "/v1/payment_intents", &purchase("pm_card_visa"), Some("k")).await;
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(api.stat("charges_succeeded").await, 1);
    let found = api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await;
    assert_eq!(found.header("idempotent-replayed"), Some("true"));
    assert_eq!(found.ok()["status"], "succeeded");
    assert_eq!(api.stat("charges_succeeded").await, 1);
}

#[tokio::test]
async fn an_answer_lost_before_anything_happened_leaves_nothing() {
    let api = Api::start().await;
    api.control(json!({"faults": [{"fault": "answer_lost_before"}]})).await;
    assert!(api.try_send(Method::POST, "/v1/payment_intents", &purchase("pm_card_visa"), Some("k")).await.is_err());
    assert_eq!(api.stat("payment_intents").await, 0);
    assert_eq!(
        api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await.header("idempotent-replayed"),
        None
    );
}

#[tokio::test]
async fn a_500_is_remembered_whether_it_happened_or_not() {
    let api = Api::start().await;
    for (fault, key, charges) in [("http_500", "before", 0), ("http_500_after_commit", "after", 1)] {
        api.control(json!({"faults": [{"fault": fault}]})).await;
        assert_eq!(
            api.keyed(key, "/v1/payment_intents", &purchase("pm_card_visa")).await.error(500)["type"],
            "api_error"
        );
        let again = api.keyed(key, "/v1/payment_intents", &purchase("pm_card_visa")).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (500, Some("true")));
        assert_eq!(api.stat("charges_succeeded").await, charges, "{fault}");
    }
}

#[tokio::test]
async fn a_proxys_503_and_a_lock_that_is_taken_are_not_remembered() {
    let api = Api::start().await;
    api.control(json!({"faults": [{"fault": "http_503_html"}, {"fault": "lock_timeout"}, {"fault": "key_in_use"}]}))
        .await;
    let answer = api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await;
    assert_eq!((answer.status, answer.header("content-type")), (503, Some("text/html")));
    assert_eq!(
        api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await.error(429)["code"],
        "lock_timeout"
    );
    assert_eq!(
        api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await.error(409)["code"],
        "idempotency_key_in_use"
    );
    assert_eq!(api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await.ok()["status"], "succeeded");
}

#[tokio::test]
async fn an_answer_is_held_until_it_is_released_though_its_effect_is_there() {
    let api = Api::start().await;
    api.control(json!({"faults": [{"fault": "hang"}]})).await;
    let held = tokio::spawn({
        let api = Api::at(api.base.clone());
        async move { api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await }
    });
    while api.stat("answers_held").await == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(api.stat("charges_succeeded").await, 1);
    assert!(!held.is_finished());
    api.control(json!({"release": true})).await;
    assert_eq!(held.await.unwrap().ok()["status"], "succeeded");
}

#[tokio::test]
async fn the_log_says_what_was_asked_and_a_reset_forgets_it_all() {
    let api = Api::start().await;
    api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await.ok();
    let lines = api.get("/_sandbox/log", &[("limit", "5")]).await.ok();
    let line = &lines["requests"][0];
    assert_eq!(
        (&line["path"], &line["idempotency_key"], &line["status"]),
        (&json!("/v1/payment_intents"), &json!("k"), &json!(200))
    );
    assert_eq!(api.post("/_sandbox/reset", &[]).await.status, 200);
    assert_eq!((api.stat("charges_succeeded").await, api.stat("requests").await), (0, 0));
    assert_eq!(
        api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await.header("idempotent-replayed"),
        None
    );
}

#[tokio::test]
async fn what_is_too_large_or_not_a_form_is_refused() {
    let api = Api::start().await;
    let large = "x".repeat(300 * 1024);
    api.post("/v1/customers", &[("name", &large)]).await.error(413);
    let request = hyper::Request::post(format!("{}/v1/customers", api.base))
        .header("authorization", "Bearer sk_test_sandbox")
        .header("content-type", "application/json");
    api.answer(request.body("{}".into()).unwrap()).await.unwrap().error(400);
    api.post("/v1/nowhere", &[]).await.error(404);
}

#[tokio::test]
async fn a_caller_that_hangs_up_has_paid_all_the_same() {
    let api = Api::start_with(sandbox::Config { latency: "100ms".parse().unwrap(), ..crate::harness::quick() }).await;
    let caller = tokio::spawn({
        let api = Api::at(api.base.clone());
        async move { api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await }
    });
    while api.get("/_sandbox/keys", &[("key", "k")]).await.status == 404 {
        tokio::task::yield_now().await;
    }
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    while api.stat("charges_succeeded").await == 0 {
        tokio::task::yield_now().await;
    }
    let again = loop {
        let again = api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await;
        if again.status != 409 {
            break again;
        }
    };
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}
