//! Loading: exactly the rows that a group speaks of, under locks that make what the book decides stay true.
//!
//! On PostgreSQL the locks are taken in one order by everybody: sales by slug, then orders by id. Whatever changes
//! tiers or counters holds the lock of their sale, so tiers need none of their own, and two groups cannot wait for
//! each other. On SQLite the transaction is the only one that writes.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Condition, Expr, LockType, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

use super::database::{Reads as _, Transaction};
use super::entities::{attempts, audit, order_items, orders, refunds, sales, tiers};
use super::failure::Failure;
use super::member::Member;
use super::{read, rows, statements};
use crate::ledger::book::{Book, Buyer, Terms};
use crate::ledger::{Accept, Change, Control, counts_against_capacity};
use crate::order::{Outcome, State, email_key};
use crate::sale::PricedItem;

/// The rows that a group speaks of.
#[derive(Default)]
struct Wanted<'a> {
    orders: Vec<Uuid>,
    sales: BTreeSet<&'a str>,
    accepts: Vec<&'a Accept>,
    /// PaymentIntents that were seen to have paid, by order.
    paid_by: BTreeMap<Uuid, &'a str>,
    /// Orders whose refunds are asked for or told of.
    refunded: Vec<Uuid>,
    /// Requests for refunds.
    requests: Vec<Uuid>,
    /// Requests for more units.
    additions: Vec<Uuid>,
}

impl<'a> Wanted<'a> {
    fn of(members: &'a [Member]) -> Self {
        let mut wanted = Self::default();
        for member in members {
            wanted.orders.extend(member.order());
            match member {
                Member::Accept(ask) => {
                    wanted.sales.insert(&ask.question.sale);
                    wanted.accepts.push(&ask.question);
                }
                Member::Apply(ask) if matches!(ask.question.1, Change::Rejected { taken: Some(_), .. }) => {
                    wanted.refunded.push(ask.question.0);
                }
                Member::Apply(ask) => {
                    if let (order, Change::Observed { outcome: Outcome::Succeeded { payment_intent, .. }, .. }) =
                        &ask.question
                        && let Some(payment_intent) = payment_intent
                    {
                        wanted.paid_by.insert(*order, payment_intent);
                    }
                }
                Member::Refund(ask) => {
                    wanted.refunded.push(ask.question.order);
                    wanted.requests.push(ask.question.request);
                }
                Member::News(ask) => wanted.refunded.push(ask.question.0),
                Member::Seen(ask) => wanted.refunded.push(ask.question.0),
                Member::Control(ask) => {
                    wanted.sales.insert(&ask.question.sale);
                    if let Control::AddStock { request, .. } = &ask.question.control {
                        wanted.additions.push(*request);
                    }
                }
                _ => {}
            }
        }
        wanted
    }
}

/// Loads what a group speaks of into a book.
pub(super) async fn load(tx: &Transaction<'_>, members: &[Member], terms: Terms) -> Result<Book, Failure> {
    let wanted = Wanted::of(members);
    let mut book = Book::new(terms);
    if wanted.orders.is_empty() && wanted.sales.is_empty() {
        return Ok(book);
    }
    let sales = match tx {
        // Nobody else writes: the orders are read first, and tell their sales.
        Transaction::Sqlite(_) => {
            load_orders(tx, &wanted, &mut book).await?;
            let of_orders = book.orders.values().map(|order| order.sale.clone());
            let slugs = of_orders.chain(wanted.sales.iter().map(|slug| (*slug).to_owned())).collect();
            tx.all_of(sales::Entity::find(), sales::Column::Slug, slugs).await?
        }
        Transaction::Postgres(_) => locked_sales(tx, &wanted).await?,
    };
    insert_sales(tx, sales, &mut book).await?;
    load_additions(tx, &wanted, &mut book).await?;
    if wanted.orders.is_empty() {
        return Ok(book);
    }
    if let Transaction::Postgres(_) = tx {
        load_orders(tx, &wanted, &mut book).await?;
    }
    load_attempts(tx, &mut book).await?;
    load_holds(tx, &wanted, &mut book).await?;
    load_refunds(tx, &wanted, &mut book).await?;
    load_units(tx, &wanted, &mut book).await?;
    Ok(book)
}

