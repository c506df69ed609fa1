//! Two tabs of one buyer: a card waits for the bank in the first, and another card pays in the second, while the first
//! goes on with its challenge at every moment there is, with Stripe's events before and after the answer, and twice.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use shared::jobs::{Authentication, Cause, CreateCharge, ProcessResponse, Webhook};
use shared::ledger::Ledger as _;
use shared::order::State;
use shared::queue::{Delivery, Finish, Job as _};
use std::time::Duration;

use super::faults::Fate;
use super::stripe::{Challenge, Status};
use super::world::{Purchase, World, now};

/// How the first card comes to its end, so that the second can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The challenge is failed in the second tab: both cards are tried on one payment.
    Failed,
    /// It is given up in the second tab: the payment is canceled, and the second card has one of its own.
    GivenUp,
}

/// What the second card does.
const CARDS: [&str; 3] = ["tok_visa_2", "tok_action_2", "tok_declined_2"];
/// The steps of [`Tabs::step`].
const STEPS: usize = 10;

struct Tabs {
    w: World,
    order: Purchase,
    end: End,
    card: &'static str,
    /// What the first tab shows.
    challenge: Challenge,
    running: Option<(Delivery, BoxFuture<'static, Finish>)>,
}

impl Tabs {
    fn open(end: End, card: &'static str) -> Self {
        let w = World::new(3);
        let order = w.buy("tok_action");
        w.work();
        assert_eq!(w.state(&order), State::RequiresAction);
        let challenge = w.stripe.challenge("pi_0001");
        Self { w, order, end, card, challenge, running: None }
    }

    /// One step of the second tab, and of what it leads to; one that has become impossible is none.
    fn step(&mut self, number: usize) {
        match (number, self.end) {
            (0, End::GivenUp) => self.w.refresh(&self.order, Cause::GivenUp),
            (0, End::Failed) => {
                self.w.stripe.answer_challenge(&self.challenge, false);
            }
            (1, End::GivenUp) => self.start(Authentication::QUEUE, "retrieve", Fate::StopsAfter),
            (1, End::Failed) => {
                self.hear("payment_intent.payment_failed", 1);
            }
            (2, End::GivenUp) => self.stop_again("cancel", Fate::StopsAfter),
            (2, End::Failed) => self.w.pass_secs(1),
            (3, _) => self.finish(),
            (4, _) => {
                self.w.pay_again(&self.order, self.card);
            }
            (5, _) => self.start(CreateCharge::QUEUE, "claim", Fate::StopsAfter),
            (6, _) => self.stop_again("send", Fate::StopsAfter),
            (7, _) => self.finish(),
            (8, _) => self.start(ProcessResponse::QUEUE, "apply", Fate::StopsBefore),
            _ => self.finish(),
        }
    }

    fn start(&mut self, queue: &'static str, call: &'static str, fate: Fate) {
        let Some(delivery) = self.w.deliver(queue) else { return };
        let handler = self.w.handler(&delivery);
        self.running = Some((delivery, handler));
        self.stop_again(call, fate);
    }

    /// Goes on to where it stops next, or to its end.
    fn stop_again(&mut self, call: &'static str, fate: Fate) {
        let Some((delivery, mut handler)) = self.running.take() else { return };
        self.w.faults.next(call, fate);
        match (&mut handler).now_or_never() {
            Some(end) => {
                self.w.finish(&delivery, end);
                self.w.faults.forget();
            }
            None => self.running = Some((delivery, handler)),
        }
    }

    fn finish(&mut self) {
        if let Some((delivery, handler)) = self.running.take() {
            self.w.finish(&delivery, now(handler));
        }
    }

    /// Stripe's events come, each so many times.
    fn hear(&mut self, kind: &str, times: usize) {
        for intent in self.w.stripe.intents(self.order.order) {
            for _ in 0..times {
                self.w.hear(kind, &intent.id, &self.order.order.to_string());
            }
        }
        while let Some(delivery) = self.w.deliver(Webhook::QUEUE) {
            let end = now(self.w.handler(&delivery));
            self.w.finish(&delivery, end);
        }
    }

