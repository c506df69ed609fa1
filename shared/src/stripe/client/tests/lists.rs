//! Stripe's lists over a real connection.

use serde_json::Value;

use super::*;
use crate::stripe::webhook::EVENT_TYPES;

fn event(id: &str) -> Value {
    json!({"id": id, "object": "event", "type": "payment_intent.succeeded", "livemode": false,
        "created": 1_795_000_001, "data": {"object": intent("succeeded")}})
}

fn list(data: &[Value], has_more: bool) -> Act {
    Act::json(200, &[], &json!({"object": "list", "data": data, "has_more": has_more, "url": "/v1/x"}))
}

#[tokio::test]
async fn events_are_asked_for_by_type_and_time_and_come_as_a_webhook_would_bring_them() {
    let server = Server::that([list(&[event("evt_2"), event("evt_1")], true), list(&[], false)]).await;
    let client = client(&server);
    let page = client.events(FROM, None).await.unwrap();
    assert_eq!(page.next.as_deref(), Some("evt_1"));
    assert_eq!(page.items[0].created, Timestamp(1_795_000_001_000));
    assert_eq!(serde_json::from_str::<Value>(&page.items[0].body).unwrap(), event("evt_2"));
    let last = client.events(FROM, Some("evt_1")).await.unwrap();
    assert_eq!((last.items, last.next), (vec![], None));
    let asked: Vec<String> = server.requests();
    assert!(asked[0].starts_with("GET /v1/events?"), "{asked:?}");
    for kind in EVENT_TYPES {
        assert!(asked[0].contains(kind), "{kind}: {asked:?}");
    }
    assert!(asked[0].contains("1795000000") && asked[0].contains("limit=100"), "{asked:?}");
    assert!(asked[1].contains("starting_after=evt_1"), "{asked:?}");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_hides_no_other() {
    let server = Server::that([list(&[event("evt_2"), json!({"id": "evt_odd"})], true)]).await;
    let page = client(&server).events(FROM, None).await.unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (1, Some("evt_odd")));
}

#[tokio::test]
async fn payments_say_whose_they_are_and_what_they_have_become() {
    let server = Server::that([list(&[intent("succeeded"), intent("canceled")], false)]).await;
    let page = client(&server).payments(FROM, None).await.unwrap();
    assert_eq!((page.items[0].order, &page.items[0].answer), (Some(ORDER), &paid()));
    assert_eq!(page.items[1].answer, Answer::Canceled { payment_intent: "pi_1".into() });
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn a_page_that_did_not_come_says_whether_asking_again_is_of_use() {
    let missing = json!({"type": "invalid_request_error", "code": "resource_missing", "param": "starting_after"});
    let busy = json!({"type": "invalid_request_error", "code": "rate_limit"});
    for (act, refused, after) in [
        (Act::error(404, &[], &missing), true, None),
        (Act::error(401, &[], &json!({"type": "invalid_request_error"})), false, None),
        (Act::error(429, &["Retry-After: 3"], &busy), false, Some(Duration::from_secs(3))),
        (Act::Reply(500, &[], "<html>".into()), false, None),
        (Act::Reply(200, &[], "<html>".into()), false, None),
        (Act::json(200, &[], &json!({"data": [], "has_more": true})), false, None),
        (Act::CutWithin, false, None),
    ] {
        let server = Server::that([act]).await;
        let not = client(&server).events(FROM, Some("evt_1")).await.unwrap_err();
        assert_eq!((not.refused, not.after), (refused, after), "{not:?}");
    }
}
