//! How what happens changes the world. Whatever has to be decided is decided by the product's functions.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use shared::ledger::{Accept, Accepted, Applied, Change, Claimed, RefundNews, RefundState, Word};
use shared::order::state::StockEffect;
use shared::order::{Order, Outcome, State};
use shared::sale::PricedItem;
use shared::stripe::request_of as prepare;
use shared::stripe::{Answer, idempotency_key};
use worker::decide::{self, Heard, Payable, Step};

use crate::actions::Action;
use crate::rules::{Bank, Rules, Wrong};
use crate::stripe::{Status, number};
use crate::world::{
    AMOUNT, At, Call, Job, Key, Known, Request, SALE, Seen, Shelf, TIER, Task, What, World, id_of, number_of, seen,
};

/// How old an event is taken for on the day it came, and later.
const YOUNG: Duration = Duration::from_secs(5);
const OLD: Duration = Duration::from_secs(3600);

impl World {
    /// Something happens.
    pub(crate) fn happens(&mut self, rules: &Rules, action: Action) {
        match action {
            Action::Reserve(order) => {
                self.shelves[usize::from(order)] = Some(Shelf { version: 0, effect: StockEffect::Pinned });
                self.calls[usize::from(order)] = Call::Pinned { late: false };
            }
            Action::Accept(order) => self.accept(rules, order),
            Action::Queue(order) => {
                self.calls[usize::from(order)] = Call::Over;
                self.queue_charge(order);
            }
            Action::CallDies(order) => {
                self.left.crashes -= 1;
                self.calls[usize::from(order)] = Call::Over;
            }
            Action::NextCard(order) => self.accept(rules, order),
            Action::FreeOrphan(order) => {
                self.shelves[usize::from(order)] = None;
                if let Call::Pinned { late } = &mut self.calls[usize::from(order)] {
                    *late = true;
                }
            }
            Action::QueueOwed(order) => self.queue_charge(order),
            Action::AskAfterBuyer(order, gives_up) => {
                if let Some(attempt) = self.order(order).map(|order| order.attempt) {
                    self.push(Key::Buyer(order, attempt, gives_up), None);
                }
            }
            Action::TimeOver(worker, order) => self.begin_closing(rules, worker, order, &Change::TimeOver),
            Action::CallOff(worker, order) => {
                self.left.called_off = false;
                self.begin_closing(rules, worker, order, &Change::CalledOff);
            }
            Action::FinishClosing(worker, order) => {
                if let Some(order) = self.order(order).map(seen) {
                    self.closes(rules, worker, order);
                }
            }
            Action::Refund(worker, intent) => {
                self.stripe.intents[intent].refunded = true;
                self.workers[worker] = At::Refunded(intent);
            }
            Action::Approve(order) => self.person(rules, order, &Change::Approved(Word::of("a person"))),
            Action::Reject(order) => {
                self.rejected[usize::from(order)] = true;
                self.person(rules, order, &Change::Rejected { word: Word::of("a person"), taken: None });
            }
            Action::Raise(order, attempt) => self.raise(rules, order, attempt),
            action => self.happens_outside(rules, action),
        }
    }

    fn happens_outside(&mut self, rules: &Rules, action: Action) {
        match action {
            Action::Take(worker, key) => {
                if let Some(job) = self.jobs.get_mut(&key) {
                    job.lease = Some(worker);
                    self.begin(rules, worker, key);
                }
            }
            Action::Turn(worker) => self.turn(rules, worker),
            Action::Arrives(request, bank) => self.arrives(rules, request, bank),
            Action::IsLost(request) => drop(self.network.remove(request)),
            Action::Silence(worker) => self.silence(rules, worker),
            Action::Crash(worker) => self.crash(worker),
            Action::Lapse(key) => {
                self.left.lapses -= 1;
                self.jobs.entry(key).and_modify(|job| job.lease = None);
            }
            Action::Event(intent) => self.event(rules, intent, false),
            Action::EventTwice(intent) => {
                self.left.repeats -= 1;
                self.event(rules, intent, true);
            }
            Action::EventLost(intent) => {
                self.left.losses -= 1;
                self.stripe.intents[intent].told = false;
            }
            Action::Confirms(intent, yes) | Action::Decides(intent, yes) => {
                self.stripe.set(intent, if yes { Status::Succeeded } else { Status::Open { declined: true } });
            }
            Action::Day => self.left.days -= 1,
            Action::Dies(key) => {
                self.left.dead_letters -= 1;
                self.jobs.entry(key).and_modify(|job| job.dead = true);
            }
            _ => {}
        }
    }

