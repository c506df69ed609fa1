//! Rows and what they mean: the one place that knows how the domain's values are spelled in SQL.

use std::str::FromStr;

use super::entities::{attempts, audit, inbox, order_items, orders, outbox, refunds, sales, tickets, tiers, unmatched};
use super::failure::Failure;
use crate::decline::Decline;
use crate::env::Timestamp;
use crate::ledger::{AuditEntry, InboxEvent, OutboxEntry, Refund, RefundState, SaleCounters, Unmatched};
use crate::order::{Attempt, AttemptState, ClientSecret, Closing, Order, State, Ticket};
use crate::sale::{PricedItem, Sale, Tier};
use crate::stripe::StoredRequest;

const ATTEMPT_STATES: [(AttemptState, &str); 6] = [
    (AttemptState::Owed, "owed"),
    (AttemptState::Sent, "sent"),
    (AttemptState::Waiting, "waiting"),
    (AttemptState::Succeeded, "succeeded"),
    (AttemptState::Failed, "failed"),
    (AttemptState::Stuck, "stuck"),
];

fn attempt_state(state: AttemptState) -> &'static str {
    ATTEMPT_STATES.iter().find(|(known, _)| *known == state).map_or("", |(_, word)| *word)
}

/// A word of ours that came back from the database: the checks there allow no other.
fn word<T: FromStr>(column: &'static str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::Unreadable { column, text: text.to_owned() })
}

/// A count that the checks keep within bounds; an impossible one would show as 0.
fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// A count for its column; one that is too large is refused by the column's check.
pub(super) fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(-1)
}

pub(super) fn sale_row(sale: &Sale, position: i64, now: Timestamp) -> sales::Model {
    sales::Model {
        slug: sale.slug.clone(),
        position,
        name: sale.name.clone(),
        currency: sale.currency.as_str().to_owned(),
        opens_at: sale.opens_at.0,
        closes_at: sale.closes_at.map(|at| at.0),
        hold_ms: sale.hold_ms,
        paused: sale.paused,
        epoch: i64::try_from(sale.epoch).unwrap_or(i64::MAX),
        stock_run: None,
        accepted: 0,
        finished: 0,
        created_at: now.0,
        late: sale.late.as_str().to_owned(),
    }
}

pub(super) fn tier_rows(sale: &Sale) -> Vec<tiers::Model> {
    let row = |(position, tier): (usize, &Tier)| tiers::Model {
        sale: sale.slug.clone(),
        id: tier.id.clone(),
        position: i32::try_from(position).unwrap_or(i32::MAX),
        name: tier.name.clone(),
        amount: tier.amount,
        capacity: number(tier.capacity),
        committed: 0,
        returned: 0,
        max_per_customer: tier.max_per_customer.map(number),
        opens_at: tier.opens_at.map(|at| at.0),
        closes_at: tier.closes_at.map(|at| at.0),
    };
    sale.tiers.iter().enumerate().map(row).collect()
}

pub(super) fn sale(row: sales::Model, tiers: Vec<Tier>) -> Result<Sale, Failure> {
    Ok(Sale {
        epoch: epoch(&row),
        currency: word("sales.currency", &row.currency)?,
        slug: row.slug,
        name: row.name,
        opens_at: Timestamp(row.opens_at),
        closes_at: row.closes_at.map(Timestamp),
        hold_ms: row.hold_ms,
        late: word("sales.late", &row.late)?,
        paused: row.paused,
        tiers,
    })
}

pub(super) fn epoch(row: &sales::Model) -> u64 {
    u64::try_from(row.epoch).unwrap_or(0)
}

pub(super) fn counters(row: &sales::Model) -> SaleCounters {
    SaleCounters { accepted: row.accepted, finished: row.finished }
}

/// The counts that a tier's row keeps.
#[derive(Clone, Copy)]
pub(super) struct TierCounts {
    /// Units of orders that count against capacity.
    pub(super) committed: u32,
    /// Units of refunded tickets that may be sold again.
    pub(super) returned: u32,
}

/// A tier, and what its row counts.
pub(super) fn tier(row: tiers::Model) -> (Tier, TierCounts) {
    let tier = Tier {
        id: row.id,
        name: row.name,
        amount: row.amount,
        capacity: count(row.capacity),
        max_per_customer: row.max_per_customer.map(count),
        opens_at: row.opens_at.map(Timestamp),
        closes_at: row.closes_at.map(Timestamp),
    };
    (tier, TierCounts { committed: count(row.committed), returned: count(row.returned) })
}

