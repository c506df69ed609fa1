//! Checkout Sessions over a real connection.

use serde_json::{Value, json};

use super::super::super::fixtures::{Act, Server, intent};
use super::super::super::session::prepare;
use super::super::*;
use super::{FROM, ORDER, TO, client};
use crate::order::{Order, State};
use crate::sale::PricedItem;

fn session(status: &str, payment_status: &str, payment: Value) -> Value {
    json!({
        "id": "cs_1", "object": "checkout.session", "status": status, "payment_status": payment_status,
        "url": if status == "open" { json!("https://checkout.stripe.com/c/pay/cs_1") } else { Value::Null },
        "payment_intent": payment, "metadata": {"order": ORDER, "attempt": "2"},
    })
}

fn request() -> StoredRequest {
    let order = Order {
        id: ORDER,
        customer: Uuid::nil(),
        sale: "demo".into(),
        hold: Uuid::nil(),
        items: vec![PricedItem { tier: "std".into(), quantity: 2, amount: 1_250 }],
        amount: 2_500,
        currency: "usd".parse().unwrap(),
        email: "a@example.com".into(),
        email_key: "a@example.com".into(),
        name: "A".into(),
        state: State::Charging,
        version: 2,
        attempt: 2,
        queue_number: 1,
        payment_intent: None,
        charge: None,
        client_secret: None,
        session: None,
        session_url: None,
        decline: None,
        closing: None,
        review: None,
        expires_at: None,
        think_ms: 0,
        accepted_at: FROM,
        updated_at: FROM,
        tickets: vec![],
        refunded: 0,
        refunding: 0,
    };
    prepare(&order, 2, "https://shop.example", None, Timestamp(1_795_000_000_000))
}

#[test]
fn the_bytes_of_a_session_never_change() {
    let expected = "mode=payment&allowed_payment_method_types[]=card&adaptive_pricing[enabled]=false\
        &line_items[0][quantity]=2&line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=1250\
        &line_items[0][price_data][product_data][name]=std&customer_email=a%40example.com\
        &client_reference_id=0198f2c0-0000-7000-8000-000000000001&metadata[order]=0198f2c0-0000-7000-8000-000000000001\
        &metadata[attempt]=2&payment_intent_data[description]=Order+0198f2c0-0000-7000-8000-000000000001\
        &payment_intent_data[receipt_email]=a%40example.com\
        &payment_intent_data[metadata][order]=0198f2c0-0000-7000-8000-000000000001&payment_intent_data[metadata][attempt]=2\
        &success_url=https%3A%2F%2Fshop.example%2Fsales%2Fdemo%3Forder%3D0198f2c0-0000-7000-8000-000000000001%26checkout%3Ddone\
        &cancel_url=https%3A%2F%2Fshop.example%2Fsales%2Fdemo%3Forder%3D0198f2c0-0000-7000-8000-000000000001%26checkout%3Dleft\
        &expires_at=1795003600";
    let request = request();
    assert_eq!((request.path.as_str(), request.body.as_str()), ("/v1/checkout/sessions", expected));
    assert_eq!(request.version, API_VERSION);
}

#[tokio::test]
async fn a_page_is_made_with_the_stored_bytes_and_a_stored_answer_is_not_taken_for_how_things_are() {
    let fresh = Server::that([Act::json(200, &[], &session("open", "unpaid", Value::Null))]).await;
    let Answer::Hosted { session: id, url } = client(&fresh).send(&request(), "charge-1").await else {
        panic!("no page")
    };
    assert_eq!((id.as_str(), url.as_str()), ("cs_1", "https://checkout.stripe.com/c/pay/cs_1"));
    assert!(
        fresh.requests()[0].ends_with(&request().body) && fresh.requests()[0].contains("idempotency-key: charge-1")
    );

    let replayed = Server::that([
        Act::json(200, &["Idempotent-Replayed: true"], &session("open", "unpaid", Value::Null)),
        Act::json(200, &[], &session("complete", "paid", intent("succeeded"))),
    ])
    .await;
    assert!(matches!(client(&replayed).send(&request(), "charge-1").await, Answer::Succeeded(p) if p.charge == "ch_1"));
    assert!(replayed.requests()[1].starts_with("GET /v1/checkout/sessions/cs_1?expand[]=payment_intent "));
}

#[tokio::test]
async fn a_session_that_cannot_be_expired_any_more_is_read_instead() {
    let refusal =
        json!({"type": "invalid_request_error", "message": "Only Checkout Sessions with a status in [\"open\"] …"});
    for (now, expected) in [
        (session("complete", "paid", intent("succeeded")), "succeeded"),
        (session("complete", "unpaid", json!("pi_1")), "processing"),
        (session("expired", "unpaid", Value::Null), "session_expired"),
        (session("open", "unpaid", Value::Null), "hosted"),
    ] {
        let server = Server::that([Act::error(400, &[], &refusal), Act::json(200, &[], &now)]).await;
        assert_eq!(client(&server).expire_session("cs_1", "cancel-1").await.as_str(), expected);
        assert!(server.requests()[0].starts_with("POST /v1/checkout/sessions/cs_1/expire "));
    }
    let server = Server::that([Act::CutAfter]).await;
    assert_eq!(client(&server).expire_session("cs_1", "cancel-1").await.as_str(), "unknown");
}

#[tokio::test]
async fn the_sessions_of_an_attempt_are_found_on_every_page_of_the_list_and_nobody_elses() {
    let mut other = session("open", "unpaid", Value::Null);
    other["metadata"]["attempt"] = json!("1");
    other["id"] = json!("cs_2");
    let server = Server::that([
        Act::json(200, &[], &json!({"data": [other], "has_more": true})),
        Act::json(200, &[], &json!({"data": [session("open", "unpaid", Value::Null)], "has_more": false})),
    ])
    .await;
    let Found::Intents(found) = client(&server).find_session(ORDER, 2, FROM, TO).await else { panic!("not found") };
    assert_eq!((found.len(), found[0].0.as_str(), found[0].1.as_str()), (1, "cs_1", "hosted"));
    let asked = server.requests();
    assert!(asked[0].contains("created[gte]=1795000000&created[lte]=1795000061&expand[]=data.payment_intent "));
    assert!(asked[1].contains("&starting_after=cs_2 "));
    let broken = Server::that([Act::json(200, &[], &json!({"data": [{"id": "cs_3"}], "has_more": false}))]).await;
    assert!(matches!(client(&broken).find_session(ORDER, 2, FROM, TO).await, Found::Unknown { .. }), "proves nothing");
}
