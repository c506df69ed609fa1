//! What must hold in every state, and what must be seen in some.

use shared::ledger::RefundState;
use shared::order::State;
use shared::order::state::StockEffect;
use stateright::Property;

use crate::actions::Action;
use crate::rules::{Bank, Rules};
use crate::stripe::{Said, Status, confirmed, number};
use crate::world::{At, Call, TIER, What, World};

type Condition = fn(&Rules, &World) -> bool;

/// What must hold in every state.
pub const ALWAYS: [(&str, Condition); 8] = [
    ("no ticket is sold twice", |rules, world| counted(world) <= u64::from(rules.tickets)),
    ("an order is charged once at most", |_, world| {
        world.orders().all(|(at, _)| payments(world, at, |_| true).count() <= 1)
    }),
    ("money of one payment at most is kept of an order that ended", |_, world| {
        let owed = |intent: usize| {
            let refunds = world.ledger.refunds.values();
            refunds
                .filter(|refund| refund.state != RefundState::Failed)
                .any(|r| number(&r.payment_intent) == Some(intent))
        };
        world.orders().all(|(at, order)| match order.state {
            State::Paid => payments(world, at, |intent| !owed(intent)).count() == 1,
            _ => true,
        })
    }),
    ("nothing is released that can still be paid", |_, world| {
        world.orders().all(|(at, order)| {
            let released = order.state.stock() == StockEffect::Released;
            !released || world.rejected[usize::from(at)] || !can_be_paid(world, at)
        })
    }),
    ("what is paid in the ledger is paid at Stripe", |_, world| {
        world.orders().filter(|(_, order)| order.state == State::Paid).all(|(at, order)| {
            let paid_by = order.payment_intent.as_deref().and_then(number);
            payments(world, at, |_| true).any(|intent| Some(intent) == paid_by)
        })
    }),
    ("the ledger's count is the sum of its orders", |_, world| {
        let committed = world.ledger.sales.values().map(|page| page.committed.get(TIER).copied().unwrap_or(0));
        committed.map(u64::from).sum::<u64>() == counted(world)
    }),
    ("no step breaks a rule about steps", |_, world| world.broken.is_none()),
    ("at rest the stock shows what the ledger says", |_, world| {
        !world.is_quiet() || world.orders().all(|(at, order)| agrees(world, at, order.state))
    }),
];

fn counted(world: &World) -> u64 {
    world.orders().map(|(_, order)| u64::from(order.state.stock() != StockEffect::Released)).sum()
}

fn payments(world: &World, order: u8, which: impl Fn(usize) -> bool) -> impl Iterator<Item = usize> {
    let paid = world.stripe.intents.iter().enumerate();
    let paid = paid.filter(move |(_, intent)| intent.order == order && intent.status == Status::Succeeded);
    paid.map(|(at, _)| at).filter(move |at| which(*at))
}

/// Whether money of an order is there that does not go back, or may still come.
fn can_be_paid(world: &World, order: u8) -> bool {
    let of_it = || world.stripe.intents.iter().filter(|intent| intent.order == order);
    let under_way = world.network.iter().any(|request| match &request.what {
        What::Charge(whose, attempt, key) if *whose == order && !world.stripe.keys.contains_key(key) => {
            confirmed(&world.path(*whose, *attempt))
                .is_none_or(|intent| matches!(world.stripe.intents[intent].status, Status::Open { .. }))
        }
        _ => false,
    });
    under_way || of_it().any(|intent| matches!(intent.status, Status::Challenge | Status::Thinking | Status::Succeeded))
}

fn agrees(world: &World, order: u8, state: State) -> bool {
    world.shelves[usize::from(order)].is_some_and(|shelf| shelf.effect == state.stock())
}

/// Nothing is left to do: every accepted order is final, the stock agrees, what was owed back went back, and what was
/// not sold is free.
#[must_use]
pub fn is_settled(world: &World) -> bool {
    let no_orphan = |at: u8| world.order(at).is_some() || world.shelves[usize::from(at)].is_none();
    world.is_quiet()
        && world.orders().all(|(at, order)| order.state.is_final() && agrees(world, at, order.state))
        && world.ledger.refunds.values().all(|refund| refund.state == RefundState::Succeeded)
        && (0..world.calls.len()).all(|at| u8::try_from(at).is_ok_and(no_orphan))
}

