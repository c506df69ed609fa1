//! The checker: what must hold after every step, and what must have come to pass at the end. It reads ledger, stock and
//! Stripe themselves, not what any process says of them.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use shared::ledger::{Ledger as _, RefundState, Returned};
use shared::order::{Order, State, displayed_state};
use shared::sale::LatePolicy;
use shared::stock::{Levels, Stock as _};
use uuid::Uuid;

use crate::fate::orders;
use crate::shop::Shop;
use crate::shopper::Crowd;
use crate::stripe::{Intent, Status};
use crate::tab::Tab;

/// What was seen of each order at the step before.
#[derive(Default)]
pub(crate) struct Seen(BTreeMap<Uuid, (i64, State)>);

type Found = Result<(), (Option<Uuid>, String)>;

fn holds(really: bool, about: Option<Uuid>, otherwise: impl FnOnce() -> String) -> Found {
    if really { Ok(()) } else { Err((about, otherwise())) }
}

impl Shop {
    /// Looks at everything as it is now.
    pub(crate) fn check(&self, crowd: &Crowd, seen: &mut Seen) {
        let all = orders(self, crowd);
        let found = self.check_stock().and_then(|()| self.check_capacity(&all)).and_then(|()| {
            let by_order = self.stripe.look(by_order);
            all.iter().try_for_each(|order| {
                let none = Vec::new();
                let intents = by_order.get(&order.id).unwrap_or(&none);
                self.check_order(order, intents)?;
                check_history(order, seen, self.plan.late)
            })?;
            let unknown = by_order.iter().find(|(id, _)| !all.iter().any(|order| order.id == **id));
            holds(unknown.is_none(), unknown.map(|(id, _)| *id), || {
                "Stripe was asked to charge an unknown order".into()
            })
        });
        let found = found.and_then(|()| self.check_limits(&all));
        if let Err((about, what)) = found {
            self.scene.broken(about, what);
        }
    }

    fn levels(&self) -> Option<Levels> {
        self.redis.stock().levels(Self::sale()).now_or_never()?.ok()?
    }

    fn check_stock(&self) -> Found {
        for tier in self.levels().into_iter().flat_map(|levels| levels.tiers) {
            let sums = tier.capacity == tier.free + tier.held + tier.sold && tier.pinned <= tier.held;
            holds(sums, None, || format!("the stock does not add up: {tier:?}"))?;
        }
        Ok(())
    }

    fn returned(&self, tier: &str) -> u32 {
        let all: Vec<Returned> = self.ledger.returned().now_or_never().and_then(Result::ok).unwrap_or_default();
        all.iter().filter(|returned| returned.tier == tier).map(|returned| returned.units).sum()
    }

    fn check_capacity(&self, all: &[Order]) -> Found {
        for (tier, capacity) in &*self.scene.capacity.lock() {
            let has = |order: &&Order| !matches!(order.state, State::Expired | State::Canceled);
            let committed: u32 = all.iter().filter(has).map(|order| units(order, tier)).sum();
            let committed = committed - self.returned(tier).min(committed);
            holds(committed <= *capacity, None, || format!("oversold: {committed} of {capacity} {tier}"))?;
        }
        Ok(())
    }

    fn check_limits(&self, all: &[Order]) -> Found {
        for order in all {
            for item in &order.items {
                let Some(limit) = self.plan.limit(&item.tier) else { continue };
                let theirs = |other: &&Order| {
                    other.customer == order.customer && !matches!(other.state, State::Expired | State::Canceled)
                };
                let has: u32 = all.iter().filter(theirs).map(|other| units(other, &item.tier)).sum();
                let late = || all.iter().any(|other| other.customer == order.customer && other.state == State::Paid);
                holds(has <= limit || late(), Some(order.id), || format!("{has} of {} for one customer", item.tier))?;
            }
        }
        Ok(())
    }

