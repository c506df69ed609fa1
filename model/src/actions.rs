//! What can happen next.

use shared::order::State;
use shared::order::state::StockEffect;
use stateright::{Model, Property};

use crate::properties;
use crate::rules::{Bank, Rules};
use crate::stripe::Status;
use crate::world::{At, Call, Key, Task, What, World};

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A buyer's call takes a ticket from the stock, pinned to their order.
    Reserve(u8),
    /// The call's order is written into the ledger, or refused.
    Accept(u8),
    /// The call queues the charge, and ends.
    Queue(u8),
    /// The process that answers the call is killed.
    CallDies(u8),
    /// A declined buyer brings another card.
    NextCard(u8),
    /// A pin without an order is freed.
    FreeOrphan(u8),
    /// A worker takes a job.
    Take(usize, Key),
    /// A worker does its next step.
    Turn(usize),
    /// A request arrives, and a bank is asked if it comes to that.
    Arrives(usize, Bank),
    /// A request that nobody waits for is lost on its way.
    IsLost(usize),
    /// A worker has waited for an answer long enough.
    Silence(usize),
    /// A worker is killed.
    Crash(usize),
    /// A worker's lease lapses though it lives.
    Lapse(Key),
    /// The sweep queues a charge that is owed.
    QueueOwed(u8),
    /// The buyer's time is over.
    TimeOver(usize, u8),
    /// The event is called off.
    CallOff(usize, u8),
    /// The sweep sees after an order that is closing.
    FinishClosing(usize, u8),
    /// Nothing was heard of a buyer for a while; or they want another card.
    AskAfterBuyer(u8, bool),
    /// The sweep gives back a payment.
    Refund(usize, usize),
    /// An event arrives.
    Event(usize),
    /// An event arrives, and will come again.
    EventTwice(usize),
    /// An event does not arrive.
    EventLost(usize),
    /// A buyer confirms, or fails to.
    Confirms(usize, bool),
    /// A bank that took its time decides.
    Decides(usize, bool),
    /// A day passes.
    Day,
    /// A job has failed so often that it is a dead letter.
    Dies(Key),
    /// A dead letter is shown to a person.
    Raise(u8, u32),
    /// A person charges it after all.
    Approve(u8),
    /// A person calls it off.
    Reject(u8),
}