pub(super) fn order_row(order: &Order) -> orders::Model {
    orders::Model {
        id: order.id,
        customer: order.customer,
        sale: order.sale.clone(),
        hold: order.hold,
        amount: order.amount,
        currency: order.currency.as_str().to_owned(),
        email: order.email.clone(),
        email_key: order.email_key.clone(),
        name: order.name.clone(),
        state: order.state.as_str().to_owned(),
        version: order.version,
        attempt: number(order.attempt),
        queue_number: order.queue_number,
        payment_intent: order.payment_intent.clone(),
        charge: order.charge.clone(),
        client_secret: order.client_secret.as_ref().map(|secret| secret.expose().to_owned()),
        decline_class: order.decline.as_ref().map(|decline| decline.class.as_str().to_owned()),
        decline_may_retry: order.decline.as_ref().map(|decline| decline.may_retry),
        decline_raw: order.decline.as_ref().and_then(|decline| decline.raw.clone()),
        closing_from: order.closing.map(|closing| closing.from.as_str().to_owned()),
        closing_to: order.closing.map(|closing| closing.to.as_str().to_owned()),
        review: order.review.clone(),
        expires_at: order.expires_at.map(|at| at.0),
        think_ms: order.think_ms,
        refunded: order.refunded,
        refunding: order.refunding,
        accepted_at: order.accepted_at.0,
        updated_at: order.updated_at.0,
        session: order.session.clone(),
        session_url: order.session_url.clone(),
    }
}

/// An order; its items and tickets come from tables of their own.
pub(super) fn order(row: orders::Model, items: Vec<PricedItem>, tickets: Vec<Ticket>) -> Result<Order, Failure> {
    let decline = match (&row.decline_class, row.decline_may_retry) {
        (Some(class), Some(may_retry)) => {
            Some(Decline { class: word("orders.decline_class", class)?, may_retry, raw: row.decline_raw })
        }
        _ => None,
    };
    let closing = match (&row.closing_from, &row.closing_to) {
        (Some(from), Some(to)) => {
            Some(Closing { from: word("orders.closing_from", from)?, to: word("orders.closing_to", to)? })
        }
        _ => None,
    };
    Ok(Order {
        id: row.id,
        customer: row.customer,
        sale: row.sale,
        hold: row.hold,
        items,
        amount: row.amount,
        currency: word("orders.currency", &row.currency)?,
        email: row.email,
        email_key: row.email_key,
        name: row.name,
        state: word::<State>("orders.state", &row.state)?,
        version: row.version,
        attempt: count(row.attempt),
        queue_number: row.queue_number,
        payment_intent: row.payment_intent,
        charge: row.charge,
        client_secret: row.client_secret.map(ClientSecret::new),
        session: row.session,
        session_url: row.session_url,
        decline,
        closing,
        review: row.review,
        expires_at: row.expires_at.map(Timestamp),
        think_ms: row.think_ms,
        refunded: row.refunded,
        refunding: row.refunding,
        accepted_at: Timestamp(row.accepted_at),
        updated_at: Timestamp(row.updated_at),
        tickets,
    })
}

pub(super) fn item_rows(order: &Order) -> impl Iterator<Item = order_items::Model> {
    order.items.iter().zip(0..).map(|(item, position)| order_items::Model {
        order_id: order.id,
        position,
        tier: item.tier.clone(),
        quantity: number(item.quantity),
        amount: item.amount,
    })
}

pub(super) fn item(row: order_items::Model) -> PricedItem {
    PricedItem { tier: row.tier, quantity: count(row.quantity), amount: row.amount }
}

pub(super) fn ticket_row(order: uuid::Uuid, position: i32, ticket: Ticket) -> tickets::Model {
    tickets::Model {
        id: ticket.id,
        order_id: order,
        position,
        tier: ticket.tier,
        code: ticket.code,
        voided_by: ticket.voided_by,
    }
}

pub(super) fn ticket(row: tickets::Model) -> Ticket {
    Ticket { id: row.id, tier: row.tier, code: row.code, voided_by: row.voided_by }
}