    /// Whatever was open comes to its end, and a second card that is at the bank is answered there.
    fn settle_down(&mut self) {
        self.finish();
        self.w.live(Duration::from_secs(90));
        if self.w.state(&self.order) == State::RequiresAction {
            let payment_intent = self.w.order(&self.order).payment_intent.unwrap();
            self.w.stripe.answer_challenge(&self.w.stripe.challenge(&payment_intent), true);
        }
        self.w.live(Duration::from_secs(90));
        self.hear("payment_intent.succeeded", 2);
        if !self.w.state(&self.order).is_final() {
            self.w.live(Duration::from_secs(1_200));
        }
        self.w.live(Duration::from_secs(30));
    }
}

/// Plays one interleaving: the first tab passes its challenge before step `pass`, and Stripe tells before step `tell`.
fn play(end: End, card: &'static str, pass: usize, tell: usize, times: usize) -> (State, bool) {
    let tale = format!("{end:?} {card} passes before {pass}, told before {tell}, {times} times");
    let mut tabs = Tabs::open(end, card);
    let mut passed = false;
    for number in 0..=STEPS {
        if number == pass {
            passed = tabs.w.stripe.answer_challenge(&tabs.challenge, true);
        }
        if number == tell {
            tabs.hear("payment_intent.succeeded", times);
            tabs.w.pass_secs(1);
            tabs.hear("payment_intent.requires_action", times);
        }
        if number < STEPS {
            tabs.step(number);
        }
    }
    tabs.settle_down();
    let (w, order) = (&tabs.w, &tabs.order);
    let state = w.state(order);
    let paid = usize::from(state == State::Paid);
    assert!(matches!(state, State::Paid | State::Expired), "{tale}: {state}");
    assert_eq!(w.stripe.paid(order.order), paid, "{tale}: {:?}", w.stripe.intents(order.order));
    let sold = u32::try_from(paid).unwrap();
    assert_eq!(w.counts(), (3 - sold, 0, sold), "{tale}");
    assert_eq!((w.told_state(order), w.unfinished()), (state.to_string(), 0), "{tale}");
    assert!(!passed || state == State::Paid, "{tale}: who passed has paid");
    let money = w.stripe.intents(order.order).iter().filter(|intent| intent.status == Status::Succeeded).count();
    assert_eq!(money, paid, "{tale}: nothing had to be given back");
    (state, passed)
}

#[test]
fn whenever_the_first_tab_passes_its_challenge_the_order_is_charged_once() {
    let (mut played, mut passed, mut too_late) = (0, 0, 0);
    for end in [End::Failed, End::GivenUp] {
        for card in CARDS {
            for pass in 0..=STEPS {
                for tell in pass..=STEPS {
                    for times in [1, 2] {
                        let (_, first) = play(end, card, pass, tell, times);
                        played += 1;
                        passed += usize::from(first);
                        too_late += usize::from(!first);
                    }
                }
            }
        }
    }
    assert!(passed > 50 && too_late > 50, "{played} tales are too tame: {passed} in time, {too_late} too late");
}

/// Should Stripe ever let an old challenge pass after all (as it says it never does), the money goes back by itself.
#[test]
fn a_second_success_of_the_first_tab_is_given_back_and_counted_once() {
    let mut given_back = 0;
    for end in [End::Failed, End::GivenUp] {
        for moment in 0..=STEPS {
            for times in [1, 2] {
                let tale = format!("{end:?} before {moment}, {times} times");
                let mut tabs = Tabs::open(end, "tok_visa_2");
                for number in 0..STEPS {
                    if number == moment {
                        tabs.w.stripe.pass_all_the_same("pi_0001");
                        tabs.hear("payment_intent.succeeded", times);
                    }
                    tabs.step(number);
                }
                if moment == STEPS {
                    tabs.w.stripe.pass_all_the_same("pi_0001");
                }
                tabs.settle_down();
                let (w, order) = (&tabs.w, &tabs.order);
                let intents = w.stripe.intents(order.order);
                assert_eq!((w.state(order), w.stripe.paid(order.order)), (State::Paid, 1), "{tale}: {intents:?}");
                let taken = intents.iter().filter(|intent| intent.received > 0).count();
                let back = intents.iter().filter(|intent| intent.refunded > 0).count();
                assert_eq!(back, taken - 1, "{tale}: {intents:?}");
                let audit = now(w.ledger.audit(order.order)).unwrap();
                let twice =
                    audit.iter().filter(|line| line.note.as_deref().is_some_and(|n| n.starts_with("paid_twice")));
                assert_eq!(twice.count(), back, "{tale}");
                given_back += back;
                assert_eq!(w.counts(), (2, 0, 1), "{tale}");
            }
        }
    }
    assert!(given_back > 5, "the tales are too tame: {given_back}");
}
