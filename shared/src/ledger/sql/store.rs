//! Storing: exactly what a book changed, each write under a guard that holds even if the book had been wrong.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{EntityTrait, ModelTrait, Value};
use uuid::Uuid;

use super::database::Transaction;
use super::entities::{attempts, customers, orders, refunds};
use super::failure::Failure;
use super::rows;
use super::statements::{self, Existing, Update};
use crate::env::Timestamp;
use crate::guards::{Guard, in_text};
use crate::ledger::book::{Book, Changes};
use crate::order::{Attempt, Order, Ticket};

/// Everything about an order that a change of state can change.
const ORDER_CHANGES: [orders::Column; 19] = [
    orders::Column::State,
    orders::Column::Version,
    orders::Column::Attempt,
    orders::Column::QueueNumber,
    orders::Column::PaymentIntent,
    orders::Column::Charge,
    orders::Column::ClientSecret,
    orders::Column::Session,
    orders::Column::SessionUrl,
    orders::Column::DeclineClass,
    orders::Column::DeclineMayRetry,
    orders::Column::DeclineRaw,
    orders::Column::ClosingFrom,
    orders::Column::ClosingTo,
    orders::Column::Review,
    orders::Column::ExpiresAt,
    orders::Column::Refunded,
    orders::Column::Refunding,
    orders::Column::UpdatedAt,
];

/// Everything about an attempt that is not fixed when it is made.
const ATTEMPT_CHANGES: [attempts::Column; 7] = [
    attempts::Column::State,
    attempts::Column::RequestPath,
    attempts::Column::RequestBody,
    attempts::Column::RequestVersion,
    attempts::Column::FirstSentAt,
    attempts::Column::PaymentIntent,
    attempts::Column::Note,
];

/// Everything about a refund that is not fixed when it is decided.
const REFUND_CHANGES: [refunds::Column; 4] =
    [refunds::Column::State, refunds::Column::StripeId, refunds::Column::SpentKeys, refunds::Column::AskAt];

/// The columns that differ between any row and what it was: the others need not be written.
fn differing<M: ModelTrait>(
    rows: &[(M, M)],
    columns: &[<M::Entity as EntityTrait>::Column],
) -> Vec<<M::Entity as EntityTrait>::Column>
where
    <M::Entity as EntityTrait>::Column: Copy,
{
    let differs =
        |column: &<M::Entity as EntityTrait>::Column| rows.iter().any(|(is, was)| was.get(*column) != is.get(*column));
    columns.iter().copied().filter(differs).collect()
}

/// Writes what a book changed.
pub(super) async fn store(tx: &Transaction<'_>, book: &Book, changes: Changes, now: Timestamp) -> Result<(), Failure> {
    let mut new: Vec<&Order> = Vec::new();
    let mut changed = Vec::new();
    for (id, read) in &changes.orders {
        match (book.orders.get(id), read) {
            (Some(order), None) => new.push(order),
            (Some(order), Some(read)) => changed.push((rows::order_row(order), rows::order_row(read))),
            (None, _) => return Err(Failure::Guard("orders_known")),
        }
    }
    insert_orders(tx, &new, now).await?;
    let sets = differing(&changed, &ORDER_CHANGES);
    let changed: Vec<_> = changed.into_iter().map(|(row, read)| (row, Some(read.version.into()))).collect();
    let update = Update { keys: &[orders::Column::Id], guard: Some(orders::Column::Version), sets: &sets };
    exactly(changed.len(), statements::update(tx, &changed, update).await?, "orders_version")?;
    store_attempts(tx, book, &changes.attempts).await?;
    store_refunds(tx, book, &changes).await?;
    insert_tickets(tx, changes.tickets).await?;
    let outbox: Vec<_> = changes.outbox.into_iter().map(rows::outbox_row).collect();
    statements::insert(tx, &outbox, Existing::Refuses).await?;
    let audit: Vec<_> = changes.audit.into_iter().map(rows::audit_row).collect();
    statements::insert(tx, &audit, Existing::Refuses).await?;
    for ((sale, tier), units) in changes.committed.iter().filter(|(_, units)| **units != 0) {
        commit_units(tx, sale, tier, *units).await?;
    }
    for ((sale, tier), units) in &changes.returned {
        let sql = "UPDATE tiers SET returned = returned + ? WHERE sale = ? AND id = ?";
        let values = vec![rows::number(*units).into(), sale.as_str().into(), tier.as_str().into()];
        exactly(1, statements::execute_with(tx, sql, values).await?, "tiers_known")?;
    }
    for (sale, counters) in &changes.counters {
        let sql = "UPDATE sales SET accepted = accepted + ?, finished = finished + ? WHERE slug = ?";
        let values = vec![counters.accepted.into(), counters.finished.into(), sale.as_str().into()];
        exactly(1, statements::execute_with(tx, sql, values).await?, "sales_known")?;
    }
    Ok(())
}

