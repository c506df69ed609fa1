//! Every row of the table in `answer`, over a real connection.

use serde_json::json;

use super::super::fixtures::{Act, Server, intent};
use super::super::{ChargeRequest, Payment, Refusal, prepare};
use super::*;
use crate::decline::DeclineClass;

mod lists;
mod sessions;
mod wire;

const NAME: Uuid = Uuid::from_u128(0x7e);
const ORDER: Uuid = Uuid::from_u128(0x0198_f2c0_0000_7000_8000_0000_0000_0001);
const TIMEOUT: Duration = Duration::from_secs(10);
const FROM: Timestamp = Timestamp(1_795_000_000_500);
const TO: Timestamp = Timestamp(1_795_000_060_500);

fn client(server: &Server) -> HttpStripe {
    HttpStripe::new(&server.base, "sk_test_s3cr3t", TIMEOUT, Env::system()).unwrap()
}

fn charge(payment_intent: Option<&str>) -> StoredRequest {
    prepare(&ChargeRequest {
        order: ORDER,
        attempt: 1,
        token: "tok_visa",
        amount: 2500,
        currency: "usd",
        email: "a@example.com",
        description: "Demo",
        payment_intent,
        return_url: None,
    })
    .unwrap()
}

async fn answer_to(act: Act) -> Answer {
    let server = Server::that([act]).await;
    client(&server).send(&charge(None), "charge-1").await
}

fn paid() -> Answer {
    Answer::Succeeded(Payment {
        payment_intent: "pi_1".to_owned(),
        charge: "ch_1".to_owned(),
        amount: 2500,
        currency: "usd".to_owned(),
        order: Some(ORDER),
        made_by_attempt: Some(1),
    })
}

#[tokio::test]
async fn a_two_hundred_says_what_became_of_the_payment() {
    assert_eq!(answer_to(Act::intent("succeeded")).await, paid());
    let action = answer_to(Act::intent("requires_action")).await;
    let Answer::RequiresAction { client_secret, .. } = &action else { panic!("{action:?}") };
    assert_eq!(client_secret.expose(), "pi_1_secret_s3cr3t");
    let id = || "pi_1".to_owned();
    assert_eq!(answer_to(Act::intent("processing")).await, Answer::Processing { payment_intent: id() });
    assert_eq!(answer_to(Act::intent("canceled")).await, Answer::Canceled { payment_intent: id() });
    assert_eq!(answer_to(Act::intent("requires_confirmation")).await, Answer::NotStarted { payment_intent: id() });
    assert_eq!(answer_to(Act::intent("requires_payment_method")).await, Answer::NotStarted { payment_intent: id() });
    assert!(matches!(answer_to(Act::intent("requires_capture")).await, Answer::Refused { .. }));
    assert!(matches!(answer_to(Act::intent("a_state_of_next_year")).await, Answer::Unknown { .. }));
}

#[tokio::test]
async fn a_declined_card_is_a_no_and_names_the_payment_intent() {
    let answer = answer_to(Act::error(
        402,
        &[],
        &json!({"type": "card_error", "code": "card_declined", "decline_code": "stolen_card",
            "advice_code": "do_not_try_again", "message": "Your card was stolen.",
            "payment_intent": intent("requires_payment_method")}),
    ))
    .await;
    let Answer::Declined { payment_intent, decline } = answer else { panic!("{answer:?}") };
    assert_eq!(payment_intent.as_deref(), Some("pi_1"));
    assert_eq!((decline.class, decline.may_retry), (DeclineClass::CardDeclined, false));
    assert_eq!(decline.raw.as_deref(), Some("card_declined/stolen_card/do_not_try_again"));
}

#[tokio::test]
async fn a_decline_that_lacks_fields_is_still_a_decline() {
    for error in [json!({}), json!({"type": "card_error"}), json!({"code": 7, "payment_intent": {"id": "pi_1"}})] {
        let answer = answer_to(Act::error(402, &[], &error)).await;
        let Answer::Declined { decline, .. } = answer else { panic!("{error}: {answer:?}") };
        assert_eq!(decline.class, DeclineClass::CardDeclined);
    }
    let html = Act::Reply(402, &[], "<h1>Payment required</h1>".to_owned());
    assert!(matches!(answer_to(html).await, Answer::Unknown { replayed: false, .. }));
}

