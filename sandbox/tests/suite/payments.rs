//! Every test card, captures, lists and keys.

use serde_json::{Value, json};

use crate::harness::{Api, purchase};

#[tokio::test]
async fn a_good_card_pays_and_makes_one_charge() {
    let api = Api::start().await;
    for method in ["pm_card_visa", "pm_card_visa_debit", "pm_card_mastercard", "pm_card_amex", "pm_card_jcb"] {
        let intent = api.pay(method).await.ok();
        assert_eq!(intent["status"], "succeeded", "{method}");
        let charge = api.get(&format!("/v1/charges/{}", intent["latest_charge"].as_str().unwrap()), &[]).await.ok();
        assert_eq!(charge["metadata"]["order"], "order-1", "an intent's metadata are its charge's");
        assert_eq!((&charge["paid"], &charge["amount_captured"]), (&json!(true), &json!(2500)));
    }
    assert_eq!(api.stat("charges_succeeded").await, 5);
    assert_eq!(api.stat("orders_charged_more_than_once").await, 1);
}

#[tokio::test]
async fn each_declining_card_declines_for_its_own_reason() {
    let api = Api::start().await;
    for (name, number, code, decline_code) in [
        ("chargeDeclined", "4000000000000002", "card_declined", "generic_decline"),
        ("chargeDeclinedInsufficientFunds", "4000000000009995", "card_declined", "insufficient_funds"),
        ("chargeDeclinedLostCard", "4000000000009987", "card_declined", "lost_card"),
        ("chargeDeclinedStolenCard", "4000000000009979", "card_declined", "stolen_card"),
        ("chargeDeclinedExpiredCard", "4000000000000069", "expired_card", "expired_card"),
        ("chargeDeclinedIncorrectCvc", "4000000000000127", "incorrect_cvc", "incorrect_cvc"),
        ("chargeDeclinedProcessingError", "4000000000000119", "processing_error", "processing_error"),
        ("chargeCustomerFail", "4000000000000341", "card_declined", "generic_decline"),
        ("radarBlock", "4100000000000019", "card_declined", "fraudulent"),
        ("riskLevelHighest", "4000000000004954", "card_declined", "fraudulent"),
    ] {
        let made = api.post("/v1/payment_methods", &typed(number)).await.ok();
        let short = format!("pm_card_{name}");
        let long = format!("pm_card_visa_{name}");
        for method in [short.as_str(), long.as_str(), made["id"].as_str().unwrap()] {
            let error = api.pay(method).await.error(402);
            assert_eq!((&error["code"], &error["decline_code"]), (&json!(code), &json!(decline_code)), "{method}");
            assert_eq!(error["type"], "card_error");
            let intent = &error["payment_intent"];
            assert_eq!(intent["status"], "requires_payment_method");
            assert_eq!(intent["payment_method"], Value::Null);
            assert_eq!(intent["last_payment_error"]["decline_code"], decline_code);
            assert_eq!(intent["latest_charge"], error["charge"]);
        }
        let token = format!("tok_{name}");
        let form = [("amount", "900"), ("currency", "usd"), ("source", token.as_str())];
        assert_eq!(api.post("/v1/charges", &form).await.error(402)["code"], code);
    }
    assert_eq!(api.stat("charges_succeeded").await, 0);
    assert_eq!(api.stat("charges_declined").await, 40);
}

fn typed(number: &str) -> [(&str, &str); 5] {
    [
        ("type", "card"),
        ("card[number]", number),
        ("card[exp_month]", "12"),
        ("card[exp_year]", "2040"),
        ("card[cvc]", "123"),
    ]
}

#[tokio::test]
async fn a_declined_intent_takes_another_card() {
    let api = Api::start().await;
    let error = api.pay("pm_card_chargeDeclined").await.error(402);
    let path = format!("/v1/payment_intents/{}/confirm", error["payment_intent"]["id"].as_str().unwrap());
    let intent = api.post(&path, &[("payment_method", "pm_card_visa")]).await.ok();
    assert_eq!((&intent["status"], &intent["last_payment_error"]), (&json!("succeeded"), &Value::Null));
    let again = api.post(&path, &[("payment_method", "pm_card_visa")]).await.error(400);
    assert_eq!(again["code"], "payment_intent_unexpected_state");
    assert_eq!(api.stat("orders_charged_more_than_once").await, 0);
}

#[tokio::test]
async fn a_token_pays_once() {
    let api = Api::start().await;
    let card = &typed("4242424242424242")[1..];
    let token = api.with_key("pk_test_sandbox").post("/v1/tokens", card).await.ok();
    let form = [
        ("amount", "2500"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method_types[]", "card"),
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token["id"].as_str().unwrap()),
    ];
    assert_eq!(api.post("/v1/payment_intents", &form).await.ok()["status"], "succeeded");
    let error = api.post("/v1/payment_intents", &form).await.error(400);
    assert_eq!(error["code"], "token_already_used");
}

