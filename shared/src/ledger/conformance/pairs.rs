//! Two ledgers on one database, as two processes would have them.

use futures::future::{join, join_all};

use super::{World, request, succeeded, units};
use crate::ledger::{
    Accept, Accepted, Change, Claimed, Control, Created, InboxEvent, RefundAsked, RefundRequest, RefundWhat,
};
use crate::order::State;

fn half(w: &[World; 2], n: usize) -> &World {
    &w[n % 2]
}

pub(super) async fn what_one_has_written_the_other_reads(w: [World; 2]) {
    let [one, other] = &w;
    let one = one.clone().selling(10, None).await;
    let order = one.new_order(&one.purchase(2)).await;
    assert_eq!(other.stored(order.id).await, order);
    assert!(matches!(other.claim(order.id, 1).await, Claimed::Yes { first: true, .. }));
    assert!(matches!(one.claim(order.id, 1).await, Claimed::Yes { first: false, .. }));
    let paid = one.observe(order.id, 1, succeeded("pi_1", 5_000)).await;
    assert_eq!(other.stored(order.id).await, paid);
    assert_eq!(
        other.ledger.control("demo", Control::Pause, &crate::ledger::Word::of("ops")).await.unwrap(),
        crate::ledger::Controlled::Yes
    );
    assert_eq!(one.accept(&one.purchase(1)).await, Accepted::Paused);
    let image = other.ledger.begin_epoch("demo", "run").await.unwrap().unwrap();
    assert_eq!((image.epoch, units(&image, "std")), (2, (2, 0)));
}

pub(super) async fn two_crowds_share_fifty_units(w: [World; 2]) {
    w[0].clone().selling(50, Some(2)).await;
    let purchases: Vec<Accept> = (0..200).map(|_| w[0].purchase(1)).collect();
    let answers = join_all(purchases.iter().enumerate().map(|(n, p)| half(&w, n).accept(p))).await;
    let mut places: Vec<i64> = Vec::new();
    for answer in &answers {
        match answer {
            Accepted::New(order) => places.push(order.queue_number),
            other => assert_eq!(*other, Accepted::SoldOut { tier: "std".into() }),
        }
    }
    places.sort_unstable();
    assert_eq!(places, (1..=50).collect::<Vec<i64>>());
    assert_eq!(units(&w[1].image().await, "std"), (0, 50));
}