    fn accept(&mut self, rules: &Rules, order: u8) {
        let at = usize::from(order);
        let again = self.order(order).map(|order| order.attempt);
        let too_late = self.calls[at] == Call::Pinned { late: true };
        let now = self.now(rules);
        let accept = Accept {
            order: id_of(order),
            customer: id_of(order),
            hold: id_of(order),
            sale: SALE.into(),
            epoch: Some(1),
            items: vec![PricedItem { tier: TIER.into(), quantity: 1, amount: AMOUNT }],
            currency: shared::money::Currency::default(),
            email: format!("{order}@example.com"),
            name: "A Shopper".into(),
            token: format!("pm_{}", again.unwrap_or(0) + 1),
            think_ms: 0,
            accept_by: if too_late { now.minus(Duration::from_secs(1)) } else { now.plus(Duration::from_secs(5)) },
            short_line: u32::from(rules.claims) * 9,
        };
        match self.write(rules, |book, at| book.accept(at, &accept)) {
            Accepted::New(_) | Accepted::NextAttempt(_) => self.calls[at] = Call::Committed,
            _ if again.is_some() => {}
            _ => {
                self.calls[at] = Call::Over;
                self.shelves[at] = None;
            }
        }
    }

    fn queue_charge(&mut self, order: u8) {
        if let Some(known) = self.order(order).filter(|known| known.state.is_in_queue()) {
            let key = Key::Charge(order, known.attempt);
            self.push(key, None);
        }
    }

    fn begin_closing(&mut self, rules: &Rules, worker: usize, order: u8, change: &Change) {
        if let Applied::Order { order, .. } = self.write(rules, |book, at| book.apply(at, id_of(order), change)) {
            let shown = self.settle_stock(rules, &order);
            if shown && order.state == State::Closing {
                self.closes(rules, worker, seen(&order));
            }
        }
    }

    /// Asks Stripe to cancel what an order can be paid by.
    fn closes(&mut self, rules: &Rules, worker: usize, order: Seen) {
        match Payable::of(&order) {
            Some(Payable::Intent(name)) if rules.wrong != Some(Wrong::ReleasesBeforeStripesWord) => {
                if let Some(intent) = number(name) {
                    self.send(worker, What::Cancel(intent), At::Waits(Task::Close, order, None));
                }
            }
            _ => self.respond(&order, order.attempt, Outcome::Canceled { payment_intent: None }),
        }
    }

    fn raise(&mut self, rules: &Rules, order: u8, attempt: u32) {
        let outcome = Outcome::Stuck { reason: "a dead letter".into() };
        let known = self.order(order);
        if known.is_some_and(|known| known.state.is_in_queue() && known.attempt == attempt) {
            let change = Change::Observed { attempt, outcome };
            self.write(rules, |book, at| book.apply(at, id_of(order), &change));
        } else {
            // Somebody else settled it: the letter says nothing any more.
            self.jobs.remove(&Key::Charge(order, attempt));
        }
    }

    /// A person decides, and throws the dead letter away.
    fn person(&mut self, rules: &Rules, order: u8, change: &Change) {
        if let Applied::Order { order: known, .. } = self.write(rules, |book, at| book.apply(at, id_of(order), change))
        {
            self.settle_stock(rules, &known);
            self.jobs.retain(|_, job| !job.dead);
            self.queue_charge(order);
        }
    }

