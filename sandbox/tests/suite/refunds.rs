//! Refunds, which never exceed what was paid.

use serde_json::json;

use crate::harness::Api;

#[tokio::test]
async fn refunds_never_exceed_what_was_paid() {
    let api = Api::start().await;
    let intent = api.pay("pm_card_visa").await.ok();
    let id = intent["id"].as_str().unwrap();
    api.post("/v1/refunds", &[("payment_intent", id), ("amount", "1000")]).await.ok();
    let error = api.post("/v1/refunds", &[("payment_intent", id), ("amount", "1501")]).await.error(400);
    assert_eq!(error["param"], "amount");
    let answers = refund_at_once(&api, id, 5).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 3, "five times 500 of the 1500 left");
    let charge = api.get(&format!("/v1/charges/{}", intent["latest_charge"].as_str().unwrap()), &[]).await.ok();
    assert_eq!((&charge["amount_refunded"], &charge["refunded"]), (&json!(2500), &json!(true)));
    let error = api.post("/v1/refunds", &[("payment_intent", id)]).await.error(400);
    assert_eq!(error["code"], "charge_already_refunded");
    assert_eq!(api.stat("refunds").await, 4);
}

/// Refunds of 500 at the same time; their statuses.
async fn refund_at_once(api: &Api, intent: &str, count: usize) -> Vec<u16> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (api, intent) = (Api::at(api.base.clone()), intent.to_owned());
        tasks.spawn(
            async move { api.post("/v1/refunds", &[("payment_intent", &intent), ("amount", "500")]).await.status },
        );
    }
    tasks.join_all().await
}

#[tokio::test]
async fn a_refund_can_be_pending_and_can_fail_later() {
    let api = Api::start().await;
    for (method, first, last) in
        [("pm_card_pendingRefund", "pending", "succeeded"), ("pm_card_refundFail", "succeeded", "failed")]
    {
        let intent = api.pay(method).await.ok();
        let refund = api.post("/v1/refunds", &[("payment_intent", intent["id"].as_str().unwrap())]).await.ok();
        assert_eq!(refund["status"], first);
        api.control(json!({"settle_refunds": true})).await;
        let refund = api.get(&format!("/v1/refunds/{}", refund["id"].as_str().unwrap()), &[]).await.ok();
        assert_eq!(refund["status"], last);
        let charge = api.get(&format!("/v1/charges/{}", intent["latest_charge"].as_str().unwrap()), &[]).await.ok();
        assert_eq!(charge["refunded"], json!(last == "succeeded"));
    }
}

#[tokio::test]
async fn without_money_a_refund_waits_for_it_and_may_fail() {
    let api = Api::start().await;
    for (then, last, sum) in
        [(json!({"empty_balance": false}), "succeeded", 1000), (json!({"fail_refunds": true}), "failed", 0)]
    {
        let intent = api.pay("pm_card_visa").await.ok();
        let before = api.stat("amount_refunded").await;
        api.control(json!({"empty_balance": true})).await;
        let params = [("payment_intent", intent["id"].as_str().unwrap()), ("amount", "1000")];
        let refund = api.post("/v1/refunds", &params).await.ok();
        assert_eq!(refund["status"], "pending");
        api.control(then).await;
        let refund = api.get(&format!("/v1/refunds/{}", refund["id"].as_str().unwrap()), &[]).await.ok();
        assert_eq!((&refund["status"], api.stat("amount_refunded").await - before), (&json!(last), sum));
    }
}
