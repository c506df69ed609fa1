//! What a ledger keeps for the sweep.

use std::time::Duration;

use uuid::Uuid;

use super::{World, succeeded};
use crate::env::Timestamp;
use crate::ledger::{InboxEvent, Unmatched};

pub(super) async fn a_bookmark_is_where_it_was_put_last(w: World) {
    assert_eq!(w.ledger.bookmark("events").await.unwrap(), None);
    w.ledger.set_bookmark("events", "page 3").await.unwrap();
    w.ledger.set_bookmark("payments", "page 1").await.unwrap();
    w.ledger.set_bookmark("events", "page '4'?$1").await.unwrap();
    assert_eq!(w.ledger.bookmark("events").await.unwrap().as_deref(), Some("page '4'?$1"));
    assert_eq!(w.ledger.bookmark("payments").await.unwrap().as_deref(), Some("page 1"));
}

pub(super) async fn handled_events_are_pruned_the_oldest_first_and_no_others(w: World) {
    let event = |n: i64| InboxEvent { id: format!("evt_{n}"), received_at: Timestamp(n), body: "{}".into() };
    w.ledger.store_events((0..6).map(event).collect()).await.unwrap();
    for n in [0, 1, 2, 4, 5] {
        w.ledger.event_handled(&format!("evt_{n}")).await.unwrap();
    }
    assert_eq!(w.ledger.prune_events(Timestamp(5), 2).await.unwrap(), 2);
    assert!(w.ledger.event("evt_1").await.unwrap().is_none() && w.ledger.event("evt_2").await.unwrap().is_some());
    assert_eq!(w.ledger.prune_events(Timestamp(5), 9).await.unwrap(), 2);
    assert_eq!(w.ledger.prune_events(Timestamp(5), 9).await.unwrap(), 0);
    for (n, is_there) in [(3, true), (4, false), (5, true)] {
        assert_eq!(w.ledger.event(&format!("evt_{n}")).await.unwrap().is_some(), is_there, "{n}");
    }
    assert_eq!(w.ledger.store_events(vec![event(3), event(4)]).await.unwrap(), [false, true]);
}

pub(super) async fn a_disagreement_is_one_row_until_it_is_settled(w: World) {
    let row = |id: &str, reason: &str, at| Unmatched {
        payment_intent: id.into(),
        order: Uuid::from_u128(7),
        reason: reason.into(),
        amount: 500,
        currency: "usd".into(),
        noticed_at: Timestamp(at),
    };
    let (late, early) = (row("pi_b", "unknown_order", 9), row("pi_a", "unknown_order", 3));
    for one in [&late, &early, &row("pi_b", "not_settled", 11)] {
        w.ledger.note_unmatched(one.clone()).await.unwrap();
    }
    let late = Unmatched { reason: "not_settled".into(), ..late };
    assert_eq!(w.ledger.unmatched(9).await.unwrap(), [early.clone(), late.clone()]);
    assert_eq!(w.ledger.unmatched(1).await.unwrap(), [early]);
    w.ledger.matched("pi_a").await.unwrap();
    w.ledger.matched("pi_unknown").await.unwrap();
    assert_eq!(w.ledger.unmatched(9).await.unwrap(), [late]);
}

pub(super) async fn paid_orders_are_read_in_order_page_by_page(w: World) {
    let w = w.selling(9, None).await;
    let mut orders = Vec::new();
    for n in 0..5 {
        let order = w.new_order(&w.purchase(1)).await.id;
        w.claim(order, 1).await;
        w.observe(order, 1, succeeded(&format!("pi_{n}"), 2_500)).await;
        orders.push(order);
    }
    w.declined_order(&w.purchase(1)).await;
    let until = w.ledger.now().plus(Duration::from_secs(60));
    let (mut after, mut seen) = ((Timestamp(0), Uuid::nil()), Vec::new());
    loop {
        let page = w.ledger.paid(after, until, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = (last.updated_at, last.id);
        seen.extend(page.iter().map(|order| order.id));
    }
    seen.sort_unstable();
    orders.sort_unstable();
    assert_eq!(seen, orders);
    assert_eq!(w.ledger.paid((Timestamp(0), Uuid::nil()), Timestamp(1), 9).await.unwrap(), []);
    assert_eq!(w.ledger.paid((until, Uuid::nil()), until, 9).await.unwrap(), []);
}

pub(super) async fn what_is_committed_moves_with_its_orders(w: World) {
    assert_eq!(w.ledger.committed("demo").await.unwrap(), None);
    let w = w.selling(9, None).await;
    let before = w.ledger.committed("demo").await.unwrap().unwrap();
    assert!(before.tiers.iter().any(|tier| *tier == ("std".to_owned(), 9, 0)), "{before:?}");
    let order = w.new_order(&w.purchase(2)).await.id;
    let accepted = w.ledger.committed("demo").await.unwrap().unwrap();
    assert!(accepted.tiers.contains(&("std".to_owned(), 9, 2)), "{accepted:?}");
    assert_eq!(accepted.counters.accepted, before.counters.accepted + 1);
    w.claim(order, 1).await;
    w.observe(order, 1, succeeded("pi_1", 5_000)).await;
    let paid = w.ledger.committed("demo").await.unwrap().unwrap();
    assert_eq!((&paid.tiers, paid.epoch), (&accepted.tiers, before.epoch));
    assert_eq!(paid.counters.finished, before.counters.finished + 1);
}