    fn turn(&mut self, rules: &Rules, worker: usize) {
        match std::mem::replace(&mut self.workers[worker], At::Idle) {
            At::Idle | At::Waits(..) => {}
            At::LooksUp(task, order) => {
                let attempt = self.ledger.attempts.get(&(order.id, order.attempt));
                let known = order.payment_intent.as_ref().or(attempt.and_then(|a| a.payment_intent.as_ref()));
                let step = match known.and_then(|name| number(name)) {
                    Some(intent) => decide::step(&order, self.stripe.read(intent)),
                    None => decide::found(&order, self.stripe.find(number_of(order.id))),
                };
                self.workers[worker] = At::Knows(task, order, Known::shown(step));
            }
            At::Reads(key, order, intent) => self.reads(rules, worker, key, order, intent),
            At::Knows(task, order, step) => self.concludes(rules, worker, task, order, &step),
            At::Shows(order, key) => {
                if self.settle_stock(rules, &order) {
                    self.finish(worker, key)
                } else {
                    self.again(worker, key)
                }
            }
            At::Refunded(intent) => self.refunded(rules, intent),
        }
    }

    fn begin(&mut self, rules: &Rules, worker: usize, key: Key) {
        match key {
            Key::Charge(order, attempt) => self.claim(rules, worker, order, attempt),
            Key::Respond(order, attempt) => {
                let Some(outcome) = self.jobs.get(&key).and_then(|job| job.outcome.clone()) else { return };
                self.settle(rules, worker, key, order, attempt, (*outcome).clone());
            }
            Key::Hint(intent, _) => {
                let order = self.stripe.intents[intent].order;
                let Some(known) = self.order(order).map(seen) else { return self.finish(worker, key) };
                let paid = known.payment_intent.as_deref().and_then(number) == Some(intent);
                if known.state == State::Paid && paid {
                    self.shows(rules, worker, known, key);
                } else {
                    self.workers[worker] = At::Reads(key, known, intent);
                }
            }
            Key::Buyer(order, attempt, _) => {
                let Some(known) = self.order(order).map(seen) else { return self.finish(worker, key) };
                let waits = match decide::waits(&known, attempt) {
                    Some(Payable::Intent(name)) => number(name),
                    _ => None,
                };
                match waits {
                    Some(intent) => self.workers[worker] = At::Reads(key, known, intent),
                    None => self.shows(rules, worker, known, key),
                }
            }
        }
    }

    fn claim(&mut self, rules: &Rules, worker: usize, order: u8, attempt: u32) {
        let key = Key::Charge(order, attempt);
        match self.write(rules, |book, at| book.claim(at, id_of(order), attempt, prepare)) {
            Claimed::Yes { order: known, attempt: sent, .. } => {
                let age = sent.first_sent_at.map(|first| self.now(rules).since(first));
                if age.is_none_or(|age| age > worker::RESEND_FOR) {
                    self.workers[worker] = At::LooksUp(Task::Charge(key), seen(&known));
                    return;
                }
                let mut idempotency = idempotency_key(known.id, attempt);
                if rules.wrong == Some(Wrong::NewKeyOnRetry) {
                    idempotency = format!("{idempotency}-{}", self.left.silences);
                }
                let waits = At::Waits(Task::Charge(key), seen(&known), None);
                self.send(worker, What::Charge(order, attempt, idempotency), waits);
            }
            Claimed::No(known) if decide::is_seen_after(&known, attempt) => {
                self.workers[worker] = At::LooksUp(Task::SeeAfter(key), seen(&known));
            }
            Claimed::No(known) | Claimed::Unpreparable(known) => self.shows(rules, worker, seen(&known), key),
            Claimed::Unknown => self.finish(worker, key),
        }
    }

    fn send(&mut self, worker: usize, what: What, waits: At) {
        self.network.push(Request { waiter: Some(worker), what });
        self.workers[worker] = waits;
    }

