//! One order at a time: the stories of the book, told through the trait, and read back from the store.

use uuid::Uuid;

use super::{World, declined, succeeded, units};
use crate::env::Timestamp;
use crate::ledger::{Accept, Accepted, Applied, AuditEntry, Change, Claimed, Left, Word};
use crate::order::{AttemptState, ClientSecret, MOST_ATTEMPTS, Outcome, State, hosted};
use crate::sale::PricedItem;

pub(super) async fn a_purchase_is_accepted_claimed_and_paid(w: World) {
    let w = w.selling(10, None).await;
    let vip = PricedItem { tier: "vip".into(), quantity: 1, amount: 9_900 };
    let mut purchase = w.purchase(2);
    purchase.items.insert(0, vip);
    let order = w.new_order(&purchase).await;
    assert_eq!((order.amount, order.version, order.queue_number), (14_900, 1, 1));
    assert_eq!(w.stored(order.id).await, order, "what is read is what was answered");
    let Claimed::Yes { order: claimed, attempt, first: true } = w.claim(order.id, 1).await else { panic!("no claim") };
    assert_eq!(w.stored(order.id).await, *claimed);
    assert_eq!(w.ledger.attempt(order.id, 1).await.unwrap(), Some(*attempt));
    assert_eq!(w.ledger.attempt(order.id, 2).await.unwrap(), None);
    let paid = w.observe(order.id, 1, succeeded("pi_1", 14_900)).await;
    assert_eq!((paid.state, paid.version, paid.tickets.len()), (State::Paid, 3, 3));
    assert_eq!(w.stored(order.id).await, paid, "with its items and tickets in order");
    let attempt = w.ledger.attempt(order.id, 1).await.unwrap().unwrap();
    assert_eq!((attempt.state, attempt.payment_intent.as_deref()), (AttemptState::Succeeded, Some("pi_1")));
    let counters = w.ledger.counters("demo").await.unwrap().unwrap();
    assert_eq!((counters.accepted, counters.finished), (1, 1));
    let again = w.apply(order.id, Change::Observed { attempt: 1, outcome: succeeded("pi_1", 14_900) }).await;
    assert!(matches!(again, Applied::Order { changed: false, .. }));
    assert_eq!(w.stored(order.id).await, paid);
    assert!(matches!(w.claim(Uuid::nil(), 1).await, Claimed::Unknown));
    assert!(matches!(w.apply(Uuid::nil(), Change::TimeOver).await, Applied::Unknown));
    assert_eq!(w.ledger.order(Uuid::nil()).await.unwrap(), None);
}

pub(super) async fn double_click_same_order_id_same_answer(w: World) {
    let w = w.selling(10, None).await;
    let purchase = w.purchase(1);
    let order = w.new_order(&purchase).await;
    assert_eq!(w.accept(&purchase).await, Accepted::Replay(order.clone()));
    let without_hold = Accept { epoch: None, items: vec![], sale: String::new(), ..purchase.clone() };
    assert_eq!(w.accept(&without_hold).await, Accepted::Replay(order));
    let two = vec![PricedItem { tier: "std".into(), quantity: 2, amount: 2_500 }];
    assert_eq!(w.accept(&Accept { items: two, ..purchase.clone() }).await, Accepted::Conflict);
    assert_eq!(w.accept(&Accept { customer: Uuid::nil(), ..purchase.clone() }).await, Accepted::Conflict);
    assert_eq!(w.accept(&Accept { token: "tok_other".into(), ..purchase }).await, Accepted::InProgress);
    assert_eq!(units(&w.image().await, "std"), (0, 1));
}

pub(super) async fn a_hold_serves_one_order(w: World) {
    let w = w.selling(10, None).await;
    let first = w.purchase(1);
    w.new_order(&first).await;
    assert_eq!(w.accept(&Accept { hold: first.hold, ..w.purchase(1) }).await, Accepted::Conflict);
}

