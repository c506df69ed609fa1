//! What waits for a person, and what a person does about it.

use uuid::Uuid;

use super::{World, succeeded, units};
use crate::env::Timestamp;
use crate::ledger::{Applied, Change, InboxEvent, Left, RefundState, Taken, Word};
use crate::order::{Outcome, State};

fn word() -> Word {
    Word { by: "ops".into(), why: Some("the bank called".into()) }
}

pub(super) async fn orders_that_wait_for_a_person_are_listed_the_longest_first(w: World) {
    let w = w.selling(5, None).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let order = w.new_order(&w.purchase(1)).await.id;
        w.claim(order, 1).await;
        waiting.push(w.observe(order, 1, Outcome::Stuck { reason: "refused as wrong".into() }).await);
    }
    w.new_order(&w.purchase(1)).await;
    waiting.sort_by_key(|order| (order.updated_at, order.id));
    assert_eq!(w.ledger.left(Left::Review, 9).await.unwrap(), waiting);
    assert_eq!(w.ledger.left(Left::Review, 2).await.unwrap(), waiting[..2]);
    w.apply(waiting[0].id, Change::Approved(word())).await;
    assert_eq!(w.ledger.left(Left::Review, 9).await.unwrap(), waiting[1..]);
    let story = w.ledger.audit(waiting[0].id).await.unwrap();
    let last = story.last().unwrap();
    assert_eq!(
        (last.what.as_str(), last.by.as_str(), last.note.as_deref()),
        ("accepted", "ops", word().why.as_deref())
    );
}

pub(super) async fn another_sum_goes_back_once_and_its_units_are_free(w: World) {
    let w = w.selling(1, None).await;
    let order = w.new_order(&w.purchase(1)).await.id;
    w.claim(order, 1).await;
    assert_eq!(w.observe(order, 1, succeeded("pi_1", 1)).await.state, State::Review);
    let taken = Taken { payment_intent: "pi_1".into(), amount: 1, currency: "usd".parse().unwrap() };
    let rejected = || Change::Rejected { word: word(), taken: Some(taken.clone()) };
    let Applied::Order { order: ended, changed: true, .. } = w.apply(order, rejected()).await else {
        panic!("it can be rejected")
    };
    assert_eq!((ended.state, units(&w.image().await, "std")), (State::Canceled, (0, 0)));
    // Again; and an event that tells of the money, late.
    assert!(matches!(w.apply(order, rejected()).await, Applied::Order { changed: false, .. }));
    let late = Change::Observed { attempt: 1, outcome: succeeded("pi_1", 1) };
    assert!(matches!(w.apply(order, late).await, Applied::Order { changed: false, .. }));
    let refunds = w.ledger.refunds_of(order).await.unwrap();
    let [refund] = refunds.as_slice() else { panic!("{refunds:?}") };
    assert_eq!((refund.amount, refund.state, refund.reason.as_str()), (1, RefundState::Owed, "amount_differs"));
    assert_eq!((refund.payment_intent.as_str(), refund.note.as_deref()), ("pi_1", word().why.as_deref()));
    assert_eq!(w.ledger.due_refunds(9).await.unwrap(), refunds);
    let owed: Vec<String> = w.ledger.outbox(9).await.unwrap().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(owed, ["mail.refunded"]);
    let story = w.ledger.audit(order).await.unwrap();
    let what: Vec<&str> = story.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(what, ["accepted", "charging", "review", "canceled", "amount_differs"]);
    w.new_order(&w.purchase(1)).await;
}

pub(super) async fn an_order_that_waits_for_nobody_cannot_be_rejected(w: World) {
    let w = w.selling(2, None).await;
    let order = w.new_order(&w.purchase(1)).await.id;
    let taken = Some(Taken { payment_intent: "pi_1".into(), amount: 1, currency: "usd".parse().unwrap() });
    let refused = w.apply(order, Change::Rejected { word: word(), taken: taken.clone() }).await;
    assert!(matches!(refused, Applied::Refused(_)), "{refused:?}");
    w.claim(order, 1).await;
    assert_eq!(w.observe(order, 1, succeeded("pi_1", 2_500)).await.state, State::Paid);
    for change in [Change::Rejected { word: word(), taken }, Change::Approved(word())] {
        assert!(matches!(w.apply(order, change).await, Applied::Refused(_)), "success is never downgraded");
    }
    assert!(w.ledger.refunds_of(order).await.unwrap().is_empty());
    assert_eq!(w.ledger.apply(Uuid::nil(), Change::Approved(word())).await.unwrap(), Applied::Unknown);
}

pub(super) async fn an_event_can_be_seen_to_once_more(w: World) {
    let event = |id: &str, at| InboxEvent { id: id.into(), received_at: Timestamp(at), body: "{}".into() };
    let (a, b) = (event("evt_a", 1), event("evt_b", 2));
    w.ledger.store_events(vec![a.clone(), b.clone()]).await.unwrap();
    for id in ["evt_a", "evt_b"] {
        w.ledger.event_handled(id).await.unwrap();
    }
    w.ledger.event_again("evt_a").await.unwrap();
    w.ledger.event_again("evt_unknown").await.unwrap();
    assert_eq!(w.ledger.unhandled_events(9).await.unwrap(), [a]);
    assert!(w.ledger.event("evt_b").await.unwrap().unwrap().handled);
}