impl Model for Rules {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for order in 0..self.shoppers {
            self.calls(world, order, actions);
            self.sweeps(world, order, actions);
        }
        self.queue(world, actions);
        self.stripe(world, actions);
        let at_rest = world.network.is_empty() && world.workers.iter().all(|at| *at == At::Idle);
        if world.left.days > 0 && at_rest && !world.calls.iter().any(|call| matches!(call, Call::Pinned { .. })) {
            actions.push(Action::Day);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.happens(self, action);
        let next = next.in_order();
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

impl Rules {
    fn calls(&self, world: &World, order: u8, actions: &mut Vec<Action>) {
        let at = usize::from(order);
        let taken = world.shelves.iter().flatten().filter(|shelf| shelf.effect != StockEffect::Released).count();
        let is_free = taken < usize::try_from(self.tickets).unwrap_or(usize::MAX);
        match world.calls[at] {
            // Who comes first has the first number: buyers are all alike.
            Call::Browses if order > 0 && world.calls[at - 1] == Call::Browses => {}
            Call::Browses if is_free || self.gate_lies => actions.push(Action::Reserve(order)),
            Call::Browses => {}
            Call::Pinned { .. } => actions.push(Action::Accept(order)),
            Call::Committed => actions.push(Action::Queue(order)),
            Call::Over => {
                let known = world.order(order);
                let declined = known.filter(|known| known.state == State::Declined);
                if declined.is_some_and(|known| known.attempt < u32::from(self.cards)) {
                    actions.push(Action::NextCard(order));
                }
            }
        }
        if world.left.crashes > 0 && matches!(world.calls[at], Call::Pinned { .. } | Call::Committed) {
            actions.push(Action::CallDies(order));
        }
        let lone = world.shelves[at].is_some_and(|shelf| shelf.version == 0) && world.order(order).is_none();
        if lone && world.left.crashes < self.mishaps.crashes {
            actions.push(Action::FreeOrphan(order));
        }
    }

    fn sweeps(&self, world: &World, order: u8, actions: &mut Vec<Action>) {
        let Some(known) = world.order(order) else { return };
        let idle = world.workers.iter().position(|at| *at == At::Idle);
        if known.state.is_in_queue() && !world.jobs.contains_key(&Key::Charge(order, known.attempt)) {
            actions.push(Action::QueueOwed(order));
        }
        if known.state == State::RequiresAction {
            for gives_up in [false, true] {
                if !world.jobs.contains_key(&Key::Buyer(order, known.attempt, gives_up)) {
                    actions.push(Action::AskAfterBuyer(order, gives_up));
                }
            }
        }
        if known.state == State::Review {
            actions.push(Action::Reject(order));
            if world.left.dead_letters > 0 {
                actions.push(Action::Approve(order));
            }
        }
        let Some(worker) = idle else { return };
        if self.deadlines && known.expires_at.is_some() {
            actions.push(Action::TimeOver(worker, order));
        }
        if world.left.called_off && matches!(known.state, State::Accepted | State::Declined | State::RequiresAction) {
            actions.push(Action::CallOff(worker, order));
        }
        let answered = world.jobs.contains_key(&Key::Respond(order, known.attempt));
        let asked = world.network.iter().any(|request| request.waiter.is_some() && request.what.cancels(world, order));
        if known.state == State::Closing && !answered && (!asked || self.mishaps.lapses > 0) {
            actions.push(Action::FinishClosing(worker, order));
        }
    }

    fn queue(&self, world: &World, actions: &mut Vec<Action>) {
        let idle = world.workers.iter().position(|at| *at == At::Idle);
        for (key, job) in &world.jobs {
            match (job.lease, idle) {
                _ if job.dead => {
                    if let Key::Charge(order, attempt) = *key {
                        actions.push(Action::Raise(order, attempt));
                    }
                }
                (None, Some(worker)) => actions.push(Action::Take(worker, *key)),
                (Some(_), _) if world.left.lapses > 0 => actions.push(Action::Lapse(*key)),
                _ => {}
            }
            let can_die = job.lease.is_none() && !job.dead && matches!(key, Key::Charge(..));
            if can_die && world.left.dead_letters > 0 {
                actions.push(Action::Dies(*key));
            }
        }
        for (worker, at) in world.workers.iter().enumerate() {
            match at {
                At::Idle => continue,
                At::Waits(..) if world.left.silences > 0 => actions.push(Action::Silence(worker)),
                At::Waits(..) => {}
                _ => actions.push(Action::Turn(worker)),
            }
            if world.left.crashes > 0 {
                actions.push(Action::Crash(worker));
            }
        }
        if let Some(worker) = idle {
            let owed = world.ledger.refunds.values().filter(|refund| refund.state == shared::ledger::RefundState::Owed);
            let owed = owed.filter_map(|refund| crate::stripe::number(&refund.payment_intent));
            actions.extend(owed.map(|intent| Action::Refund(worker, intent)));
        }
    }

    fn stripe(&self, world: &World, actions: &mut Vec<Action>) {
        for (at, request) in world.network.iter().enumerate() {
            if request.waiter.is_none() {
                actions.push(Action::IsLost(at));
            }
            let banks = match &request.what {
                What::Charge(order, attempt, key) if world.stripe.asks_a_bank(key, &world.path(*order, *attempt)) => {
                    self.banks
                }
                _ => &self.banks[..1],
            };
            actions.extend(banks.iter().map(|bank| Action::Arrives(at, *bank)));
        }
        for (at, intent) in world.stripe.intents.iter().enumerate() {
            let both = [true, false];
            match intent.status {
                Status::Challenge => actions.extend(both.map(|yes| Action::Confirms(at, yes))),
                Status::Thinking => actions.extend(both.map(|yes| Action::Decides(at, yes))),
                _ => {}
            }
            if intent.told {
                if world.free_hint(self, at).is_some() {
                    actions.push(Action::Event(at));
                    if world.left.repeats > 0 {
                        actions.push(Action::EventTwice(at));
                    }
                }
                if world.left.losses > 0 {
                    actions.push(Action::EventLost(at));
                }
            }
        }
    }
}

impl World {
    /// The path of an attempt's stored request.
    #[must_use]
    pub fn path(&self, order: u8, attempt: u32) -> String {
        let attempt = self.ledger.attempts.get(&(crate::world::id_of(order), attempt));
        attempt.and_then(|attempt| attempt.request.as_ref()).map(|request| request.path.clone()).unwrap_or_default()
    }

    /// A key for a job about a PaymentIntent.
    #[must_use]
    pub fn free_hint(&self, rules: &Rules, intent: usize) -> Option<Key> {
        (0..=rules.mishaps.repeats.min(1)).map(|slot| Key::Hint(intent, slot)).find(|key| !self.jobs.contains_key(key))
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.workers.iter().all(|at| *at == At::Idle)
            && self.jobs.is_empty()
            && self.network.is_empty()
            && self.calls.iter().all(|call| matches!(call, Call::Over | Call::Browses))
    }
}

impl What {
    /// Whether it cancels a payment of this order.
    fn cancels(&self, world: &World, order: u8) -> bool {
        matches!(self, Self::Cancel(intent) if world.stripe.intents[*intent].order == order)
    }
}

impl Task {
    /// The job that it is done for.
    #[must_use]
    pub fn job(self) -> Option<Key> {
        match self {
            Self::Charge(key) | Self::SeeAfter(key) | Self::Settle(key) => Some(key),
            Self::Close => None,
        }
    }
}