pub(super) async fn an_accept_without_hold_or_sale_or_time_is_refused(w: World) {
    let w = w.selling(10, None).await;
    let late = w.ledger.now().minus(std::time::Duration::from_secs(1));
    assert_eq!(w.accept(&Accept { accept_by: late, ..w.purchase(1) }).await, Accepted::TooLate);
    assert_eq!(w.accept(&Accept { epoch: None, ..w.purchase(1) }).await, Accepted::NoHold);
    assert_eq!(w.accept(&Accept { sale: "nowhere".into(), ..w.purchase(1) }).await, Accepted::Unknown);
    let of_no_tier = vec![PricedItem { tier: "box".into(), quantity: 1, amount: 1 }];
    assert_eq!(w.accept(&Accept { items: of_no_tier, ..w.purchase(1) }).await, Accepted::Unknown);
    assert_eq!(w.image().await.pins, []);
}

pub(super) async fn the_ledgers_own_guard_refuses_what_the_stock_should_not_have_held(w: World) {
    let w = w.selling(1, None).await;
    w.new_order(&w.purchase(1)).await;
    assert_eq!(w.accept(&w.purchase(1)).await, Accepted::SoldOut { tier: "std".into() });
    let mut both = w.purchase(1);
    both.items.insert(0, PricedItem { tier: "vip".into(), quantity: 5, amount: 9_900 });
    assert_eq!(w.accept(&both).await, Accepted::SoldOut { tier: "std".into() }, "all or nothing");
    assert_eq!((units(&w.image().await, "std"), units(&w.image().await, "vip")), ((0, 1), (0, 0)));
}

pub(super) async fn the_limit_holds_per_customer_and_per_mail_address(w: World) {
    let w = w.selling(10, Some(2)).await;
    let first = w.purchase(2);
    w.new_order(&first).await;
    let limit = Accepted::LimitReached { tier: "std".into() };
    assert_eq!(w.accept(&Accept { customer: first.customer, ..w.purchase(1) }).await, limit);
    let (local, domain) = first.email.split_once('@').unwrap();
    let same_mail = Accept { email: format!("{}+again@{domain}", local.to_uppercase()), ..w.purchase(1) };
    assert_eq!(w.accept(&same_mail).await, limit);
    let vip = vec![PricedItem { tier: "vip".into(), quantity: 3, amount: 9_900 }];
    w.new_order(&Accept { customer: first.customer, items: vip, ..w.purchase(1) }).await;
    // Units that were given up count no longer.
    w.apply(first.order, Change::CalledOff).await;
    w.observe(first.order, 1, Outcome::Canceled { payment_intent: None }).await;
    w.new_order(&same_mail).await;
}

pub(super) async fn a_redelivered_claim_sends_the_same_bytes(w: World) {
    let w = w.selling(1, None).await;
    let order = w.new_order(&w.purchase(1)).await.id;
    let Claimed::Yes { attempt: sent, first: true, .. } = w.claim(order, 1).await else { panic!("not claimed") };
    let later = |_: &_, _: &_, _: Option<&_>| Err("a later version could not make it".to_owned());
    let again = w.ledger.claim(order, 1, later).await.unwrap();
    let Claimed::Yes { attempt: sent_again, first: false, .. } = again else { panic!("not claimed again") };
    assert_eq!(sent, sent_again);
    assert!(matches!(w.claim(order, 2).await, Claimed::No(_)));
    w.observe(order, 1, succeeded("pi_1", 2_500)).await;
    assert!(matches!(w.claim(order, 1).await, Claimed::No(_)));
}