pub(super) fn attempt_row(attempt: &Attempt) -> attempts::Model {
    let request = attempt.request.as_ref();
    attempts::Model {
        order_id: attempt.order,
        number: number(attempt.number),
        token: attempt.token.clone(),
        state: attempt_state(attempt.state).to_owned(),
        request_path: request.map(|request| request.path.clone()),
        request_body: request.map(|request| request.body.clone()),
        request_version: request.map(|request| request.version.clone()),
        first_sent_at: attempt.first_sent_at.map(|at| at.0),
        payment_intent: attempt.payment_intent.clone(),
        note: attempt.note.clone(),
    }
}

pub(super) fn attempt(row: attempts::Model) -> Result<Attempt, Failure> {
    let known = ATTEMPT_STATES.iter().find(|(_, word)| *word == row.state);
    let Some((state, _)) = known else {
        return Err(Failure::Unreadable { column: "attempts.state", text: row.state });
    };
    let request = match (row.request_path, row.request_body, row.request_version) {
        (Some(path), Some(body), Some(version)) => Some(StoredRequest { path, body, version }),
        _ => None,
    };
    Ok(Attempt {
        order: row.order_id,
        number: count(row.number),
        token: row.token,
        state: *state,
        request,
        first_sent_at: row.first_sent_at.map(Timestamp),
        payment_intent: row.payment_intent,
        note: row.note,
    })
}

pub(super) fn refund_row(refund: &Refund) -> refunds::Model {
    refunds::Model {
        id: refund.id,
        order_id: refund.order,
        payment_intent: refund.payment_intent.clone(),
        amount: refund.amount,
        currency: refund.currency.as_str().to_owned(),
        reason: refund.reason.clone(),
        request: refund.request,
        asked: refund.asked.clone(),
        note: refund.note.clone(),
        restock: refund.restock,
        spent_keys: number(refund.spent_keys),
        ask_at: refund.ask_at.0,
        state: refund.state.as_str().to_owned(),
        stripe_id: refund.stripe_id.clone(),
        created_at: refund.created_at.0,
    }
}

pub(super) fn refund(row: refunds::Model) -> Result<Refund, Failure> {
    let known = RefundState::ALL.into_iter().find(|state| state.as_str() == row.state);
    let Some(state) = known else { return Err(Failure::Unreadable { column: "refunds.state", text: row.state }) };
    Ok(Refund {
        id: row.id,
        order: row.order_id,
        payment_intent: row.payment_intent,
        amount: row.amount,
        currency: word("refunds.currency", &row.currency)?,
        reason: row.reason,
        request: row.request,
        asked: row.asked,
        note: row.note,
        restock: row.restock,
        spent_keys: count(row.spent_keys),
        ask_at: Timestamp(row.ask_at),
        state,
        stripe_id: row.stripe_id,
        created_at: Timestamp(row.created_at),
    })
}

pub(super) fn audit_row(line: AuditEntry) -> audit::Model {
    audit::Model {
        id: line.id,
        order_id: line.order,
        sale: line.sale,
        at: line.at.0,
        what: line.what,
        attempt: line.attempt.map(number),
        version: line.version,
        note: line.note,
        who: line.by,
    }
}

pub(super) fn audit_entry(row: audit::Model) -> AuditEntry {
    AuditEntry {
        id: row.id,
        order: row.order_id,
        sale: row.sale,
        at: Timestamp(row.at),
        what: row.what,
        attempt: row.attempt.map(count),
        version: row.version,
        note: row.note,
        by: row.who,
    }
}

pub(super) fn event_row(event: &InboxEvent) -> inbox::Model {
    inbox::Model { id: event.id.clone(), received_at: event.received_at.0, body: event.body.clone(), handled: false }
}

pub(super) fn event(row: inbox::Model) -> InboxEvent {
    InboxEvent { id: row.id, received_at: Timestamp(row.received_at), body: row.body }
}

pub(super) fn outbox_row(entry: OutboxEntry) -> outbox::Model {
    outbox::Model { id: entry.id, kind: entry.kind, order_id: entry.order, created_at: entry.created_at.0 }
}

pub(super) fn outbox_entry(row: outbox::Model) -> OutboxEntry {
    OutboxEntry { id: row.id, kind: row.kind, order: row.order_id, created_at: Timestamp(row.created_at) }
}

pub(super) fn unmatched(row: unmatched::Model) -> Unmatched {
    Unmatched {
        payment_intent: row.payment_intent,
        order: row.order_id,
        reason: row.reason,
        amount: row.amount,
        currency: row.currency,
        noticed_at: Timestamp(row.noticed_at),
    }
}