#[tokio::test]
async fn card_details_that_cannot_be_are_refused_before_anything_is_paid() {
    let api = Api::start().await;
    for (name, value, code) in [
        ("card[number]", "4242424242424241", "incorrect_number"),
        ("card[number]", "4000000000000010", "card_declined"),
        ("card[exp_year]", "2020", "invalid_expiry_year"),
        ("card[exp_month]", "13", "invalid_expiry_month"),
        ("card[cvc]", "12", "invalid_cvc"),
    ] {
        let form = typed("4242424242424242").map(|(field, usual)| (field, if field == name { value } else { usual }));
        let error = api.post("/v1/tokens", &form[1..]).await.error(402);
        assert_eq!(error["code"], code, "{name}={value}");
    }
}

#[tokio::test]
async fn an_authorisation_is_captured_or_given_back() {
    let api = Api::start().await;
    let mut form = purchase("pm_card_visa").to_vec();
    form.push(("capture_method", "manual"));
    let intent = api.post("/v1/payment_intents", &form).await.ok();
    assert_eq!((&intent["status"], &intent["amount_capturable"]), (&json!("requires_capture"), &json!(2500)));
    let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    let captured = api.post(&format!("{path}/capture"), &[("amount_to_capture", "2000")]).await.ok();
    assert_eq!((&captured["status"], &captured["amount_received"]), (&json!("succeeded"), &json!(2000)));
    assert_eq!(api.post(&format!("{path}/cancel"), &[]).await.error(400)["code"], "payment_intent_unexpected_state");

    let intent = api.post("/v1/payment_intents", &form).await.ok();
    let path = format!("/v1/payment_intents/{}/cancel", intent["id"].as_str().unwrap());
    assert_eq!(api.post(&path, &[]).await.ok()["status"], "canceled");
}

#[tokio::test]
async fn lists_run_backwards_and_filter_by_time() {
    let api = Api::start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, api.pay("pm_card_visa").await.ok()["id"].clone());
    }
    let list = |form: Vec<(&'static str, String)>| {
        let api = &api;
        async move {
            let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let page = api.get("/v1/payment_intents", &form).await.ok();
            let ids: Vec<Value> = page["data"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
            (ids, page["has_more"] == true)
        }
    };
    assert_eq!(list(vec![("limit", "2".into())]).await, (ids[..2].to_vec(), true));
    let after = ids[1].as_str().unwrap().to_owned();
    assert_eq!(list(vec![("limit", "9".into()), ("starting_after", after)]).await, (ids[2..].to_vec(), false));
    let now = jiff::Timestamp::now().as_second();
    assert_eq!(list(vec![("created[gte]", (now - 60).to_string())]).await.0, ids);
    assert_eq!(list(vec![("created[gte]", (now + 60).to_string())]).await.0.len(), 0);
    let error = api.get("/v1/payment_intents", &[("limit", "101")]).await.error(400);
    assert_eq!(error["param"], "limit");
}

#[tokio::test]
async fn an_intent_can_be_updated_while_it_is_open_and_its_metadata_always() {
    let api = Api::start().await;
    let intent = api.pay("pm_card_visa").await.ok();
    let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    let intent = api.post(&path, &[("metadata[order]", ""), ("metadata[note]", "late")]).await.ok();
    assert_eq!(intent["metadata"], json!({"note": "late"}));
    assert_eq!(api.post(&path, &[("amount", "100")]).await.error(400)["code"], "payment_intent_unexpected_state");
}

#[tokio::test]
async fn keys_open_what_they_may() {
    let api = Api::start().await;
    let intent = api.post("/v1/payment_intents", &[("amount", "2500"), ("currency", "usd")]).await.ok();
    let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    let page = api.with_key("pk_test_sandbox");
    assert_eq!(page.get(&path, &[]).await.error(400)["param"], "client_secret");
    let secret = intent["client_secret"].as_str().unwrap();
    page.get(&path, &[("client_secret", secret)]).await.ok();
    let confirmed =
        page.post(&format!("{path}/confirm"), &[("client_secret", secret), ("payment_method", "pm_card_visa")]).await;
    assert_eq!(confirmed.ok()["status"], "succeeded");
    page.get("/v1/charges", &[]).await.error(403);
    api.with_key("sk_live_real").get("/v1/charges", &[]).await.error(401);

    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode("sk_test_sandbox:");
    let request =
        hyper::Request::get(format!("{}/v1/charges", api.base)).header("authorization", format!("Basic {basic}"));
    let answer = api.answer(request.body(Default::default()).unwrap()).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.header("request-id").unwrap().starts_with("req_"));
}
