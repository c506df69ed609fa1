//! The book's decisions, one story each.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::*;
use crate::env::Seeded;
use crate::ledger::conformance::demo;
use crate::ledger::{Accept, Accepted, Applied, Change, Claimed};
use crate::order::{Attempt, Outcome};
use crate::stripe::StoredRequest;

struct World {
    seeded: Seeded,
    env: Env,
    book: Book,
}

fn world(capacity: u32, limit: Option<u32>) -> World {
    let seeded = Seeded::new(1);
    let env = seeded.env();
    let mut book = Book::new(Terms::default());
    book.insert_sale(demo(capacity, limit), SaleCounters::default(), BTreeMap::new());
    World { seeded, env, book }
}

fn request(_: &Order, attempt: &Attempt, _: Option<&Sale>) -> Result<StoredRequest, String> {
    Ok(StoredRequest { path: "/v1/payment_intents".into(), body: format!("n={}", attempt.number), version: "v".into() })
}

impl World {
    fn purchase(&self, quantity: u32) -> Accept {
        Accept {
            order: self.env.uuid_v7(),
            customer: self.env.uuid_v4(),
            hold: self.env.uuid_v7(),
            sale: "demo".into(),
            epoch: Some(1),
            items: vec![PricedItem { tier: "std".into(), quantity, amount: 2_500 }],
            currency: "usd".parse().unwrap(),
            email: format!("{}@example.com", self.env.random_u64()),
            name: "A. Shopper".into(),
            token: "tok_visa".into(),
            think_ms: 60_000,
            accept_by: Timestamp(i64::MAX),
            short_line: 0,
        }
    }

    fn accept(&mut self, accept: &Accept) -> Accepted {
        self.book.accept(Moment { now: self.env.now(), env: &self.env }, accept)
    }

    fn new_order(&mut self, accept: &Accept) -> Order {
        match self.accept(accept) {
            Accepted::New(order) => order,
            other => panic!("not accepted: {other:?}"),
        }
    }

    fn claim(&mut self, order: Uuid, attempt: u32) -> Claimed {
        self.book.claim(Moment { now: self.env.now(), env: &self.env }, order, attempt, request)
    }

    fn apply(&mut self, order: Uuid, change: Change) -> Applied {
        self.book.apply(Moment { now: self.env.now(), env: &self.env }, order, &change)
    }

    fn observe(&mut self, order: Uuid, attempt: u32, outcome: Outcome) -> Order {
        self.apply(order, Change::Observed { attempt, outcome }).order().cloned().unwrap()
    }

    fn committed(&self) -> u32 {
        self.book.sales["demo"].committed.get("std").copied().unwrap_or(0)
    }
}

fn succeeded(payment_intent: &str, amount: i64) -> Outcome {
    Outcome::Succeeded {
        payment_intent: Some(payment_intent.into()),
        charge: Some("ch_1".into()),
        amount,
        currency: "usd".parse().unwrap(),
    }
}

fn declined() -> Outcome {
    let decline = crate::decline::DeclineClass::of_stripe(Some("card_declined"), None, None);
    Outcome::Declined { payment_intent: Some("pi_1".into()), decline }
}

#[test]
fn a_purchase_is_accepted_claimed_and_paid() {
    let mut w = world(2, None);
    let order = w.new_order(&w.purchase(2)).id;
    assert_eq!(w.committed(), 2);
    assert!(matches!(w.claim(order, 1), Claimed::Yes { first: true, .. }));
    let paid = w.observe(order, 1, succeeded("pi_1", 5_000));
    assert_eq!((paid.state, paid.version, paid.tickets.len()), (State::Paid, 3, 2));
    assert_ne!(paid.tickets[0].code, paid.tickets[1].code);
    let counters = w.book.sales["demo"].counters;
    assert_eq!((counters.accepted, counters.finished), (1, 1));
}

#[test]
fn the_ledgers_own_guard_refuses_what_the_stock_should_not_have_held() {
    let mut w = world(1, None);
    w.new_order(&w.purchase(1));
    let second = w.purchase(1);
    assert_eq!(w.accept(&second), Accepted::SoldOut { tier: "std".into() });
    assert_eq!(w.committed(), 1);
}

#[test]
fn the_limit_holds_per_customer_and_per_mail_address() {
    let mut w = world(10, Some(2));
    let first = w.purchase(2);
    w.new_order(&first);
    let same_customer = Accept { customer: first.customer, ..w.purchase(1) };
    assert_eq!(w.accept(&same_customer), Accepted::LimitReached { tier: "std".into() });
    let (local, domain) = first.email.split_once('@').unwrap();
    let same_mail = Accept { email: format!("{}+again@{domain}", local.to_uppercase()), ..w.purchase(1) };
    assert_eq!(w.accept(&same_mail), Accepted::LimitReached { tier: "std".into() });
}

