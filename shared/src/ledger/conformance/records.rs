//! What a ledger keeps besides orders: audit trail, inbox, outbox, refunds.

use super::{World, succeeded};
use crate::ledger::{Change, InboxEvent, RefundState, StoredEvent};
use crate::order::{Outcome, State};

pub(super) async fn the_audit_trail_tells_the_whole_story_in_order(w: World) {
    let w = w.selling(1, None).await;
    let order = w.declined_order(&w.purchase(1)).await.id;
    w.apply(order, Change::TimeOver).await;
    w.observe(order, 1, Outcome::Canceled { payment_intent: None }).await;
    w.observe(order, 1, succeeded("pi_1", 2_500)).await;
    let lines = w.ledger.audit(order).await.unwrap();
    let words: Vec<&str> = lines.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(words, ["accepted", "charging", "declined", "time_over", "expired", "paid", "paid_late"]);
    assert_eq!(lines.iter().map(|line| line.version).collect::<Vec<_>>()[..6], [1, 2, 3, 4, 5, 6].map(Some));
    assert!(lines.iter().all(|line| line.order == Some(order) && line.sale == "demo"));
    let by: Vec<&str> = lines.iter().map(|line| line.by.as_str()).collect();
    assert_eq!(by[..4], ["buyer", "worker", "worker", "sweep"]);
    let told = format!("{lines:?}");
    assert!(!told.contains("tok_visa") && !told.contains("@example.com"), "neither token nor address: {told}");
}

pub(super) async fn an_event_is_stored_once_and_handled_once(w: World) {
    let event = |id: &str, at| InboxEvent {
        id: id.into(),
        received_at: crate::env::Timestamp(at),
        body: format!("{{\"id\":\"{id}\",\"text\":\"é'?$1\"}}"),
    };
    let (a, b, c) = (event("evt_a", 3), event("evt_b", 1), event("evt_c", 2));
    let stored = w.ledger.store_events(vec![b.clone(), c.clone(), b.clone()]).await.unwrap();
    assert_eq!(stored, [true, true, false]);
    assert_eq!(w.ledger.store_events(vec![c.clone(), a.clone()]).await.unwrap(), [false, true]);
    assert_eq!(w.ledger.store_events(vec![]).await.unwrap(), Vec::<bool>::new());
    assert_eq!(w.ledger.unhandled_events(10).await.unwrap(), [b.clone(), c.clone(), a.clone()]);
    assert_eq!(w.ledger.unhandled_events(1).await.unwrap(), std::slice::from_ref(&b));
    let stored = |event: &InboxEvent, handled| Some(StoredEvent { event: event.clone(), handled });
    assert_eq!(w.ledger.event("evt_b").await.unwrap(), stored(&b, false));
    w.ledger.event_handled("evt_b").await.unwrap();
    w.ledger.event_handled("evt_b").await.unwrap();
    w.ledger.event_handled("evt_unknown").await.unwrap();
    assert_eq!(w.ledger.event("evt_b").await.unwrap(), stored(&b, true));
    assert_eq!(w.ledger.event("evt_a").await.unwrap(), stored(&a, false));
    assert_eq!(w.ledger.event("evt_unknown").await.unwrap(), None);
    assert_eq!(w.ledger.unhandled_events(10).await.unwrap(), [c, a]);
    let again = event("evt_b", 9);
    assert_eq!(w.ledger.store_events(vec![again]).await.unwrap(), [false], "handled is still known");
    let at_once: Vec<InboxEvent> = (0..20).map(|n| event(&format!("evt_{}", n % 10), n)).collect();
    let tasks = at_once.into_iter().map(|event| w.ledger.store_events(vec![event]));
    let new = futures::future::join_all(tasks).await.into_iter().filter(|new| *new.as_ref().unwrap() == [true]);
    assert_eq!(new.count(), 10);
}

pub(super) async fn what_is_owed_to_the_outside_stays_until_it_is_done(w: World) {
    let w = w.selling(2, None).await;
    for n in 0..2 {
        let order = w.new_order(&w.purchase(1)).await.id;
        w.claim(order, 1).await;
        w.observe(order, 1, succeeded(&format!("pi_{n}"), 2_500)).await;
    }
    let owed = w.ledger.outbox(10).await.unwrap();
    assert_eq!(owed.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>(), ["mail.tickets"; 2]);
    assert_eq!(w.ledger.outbox(1).await.unwrap(), owed[..1]);
    w.ledger.outbox_done(owed[0].id).await.unwrap();
    w.ledger.outbox_done(owed[0].id).await.unwrap();
    assert_eq!(w.ledger.outbox(10).await.unwrap(), owed[1..]);
}

pub(super) async fn money_that_came_too_late_goes_back_once(w: World) {
    let w = w.selling(1, None).await;
    let order = w.declined_order(&w.purchase(1)).await.id;
    w.apply(order, Change::TimeOver).await;
    w.observe(order, 1, Outcome::Canceled { payment_intent: None }).await;
    w.new_order(&w.purchase(1)).await;
    for _ in 0..2 {
        assert_eq!(w.observe(order, 1, succeeded("pi_1", 2_500)).await.state, State::Expired);
    }
    let owed = w.ledger.due_refunds(10).await.unwrap();
    assert_eq!(owed.len(), 1);
    let refund = &owed[0];
    assert_eq!((refund.payment_intent.as_str(), refund.amount, refund.reason.as_str()), ("pi_1", 2_500, "paid_late"));
    assert_eq!((refund.order, refund.state, &refund.stripe_id), (order, RefundState::Owed, &None));
    w.tell(order, refund.id, RefundState::Pending, Some("re_1")).await;
    let known = w.ledger.refunds_of(order).await.unwrap();
    assert_eq!(known[0].stripe_id.as_deref(), Some("re_1"));
    w.tell(order, refund.id, RefundState::Succeeded, None).await;
    assert_eq!(w.ledger.due_refunds(10).await.unwrap(), []);
    let done = &w.ledger.refunds_of(order).await.unwrap()[0];
    assert_eq!((done.state, done.stripe_id.as_deref()), (RefundState::Succeeded, Some("re_1")));
    let ended = w.stored(order).await;
    assert_eq!(
        (ended.state, ended.refunded, ended.refunding),
        (State::Expired, 0, 0),
        "it was never this order's money"
    );
    let kinds: Vec<String> = w.ledger.outbox(10).await.unwrap().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["mail.refunded"]);
}
