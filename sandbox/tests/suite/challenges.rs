//! 3-D Secure.

use serde_json::json;

use crate::harness::{Api, purchase};

#[tokio::test]
async fn three_d_secure_is_passed_failed_or_passed_in_vain() {
    let api = Api::start().await;
    for method in
        ["pm_card_authenticationRequired", "pm_card_authenticationRequiredOnSetup", "pm_card_threeDSecure2Required"]
    {
        let intent = api.pay(method).await.ok();
        assert_eq!(intent["status"], "requires_action", "{method}");
        assert_eq!(intent["next_action"]["type"], "use_stripe_sdk");
        let page = intent["next_action"]["use_stripe_sdk"]["stripe_js"].as_str().unwrap();
        assert!(page.starts_with(&api.base), "{page}");
        assert_eq!(api.answer_challenge(&intent, "complete").await.status, 200);
        assert_eq!(api.intent(&intent["id"]).await["status"], "succeeded");
    }

    for outcome in ["fail", "cancel"] {
        let intent = api.pay("pm_card_threeDSecure2Required").await.ok();
        api.answer_challenge(&intent, outcome).await;
        let failed = api.intent(&intent["id"]).await;
        assert_eq!(failed["status"], "requires_payment_method");
        assert_eq!(failed["last_payment_error"]["code"], "payment_intent_authentication_failure", "{outcome}");
        api.answer_challenge(&intent, "complete").await;
        assert_eq!(api.intent(&intent["id"]).await["status"], "requires_payment_method", "it is over");
    }

    let intent = api.pay("pm_card_threeDSecureRequiredChargeDeclined").await.ok();
    api.answer_challenge(&intent, "complete").await;
    let declined = api.intent(&intent["id"]).await;
    assert_eq!(declined["last_payment_error"]["code"], "card_declined");

    let stranger = json!({"id": intent["id"], "client_secret": "pi_secret_guess"});
    assert_eq!(api.answer_challenge(&stranger, "complete").await.status, 404);
}

#[tokio::test]
async fn a_challenge_that_nobody_can_answer_is_a_decline() {
    let api = Api::start().await;
    for way in ["off_session", "error_on_requires_action"] {
        let mut form = purchase("pm_card_authenticationRequired").to_vec();
        form.push((way, "true"));
        let error = api.post("/v1/payment_intents", &form).await.error(402);
        assert_eq!(error["code"], "authentication_required", "{way}");
    }
}

#[tokio::test]
async fn a_redirecting_challenge_leads_back_to_the_shop() {
    let api = Api::start().await;
    let mut form = purchase("pm_card_threeDSecure2Required").to_vec();
    form.push(("return_url", "http://shop.example/back"));
    let intent = api.post("/v1/payment_intents", &form).await.ok();
    assert_eq!(intent["next_action"]["redirect_to_url"]["return_url"], "http://shop.example/back");
    let answer = api.answer_challenge(&intent, "complete").await;
    assert_eq!(answer.status, 303);
    let back = answer.header("location").unwrap();
    assert!(back.starts_with("http://shop.example/back?payment_intent=pi_") && back.ends_with("=succeeded"), "{back}");
}

#[tokio::test]
async fn a_challenge_is_over_when_another_card_is_tried() {
    let api = Api::start().await;
    let first = api.pay("pm_card_threeDSecure2Required").await.ok();
    let path = format!("/v1/payment_intents/{}/confirm", first["id"].as_str().unwrap());
    let again = [("payment_method", "pm_card_authenticationRequired"), ("use_stripe_sdk", "true")];
    let second = api.post(&path, &again).await.ok();
    assert_eq!(second["status"], "requires_action");
    let address =
        |intent: &serde_json::Value| intent["next_action"]["use_stripe_sdk"]["stripe_js"].as_str().unwrap().to_owned();
    let card = |intent: &serde_json::Value| intent["payment_method"].as_str().unwrap().to_owned();
    assert_ne!(address(&first), address(&second));

    let challenge = format!("/_sandbox/3ds/{}", first["id"].as_str().unwrap());
    let secret = first["client_secret"].as_str().unwrap();
    let answer = async |card: &str| {
        api.post(&challenge, &[("client_secret", secret), ("card", card), ("outcome", "complete")]).await
    };
    assert_eq!(answer(&card(&first)).await.status, 200);
    assert_eq!(api.intent(&first["id"]).await["status"], "requires_action", "the old question pays nothing");
    answer(&card(&second)).await;
    assert_eq!(api.intent(&first["id"]).await["status"], "succeeded");
}
