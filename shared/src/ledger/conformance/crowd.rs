//! Many at once: what a group of operations must not do to its members.

use futures::future::join_all;

use super::{World, declined, succeeded, units};
use crate::ledger::{Accept, Accepted, Applied, Change, Claimed};
use crate::order::{Outcome, State};
use crate::sale::PricedItem;

async fn accept_all(w: &World, purchases: &[Accept]) -> Vec<Accepted> {
    join_all(purchases.iter().map(|purchase| w.accept(purchase))).await
}

fn count(answers: &[Accepted], is: impl Fn(&Accepted) -> bool) -> usize {
    answers.iter().filter(|answer| is(answer)).count()
}

fn is_new(answer: &Accepted) -> bool {
    matches!(answer, Accepted::New(_))
}

pub(super) async fn two_hundred_buyers_of_fifty_units(w: World) {
    let w = w.selling(50, None).await;
    let purchases: Vec<Accept> = (0..200).map(|_| w.purchase(1)).collect();
    let answers = accept_all(&w, &purchases).await;
    assert_eq!(count(&answers, is_new), 50);
    assert_eq!(count(&answers, |answer| *answer == Accepted::SoldOut { tier: "std".into() }), 150);
    let image = w.image().await;
    assert_eq!((units(&image, "std"), image.pins.len()), ((0, 50), 50));
    let mut places: Vec<i64> = answers
        .iter()
        .filter_map(|answer| if let Accepted::New(order) = answer { Some(order.queue_number) } else { None })
        .collect();
    places.sort_unstable();
    assert_eq!(places, (1..=50).collect::<Vec<i64>>(), "each has a place of its own in the queue");
    assert_eq!(w.ledger.counters("demo").await.unwrap().unwrap().accepted, 50);
}

pub(super) async fn a_crowd_cannot_pass_the_limit_together(w: World) {
    let w = w.selling(100, Some(4)).await;
    let (one, email) = (w.env.uuid_v4(), "one.buyer@gmail.com");
    let by_customer = (0..20).map(|_| Accept { customer: one, ..w.purchase(1) });
    let by_mail = (0..20).map(|n| Accept { email: format!("onebuyer+{n}@gmail.com"), ..w.purchase(1) });
    let purchases: Vec<Accept> = by_customer.chain(by_mail).collect();
    let answers = accept_all(&w, &purchases).await;
    assert_eq!(count(&answers[..20], is_new), 4);
    assert_eq!(count(&answers[20..], is_new), 4);
    assert_eq!(count(&answers, |answer| *answer == Accepted::LimitReached { tier: "std".into() }), 32);
    let late = Accept { email: email.into(), ..w.purchase(1) };
    assert_eq!(w.accept(&late).await, Accepted::LimitReached { tier: "std".into() });
}

pub(super) async fn one_order_sent_twice_at_once_is_new_once(w: World) {
    let w = w.selling(100, None).await;
    let purchase = w.purchase(1);
    let answers = accept_all(&w, &vec![purchase.clone(); 10]).await;
    assert_eq!(count(&answers, is_new), 1);
    assert_eq!(count(&answers, |answer| matches!(answer, Accepted::Replay(_))), 9);
    assert_eq!(units(&w.image().await, "std"), (0, 1));
}

pub(super) async fn two_orders_with_one_hold_at_once_are_one_order(w: World) {
    let w = w.selling(100, None).await;
    let first = w.purchase(1);
    let others = (0..9).map(|_| Accept { hold: first.hold, ..w.purchase(1) });
    let purchases: Vec<Accept> = std::iter::once(first.clone()).chain(others).collect();
    let answers = accept_all(&w, &purchases).await;
    assert_eq!(count(&answers, is_new), 1);
    assert_eq!(count(&answers, |answer| *answer == Accepted::Conflict), 9);
    assert_eq!(units(&w.image().await, "std"), (0, 1));
}

pub(super) async fn losers_do_not_sink_their_neighbours(w: World) {
    let w = w.selling(100, None).await;
    let known = w.purchase(1);
    w.new_order(&known).await;
    let mut purchases = Vec::new();
    for _ in 0..10 {
        purchases.extend([
            w.purchase(1),
            known.clone(),
            Accept { name: "Somebody Else".into(), ..known.clone() },
            Accept { hold: known.hold, ..w.purchase(1) },
            Accept { sale: "nowhere".into(), ..w.purchase(1) },
            Accept { epoch: Some(7), ..w.purchase(1) },
            w.purchase(101),
            w.purchase(2),
        ]);
    }
    let answers = accept_all(&w, &purchases).await;
    for eight in answers.chunks(8) {
        let words: Vec<String> = eight.iter().map(|answer| format!("{answer:?}")).collect();
        let words: Vec<&str> = words.iter().map(|word| word.split(['(', ' ']).next().unwrap_or_default()).collect();
        assert_eq!(words, ["New", "Replay", "Conflict", "Conflict", "Unknown", "WrongEpoch", "SoldOut", "New"]);
    }
    assert_eq!(units(&w.image().await, "std"), (0, 31));
}