#[tokio::test]
async fn a_decline_while_confirming_names_the_payment_intent_that_was_confirmed() {
    let server = Server::that([Act::error(402, &[], &json!({"type": "card_error", "code": "expired_card"}))]).await;
    let answer = client(&server).send(&charge(Some("pi_9")), "charge-2").await;
    let Answer::Declined { payment_intent, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(payment_intent.as_deref(), Some("pi_9"));
}

#[tokio::test]
async fn too_many_requests_are_not_executed_and_say_which_limit() {
    for (line, reason) in [
        (&["stripe-rate-limited-reason: global-rate"], "global-rate"),
        (&["stripe-rate-limited-reason: endpoint-rate"], "endpoint-rate"),
        (&["stripe-rate-limited-reason: global-concurrency"], "global-concurrency"),
        (&["stripe-rate-limited-reason: endpoint-concurrency"], "endpoint-concurrency"),
        (&["stripe-rate-limited-reason: resource-specific"], "resource-specific"),
    ] {
        let answer =
            answer_to(Act::error(429, line, &json!({"type": "invalid_request_error", "code": "rate_limit"}))).await;
        assert_eq!(answer, Answer::Throttled { reason: reason.to_owned(), after: None, in_flight: false });
        assert_eq!(throttle_label(reason), reason);
    }
    let bare = answer_to(Act::Reply(429, &["retry-after: 2"], "slow down".to_owned())).await;
    let after = Some(Duration::from_secs(2));
    assert_eq!(bare, Answer::Throttled { reason: "rate_limit".to_owned(), after, in_flight: false });
    assert_eq!(throttle_label("a reason of next year"), "other");
}

#[tokio::test]
async fn a_locked_object_or_key_is_in_flight_and_not_the_budgets_fault() {
    let locked =
        answer_to(Act::error(429, &[], &json!({"type": "invalid_request_error", "code": "lock_timeout"}))).await;
    assert_eq!(locked, Answer::Throttled { reason: "lock_timeout".to_owned(), after: None, in_flight: true });
    let used = json!({"type": "idempotency_error", "code": "idempotency_key_in_use"});
    let reason = "idempotency_key_in_use".to_owned();
    assert_eq!(
        answer_to(Act::error(409, &[], &used)).await,
        Answer::Throttled { reason, after: None, in_flight: true }
    );
}

#[tokio::test]
async fn a_refused_request_says_whose_fault_it_is_and_repeats_no_secret() {
    let quoting = "No such thing: tok_visa of a@example.com with sk_test_s3cr3t";
    for (status, error, expected) in [
        (400, json!({"type": "idempotency_error", "message": quoting}), Refusal::Idempotency),
        (401, json!({"type": "invalid_request_error", "message": quoting}), Refusal::Configuration),
        (403, json!({"type": "invalid_request_error", "param": "payment_method"}), Refusal::Configuration),
        (400, json!({"type": "invalid_request_error", "param": "amount", "message": quoting}), Refusal::Request),
        (
            404,
            json!({"type": "invalid_request_error", "code": "resource_missing", "param": "intent"}),
            Refusal::Request,
        ),
        (400, json!({"code": "parameter_unknown", "param": "payment_method_data[card][token]"}), Refusal::Request),
        (400, json!({"code": quoting, "param": quoting, "type": quoting}), Refusal::Request),
    ] {
        let answer = answer_to(Act::error(status, &[], &error)).await;
        let Answer::Refused { reason, kind } = answer else { panic!("{error}: {answer:?}") };
        assert_eq!(kind, expected, "{error}");
        assert!(reason.contains("req_1") && !reason.contains("visa") && !reason.contains('@'), "{reason}");
        assert!(!reason.contains("s3cr3t"), "{reason}");
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_charged_is_a_decline_and_waits_for_no_operator() {
    for (param, code) in [
        ("payment_method_data[card][token]", "resource_missing"),
        ("payment_method", "resource_missing"),
        ("confirmation_token", "resource_missing"),
        ("payment_method_data[card][token]", "token_already_used"),
    ] {
        let error = json!({"type": "invalid_request_error", "code": code, "param": param});
        let answer = answer_to(Act::error(400, &[], &error)).await;
        let Answer::Declined { decline, .. } = answer else { panic!("{error}: {answer:?}") };
        assert_eq!(decline.class, DeclineClass::TryAnotherCard);
    }
}

#[tokio::test]
async fn whatever_is_neither_yes_nor_no_is_unknown() {
    let html = || "<html><h1>Internal error</h1></html>".to_owned();
    for act in [
        Act::Reply(500, &[], html()),
        Act::Reply(502, &[], String::new()),
        Act::error(500, &[], &json!({"type": "api_error"})),
        Act::error(503, &[], &json!({"type": "card_error"})),
        Act::error(424, &[], &json!({"type": "invalid_request_error"})),
        Act::Reply(403, &[], html()),
        Act::Reply(404, &[], html()),
        Act::Reply(409, &[], html()),
        Act::Reply(302, &["location: http://127.0.0.1:1/"], String::new()),
        Act::Reply(200, &[], html()),
        Act::Reply(200, &[], "{}".to_owned()),
        Act::Reply(200, &[], "{\"id\":\"pi_1\",\"sta".to_owned()),
        Act::json(200, &[], &json!({"id": "pi_1", "status": "succeeded"})),
        Act::CutBefore,
        Act::CutAfter,
        Act::CutWithin,
    ] {
        let answer = answer_to(act).await;
        assert!(matches!(answer, Answer::Unknown { replayed: false, .. }), "{answer:?}");
    }
}

#[tokio::test]
async fn a_stored_server_error_is_marked_for_it_will_never_change() {
    let replayed = &["idempotent-replayed: true"];
    let answer = answer_to(Act::error(500, replayed, &json!({"type": "api_error"}))).await;
    assert!(matches!(answer, Answer::Unknown { replayed: true, .. }), "{answer:?}");
    let answer = answer_to(Act::Reply(200, replayed, "gone".to_owned())).await;
    assert!(matches!(answer, Answer::Unknown { replayed: true, .. }), "{answer:?}");
    assert_eq!(answer_to(Act::json(200, replayed, &intent("succeeded"))).await, paid());
}

#[tokio::test]
async fn a_success_with_missing_fields_is_a_success() {
    let sparse = json!({"id": "pi_1", "status": "succeeded", "latest_charge": "ch_1", "amount_received": 2500,
        "currency": "usd", "metadata": {"order": ORDER.to_string(), "attempt": "1"}});
    assert_eq!(answer_to(Act::json(200, &[], &sparse)).await, paid());
}

#[tokio::test]
async fn confirming_what_another_attempt_has_paid_says_paid() {
    let past =
        || Act::error(400, &[], &json!({"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}));
    let server = Server::that([past(), Act::intent("succeeded"), past(), Act::intent("requires_action")]).await;
    let stripe = client(&server);
    assert_eq!(stripe.send(&charge(Some("pi_1")), "charge-2").await, paid());
    let still_open = stripe.send(&charge(Some("pi_1")), "charge-3").await;
    assert!(matches!(still_open, Answer::Refused { kind: Refusal::Request, .. }), "{still_open:?}");
}

#[tokio::test]
async fn a_refused_cancel_says_what_the_payment_became() {
    let past =
        Act::error(400, &[], &json!({"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}));
    let server = Server::that([Act::intent("canceled"), past, Act::intent("succeeded"), Act::CutAfter]).await;
    let stripe = client(&server);
    assert_eq!(stripe.cancel("pi_1", "close-1").await, Answer::Canceled { payment_intent: "pi_1".to_owned() });
    assert_eq!(stripe.cancel("pi_1", "close-2").await, paid());
    assert!(matches!(stripe.cancel("pi_1", "close-3").await, Answer::Unknown { .. }));
    let requests = server.requests();
    assert!(requests[0].starts_with("POST /v1/payment_intents/pi_1/cancel HTTP/1.1"));
    assert!(requests[0].contains("idempotency-key: close-1\r\n"));
    assert!(requests[2].starts_with("GET /v1/payment_intents/pi_1 HTTP/1.1"));
}

#[tokio::test]
async fn a_payment_is_found_again_by_its_order_on_any_page() {
    let mut other = intent("succeeded");
    other["id"] = json!("pi_0");
    other["metadata"] = json!({});
    let first = Act::json(200, &[], &json!({"object": "list", "has_more": true, "data": [other]}));
    let second = Act::json(200, &[], &json!({"object": "list", "has_more": false, "data": [intent("succeeded")]}));
    let server = Server::that([first, second]).await;
    assert_eq!(client(&server).find(ORDER, FROM, TO).await, Found::Intents(vec![("pi_1".to_owned(), paid())]));
    let requests = server.requests();
    let line = |n: usize| requests[n].lines().next().unwrap().to_owned();
    assert_eq!(line(0), "GET /v1/payment_intents?created[gte]=1795000000&created[lte]=1795000061&limit=100 HTTP/1.1");
    assert!(line(1).contains("starting_after=pi_0"), "{}", line(1));
}

#[tokio::test]
async fn absence_is_said_only_when_the_whole_window_was_read() {
    let page = |more: bool, data| Act::json(200, &[], &json!({"object": "list", "has_more": more, "data": data}));
    let server = Server::that([page(false, json!([]))]).await;
    assert_eq!(client(&server).find(ORDER, FROM, TO).await, Found::None);
    let unreadable = page(false, json!([{"object": "payment_intent"}]));
    for act in [Act::Reply(500, &[], String::new()), unreadable, Act::json(200, &[], &json!({"data": []}))] {
        let server = Server::that([page(true, json!([intent("succeeded")])), act]).await;
        assert!(matches!(client(&server).find(ORDER, FROM, TO).await, Found::Unknown { .. }));
    }
    let server = Server::that((0..PAGES_MAX).map(|_| page(true, json!([intent("canceled")])))).await;
    assert!(matches!(client(&server).find(ORDER, FROM, TO).await, Found::Unknown { .. }));
}

#[tokio::test]
async fn a_refund_says_whether_the_money_is_on_its_way() {
    let refund = |status: &str| Act::json(200, &[], &json!({"id": "re_1", "amount": 2500, "status": status}));
    let already = Act::error(400, &[], &json!({"type": "invalid_request_error", "code": "charge_already_refunded"}));
    let poor =
        |status| Act::error(status, &[], &json!({"type": "invalid_request_error", "code": "balance_insufficient"}));
    let acts = [refund("succeeded"), refund("pending"), refund("failed"), already, poor(400), poor(402), Act::CutAfter];
    let server = Server::that(acts).await;
    let stripe = client(&server);
    let id = || "re_1".to_owned();
    let new = NewRefund { payment_intent: "pi_1", amount: 2500, order: ORDER, name: NAME };
    let send = async |key: &str| stripe.refund(new, key).await;
    assert_eq!(send("r1").await, Refunded::Succeeded { refund: id(), amount: 2500 });
    assert_eq!(send("r2").await, Refunded::Pending { refund: id(), amount: 2500 });
    assert_eq!(send("r3").await, Refunded::Failed { refund: id(), reason: "failed".to_owned() });
    assert_eq!(send("r4").await, Refunded::Already);
    assert!(matches!(send("r5").await, Refunded::NoBalance { .. }));
    assert!(matches!(send("r6").await, Refunded::NoBalance { .. }));
    assert!(matches!(send("r7").await, Refunded::Unknown { .. }));
    let request = &server.requests()[0];
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let mut fields: Vec<&str> = body.split('&').collect();
    fields.sort_unstable();
    let (order, name) = (format!("metadata[order]={ORDER}"), format!("metadata[refund]={NAME}"));
    assert_eq!(fields, ["amount=2500", &order, &name, "payment_intent=pi_1"], "{request}");
}

#[tokio::test]
async fn the_refunds_of_a_payment_are_all_of_them_with_our_names_or_none_are_told() {
    let refund = |id: &str, status: &str, metadata: serde_json::Value| json!({"id": id, "amount": 2500, "currency": "usd", "status": status, "metadata": metadata});
    let page = |more: bool, data| Act::json(200, &[], &json!({"object": "list", "has_more": more, "data": data}));
    let (ours, other) = (refund("re_2", "pending", json!({"refund": NAME})), refund("re_1", "failed", json!(null)));
    let strange = refund("re_3", "succeeded", json!({"refund": "by hand"}));
    let acts = [
        page(true, json!([strange, ours])),
        page(false, json!([other])),
        page(false, json!([])),
        page(true, json!([other])),
        Act::Reply(500, &[], String::new()),
        page(false, json!([other, {"metadata": {"refund": NAME}}])),
        page(false, json!([refund("re_4", "invented", json!({}))])),
    ];
    let server = Server::that(acts).await;
    let stripe = client(&server);
    let Refunds::All(listed) = stripe.refunds("pi_1").await else { panic!("not read") };
    let read: Vec<_> = listed.iter().map(|refund| (refund.id.as_str(), refund.name, refund.amount)).collect();
    assert_eq!(read, [("re_3", None, 2500), ("re_2", Some(NAME), 2500), ("re_1", None, 2500)]);
    assert_eq!(listed[1].stands, Refunded::Pending { refund: "re_2".to_owned(), amount: 2500 });
    assert_eq!(listed[2].stands, Refunded::Failed { refund: "re_1".to_owned(), reason: "failed".to_owned() });
    assert_eq!(stripe.refunds("pi_1").await, Refunds::All(vec![]));
    for what in ["a 500 on the second page", "a refund that cannot be read", "a status that nobody knows"] {
        assert!(matches!(stripe.refunds("pi_1").await, Refunds::Unknown { .. }), "{what}");
    }
    let line = |n: usize| server.requests()[n].lines().next().unwrap().to_owned();
    assert_eq!(line(0), "GET /v1/refunds?limit=100&payment_intent=pi_1 HTTP/1.1");
    assert!(line(1).contains("starting_after=re_2"), "{}", line(1));
}