    fn check_order(&self, order: &Order, intents: &[Intent]) -> Found {
        let about = Some(order.id);
        let with_money = intents.iter().filter(|intent| intent.has_money()).count();
        holds(with_money <= 1, about, || format!("charged {with_money} times: {intents:?}"))?;
        if matches!(order.state, State::Expired | State::Canceled) {
            let open = intents.iter().find(|intent| !matches!(intent.status, Status::Canceled | Status::Succeeded));
            holds(open.is_none(), about, || format!("its units are free while it may still be paid: {open:?}"))?;
        }
        holds(!self.stripe.payable_twice(order.id), about, || "it can be paid in two ways at once".into())?;
        if matches!(order.state, State::Expired | State::Canceled) {
            let pages = self.stripe.open_pages(order.id);
            holds(pages.is_empty(), about, || format!("its units are free while its page is open: {pages:?}"))?;
        }
        let price = order.items.iter().map(|item| self.plan.price(&item.tier) * i64::from(item.quantity)).sum::<i64>();
        holds(order.amount == price, about, || format!("it costs {} and is charged {}", price, order.amount))?;
        let admits = order.valid_tickets().count();
        holds(order.state == State::Paid || admits == 0, about, || format!("{} and has tickets", order.state))?;
        if order.state == State::Paid {
            let tickets = u32::try_from(order.tickets.len()).unwrap_or(u32::MAX);
            holds(tickets == order.units(), about, || format!("{tickets} tickets for {} units", order.units()))?;
            let received: i64 = intents.iter().map(|intent| intent.received).sum();
            holds(received >= order.amount, about, || "it is paid, and Stripe does not have the money".into())?;
        }
        let back = (order.refunded, order.refunding);
        let fits = back.0 >= 0 && back.1 >= 0 && back.0 + back.1 <= order.amount;
        holds(fits, about, || format!("of {} {back:?} has gone back or is on its way", order.amount))?;
        let all_back = order.amount > 0 && back.0 + back.1 == order.amount;
        holds(!all_back || admits == 0, about, || "its price goes back, and its tickets admit".into())?;
        let shown = order.client_secret.is_some();
        holds(!shown || order.state == State::RequiresAction, about, || "a client secret is kept for nothing".into())
    }

    /// A page is told of an order.
    pub(crate) fn check_told(&self, tab: &Tab, id: Uuid, version: i64, state: &str) {
        let about = Some(id);
        let order = self.ledger.order(id).now_or_never().and_then(Result::ok).flatten();
        let Some(order) = order else {
            return self.scene.broken(about, "a page is told of an order that is not there");
        };
        if order.customer != tab.customer {
            return self.scene.broken(about, format!("{} is told of somebody else's order", tab.name));
        }
        if order.version < version {
            return self.scene.broken(about, format!("a page is told of version {version} before there is one"));
        }
        let mut told = self.told.lock();
        let before = told.entry((id, version)).or_insert_with(|| state.to_owned());
        if before != state {
            self.scene.broken(about, format!("version {version} is told as {before} and as {state}"));
        }
    }

    /// What must have come to pass when nothing goes wrong any more.
    pub(crate) fn check_the_end(&self, crowd: &Crowd) {
        let all = orders(self, crowd);
        let found = self
            .check_ends(&all)
            .and_then(|()| self.check_money(&all))
            .and_then(|()| self.check_pages(crowd, &all))
            .and_then(|()| self.check_stock_is_ledgers(&all));
        if let Err((about, what)) = found {
            self.scene.broken(about, format!("at the end: {what}"));
        }
    }

    fn check_ends(&self, all: &[Order]) -> Found {
        for order in all {
            let ended = order.state.is_final();
            holds(ended, Some(order.id), || format!("it is {} and comes to no end ({:?})", order.state, order.review))?;
        }
        let unmatched = self.ledger.unmatched(10).now_or_never().and_then(Result::ok).unwrap_or_default();
        let about = unmatched.first().map(|row| row.order);
        holds(unmatched.is_empty(), about, || format!("ledger and Stripe disagree: {unmatched:?}"))
    }