async fn load_orders(tx: &Transaction<'_>, wanted: &Wanted<'_>, book: &mut Book) -> Result<(), Failure> {
    for order in read::orders(tx, &wanted.orders, true).await? {
        book.insert_order(order);
    }
    Ok(())
}

/// The sales of new orders, and of orders that are there.
async fn locked_sales(tx: &Transaction<'_>, wanted: &Wanted<'_>) -> Result<Vec<sales::Model>, Failure> {
    let mut of_these = Condition::any();
    if !wanted.sales.is_empty() {
        of_these = of_these.add(sales::Column::Slug.is_in(wanted.sales.iter().copied()));
    }
    if !wanted.orders.is_empty() {
        let of_orders = Query::select()
            .column(orders::Column::Sale)
            .from(orders::Entity)
            .and_where(orders::Column::Id.is_in(statements::padded(wanted.orders.clone())))
            .to_owned();
        of_these = of_these.add(sales::Column::Slug.in_subquery(of_orders));
    }
    let select = sales::Entity::find().filter(of_these).order_by_asc(sales::Column::Slug).lock(LockType::NoKeyUpdate);
    Ok(tx.all(select).await?)
}

async fn insert_sales(tx: &Transaction<'_>, found: Vec<sales::Model>, book: &mut Book) -> Result<(), Failure> {
    if found.is_empty() {
        return Ok(());
    }
    let select = tiers::Entity::find()
        .filter(tiers::Column::Sale.is_in(found.iter().map(|sale| sale.slug.as_str())))
        .order_by_asc(tiers::Column::Position);
    let mut tiers = read::tiers_by_sale(tx.all(select).await?);
    for row in found {
        let counters = rows::counters(&row);
        let tiers = tiers.remove(&row.slug).unwrap_or_default();
        let committed = tiers.iter().map(|(tier, counts)| (tier.id.clone(), counts.committed)).collect();
        let sale = rows::sale(row, tiers.into_iter().map(|(tier, _)| tier).collect())?;
        book.insert_sale(sale, counters, committed);
    }
    Ok(())
}

async fn load_attempts(tx: &Transaction<'_>, book: &mut Book) -> Result<(), Failure> {
    if book.orders.is_empty() {
        return Ok(());
    }
    let ids = book.orders.keys().copied().collect();
    for row in tx.all_of(attempts::Entity::find(), attempts::Column::OrderId, ids).await? {
        let attempt = rows::attempt(row)?;
        book.attempts.insert((attempt.order, attempt.number), attempt);
    }
    Ok(())
}

/// Units that the same requests have added before.
async fn load_additions(tx: &Transaction<'_>, wanted: &Wanted<'_>, book: &mut Book) -> Result<(), Failure> {
    if wanted.additions.is_empty() {
        return Ok(());
    }
    // Letter by letter the condition of the index.
    let lines = audit::Entity::find().filter(Expr::cust("what = 'stock_added'"));
    for row in tx.all_of(lines, audit::Column::Id, wanted.additions.clone()).await? {
        book.additions.insert(row.id, (row.sale, row.note.unwrap_or_default()));
    }
    Ok(())
}

/// Which orders have the holds that new orders ask for.
async fn load_holds(tx: &Transaction<'_>, wanted: &Wanted<'_>, book: &mut Book) -> Result<(), Failure> {
    let accepts = wanted.accepts.iter().filter(|accept| !book.orders.contains_key(&accept.order));
    let holds: Vec<Uuid> = accepts.map(|accept| accept.hold).collect();
    if holds.is_empty() {
        return Ok(());
    }
    let found = tx.all_of(orders::Entity::find(), orders::Column::Hold, holds).await?;
    book.holds.extend(found.into_iter().map(|order| (order.hold, order.id)));
    Ok(())
}