pub(super) async fn one_order_sent_through_both_is_new_once(w: [World; 2]) {
    w[0].clone().selling(500, None).await;
    let purchases: Vec<Accept> = (0..100).map(|_| w[0].purchase(1)).collect();
    let send = |purchase| join(w[0].accept(purchase), w[1].accept(purchase));
    for answers in join_all(purchases.iter().map(send)).await {
        match answers {
            (Accepted::New(new), Accepted::Replay(again)) | (Accepted::Replay(again), Accepted::New(new)) => {
                assert_eq!(new, again);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(units(&w[0].image().await, "std"), (0, 100));
}

pub(super) async fn claims_and_outcomes_through_both_happen_once(w: [World; 2]) {
    w[0].clone().selling(500, None).await;
    let purchases: Vec<Accept> = (0..100).map(|_| w[0].purchase(1)).collect();
    let buy = async |(n, purchase): (usize, &Accept)| {
        half(&w, n).new_order(purchase).await;
        let claim = |w: &World| {
            let ledger = w.ledger.clone();
            let order = purchase.order;
            async move { ledger.claim(order, 1, request).await.unwrap() }
        };
        let firsts = match join(claim(&w[0]), claim(&w[1])).await {
            (Claimed::Yes { first: a, .. }, Claimed::Yes { first: b, .. }) => u32::from(a) + u32::from(b),
            other => panic!("{other:?}"),
        };
        assert_eq!(firsts, 1);
        let change = Change::Observed { attempt: 1, outcome: succeeded(&format!("pi_{n}"), 2_500) };
        join(w[0].apply(purchase.order, change.clone()), w[1].apply(purchase.order, change)).await;
        let paid = half(&w, n).stored(purchase.order).await;
        assert_eq!((paid.state, paid.version, paid.tickets.len()), (State::Paid, 3, 1));
    };
    join_all(purchases.iter().enumerate().map(buy)).await;
    let image = w[0].image().await;
    assert_eq!(units(&image, "std"), (100, 0));
    let counters = w[1].ledger.counters("demo").await.unwrap().unwrap();
    assert_eq!((counters.accepted, counters.finished), (100, 100));
}

pub(super) async fn orders_of_several_sales_do_not_wait_for_each_other_forever(w: [World; 2]) {
    for slug in ["a", "b", "c"] {
        let sale = crate::sale::Sale { slug: slug.into(), ..super::demo(1_000, Some(50)) };
        w[0].ledger.create_sale(sale).await.unwrap();
    }
    // The same few customers everywhere, in every order.
    let customers = [(); 4].map(|()| w[0].env.uuid_v4());
    let purchase = |n: usize| Accept {
        sale: ["a", "b", "c"][n % 3].into(),
        customer: customers[(n * 7) % 4],
        ..w[n % 2].purchase(1)
    };
    let purchases: Vec<Accept> = (0..150).map(purchase).collect();
    let buy = async |(n, purchase): (usize, &Accept)| {
        half(&w, n).new_order(purchase).await;
        half(&w, n + 1).claim(purchase.order, 1).await;
        half(&w, n).observe(purchase.order, 1, succeeded(&format!("pi_{n}"), 2_500)).await
    };
    let paid = join_all(purchases.iter().enumerate().map(buy)).await;
    assert!(paid.iter().all(|order| order.state == State::Paid));
}

pub(super) async fn sales_that_are_made_through_both_at_once_all_come_to_be(w: [World; 2]) {
    let make = async |n: usize| {
        let sale = crate::sale::Sale { slug: format!("sale-{}", n / 2), ..super::demo(10, None) };
        half(&w, n).ledger.create_sale(sale).await.unwrap()
    };
    let made = join_all((0..40).map(make)).await;
    for twice in made.chunks(2) {
        assert!(twice.contains(&Created::Yes) && twice.contains(&Created::SlugTaken), "each is made once: {made:?}");
    }
    assert_eq!(w[0].ledger.sales().await.unwrap().len(), 20);
}

pub(super) async fn one_event_that_comes_to_both_is_new_once(w: [World; 2]) {
    let event =
        |n: i64| InboxEvent { id: format!("evt_{}", n / 2), received_at: crate::env::Timestamp(n), body: "{}".into() };
    let store = async |n: i64| half(&w, usize::try_from(n).unwrap()).ledger.store_events(vec![event(n)]).await.unwrap();
    let new = join_all((0..100).map(store)).await;
    assert_eq!(new.iter().filter(|new| **new == [true]).count(), 50);
    assert_eq!(w[0].ledger.unhandled_events(100).await.unwrap().len(), 50);
}

/// As Stripe's list is read by both sides of it while Stripe sends the same events.
pub(super) async fn events_that_come_to_both_in_either_order_do_not_wait_for_each_other(w: [World; 2]) {
    let event = |n: usize| InboxEvent {
        id: format!("evt_{n:03}"),
        received_at: crate::env::Timestamp(n.try_into().unwrap()),
        body: "{}".into(),
    };
    for round in 0..20 {
        let there: Vec<InboxEvent> = (0..40).map(|n| event(round * 40 + n)).collect();
        let back: Vec<InboxEvent> = there.iter().rev().cloned().collect();
        let handled = async |w: &World, events: &[InboxEvent]| {
            join_all(events.iter().map(|event| w.ledger.event_handled(&event.id))).await
        };
        let one_by_one = join_all(back.iter().map(|event| w[0].ledger.store_events(vec![event.clone()])));
        let (one_by_one, all) = join(one_by_one, w[1].ledger.store_events(there.clone())).await;
        let new = one_by_one.into_iter().flat_map(Result::unwrap).chain(all.unwrap());
        assert_eq!(new.filter(|is_new| *is_new).count(), 40);
        let (there, back) = join(handled(&w[0], &there), handled(&w[1], &back)).await;
        assert!(there.into_iter().chain(back).all(|handled| handled.is_ok()));
    }
    assert_eq!(w[0].ledger.unhandled_events(1_000).await.unwrap(), []);
}

pub(super) async fn refunds_through_both_never_give_back_more_than_was_paid(w: [World; 2]) {
    w[0].clone().selling(100, None).await;
    let order = w[0].paid_order(&w[0].purchase(4)).await;
    // Twenty wishes for a quarter each, sent twice: to both.
    let wishes: Vec<RefundRequest> = (0..20).map(|_| w[0].wish(order.id, RefundWhat::Amount(2_500))).collect();
    let mut new = 0;
    for answers in join_all(wishes.iter().map(|wish| join(w[0].ask_refund(wish), w[1].ask_refund(wish)))).await {
        match answers {
            (RefundAsked::New { refund: a, .. }, RefundAsked::Replay { refund: b, .. })
            | (RefundAsked::Replay { refund: b, .. }, RefundAsked::New { refund: a, .. }) => {
                assert_eq!(a, b);
                new += 1;
            }
            other => assert_eq!(other, (RefundAsked::TooMuch { left: 0 }, RefundAsked::TooMuch { left: 0 })),
        }
    }
    let order = w[1].stored(order.id).await;
    assert_eq!((new, order.refunding, order.refundable()), (4, 10_000, 0));
    assert_eq!(order.valid_tickets().count(), 0);
}

pub(super) async fn one_request_through_both_is_one_refund_even_for_two_orders(w: [World; 2]) {
    w[0].clone().selling(100, None).await;
    for _ in 0..20 {
        let (one, other) = (w[0].paid_order(&w[0].purchase(1)).await, w[1].paid_order(&w[1].purchase(1)).await);
        let wish = w[0].wish(one.id, RefundWhat::All);
        let astray = RefundRequest { order: other.id, ..wish.clone() };
        let answers = join(w[0].ask_refund(&wish), w[1].ask_refund(&astray)).await;
        let one_is_new = matches!(answers, (RefundAsked::New { .. }, RefundAsked::Conflict));
        assert!(one_is_new || matches!(answers, (RefundAsked::Conflict, RefundAsked::New { .. })), "{answers:?}");
        let owed = w[0].stored(one.id).await.refunding + w[1].stored(other.id).await.refunding;
        assert_eq!(owed, 2_500);
    }
}