/// What must be seen in some state of a world with these rules, so that a proof about it says something.
#[must_use]
pub fn sometimes(rules: &Rules) -> Vec<(&'static str, Condition)> {
    let mut seen: Vec<(&'static str, Condition)> =
        vec![("all is settled, and something was paid", |_, world| is_settled(world) && any(world, State::Paid))];
    let mut when = |may: bool, name, condition: Condition| {
        if may {
            seen.push((name, condition));
        }
    };
    when(rules.shoppers > 1 && !rules.gate_lies, "the one who came later goes without", |_, world| {
        any(world, State::Paid) && world.calls.contains(&Call::Browses)
    });
    let may = |bank| rules.banks.contains(&bank);
    when(may(Bank::Declines), "a card is declined", |_, world| any(world, State::Declined));
    when(may(Bank::Declines) && rules.cards > 1, "a second card pays", |_, world| {
        world.orders().any(|(_, order)| order.state == State::Paid && order.attempt == 2)
    });
    when(may(Bank::Challenges), "a buyer is asked to confirm", |_, world| any(world, State::RequiresAction));
    when(may(Bank::Challenges), "a payment that was being closed goes through", |_, world| {
        world.orders().any(|(at, order)| order.state == State::Closing && payments(world, at, |_| true).count() == 1)
    });
    when(rules.deadlines, "an order expires, and its ticket is free again", |_, world| {
        is_settled(world) && any(world, State::Expired)
    });
    when(rules.mishaps.called_off, "an order is called off", |_, world| any(world, State::Canceled));
    when(rules.mishaps.crashes > 0, "a worker dies between Stripe's yes and the record of it", |rules, world| {
        world.left.crashes < rules.mishaps.crashes
            && world.workers.iter().all(|at| *at == At::Idle)
            && world
                .orders()
                .any(|(at, order)| order.state == State::Charging && payments(world, at, |_| true).count() == 1)
    });
    when(rules.mishaps.crashes > 0, "a pin without an order is left", |rules, world| {
        world.left.crashes < rules.mishaps.crashes
            && world.calls.contains(&Call::Over)
            && world.orders().count() == 0
            && world.shelves.iter().any(Option::is_some)
    });
    when(rules.mishaps.silences > 0, "a request arrives that its sender has given up", |rules, world| {
        world.left.silences < rules.mishaps.silences
            && world.network.is_empty()
            && !world.stripe.keys.is_empty()
            && world.jobs.values().any(|job| job.lease.is_none())
    });
    when(rules.mishaps.silences > 0, "one key answers twice with the same", |rules, world| {
        world.left.silences < rules.mishaps.silences
            && world.stripe.keys.values().any(|(_, said)| matches!(said, Said::Intent(..)))
            && any(world, State::Paid)
    });
    when(rules.mishaps.lapses > 0, "two workers believe that they have one job", |rules, world| {
        world.left.lapses < rules.mishaps.lapses && world.workers.iter().all(|at| *at != At::Idle)
    });
    when(rules.gate_lies, "the ledger refuses what the stock let through", |rules, world| {
        let refused = |(at, call): (usize, &Call)| *call == Call::Over && world.shelves[at].is_none();
        world.left.crashes == rules.mishaps.crashes && world.calls.iter().enumerate().any(refused)
    });
    when(rules.mishaps.dead_letters > 0, "a person has to look", |_, world| any(world, State::Review));
    when(rules.mishaps.dead_letters > 0, "money that came late is kept, for its ticket was free", |_, world| {
        world.orders().any(|(at, order)| world.rejected[usize::from(at)] && order.state == State::Paid)
    });
    when(rules.mishaps.dead_letters > 0 && rules.shoppers > 1, "money that came late goes back", |_, world| {
        is_settled(world) && !world.ledger.refunds.is_empty()
    });
    seen
}

fn any(world: &World, state: State) -> bool {
    world.orders().any(|(_, order)| order.state == state)
}

/// All of them, for the checker.
pub(crate) fn all(rules: &Rules) -> Vec<Property<Rules>> {
    let always = ALWAYS.into_iter().map(|(name, condition)| Property::always(name, condition));
    let sometimes = sometimes(rules).into_iter().map(|(name, condition)| Property::sometimes(name, condition));
    always.chain(sometimes).collect()
}

/// The steps that led somewhere, one a line.
#[must_use]
pub fn told(path: &[Action]) -> String {
    path.iter().map(|action| format!("  {action:?}\n")).collect()
}

/// Where everything stands, in a few lines.
#[must_use]
pub fn in_short(world: &World) -> String {
    let orders: Vec<String> =
        world.orders().map(|(at, order)| format!("{at}: {} v{}", order.state, order.version)).collect();
    let World { shelves, calls, jobs, workers, network, stripe, .. } = world;
    format!("  {orders:?}\n  {shelves:?} {calls:?}\n  {jobs:?}\n  {workers:?}\n  {network:?}\n  {stripe:?}\n")
}