/// Refunds of payments that came to orders which had ended (only there is money given back by itself), of orders whose
/// refunds are spoken of, and of requests that were made before, whichever order they were for.
async fn load_refunds(tx: &Transaction<'_>, wanted: &Wanted<'_>, book: &mut Book) -> Result<(), Failure> {
    let ended = |order: &Uuid| book.orders.get(order).is_some_and(|order| order.state.is_final());
    let paid_by = wanted.paid_by.iter().filter(|(order, _)| ended(order));
    let payment_intents: Vec<&str> = paid_by.map(|(_, payment_intent)| *payment_intent).collect();
    // One look-up per index, and none that is not asked for.
    let all = refunds::Entity::find;
    let mut found = Vec::new();
    if !payment_intents.is_empty() {
        found.extend(tx.all_of(all(), refunds::Column::PaymentIntent, payment_intents).await?);
    }
    if !wanted.refunded.is_empty() {
        found.extend(tx.all_of(all(), refunds::Column::OrderId, wanted.refunded.clone()).await?);
    }
    if !wanted.requests.is_empty() {
        found.extend(tx.all_of(all(), refunds::Column::Request, wanted.requests.clone()).await?);
    }
    for row in found {
        let refund = rows::refund(row)?;
        book.refunds.insert(refund.id, refund);
    }
    Ok(())
}

/// How many units of tiers with a limit the buyers of new orders have.
///
/// Buyers have few orders and sales have many, which no planner knows in the first minute of a sale: a join is left
/// to it at the price of reading whole tables. So each statement here looks up one index.
async fn load_units(tx: &Transaction<'_>, wanted: &Wanted<'_>, book: &mut Book) -> Result<(), Failure> {
    for slug in &wanted.sales {
        let Some(page) = book.sales.get(*slug) else { continue };
        let limited = page.sale.tiers.iter().filter(|tier| tier.max_per_customer.is_some());
        let limited: Vec<String> = limited.map(|tier| tier.id.clone()).collect();
        let new = |accept: &&&Accept| accept.sale == **slug && !book.orders.contains_key(&accept.order);
        let accepts: Vec<&Accept> = wanted.accepts.iter().filter(new).copied().collect();
        if limited.is_empty() || accepts.is_empty() {
            continue;
        }
        let customers = accepts.iter().map(|accept| accept.customer).collect();
        let by_customer = tx.all_of(orders_that_count(), orders::Column::Customer, customers).await?;
        let emails = accepts.iter().map(|accept| email_key(&accept.email)).collect();
        let of_sale = orders_that_count().filter(orders::Column::Sale.eq(*slug));
        let by_email = tx.all_of(of_sale, orders::Column::EmailKey, emails).await?;
        let of_customers = by_customer.into_iter().filter(|order| order.sale == **slug);
        let of_customers = of_customers.map(|order| (order.id, Buyer::Customer(order.customer)));
        let of_emails = by_email.into_iter().map(|order| (order.id, Buyer::Email(order.email_key)));
        let buyers: Vec<(Uuid, Buyer)> = of_customers.chain(of_emails).collect();
        add_units(tx, slug, &limited, &buyers, book).await?;
    }
    Ok(())
}

/// Orders whose units count against capacity, and so against a limit.
fn orders_that_count() -> Select<orders::Entity> {
    let ended = State::ALL.into_iter().filter(|state| !counts_against_capacity(*state)).map(State::as_str);
    orders::Entity::find().filter(orders::Column::State.is_not_in(ended))
}

/// Adds up what buyers have in their orders.
async fn add_units(
    tx: &Transaction<'_>,
    slug: &str,
    limited: &[String],
    buyers: &[(Uuid, Buyer)],
    book: &mut Book,
) -> Result<(), Failure> {
    let ids: BTreeSet<Uuid> = buyers.iter().map(|(order, _)| *order).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let mut items: BTreeMap<Uuid, Vec<PricedItem>> = BTreeMap::new();
    for ids in ids.chunks(read::MOST_IDS) {
        for row in tx.all_of(order_items::Entity::find(), order_items::Column::OrderId, ids.to_vec()).await? {
            items.entry(row.order_id).or_default().push(rows::item(row));
        }
    }
    for (order, buyer) in buyers {
        let items = items.get(order).map(Vec::as_slice).unwrap_or_default();
        for item in items.iter().filter(|item| limited.contains(&item.tier)) {
            let key = (slug.to_owned(), item.tier.clone(), buyer.clone());
            let units = book.units.entry(key).or_default();
            *units = units.saturating_add(item.quantity);
        }
    }
    Ok(())
}