pub(super) async fn an_order_that_nobody_waits_before_is_claimed_when_it_is_accepted(w: World) {
    let w = w.selling(3, None).await;
    let at_once = |purchase: Accept| Accept { short_line: 1, ..purchase };
    let first = at_once(w.purchase(1));
    let order = w.new_order(&first).await;
    assert_eq!((order.state, order.version), (State::Charging, 2));
    assert_eq!(w.accept(&first).await, Accepted::Replay(order.clone()));
    assert!(matches!(w.apply(order.id, Change::CalledOff).await, Applied::Refused(_)), "it may be under way");
    let Claimed::Yes { order: known, attempt, first: false } = w.claim(order.id, 1).await else {
        panic!("not claimed")
    };
    assert_eq!(*known, order);
    assert_eq!(Some(*attempt.clone()), w.ledger.attempt(order.id, 1).await.unwrap());
    let request = attempt.request.expect("a request is stored");
    assert!(request.body.contains("tok_visa") && attempt.first_sent_at == Some(order.accepted_at), "{request:?}");
    let whats = |trail: Vec<AuditEntry>| trail.into_iter().map(|line| (line.what, line.by)).collect::<Vec<_>>();
    let told = whats(w.ledger.audit(order.id).await.unwrap());
    assert_eq!(told, [("accepted".into(), "buyer".into()), ("charging".into(), "buyer".into())]);

    let second = at_once(w.purchase(1));
    let behind = w.new_order(&second).await;
    assert_eq!(behind.state, State::Accepted, "one is in line before it");
    assert!(matches!(w.claim(behind.id, 1).await, Claimed::Yes { first: true, .. }));
    w.observe(order.id, 1, declined()).await;
    w.observe(behind.id, 1, declined()).await;
    let Accepted::NextAttempt(again) = w.accept(&Accept { token: "tok_other".into(), ..first }).await else {
        panic!("no next attempt")
    };
    assert_eq!((again.state, again.attempt), (State::Charging, 2));
    let Claimed::Yes { attempt, first: false, .. } = w.claim(order.id, 2).await else { panic!("not claimed") };
    assert!(attempt.request.is_some_and(|request| request.path.ends_with("/pi_1/confirm")));
    assert!(matches!(w.claim(order.id, 1).await, Claimed::No(_)), "an attempt that is over");
    w.observe(order.id, 2, succeeded("pi_1", 2_500)).await;
    assert!(matches!(w.claim(order.id, 2).await, Claimed::No(_)), "it is paid");

    let page = Accept { token: hosted::wish("https://shop.example"), ..at_once(w.purchase(1)) };
    assert_eq!(w.new_order(&page).await.state, State::Accepted, "a page's time runs from when a worker makes it");
}

pub(super) async fn an_order_whose_request_cannot_be_made_goes_to_a_person(w: World) {
    let w = w.selling(1, None).await;
    let order = w.new_order(&w.purchase(1)).await.id;
    let claimed = w.ledger.claim(order, 1, |_, _, _| Err("no such token".into())).await.unwrap();
    assert!(matches!(claimed, Claimed::Unpreparable(_)));
    let order = w.stored(order).await;
    assert_eq!((order.state, order.review.as_deref()), (State::Review, Some("no such token")));
    let counters = w.ledger.counters("demo").await.unwrap().unwrap();
    assert_eq!((counters.accepted, counters.finished), (1, 1));
}

pub(super) async fn a_declined_card_allows_another_until_no_attempt_is_left(w: World) {
    let w = w.selling(1, None).await;
    let purchase = w.purchase(1);
    let order = w.new_order(&purchase).await.id;
    for number in 1..=MOST_ATTEMPTS {
        assert!(matches!(w.claim(order, number).await, Claimed::Yes { first: true, .. }));
        let seen = w.observe(order, number, declined()).await;
        assert_eq!((seen.state, seen.payment_intent.as_deref()), (State::Declined, Some("pi_1")));
        assert_eq!(w.stored(order).await, seen);
        let patience = if number < MOST_ATTEMPTS { 120_000 } else { 0 };
        assert_eq!(seen.expires_at.map(|at| at.ms_from(seen.updated_at)), Some(patience));
        match w.accept(&Accept { token: format!("tok_{number}"), ..purchase.clone() }).await {
            Accepted::NextAttempt(next) => assert_eq!((next.attempt, next.decline), (number + 1, None)),
            Accepted::NoAttemptsLeft(order) => assert_eq!(order.attempt, MOST_ATTEMPTS),
            other => panic!("{other:?}"),
        }
    }
    let counters = w.ledger.counters("demo").await.unwrap().unwrap();
    assert_eq!((counters.accepted, counters.finished), (i64::from(MOST_ATTEMPTS), i64::from(MOST_ATTEMPTS)));
    assert_eq!(units(&w.image().await, "std"), (0, 1), "the stock stays pinned through all of it");
}