    fn check_money(&self, all: &[Order]) -> Found {
        let by_order = self.stripe.look(by_order);
        let (mut at_stripe, mut in_ledger) = (0, 0);
        for order in all {
            let intents = by_order.get(&order.id).map(Vec::as_slice).unwrap_or_default();
            let has: i64 = intents.iter().map(|intent| intent.received - intent.refunded).sum();
            let should = if order.state == State::Paid { order.amount - order.refunded } else { 0 };
            holds(has == should && order.refunding == 0, Some(order.id), || {
                let rows = self.ledger.refunds_of(order.id).now_or_never().and_then(Result::ok).unwrap_or_default();
                let owed =
                    rows.iter().filter(|row| matches!(row.state, RefundState::Owed | RefundState::Pending)).count();
                format!("Stripe has {has} of it, the ledger says {should} ({}, {owed} refunds under way)", order.state)
            })?;
            (at_stripe, in_ledger) = (at_stripe + has, in_ledger + should);
        }
        let total: i64 = self.stripe.look(|all| all.values().map(|intent| intent.received - intent.refunded).sum());
        holds(total == in_ledger, None, || format!("Stripe has {total}, the ledger {in_ledger}"))
    }

    fn check_pages(&self, crowd: &Crowd, all: &[Order]) -> Found {
        for tab in crowd.tabs.lock().iter().filter(|tab| tab.is_open()) {
            holds(tab.is_connected(), None, || format!("{} has no connection", tab.name))?;
            let shown = tab.views();
            for order in all.iter().filter(|order| order.customer == tab.customer) {
                let should = (order.version, displayed_state(order));
                let view = shown.get(&order.id).map(|view| (view.version, view.state.as_str()));
                holds(view == Some(should), Some(order.id), || {
                    format!("{} shows {view:?}, the ledger has {should:?}", tab.name)
                })?;
            }
        }
        Ok(())
    }

    fn check_stock_is_ledgers(&self, all: &[Order]) -> Found {
        let Some(levels) = self.levels() else { return Err((None, "the stock does not know the sale".into())) };
        for (tier, capacity) in &*self.scene.capacity.lock() {
            let of = |paid: bool| {
                let counts = |order: &&Order| {
                    !matches!(order.state, State::Expired | State::Canceled) && (order.state == State::Paid) == paid
                };
                all.iter().filter(counts).map(|order| units(order, tier)).sum::<u32>()
            };
            let should = (*capacity, of(true) - self.returned(tier).min(of(true)), of(false));
            let level = levels.tiers.iter().find(|level| level.id == *tier);
            let shows = level.map(|level| (level.capacity, level.sold, level.held));
            holds(shows == Some(should), None, || {
                format!("of {tier} the stock shows {shows:?}, the ledger has {should:?} (units, sold, held)")
            })?;
        }
        Ok(())
    }

    /// Units of a tier that anybody may have now.
    pub(crate) fn free(&self, tier: &str) -> u32 {
        let levels = self.levels().unwrap_or_default();
        levels.tiers.iter().find(|level| level.id == tier).map_or(0, |level| level.free)
    }
}

fn check_history(order: &Order, seen: &mut Seen, late: LatePolicy) -> Found {
    let about = Some(order.id);
    let Some((version, state)) = seen.0.insert(order.id, (order.version, order.state)) else { return Ok(()) };
    holds(order.version >= version, about, || format!("its version went back from {version} to {}", order.version))?;
    let moved = order.state == state || order.version > version;
    holds(moved, about, || format!("it went from {state} to {} without a new version", order.state))?;
    let kept = match state {
        State::Paid => order.state == State::Paid,
        State::Expired | State::Canceled => {
            order.state == state || (order.state == State::Paid && late == LatePolicy::Fulfil)
        }
        _ => true,
    };
    holds(kept, about, || format!("it was {state}, which is final, and is {} now", order.state))
}

fn units(order: &Order, tier: &str) -> u32 {
    order.items.iter().filter(|item| item.tier == tier).map(|item| item.quantity).sum()
}

fn by_order(intents: &BTreeMap<String, Intent>) -> BTreeMap<Uuid, Vec<Intent>> {
    let mut by_order: BTreeMap<Uuid, Vec<Intent>> = BTreeMap::new();
    for intent in intents.values() {
        by_order.entry(intent.order).or_default().push(intent.clone());
    }
    by_order
}