    fn reads(&mut self, rules: &Rules, worker: usize, key: Key, order: Seen, intent: usize) {
        let answer = self.stripe.read(intent);
        if let Key::Buyer(_, _, gives_up) = key {
            let step = match (answer, gives_up) {
                // The job comes again, until the order has moved on.
                (Answer::RequiresAction { .. }, false) => return self.again(worker, key),
                (Answer::RequiresAction { payment_intent, .. }, true) => {
                    Step::CallOff { payment_intent, decline: shared::decline::Decline::canceled() }
                }
                (answer, _) => decide::step(&order, answer),
            };
            self.workers[worker] = At::Knows(Task::Settle(key), order, Known::shown(step));
            return;
        }
        let Some(attempt) = self.ledger.attempts.get(&(order.id, order.attempt)) else { return };
        let name = crate::stripe::name(intent);
        let age = if self.left.days < rules.mishaps.days { OLD } else { YOUNG };
        match decide::heard(&order, attempt, Payable::Intent(&name), answer, age) {
            Heard::Step(step) => self.workers[worker] = At::Knows(Task::Settle(key), order, Known::shown(step)),
            Heard::Wait { .. } => self.again(worker, key),
            Heard::Nothing if order.state.is_final() => self.shows(rules, worker, order, key),
            Heard::Nothing => self.finish(worker, key),
            Heard::AnothersPayment => {
                self.broken = self.broken.or(Some("an event led to another order"));
                self.finish(worker, key);
            }
        }
    }

    fn concludes(&mut self, rules: &Rules, worker: usize, task: Task, order: Seen, step: &Step) {
        match (step, task) {
            (Step::Settle(Outcome::Processing { .. }), Task::SeeAfter(key)) => self.again(worker, key),
            (Step::Settle(outcome), Task::Charge(key) | Task::SeeAfter(key)) => {
                let Key::Charge(_, attempt) = key else { return };
                if self.has(worker, key) {
                    self.respond(&order, attempt, outcome.clone());
                }
                self.finish(worker, key);
            }
            (Step::Settle(outcome), Task::Settle(key)) => {
                self.settle(rules, worker, key, number_of(order.id), order.attempt, outcome.clone());
            }
            (Step::Settle(outcome), Task::Close) => self.respond(&order, order.attempt, outcome.clone()),
            (Step::CallOff { payment_intent, decline }, _) => {
                if let Some(intent) = number(payment_intent) {
                    let waits = At::Waits(task, order, Some(Known::shown(decline.clone())));
                    self.send(worker, What::Cancel(intent), waits);
                }
            }
            (Step::LookUp, Task::Charge(_)) => self.workers[worker] = At::LooksUp(task, order),
            (Step::LookUp | Step::Again { .. }, task) => self.comes_again(worker, task),
        }
    }

    fn comes_again(&mut self, worker: usize, task: Task) {
        match task.job() {
            Some(key) => self.again(worker, key),
            None => self.workers[worker] = At::Idle,
        }
    }

    fn settle(&mut self, rules: &Rules, worker: usize, key: Key, order: u8, attempt: u32, outcome: Outcome) {
        let change = Change::Observed { attempt, outcome };
        match self.write(rules, |book, at| book.apply(at, id_of(order), &change)) {
            Applied::Order { order, .. } => self.shows(rules, worker, seen(&order), key),
            Applied::Refused(_) | Applied::Unknown => {
                self.broken = self.broken.or(Some("what Stripe said was refused"));
                self.finish(worker, key);
            }
        }
    }

    /// The stock is to show an order. What it knows already it knows for good, so that nothing can come in between.
    fn shows(&mut self, rules: &Rules, worker: usize, order: Seen, key: Key) {
        let shelf = self.shelves[usize::from(number_of(order.id))];
        let is_known = shelf.is_none_or(|shelf| order.version <= shelf.version);
        if is_known && rules.wrong != Some(Wrong::NoVersions) {
            self.finish(worker, key);
        } else {
            self.workers[worker] = At::Shows(order, key);
        }
    }

    /// Queues an outcome; one of the same attempt that is queued already has its place.
    fn respond(&mut self, order: &Order, attempt: u32, outcome: Outcome) {
        self.push(Key::Respond(number_of(order.id), attempt), Some(Known::shown(outcome)));
    }