pub(super) async fn stock_is_released_only_when_stripe_has_said_that_it_cannot_be_paid(w: World) {
    let w = w.selling(1, None).await;
    let order = w.new_order(&w.purchase(1)).await.id;
    w.claim(order, 1).await;
    assert!(matches!(w.apply(order, Change::TimeOver).await, Applied::Refused(_)), "a charge is under way");
    w.observe(order, 1, declined()).await;
    let closing = w.apply(order, Change::TimeOver).await.order().cloned().unwrap();
    assert_eq!((closing.state, units(&w.image().await, "std")), (State::Closing, (0, 1)));
    assert_eq!(w.stored(order).await, closing);
    let ended = w.observe(order, 1, Outcome::Canceled { payment_intent: Some("pi_1".into()) }).await;
    assert_eq!((ended.state, units(&w.image().await, "std")), (State::Expired, (0, 0)));
    let again = Change::Observed { attempt: 1, outcome: Outcome::Canceled { payment_intent: None } };
    assert!(matches!(w.apply(order, again).await, Applied::Order { changed: false, .. }));
    w.new_order(&w.purchase(1)).await;
    assert_eq!(w.accept(&w.purchase(1)).await, Accepted::SoldOut { tier: "std".into() }, "released once");
}

pub(super) async fn three_d_secure_keeps_what_the_page_needs_while_it_needs_it(w: World) {
    let w = w.selling(1, None).await;
    let order = w.new_order(&w.purchase(1)).await.id;
    w.claim(order, 1).await;
    let asks =
        Outcome::RequiresAction { payment_intent: "pi_1".into(), client_secret: ClientSecret::new("pi_1_secret") };
    let waiting = w.observe(order, 1, asks).await;
    assert_eq!(
        (waiting.state, waiting.client_secret.as_ref().map(ClientSecret::expose)),
        (State::RequiresAction, Some("pi_1_secret"))
    );
    assert_eq!(w.stored(order).await, waiting);
    let thinking = w.observe(order, 1, Outcome::Processing { payment_intent: "pi_1".into() }).await;
    assert_eq!((thinking.state, thinking.client_secret, thinking.expires_at), (State::Charging, None, None));
    assert_eq!(w.observe(order, 1, succeeded("pi_1", 2_500)).await.state, State::Paid);
}

pub(super) async fn a_person_decides_what_a_machine_cannot(w: World) {
    let w = w.selling(3, None).await;
    let [approved, rejected, differs] = [w.purchase(1), w.purchase(1), w.purchase(1)];
    for purchase in [&approved, &rejected, &differs] {
        w.new_order(purchase).await;
        w.claim(purchase.order, 1).await;
    }
    for purchase in [&approved, &rejected] {
        let seen = w.observe(purchase.order, 1, Outcome::Stuck { reason: "refused as wrong".into() }).await;
        assert_eq!((seen.state, seen.review.as_deref()), (State::Review, Some("refused as wrong")));
    }
    w.apply(approved.order, Change::Approved(Word::of("ops"))).await;
    assert!(matches!(w.claim(approved.order, 1).await, Claimed::Yes { first: true, .. }));
    w.apply(rejected.order, Change::Rejected { word: Word::of("ops"), taken: None }).await;
    assert_eq!(w.stored(rejected.order).await.state, State::Canceled);
    let seen = w.observe(differs.order, 1, succeeded("pi_3", 1)).await;
    assert_eq!((seen.state, seen.tickets.len()), (State::Review, 0), "another amount is not fulfilled");
    assert_eq!(units(&w.image().await, "std"), (0, 2));
}

