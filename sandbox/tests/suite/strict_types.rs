//! async-stripe's types are strict: an object that lacks a required field, or has one of the wrong type, is refused.

use miniserde::Deserialize;
use stripe_shared::{Charge, CheckoutSession, Customer, Error, Event, PaymentIntent, PaymentIntentStatus, Refund};

use crate::harness::{Answer, Api};

fn parse<T: Deserialize>(answer: &Answer) -> T {
    miniserde::json::from_str(&answer.text).unwrap_or_else(|_| panic!("not understood: {}", answer.text))
}

#[tokio::test]
async fn every_object_of_a_purchase_is_understood_by_the_strict_client() {
    let api = Api::start().await;
    let paid: PaymentIntent = parse(&api.pay("pm_card_visa").await);
    assert_eq!(paid.status, PaymentIntentStatus::Succeeded);
    assert_eq!(paid.metadata["order"], "order-1");
    let charge_id = paid.latest_charge.unwrap().id().to_string();
    let charge: Charge = parse(&api.get(&format!("/v1/charges/{charge_id}"), &[]).await);
    assert!(charge.paid && charge.outcome.is_some() && charge.payment_method_details.is_some());
    let refund: Refund = parse(&api.post("/v1/refunds", &[("charge", &charge_id)]).await);
    assert_eq!(refund.amount, 2500);
    let customer: Customer = parse(&api.post("/v1/customers", &[("email", "a@example.com")]).await);
    assert_eq!(customer.email.as_deref(), Some("a@example.com"));
    let legacy: Charge =
        parse(&api.post("/v1/charges", &[("amount", "900"), ("currency", "usd"), ("source", "tok_visa")]).await);
    assert!(legacy.source.is_some());
    let challenged: PaymentIntent = parse(&api.pay("pm_card_threeDSecure2Required").await);
    assert_eq!(challenged.next_action.unwrap().type_, "use_stripe_sdk");

    let session = [
        ("mode", "payment"),
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price_data][currency]", "usd"),
        ("line_items[0][price_data][unit_amount]", "1250"),
        ("line_items[0][price_data][product_data][name]", "Standing"),
        ("success_url", "http://shop.example/"),
        ("expand[]", "line_items"),
    ];
    let session: CheckoutSession = parse(&api.post("/v1/checkout/sessions", &session).await);
    assert!(session.url.is_some() && session.amount_total == Some(1_250));

    let expanded = [("expand[]", "latest_charge"), ("expand[]", "payment_method")];
    let intent: PaymentIntent = parse(&api.get(&format!("/v1/payment_intents/{}", paid.id), &expanded).await);
    assert!(intent.latest_charge.unwrap().is_object() && intent.payment_method.unwrap().is_object());
}

#[tokio::test]
async fn a_decline_is_understood_with_the_intent_inside_it() {
    let api = Api::start().await;
    let answer = api.pay("pm_card_chargeDeclinedInsufficientFunds").await;
    let error: Error = parse(&answer);
    assert_eq!(error.error.decline_code.as_deref(), Some("insufficient_funds"));
    let intent = error.error.payment_intent.unwrap();
    assert_eq!(intent.status, PaymentIntentStatus::RequiresPaymentMethod);
    assert!(intent.last_payment_error.unwrap().payment_method.is_some());
}

#[tokio::test]
async fn lists_and_events_are_understood() {
    let api = Api::start().await;
    api.pay("pm_card_visa").await.ok();
    let intents: Vec<PaymentIntent> = rows(&api.get("/v1/payment_intents", &[]).await);
    assert_eq!(intents.len(), 1);
    let events: Vec<Event> = rows(&api.get("/v1/events", &[]).await);
    assert_eq!(events.len(), 3);
}

/// The objects of a list.
fn rows<T: Deserialize>(answer: &Answer) -> Vec<T> {
    let rows = answer.json["data"].as_array().unwrap().iter();
    rows.map(|row| miniserde::json::from_str(&row.to_string()).unwrap_or_else(|_| panic!("not understood: {row}")))
        .collect()
}
