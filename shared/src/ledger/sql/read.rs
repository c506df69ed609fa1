//! Reading: a few statements each, however many rows they bring.

use std::collections::HashMap;

use sea_orm::sea_query::{Condition, Expr, LockType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use uuid::Uuid;

use super::database::Reads;
use super::entities::{
    attempts, audit, bookmarks, inbox, order_items, orders, outbox, refunds, sales, tickets, tiers, unmatched as odd,
};
use super::failure::Failure;
use super::rows::TierCounts;
use super::{rows, statements};
use crate::env::Timestamp;
use crate::ledger::{
    AuditEntry, Committed, InboxEvent, Left, OutboxEntry, Refund, Returned, SaleCounters, StoredEvent, Unmatched,
};
use crate::order::{Attempt, Order, State, Ticket};
use crate::sale::{PricedItem, Sale, Tier};

/// Ids in one statement at most.
pub(super) const MOST_IDS: usize = 1_024;
/// The conditions of the partial indexes, letter by letter: neither database sees through a bound value that they
/// follow from what is asked.
pub(super) const OPEN: &str = "state NOT IN ('paid', 'expired', 'canceled')";
const UNHANDLED: &str = "NOT handled";
const OPEN_REFUND: &str = "state IN ('owed', 'pending')";
const RETURNED: &str = "returned > 0";
pub(super) const PAID: &str = "state = 'paid'";

/// Orders by id, locked for their transaction if asked (where the database locks rows), in the order of their ids.
pub(super) async fn orders<C: Reads>(db: &C, ids: &[Uuid], lock: bool) -> Result<Vec<Order>, Failure> {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut found = Vec::new();
    for ids in sorted.chunks(MOST_IDS) {
        let mut select = orders::Entity::find().order_by_asc(orders::Column::Id);
        if lock {
            select = select.lock(LockType::NoKeyUpdate);
        }
        found.extend(db.all_of(select, orders::Column::Id, ids.to_vec()).await?);
    }
    assemble(db, found).await
}

/// Puts items and tickets to orders, in the orders' order.
pub(super) async fn assemble<C: Reads>(db: &C, found: Vec<orders::Model>) -> Result<Vec<Order>, Failure> {
    let mut items: HashMap<Uuid, Vec<PricedItem>> = HashMap::new();
    let mut issued: HashMap<Uuid, Vec<Ticket>> = HashMap::new();
    for part in found.chunks(MOST_IDS) {
        let ids: Vec<Uuid> = part.iter().map(|order| order.id).collect();
        let select = order_items::Entity::find().order_by_asc(order_items::Column::Position);
        for row in db.all_of(select, order_items::Column::OrderId, ids).await? {
            items.entry(row.order_id).or_default().push(rows::item(row));
        }
        let may_have_tickets = [State::Paid.as_str(), State::Review.as_str()];
        let paid = part.iter().filter(|order| may_have_tickets.contains(&order.state.as_str()));
        let paid: Vec<Uuid> = paid.map(|order| order.id).collect();
        if paid.is_empty() {
            continue;
        }
        let select = tickets::Entity::find().order_by_asc(tickets::Column::Position);
        for row in db.all_of(select, tickets::Column::OrderId, paid).await? {
            issued.entry(row.order_id).or_default().push(rows::ticket(row));
        }
    }
    let whole = |row: orders::Model| {
        let (items, tickets) = (items.remove(&row.id), issued.remove(&row.id));
        rows::order(row, items.unwrap_or_default(), tickets.unwrap_or_default())
    };
    found.into_iter().map(whole).collect()
}

/// The ids of a sale's orders.
pub(super) async fn order_ids<C: Reads>(db: &C, sale: &str, most: u32) -> Result<Vec<Uuid>, Failure> {
    let select = orders::Entity::find().select_only().column(orders::Column::Id);
    let of_sale = select.filter(orders::Column::Sale.eq(sale)).limit(u64::from(most));
    Ok(db.rows::<(Uuid,)>(of_sale.build(db.backend())).await?.into_iter().map(|(id,)| id).collect())
}

/// Orders of a customer that most customers do not exceed.
const FEW: u64 = 16;

/// Customers' orders: of one after another, the newest first, at most `most` of each.
pub(super) async fn orders_of<C: Reads>(db: &C, customers: &[Uuid], most: u32) -> Result<Vec<Order>, Failure> {
    let newest = |of_whom: Vec<Uuid>, limit: u64| {
        let select = orders::Entity::find()
            .filter(orders::Column::Customer.is_in(statements::padded(of_whom)))
            .order_by_desc(orders::Column::AcceptedAt)
            .order_by_desc(orders::Column::Id);
        db.all(select.limit(limit))
    };
    let mut found = Vec::new();
    for part in customers.chunks(MOST_IDS) {
        // One statement for all, unless somebody has so many that others might go short.
        let limit = if part.len() == 1 { u64::from(most) } else { FEW * part.len() as u64 };
        let rows = newest(part.to_vec(), limit).await?;
        if part.len() > 1 && rows.len() as u64 == limit {
            for customer in part {
                found.extend(newest(vec![*customer], u64::from(most)).await?);
            }
            continue;
        }
        let mut of: HashMap<Uuid, Vec<orders::Model>> = HashMap::new();
        for row in rows {
            of.entry(row.customer).or_default().push(row);
        }
        let theirs = part.iter().filter_map(|customer| of.remove(customer));
        found.extend(theirs.flat_map(|rows| rows.into_iter().take(most as usize)));
    }
    assemble(db, found).await
}

/// Orders that something was left undone for, the oldest first.
pub(super) async fn left<C: Reads>(db: &C, what: Left, now: Timestamp, most: u32) -> Result<Vec<Order>, Failure> {
    let words = |states: &[State]| states.iter().map(|state| state.as_str()).collect::<Vec<_>>();
    let filter = match what {
        Left::Owed { since } => Condition::all()
            .add(orders::Column::State.is_in(words(&[State::Accepted, State::Charging])))
            .add(orders::Column::UpdatedAt.lt(since.0)),
        Left::Due => Condition::all()
            .add(orders::Column::State.is_in(words(&[State::Declined, State::RequiresAction])))
            .add(orders::Column::ExpiresAt.lte(now.0)),
        Left::Authenticating { since } => Condition::all()
            .add(orders::Column::State.eq(State::RequiresAction.as_str()))
            .add(orders::Column::UpdatedAt.lt(since.0)),
        Left::Closing { since } => Condition::all()
            .add(orders::Column::State.eq(State::Closing.as_str()))
            .add(orders::Column::UpdatedAt.lt(since.0)),
        Left::Review => Condition::all().add(orders::Column::State.eq(State::Review.as_str())),
    };
    let select = orders::Entity::find()
        .filter(filter)
        .filter(Expr::cust(OPEN))
        .order_by_asc(orders::Column::UpdatedAt)
        .order_by_asc(orders::Column::Id)
        .limit(u64::from(most));
    assemble(db, db.all(select).await?).await
}

/// One attempt.
pub(super) async fn attempt<C: Reads>(db: &C, order: Uuid, number: u32) -> Result<Option<Attempt>, Failure> {
    let found = db.one(attempts::Entity::find_by_id((order, rows::number(number)))).await?;
    found.map(rows::attempt).transpose()
}

/// The audit trail of an order, the oldest first.
pub(super) async fn audit<C: Reads>(db: &C, order: Uuid) -> Result<Vec<AuditEntry>, Failure> {
    let select = audit::Entity::find().filter(audit::Column::OrderId.eq(order)).order_by_asc(Expr::col("sequence"));
    Ok(db.all(select).await?.into_iter().map(rows::audit_entry).collect())
}

/// All sales, the newest first.
pub(super) async fn sales<C: Reads>(db: &C) -> Result<Vec<Sale>, Failure> {
    let found = db.all(sales::Entity::find().order_by_desc(sales::Column::Position)).await?;
    let select = tiers::Entity::find().order_by_asc(tiers::Column::Sale).order_by_asc(tiers::Column::Position);
    let mut tiers = tiers_by_sale(db.all(select).await?);
    let whole = |row: sales::Model| {
        let tiers = tiers.remove(&row.slug).unwrap_or_default();
        rows::sale(row, tiers.into_iter().map(|(tier, _)| tier).collect())
    };
    found.into_iter().map(whole).collect()
}

/// Tiers with what is counted of them, by their sale, in the order in which they came.
pub(super) fn tiers_by_sale(found: Vec<tiers::Model>) -> HashMap<String, Vec<(Tier, TierCounts)>> {
    let mut by_sale: HashMap<String, Vec<(Tier, TierCounts)>> = HashMap::new();
    for row in found {
        by_sale.entry(row.sale.clone()).or_default().push(rows::tier(row));
    }
    by_sale
}

/// How much of a sale was accepted and finished.
pub(super) async fn counters<C: Reads>(db: &C, sale: &str) -> Result<Option<SaleCounters>, Failure> {
    Ok(db.one(sales::Entity::find_by_id(sale)).await?.as_ref().map(rows::counters))
}

/// Webhook events that were not handled yet, the oldest first.
pub(super) async fn unhandled_events<C: Reads>(db: &C, most: u32) -> Result<Vec<InboxEvent>, Failure> {
    let select = inbox::Entity::find()
        .filter(Expr::cust(UNHANDLED))
        .order_by_asc(inbox::Column::ReceivedAt)
        .order_by_asc(inbox::Column::Id)
        .limit(u64::from(most));
    Ok(db.all(select).await?.into_iter().map(rows::event).collect())
}

/// One webhook event.
pub(super) async fn event<C: Reads>(db: &C, id: &str) -> Result<Option<StoredEvent>, Failure> {
    let row = db.one(inbox::Entity::find_by_id(id)).await?;
    Ok(row.map(|row| StoredEvent { handled: row.handled, event: rows::event(row) }))
}

/// What is owed to the outside, the oldest first: their ids, of UUID version 7, grow with the time.
pub(super) async fn outbox<C: Reads>(db: &C, most: u32) -> Result<Vec<OutboxEntry>, Failure> {
    let select = outbox::Entity::find().order_by_asc(outbox::Column::Id).limit(u64::from(most));
    Ok(db.all(select).await?.into_iter().map(rows::outbox_entry).collect())
}

/// Refunds that are owed or pending, and due to be asked about.
pub(super) async fn due_refunds<C: Reads>(db: &C, now: Timestamp, most: u32) -> Result<Vec<Refund>, Failure> {
    let select = refunds::Entity::find()
        .filter(Expr::cust(OPEN_REFUND))
        .filter(refunds::Column::AskAt.lte(now.0))
        .order_by_asc(refunds::Column::AskAt)
        .order_by_asc(refunds::Column::Id)
        .limit(u64::from(most));
    db.all(select).await?.into_iter().map(rows::refund).collect()
}

/// The refunds of an order, the oldest first.
pub(super) async fn refunds_of<C: Reads>(db: &C, order: Uuid) -> Result<Vec<Refund>, Failure> {
    let select = refunds::Entity::find()
        .filter(refunds::Column::OrderId.eq(order))
        .order_by_asc(refunds::Column::CreatedAt)
        .order_by_asc(refunds::Column::Id);
    db.all(select).await?.into_iter().map(rows::refund).collect()
}

/// Units that may be sold again, of every tier that has any.
pub(super) async fn returned<C: Reads>(db: &C) -> Result<Vec<Returned>, Failure> {
    let select = tiers::Entity::find().filter(Expr::cust(RETURNED)).order_by_asc(tiers::Column::Sale);
    let one = |row: tiers::Model| {
        let (sale, (tier, counts)) = (row.sale.clone(), rows::tier(row));
        Returned { sale, tier: tier.id, units: counts.returned }
    };
    Ok(db.all(select).await?.into_iter().map(one).collect())
}

/// Where a sweep has come to.
pub(super) async fn bookmark<C: Reads>(db: &C, name: &str) -> Result<Option<String>, Failure> {
    Ok(db.one(bookmarks::Entity::find_by_id(name)).await?.map(|row| row.place))
}

/// Orders that became paid in a span of time, in this order.
pub(super) async fn paid<C: Reads>(
    db: &C,
    (at, id): (Timestamp, Uuid),
    until: Timestamp,
    most: u32,
) -> Result<Vec<Order>, Failure> {
    // Spelled out: SQLite uses the index for it, and not for a comparison of rows.
    let later = Condition::any()
        .add(orders::Column::UpdatedAt.gt(at.0))
        .add(Condition::all().add(orders::Column::UpdatedAt.eq(at.0)).add(orders::Column::Id.gt(id)));
    let select = orders::Entity::find()
        .filter(Expr::cust(PAID))
        .filter(orders::Column::UpdatedAt.gte(at.0))
        .filter(orders::Column::UpdatedAt.lt(until.0))
        .filter(later)
        .order_by_asc(orders::Column::UpdatedAt)
        .order_by_asc(orders::Column::Id)
        .limit(u64::from(most));
    assemble(db, db.all(select).await?).await
}

/// Payments that ledger and Stripe disagree about.
pub(super) async fn unmatched<C: Reads>(db: &C, most: u32) -> Result<Vec<Unmatched>, Failure> {
    let select = odd::Entity::find()
        .order_by_asc(odd::Column::NoticedAt)
        .order_by_asc(odd::Column::PaymentIntent)
        .limit(u64::from(most));
    Ok(db.all(select).await?.into_iter().map(rows::unmatched).collect())
}

/// What each tier of a sale has committed. The connection is inside a transaction that shows one state.
pub(super) async fn committed<C: Reads>(db: &C, slug: &str) -> Result<Option<Committed>, Failure> {
    let Some(sale) = db.one(sales::Entity::find_by_id(slug)).await? else { return Ok(None) };
    let select = tiers::Entity::find().filter(tiers::Column::Sale.eq(slug)).order_by_asc(tiers::Column::Position);
    let tiers = tiers_by_sale(db.all(select).await?).remove(slug).unwrap_or_default();
    let tiers = tiers.into_iter().map(|(tier, counts)| (tier.id, tier.capacity, counts.committed)).collect();
    let (counters, epoch) = (rows::counters(&sale), rows::epoch(&sale));
    Ok(Some(Committed { epoch, counters, tiers }))
}