pub(super) async fn a_customers_orders_come_the_newest_first(w: World) {
    let w = w.selling(10, None).await;
    let customer = w.env.uuid_v4();
    // Within one millisecond the greater id counts as newer.
    let mut ids: Vec<Uuid> = (0..3).map(|_| w.env.uuid_v7()).collect();
    ids.sort_unstable();
    for order in &ids {
        w.new_order(&Accept { customer, order: *order, ..w.purchase(1) }).await;
    }
    ids.reverse();
    let other = w.purchase(1);
    w.new_order(&other).await;
    let listed = async |customers: &[Uuid], most| {
        let orders = w.ledger.orders_of(customers, most).await.unwrap();
        orders.iter().map(|order| order.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(&[customer], 10).await, ids);
    assert_eq!(listed(&[customer], 2).await, ids[..2]);
    assert!(listed(&[Uuid::nil()], 10).await.is_empty());
    assert!(listed(&[], 10).await.is_empty());
    let both = [other.customer, Uuid::nil(), customer];
    assert_eq!(listed(&both, 10).await, [&[other.order][..], &ids[..]].concat(), "customer by customer");
    assert_eq!(listed(&both, 1).await, [other.order, ids[0]], "so many of each");
    let asked = [ids[2], Uuid::nil(), ids[0]];
    let found = w.ledger.orders(&asked).await.unwrap();
    assert_eq!(found.iter().map(|order| order.id).collect::<Vec<_>>(), [ids[2], ids[0]]);
    assert_eq!(w.ledger.orders(&[]).await.unwrap(), []);
    let of_sale = w.ledger.order_ids("demo", 10).await.unwrap();
    assert!(of_sale.len() == 4 && ids.iter().all(|id| of_sale.contains(id)));
    assert_eq!(w.ledger.order_ids("demo", 3).await.unwrap().len(), 3);
    assert!(w.ledger.order_ids("other", 3).await.unwrap().is_empty());
}

pub(super) async fn the_sweep_finds_what_was_left_behind(w: World) {
    let w = w.selling(10, None).await;
    let owed = w.new_order(&w.purchase(1)).await;
    let charging = w.new_order(&w.purchase(1)).await.id;
    w.claim(charging, 1).await;
    let closing = w.declined_order(&w.purchase(1)).await.id;
    w.apply(closing, Change::TimeOver).await;
    let waits = w.declined_order(&w.purchase(1)).await.id;
    let due = due_order(&w).await;
    let left = async |what, most| {
        let left = w.ledger.left(what, most).await.unwrap();
        let mut ids: Vec<Uuid> = left.iter().map(|order| order.id).collect();
        assert!(left.is_sorted_by_key(|order| (order.updated_at, order.id)), "the oldest first");
        ids.sort_unstable();
        ids
    };
    let all = Timestamp(i64::MAX);
    let mut in_queue = vec![owed.id, charging];
    in_queue.sort_unstable();
    assert_eq!(left(Left::Owed { since: all }, 10).await, in_queue);
    assert_eq!(left(Left::Owed { since: all }, 1).await.len(), 1);
    assert!(!left(Left::Owed { since: owed.updated_at }, 10).await.contains(&owed.id), "not yet");
    assert_eq!(left(Left::Closing { since: all }, 10).await, [closing]);
    assert!(left(Left::Closing { since: Timestamp(0) }, 10).await.is_empty());
    assert_eq!(left(Left::Due, 10).await, [due]);
    assert_ne!(due, waits);
    assert!(left(Left::Authenticating { since: all }, 10).await.is_empty());
    let asks = Outcome::RequiresAction { payment_intent: "pi_1".into(), client_secret: ClientSecret::new("s") };
    let asked = w.observe(charging, 1, asks).await;
    assert_eq!(left(Left::Authenticating { since: all }, 10).await, [charging]);
    assert!(left(Left::Authenticating { since: asked.updated_at }, 10).await.is_empty(), "not yet");
}

/// An order whose last attempt was declined: its time is over at once.
async fn due_order(w: &World) -> Uuid {
    let purchase = w.purchase(1);
    let order = w.declined_order(&purchase).await.id;
    for number in 2..=MOST_ATTEMPTS {
        w.accept(&Accept { token: format!("tok_{number}"), ..purchase.clone() }).await;
        w.claim(order, number).await;
        w.observe(order, number, declined()).await;
    }
    order
}