pub(super) async fn a_broken_member_fails_alone(w: World) {
    let w = w.selling(100, None).await;
    let mut purchases: Vec<Accept> = (0..40).map(|_| w.purchase(1)).collect();
    // None of these passes the web process; a ledger that keeps them or refuses them is right, as long as it is alone.
    let nul = Accept { name: "A.\0Shopper".into(), ..w.purchase(1) };
    let nothing = vec![PricedItem { tier: "std".into(), quantity: 0, amount: 2_500 }];
    let nothing = Accept { items: nothing, ..w.purchase(1) };
    let owed = vec![PricedItem { tier: "std".into(), quantity: 1, amount: -1 }];
    let owed = Accept { items: owed, ..w.purchase(1) };
    purchases.insert(30, nul.clone());
    purchases.insert(20, nothing.clone());
    purchases.insert(10, owed.clone());
    let answers = join_all(purchases.iter().map(|purchase| w.ledger.accept(purchase.clone()))).await;
    for (purchase, answer) in purchases.iter().zip(&answers) {
        if [&nul, &nothing, &owed].iter().all(|broken| broken.order != purchase.order) {
            assert!(matches!(answer, Ok(Accepted::New(_))), "{answer:?}");
        }
    }
    let image = w.image().await;
    let (_, pinned) = units(&image, "std");
    let neighbours = purchases.len() - 3;
    assert!((neighbours..=neighbours + 2).contains(&usize::try_from(pinned).unwrap()), "{pinned} pinned");
    // Whoever was refused left nothing behind.
    for (purchase, answer) in purchases.iter().zip(&answers) {
        assert_eq!(w.ledger.order(purchase.order).await.unwrap().is_some(), answer.is_ok());
    }
}

pub(super) async fn two_workers_claim_one_attempt_and_one_is_first(w: World) {
    let w = w.selling(100, None).await;
    let order = w.new_order(&w.purchase(1)).await.id;
    let claims = join_all((0..8).map(|_| w.claim(order, 1))).await;
    let mut requests = Vec::new();
    let mut firsts = 0;
    for claim in claims {
        let Claimed::Yes { attempt, first, .. } = claim else { panic!("{claim:?}") };
        firsts += u32::from(first);
        requests.push(attempt.request);
    }
    assert_eq!(firsts, 1);
    assert!(requests.iter().all(|request| request.is_some() && *request == requests[0]), "the same bytes for all");
}

pub(super) async fn an_outcome_that_is_reported_by_many_at_once_issues_tickets_once(w: World) {
    let w = w.selling(100, None).await;
    let order = w.new_order(&w.purchase(3)).await.id;
    w.claim(order, 1).await;
    let change = Change::Observed { attempt: 1, outcome: succeeded("pi_1", 7_500) };
    let answers = join_all((0..8).map(|_| w.apply(order, change.clone()))).await;
    let changed = answers.iter().filter(|answer| matches!(answer, Applied::Order { changed: true, .. }));
    assert_eq!(changed.count(), 1);
    let paid = w.stored(order).await;
    assert_eq!((paid.state, paid.version, paid.tickets.len()), (State::Paid, 3, 3));
    assert!(answers.iter().all(|answer| answer.order() == Some(&paid)));
    assert_eq!(w.ledger.outbox(10).await.unwrap().len(), 1);
}

pub(super) async fn purchases_and_settlements_of_many_at_once_conserve_the_stock(w: World) {
    let w = w.selling(60, Some(3)).await;
    let purchases: Vec<Accept> = (0..120).map(|n| w.purchase(1 + n % 3)).collect();
    let one_purchase = async |(n, purchase): (usize, &Accept)| {
        let Accepted::New(order) = w.accept(purchase).await else { return };
        w.claim(order.id, 1).await;
        if n % 3 == 0 {
            w.observe(order.id, 1, declined()).await;
            w.apply(order.id, Change::TimeOver).await;
            w.observe(order.id, 1, Outcome::Canceled { payment_intent: None }).await;
        } else if n % 3 == 1 {
            w.observe(order.id, 1, succeeded(&format!("pi_{n}"), order.amount)).await;
        }
    };
    join_all(purchases.iter().enumerate().map(one_purchase)).await;
    let (mut sold, mut pinned) = (0, 0);
    for order in w.ledger.orders(&purchases.iter().map(|p| p.order).collect::<Vec<_>>()).await.unwrap() {
        match order.state {
            State::Paid => sold += order.units(),
            State::Expired => {}
            _ => pinned += order.units(),
        }
    }
    assert_eq!(units(&w.image().await, "std"), (sold, pinned));
    assert!(sold + pinned <= 60);
    // And the ledger's own count agrees: exactly what is left can still be bought.
    let rest = 60 - sold - pinned;
    for _ in 0..rest {
        w.new_order(&w.purchase(1)).await;
    }
    assert_eq!(w.accept(&w.purchase(1)).await, Accepted::SoldOut { tier: "std".into() });
}