#[test]
fn double_click_same_client_attempt_id_same_job_same_answer() {
    let mut w = world(10, None);
    let purchase = w.purchase(1);
    let order = w.new_order(&purchase);
    assert_eq!(w.accept(&purchase), Accepted::Replay(order));
    let without_hold = Accept { epoch: None, items: vec![], sale: String::new(), ..purchase.clone() };
    assert!(matches!(w.accept(&without_hold), Accepted::Replay(_)));
    assert_eq!(w.committed(), 1);
    let other_items =
        Accept { items: vec![PricedItem { tier: "std".into(), quantity: 2, amount: 2_500 }], ..purchase.clone() };
    assert_eq!(w.accept(&other_items), Accepted::Conflict);
    assert_eq!(w.accept(&Accept { customer: Uuid::nil(), ..purchase.clone() }), Accepted::Conflict);
    assert_eq!(w.accept(&Accept { token: "tok_other".into(), ..purchase }), Accepted::InProgress);
}

#[test]
fn a_hold_serves_one_order() {
    let mut w = world(10, None);
    let first = w.purchase(1);
    w.new_order(&first);
    let second = Accept { hold: first.hold, ..w.purchase(1) };
    assert_eq!(w.accept(&second), Accepted::Conflict);
}

#[test]
fn holds_of_an_older_epoch_late_accepts_and_paused_sales_are_refused() {
    let mut w = world(10, None);
    let accept = Accept { epoch: Some(0), ..w.purchase(1) };
    assert_eq!(w.accept(&accept), Accepted::WrongEpoch);
    let accept = Accept { accept_by: Timestamp(1), ..w.purchase(1) };
    assert_eq!(w.accept(&accept), Accepted::TooLate);
    let accept = Accept { epoch: None, ..w.purchase(1) };
    assert_eq!(w.accept(&accept), Accepted::NoHold);
    w.book.sales.get_mut("demo").unwrap().sale.paused = true;
    let accept = w.purchase(1);
    assert_eq!(w.accept(&accept), Accepted::Paused);
    assert_eq!(w.committed(), 0);
}

#[test]
fn a_basket_that_names_a_tier_twice_cannot_pass_the_guards_of_each_item() {
    let mut w = world(10, Some(2));
    let item = |quantity| PricedItem { tier: "std".into(), quantity, amount: 2_500 };
    for items in [vec![item(2), item(2)], vec![item(1), item(1)], vec![]] {
        let accept = Accept { items, ..w.purchase(1) };
        assert_eq!(w.accept(&accept), Accepted::Unknown);
    }
    assert_eq!(w.committed(), 0);
}

#[test]
fn a_redelivered_claim_sends_the_same_bytes() {
    let mut w = world(1, None);
    let order = w.new_order(&w.purchase(1)).id;
    let Claimed::Yes { attempt: first, .. } = w.claim(order, 1) else { panic!("not claimed") };
    let Claimed::Yes { attempt: second, first: false, .. } = w.claim(order, 1) else { panic!("not claimed again") };
    assert_eq!(first.request, second.request);
    assert!(matches!(w.claim(order, 2), Claimed::No(_)));
    w.observe(order, 1, succeeded("pi_1", 2_500));
    assert!(matches!(w.claim(order, 1), Claimed::No(_)));
}

#[test]
fn an_order_whose_request_cannot_be_made_goes_to_a_person() {
    let mut w = world(1, None);
    let order = w.new_order(&w.purchase(1)).id;
    let at = w.env.now();
    let claimed =
        w.book.claim(Moment { now: at, env: &w.env.clone() }, order, 1, |_, _, _| Err("no such token".into()));
    let Claimed::Unpreparable(order) = claimed else { panic!("{claimed:?}") };
    assert_eq!((order.state, order.review.as_deref()), (State::Review, Some("no such token")));
}