async fn insert_orders(tx: &Transaction<'_>, new: &[&Order], now: Timestamp) -> Result<(), Failure> {
    // Sorted, as the orders are: whoever inserts the same rows at the same time waits, and none for another.
    let buyers: BTreeSet<Uuid> = new.iter().map(|order| order.customer).collect();
    let buyers: Vec<_> = buyers.into_iter().map(|id| customers::Model { id, created_at: now.0 }).collect();
    statements::insert(tx, &buyers, Existing::Keeps).await?;
    let rows: Vec<_> = new.iter().map(|order| rows::order_row(order)).collect();
    exactly(new.len(), statements::insert(tx, &rows, Existing::Keeps).await?, "orders_new")?;
    let items: Vec<_> = new.iter().flat_map(|order| rows::item_rows(order)).collect();
    statements::insert(tx, &items, Existing::Refuses).await?;
    Ok(())
}

async fn store_attempts(
    tx: &Transaction<'_>,
    book: &Book,
    read: &BTreeMap<(Uuid, u32), Option<Attempt>>,
) -> Result<(), Failure> {
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for (key, read) in read {
        let row = book.attempts.get(key).map(rows::attempt_row).ok_or(Failure::Guard("attempts_known"))?;
        match read {
            None => new.push(row),
            Some(read) => changed.push((row, rows::attempt_row(read))),
        }
    }
    statements::insert(tx, &new, Existing::Refuses).await?;
    let sets = differing(&changed, &ATTEMPT_CHANGES);
    if sets.is_empty() {
        return Ok(());
    }
    let changed: Vec<(attempts::Model, Option<Value>)> = changed.into_iter().map(|(row, _)| (row, None)).collect();
    let keys = &[attempts::Column::OrderId, attempts::Column::Number];
    let update = Update { keys, guard: None, sets: &sets };
    exactly(changed.len(), statements::update(tx, &changed, update).await?, "attempts_known")
}

/// Refunds, and the tickets that they void or make valid again. A request that another process has answered meanwhile
/// is met by the index, and decided anew.
async fn store_refunds(tx: &Transaction<'_>, book: &Book, changes: &Changes) -> Result<(), Failure> {
    let found = |is_new: bool| {
        let ids = changes.refunds.iter().filter(move |(_, new)| **new == is_new);
        ids.filter_map(|(id, _)| book.refunds.get(id)).map(rows::refund_row)
    };
    let new: Vec<_> = found(true).collect();
    exactly(new.len(), statements::insert(tx, &new, Existing::Keeps).await?, "refunds_new")?;
    let changed: Vec<(refunds::Model, Option<Value>)> = found(false).map(|row| (row, None)).collect();
    let update = Update { keys: &[refunds::Column::Id], guard: None, sets: &REFUND_CHANGES };
    exactly(changed.len(), statements::update(tx, &changed, update).await?, "refunds_known")?;
    for (ticket, refund) in &changes.voided {
        let sql = "UPDATE tickets SET voided_by = ? WHERE id = ?";
        let values = vec![(*refund).into(), (*ticket).into()];
        exactly(1, statements::execute_with(tx, sql, values).await?, "tickets_known")?;
    }
    Ok(())
}

/// An order's tickets come one after another, so their place is counted here.
async fn insert_tickets(tx: &Transaction<'_>, tickets: Vec<(Uuid, Ticket)>) -> Result<(), Failure> {
    let mut positions: BTreeMap<Uuid, i32> = BTreeMap::new();
    let mut rows = Vec::with_capacity(tickets.len());
    for (order, ticket) in tickets {
        let position = positions.entry(order).or_default();
        rows.push(rows::ticket_row(order, *position, ticket));
        *position += 1;
    }
    statements::insert(tx, &rows, Existing::Refuses).await?;
    Ok(())
}

const GUARDED: [(Guard, &str, &str); 1] = [(Guard::SqlUnits, "BETWEEN 0 AND capacity", "IS NOT NULL")];

/// The ledger's own guard against overselling.
async fn commit_units(tx: &Transaction<'_>, sale: &str, tier: &str, units: i64) -> Result<(), Failure> {
    let sql = "UPDATE tiers SET committed = committed + ?
               WHERE sale = ? AND id = ? AND committed + ? BETWEEN 0 AND capacity";
    let units = i32::try_from(units).map_err(|_| Failure::Guard("tiers_capacity"))?;
    let values = vec![units.into(), sale.into(), tier.into(), units.into()];
    exactly(1, statements::execute_with(tx, &in_text(sql, &GUARDED), values).await?, "tiers_capacity")
}

/// As many rows were written as had been decided; else the guard has fired.
pub(super) fn exactly(decided: usize, written: u64, guard: &'static str) -> Result<(), Failure> {
    if u64::try_from(decided).is_ok_and(|decided| decided == written) { Ok(()) } else { Err(Failure::Guard(guard)) }
}