    fn arrives(&mut self, rules: &Rules, request: usize, bank: Bank) {
        let Request { waiter, what } = self.network.remove(request);
        let answer = match &what {
            What::Cancel(intent) => self.stripe.cancel(*intent),
            What::Charge(order, attempt, key) => {
                let Some(stored) = self.ledger.attempts.get(&(id_of(*order), *attempt)).and_then(|a| a.request.clone())
                else {
                    return;
                };
                let mut hasher = DefaultHasher::new();
                (&stored.path, &stored.body, &stored.version).hash(&mut hasher);
                self.stripe.charge(*order, key, &stored.path, hasher.finish(), bank)
            }
        };
        let Some(worker) = waiter else { return };
        let At::Waits(task, order, decline) = std::mem::replace(&mut self.workers[worker], At::Idle) else { return };
        let step = match (task, decline, &what) {
            (_, Some(decline), _) => decide::called_off(&order, answer, (*decline).clone())
                .map_or_else(|reason| Step::Again { after: None, reason }, Step::Settle),
            (Task::Close, None, What::Cancel(intent)) => {
                let name = crate::stripe::name(*intent);
                match decide::ended(&order, Payable::Intent(&name), answer) {
                    Some(outcome) => Step::Settle(outcome),
                    None => return,
                }
            }
            _ => decide::step(&order, answer),
        };
        match task {
            // Between the answer and the job that carries it on, nothing else can be told apart from before the answer.
            Task::Charge(_) | Task::SeeAfter(_) | Task::Close => self.concludes(rules, worker, task, order, &step),
            Task::Settle(_) => self.workers[worker] = At::Knows(task, order, Known::shown(step)),
        }
    }

    fn silence(&mut self, rules: &Rules, worker: usize) {
        self.left.silences -= 1;
        self.forgets(worker);
        let At::Waits(task, order, decline) = std::mem::replace(&mut self.workers[worker], At::Idle) else { return };
        if rules.wrong == Some(Wrong::SilenceIsNo) {
            let no = Outcome::Declined { payment_intent: None, decline: decide::not_charged() };
            self.workers[worker] = At::Knows(task, order, Known::shown(Step::Settle(no)));
            return;
        }
        let nothing = Answer::Unknown { reason: "nobody answered".into(), replayed: false };
        match (task, decline) {
            (Task::Close, None) => {}
            (task, Some(_)) => self.comes_again(worker, task),
            (task, None) => {
                let step = decide::step(&order, nothing);
                self.concludes(rules, worker, task, order, &step);
            }
        }
    }

    /// A process is killed; what it had of the queue comes to others.
    fn crash(&mut self, worker: usize) {
        self.left.crashes -= 1;
        self.forgets(worker);
        self.workers[worker] = At::Idle;
        for job in self.jobs.values_mut().filter(|job| job.lease == Some(worker)) {
            job.lease = None;
        }
    }

    fn forgets(&mut self, worker: usize) {
        for request in self.network.iter_mut().filter(|request| request.waiter == Some(worker)) {
            request.waiter = None;
        }
    }

    fn event(&mut self, rules: &Rules, intent: usize, comes_again: bool) {
        if let Some(key) = self.free_hint(rules, intent) {
            self.stripe.intents[intent].told = comes_again;
            self.jobs.insert(key, Job::default());
        }
    }

    fn refunded(&mut self, rules: &Rules, intent: usize) {
        let name = crate::stripe::name(intent);
        let owed = self.ledger.refunds.values().find(|refund| refund.payment_intent == name);
        let Some((id, order)) = owed.map(|refund| (refund.id, refund.order)) else { return };
        let news = RefundNews {
            refund: id,
            state: RefundState::Succeeded,
            stripe_id: Some(format!("re_{intent}")),
            note: None,
            spent_key: None,
        };
        self.write(rules, |book, at| book.record_refund(at, order, &news));
    }
}