#[test]
fn card_declined_hold_valid_allows_a_new_attempt_and_caps_attempts() {
    let mut w = world(1, None);
    let purchase = w.purchase(1);
    let order = w.new_order(&purchase).id;
    for number in 1..=MOST_ATTEMPTS_U32 {
        assert!(matches!(w.claim(order, number), Claimed::Yes { .. }));
        let seen = w.observe(order, number, declined());
        assert_eq!((seen.state, seen.payment_intent.as_deref()), (State::Declined, Some("pi_1")));
        let next = Accept { token: format!("tok_{number}"), ..purchase.clone() };
        match w.accept(&next) {
            Accepted::NextAttempt(order) => assert_eq!((order.attempt, order.decline), (number + 1, None)),
            Accepted::NoAttemptsLeft(order) => assert_eq!(order.attempt, MOST_ATTEMPTS_U32),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(w.committed(), 1, "the stock stays pinned through all of it");
}

#[test]
fn an_attempt_that_is_not_the_newest_is_never_sent_again() {
    let mut w = world(1, None);
    let purchase = w.purchase(1);
    let order = w.new_order(&purchase).id;
    assert!(matches!(w.claim(order, 1), Claimed::Yes { .. }));
    w.observe(order, 1, declined());
    w.accept(&Accept { token: "tok_other".into(), ..purchase });
    assert!(matches!(w.claim(order, 1), Claimed::No(_)));
    assert!(matches!(w.claim(order, 2), Claimed::Yes { first: true, .. }));
}

const MOST_ATTEMPTS_U32: u32 = crate::order::MOST_ATTEMPTS;

#[test]
fn a_decline_leaves_the_buyer_two_minutes_however_long_the_order_waited_for_its_turn() {
    let mut w = world(1, None);
    let purchase = Accept { think_ms: 1_000, ..w.purchase(1) };
    let order = w.new_order(&purchase).id;
    w.claim(order, 1);
    let seen = w.observe(order, 1, declined());
    assert_eq!(seen.expires_at, Some(w.env.now().plus(Duration::from_secs(120))));
    w.seeded.advance(Duration::from_secs(119));
    assert!(matches!(w.accept(&Accept { token: "tok_2".into(), ..purchase.clone() }), Accepted::NextAttempt(_)));
    w.seeded.advance(Duration::from_secs(900));
    w.claim(order, 2);
    let seen = w.observe(order, 2, declined());
    assert_eq!(seen.expires_at, Some(w.env.now().plus(Duration::from_secs(120))));
    w.seeded.advance(Duration::from_secs(120));
    assert!(matches!(w.accept(&Accept { token: "tok_3".into(), ..purchase }), Accepted::Ended(_)));
}

#[test]
fn thinking_time_that_was_left_is_granted_within_a_bound_for_the_whole_order() {
    let mut w = world(1, None);
    let purchase = Accept { think_ms: 600_000, ..w.purchase(1) };
    let order = w.new_order(&purchase).id;
    w.claim(order, 1);
    let seen = w.observe(order, 1, declined());
    assert_eq!(seen.expires_at, Some(w.env.now().plus(Duration::from_secs(600))));
    assert!(matches!(w.accept(&Accept { token: "tok_2".into(), ..purchase }), Accepted::NextAttempt(_)));
    w.seeded.advance(Duration::from_secs(500));
    w.claim(order, 2);
    let seen = w.observe(order, 2, declined());
    assert_eq!(seen.expires_at, Some(w.env.now().plus(Duration::from_secs(400))), "900 s after its acceptance");
}

#[test]
fn stock_is_released_only_when_stripe_has_said_that_it_cannot_be_paid() {
    let mut w = world(1, None);
    let order = w.new_order(&w.purchase(1)).id;
    w.claim(order, 1);
    assert!(matches!(w.apply(order, Change::TimeOver), Applied::Refused(_)), "a charge is under way");
    w.observe(order, 1, declined());
    let closing = w.apply(order, Change::TimeOver).order().cloned().unwrap();
    assert_eq!((closing.state, w.committed()), (State::Closing, 1));
    let ended = w.observe(order, 1, Outcome::Canceled { payment_intent: Some("pi_1".into()) });
    assert_eq!((ended.state, w.committed()), (State::Expired, 0));
    let again = w.apply(order, Change::Observed { attempt: 1, outcome: Outcome::Canceled { payment_intent: None } });
    assert!(matches!(again, Applied::Order { changed: false, .. }));
    assert_eq!(w.committed(), 0, "released once");
}

#[test]
fn paid_after_release_is_fulfilled_while_units_are_free_and_refunded_otherwise() {
    for (taken, state, refunds) in [(false, State::Paid, 0), (true, State::Expired, 1)] {
        let mut w = world(1, None);
        let order = w.new_order(&w.purchase(1)).id;
        w.claim(order, 1);
        w.observe(order, 1, declined());
        w.apply(order, Change::TimeOver);
        w.observe(order, 1, Outcome::Canceled { payment_intent: None });
        if taken {
            let other = w.purchase(1);
            w.new_order(&other);
        }
        for _ in 0..2 {
            let seen = w.observe(order, 1, succeeded("pi_1", 2_500));
            assert_eq!((seen.state, w.book.refunds.len(), w.committed()), (state, refunds, 1));
        }
    }
}

#[test]
fn a_second_success_is_refunded_once_and_the_order_stays_paid() {
    let mut w = world(1, None);
    let order = w.new_order(&w.purchase(1)).id;
    w.claim(order, 1);
    w.observe(order, 1, succeeded("pi_1", 2_500));
    for _ in 0..2 {
        assert_eq!(w.observe(order, 1, succeeded("pi_2", 2_500)).state, State::Paid);
    }
    let refunds: Vec<&Refund> = w.book.refunds.values().collect();
    assert_eq!(refunds.len(), 1);
    assert_eq!((refunds[0].payment_intent.as_str(), refunds[0].amount), ("pi_2", 2_500));
}

#[test]
fn another_amount_than_the_orders_is_not_fulfilled() {
    let mut w = world(1, None);
    let order = w.new_order(&w.purchase(1)).id;
    w.claim(order, 1);
    let seen = w.observe(order, 1, succeeded("pi_1", 1));
    assert_eq!((seen.state, seen.tickets.len(), w.committed()), (State::Review, 0, 1));
}
