//! One transaction for many members: load, decide in order of arrival, store, commit. What is left to do when that
//! fails is decided in [`super::writer`].

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sea_orm::{ColumnTrait, DbErr, EntityTrait, QuerySelect, QueryTrait};

use super::clock::Clock;
use super::database::{Database, Reads as _, Transaction};
use super::entities::{inbox, sales};
use super::failure::{Failure, Receipt};
use super::member::{Ask, Mark, Member, NewEpoch, Steering};
use super::moving::Moving;
use super::statements::{self, Existing};
use super::store::exactly;
use super::turns::{Turn, Turns};
use super::{image, load, rows, store};
use crate::env::{Env, Timestamp};
use crate::guards::Guard;
use crate::ledger::book::{Changes, Moment, Terms};
use crate::ledger::{AuditEntry, Controlled, Created, InboxEvent};
use crate::sale::Sale;

/// What every transaction of the writer needs.
pub(super) struct Desk {
    pub(super) db: Database,
    pub(super) env: Env,
    pub(super) clock: Clock,
    pub(super) terms: Terms,
    /// Whose turn it is to write, where processes share a file.
    pub(super) turns: Option<Turns>,
    pub(super) moving: Moving,
    /// What is to go wrong with the next COMMIT.
    #[cfg(test)]
    pub(super) faults: super::tests::Faults,
}

impl Desk {
    /// Waits for a turn, where processes share a file.
    pub(super) async fn turn(&self) -> Option<Turn> {
        match &self.turns {
            Some(turns) => turns.next().await,
            None => None,
        }
    }

    /// Tries the members in one transaction. When the answer to its COMMIT is lost, that is [`Failure::Doubt`]; the
    /// next try brings the receipt along, and finds out under the same locks whether there is anything left to do.
    ///
    /// The turn lasts until the commit is through.
    pub(super) async fn attempt(
        &self,
        members: &mut [Member],
        doubt: &mut Option<Receipt>,
        _turn: Option<Turn>,
    ) -> Result<(), Failure> {
        let tx = self.db.begin().await?;
        match self.work(&tx, members, doubt).await {
            Ok(None) => Ok(tx.rollback().await?),
            Ok(Some(receipt)) => {
                self.commit(tx).await.map_err(|error| Failure::Doubt(receipt, error))?;
                self.moving.after_commit(&self.db, members.len());
                Ok(())
            }
            Err(failure) => {
                if let Err(error) = tx.rollback().await {
                    tracing::debug!(%error, "a failed transaction of the ledger could not be rolled back in order");
                }
                Err(failure)
            }
        }
    }

    async fn commit(&self, tx: Transaction<'_>) -> Result<(), DbErr> {
        #[cfg(test)]
        if let Some(fault) = self.faults.take() {
            return fault.commit(tx).await;
        }
        tx.commit().await
    }

    /// Everything between BEGIN and COMMIT; `None` when there is nothing to commit.
    async fn work(
        &self,
        tx: &Transaction<'_>,
        members: &mut [Member],
        doubt: &mut Option<Receipt>,
    ) -> Result<Option<Receipt>, Failure> {
        let mut book = load::load(tx, members, self.terms).await?;
        if let Some(receipt) = doubt {
            if Guard::Receipt.refuses(was_committed(tx, receipt).await?) {
                *doubt = None;
                return Ok(None);
            }
            *doubt = None;
        }
        // The clock is read when the locks are held: whoever waited for them too long is too late.
        let now = self.clock.now(&self.env);
        let at = Moment { now, env: &self.env };
        let decide = || members.iter_mut().for_each(|member| member.decide(&mut book, at));
        catch_unwind(AssertUnwindSafe(decide)).map_err(|_| Failure::Panicked)?;
        let changes = book.take_changes();
        let mut receipt = receipt(&changes);
        if is_something(&changes) {
            store::store(tx, &book, changes, now).await?;
        }
        receipt = receipt.or(store_events(tx, members).await?);
        for member in in_the_order_of_rows(members) {
            let written = match member {
                Member::Accept(_) | Member::Claim(_) | Member::Apply(_) => None,
                Member::Refund(_) | Member::News(_) | Member::Seen(_) | Member::Events(_) => None,
                Member::Mark(ask) => mark(tx, ask).await?,
                Member::Create(ask) => self.create(tx, ask, now).await?,
                Member::Control(ask) => control(tx, ask, &book).await?,
                Member::Epoch(ask) => begin_epoch(tx, ask).await?,
            };
            receipt = receipt.or(written);
        }
        Ok(receipt)
    }

    async fn create(
        &self,
        tx: &Transaction<'_>,
        ask: &mut Ask<Sale, Created>,
        now: Timestamp,
    ) -> Result<Option<Receipt>, Failure> {
        let sale = &ask.question;
        // A sale's place follows from the others': sales are made one at a time. A file has one writer anyway.
        if let Transaction::Postgres(_) = tx {
            statements::execute_with(tx, "LOCK TABLE sales IN SHARE ROW EXCLUSIVE MODE", vec![]).await?;
        }
        let last = sales::Entity::find().select_only().expr(sales::Column::Position.max());
        let last = tx.rows::<(Option<i64>,)>(last.build(tx.backend())).await?.pop();
        let row = rows::sale_row(sale, last.and_then(|(last,)| last).unwrap_or(0) + 1, now);
        if tx.one(sales::Entity::find_by_id(sale.slug.as_str())).await?.is_some() {
            ask.decide(Created::SlugTaken);
            return Ok(None);
        }
        statements::insert(tx, &[row], Existing::Refuses).await?;
        statements::insert(tx, &rows::tier_rows(sale), Existing::Refuses).await?;
        let line = AuditEntry {
            id: self.env.uuid_v7(),
            order: None,
            sale: sale.slug.clone(),
            at: now,
            what: "sale_created".to_owned(),
            attempt: None,
            version: None,
            note: None,
            by: "operator".to_owned(),
        };
        let receipt = Receipt::Audit { order: None, sale: sale.slug.clone(), id: line.id };
        statements::insert(tx, &[rows::audit_row(line)], Existing::Refuses).await?;
        ask.decide(Created::Yes);
        Ok(Some(receipt))
    }
}

fn is_something(changes: &Changes) -> bool {
    !(changes.orders.is_empty()
        && changes.attempts.is_empty()
        && changes.audit.is_empty()
        && changes.refunds.is_empty())
}

fn receipt(changes: &Changes) -> Option<Receipt> {
    let by_line = |line: &AuditEntry| Receipt::Audit { order: line.order, sale: line.sale.clone(), id: line.id };
    let by_nothing = is_something(changes).then_some(Receipt::None);
    changes.audit.first().map(by_line).or(by_nothing)
}

/// Whether the transaction of which this is the receipt was committed.
async fn was_committed(tx: &Transaction<'_>, receipt: &Receipt) -> Result<bool, Failure> {
    let (sql, values) = match receipt {
        Receipt::Audit { order: Some(order), id, .. } => {
            ("SELECT CAST(1 AS BIGINT) FROM audit WHERE order_id = ? AND id = ?", vec![(*order).into(), (*id).into()])
        }
        Receipt::Audit { order: None, sale, id } => (
            "SELECT CAST(1 AS BIGINT) FROM audit WHERE order_id IS NULL AND sale = ? AND id = ?",
            vec![sale.as_str().into(), (*id).into()],
        ),
        Receipt::Event(id) => ("SELECT CAST(1 AS BIGINT) FROM inbox WHERE id = ?", vec![id.as_str().into()]),
        Receipt::None => return Ok(false),
    };
    let found = tx.rows::<(i64,)>(statements::statement(tx.backend(), sql, values)).await?;
    Ok(!found.is_empty())
}

/// Processes that write the same rows wait for each other: in one order of all, so that none waits for one that waits
/// for it. What is asked about the same row stays in order of arrival.
fn in_the_order_of_rows(members: &mut [Member]) -> Vec<&mut Member> {
    let mut members: Vec<&mut Member> = members.iter_mut().collect();
    members.sort_by_cached_key(|member| match member {
        Member::Mark(ask) => Some(ask.question.row()),
        _ => None,
    });
    members
}

/// The events of all members at once, in the order of their identifiers, as everybody stores them.
async fn store_events(tx: &Transaction<'_>, members: &mut [Member]) -> Result<Option<Receipt>, Failure> {
    let asks = members.iter_mut().filter_map(|member| match member {
        Member::Events(ask) => Some(ask),
        _ => None,
    });
    let mut asks: Vec<_> = asks.collect();
    // Of one that comes twice the first is kept.
    let mut events: BTreeMap<&str, &InboxEvent> = BTreeMap::new();
    for event in asks.iter().flat_map(|ask| &ask.question) {
        events.entry(&event.id).or_insert(event);
    }
    let rows: Vec<_> = events.into_values().map(rows::event_row).collect();
    let mut new = statements::insert_new(tx, &rows, inbox::Column::Id).await?;
    let receipt = new.iter().next().map(|id| Receipt::Event(id.clone()));
    for ask in &mut asks {
        let is_new = ask.question.iter().map(|event| Guard::InboxOnce.holds(new.remove(&event.id))).collect();
        ask.decide(is_new);
    }
    Ok(receipt)
}

async fn mark(tx: &Transaction<'_>, ask: &mut Ask<Mark, u64>) -> Result<Option<Receipt>, Failure> {
    let (sql, values) = match &ask.question {
        Mark::EventHandled { id, is } => {
            ("UPDATE inbox SET handled = ? WHERE id = ?", vec![(*is).into(), id.as_str().into()])
        }
        Mark::OutboxDone(id) => ("DELETE FROM outbox WHERE id = ?", vec![(*id).into()]),
        Mark::Bookmark { name, place } => (
            "INSERT INTO bookmarks (name, place) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET place = excluded.place",
            vec![name.as_str().into(), place.as_str().into()],
        ),
        Mark::Unmatched(one) => (
            "INSERT INTO unmatched (payment_intent, order_id, reason, amount, currency, noticed_at)
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (payment_intent) DO UPDATE SET reason = excluded.reason",
            vec![
                one.payment_intent.as_str().into(),
                one.order.into(),
                one.reason.as_str().into(),
                one.amount.into(),
                one.currency.as_str().into(),
                one.noticed_at.0.into(),
            ],
        ),
        Mark::Matched(id) => ("DELETE FROM unmatched WHERE payment_intent = ?", vec![id.as_str().into()]),
        Mark::Prune { before, most } => (
            "DELETE FROM inbox WHERE handled AND id IN
             (SELECT id FROM inbox WHERE handled AND received_at < ? ORDER BY received_at, id LIMIT ?)",
            vec![before.0.into(), i64::from(*most).into()],
        ),
        // Finds no row, but a database that cannot be written to refuses it.
        Mark::Ping => ("UPDATE sales SET epoch = epoch WHERE slug = ?", vec!["".into()]),
    };
    let met = statements::execute_with(tx, sql, values).await?;
    ask.decide(met);
    Ok(Some(Receipt::None))
}

/// The book has decided and written the audit line; the sale's own row follows here.
async fn control(
    tx: &Transaction<'_>,
    ask: &Ask<Steering, Controlled>,
    book: &crate::ledger::book::Book,
) -> Result<Option<Receipt>, Failure> {
    let Some(page) = book.sales.get(&ask.question.sale) else { return Ok(None) };
    let sale = &page.sale;
    let sql = "UPDATE sales SET opens_at = ?, closes_at = ?, paused = ? WHERE slug = ?";
    let closes_at = sale.closes_at.map(|at| at.0);
    let values = vec![sale.opens_at.0.into(), closes_at.into(), sale.paused.into(), sale.slug.as_str().into()];
    exactly(1, statements::execute_with(tx, sql, values).await?, "sales_known")?;
    for tier in &sale.tiers {
        let sql = "UPDATE tiers SET capacity = ? WHERE sale = ? AND id = ? AND capacity <> ?";
        let capacity = rows::number(tier.capacity);
        let values = vec![capacity.into(), sale.slug.as_str().into(), tier.id.as_str().into(), capacity.into()];
        statements::execute_with(tx, sql, values).await?;
    }
    Ok(None)
}

/// The bump locks the sale, so that what is then read cannot change before the new epoch is there for all.
async fn begin_epoch(
    tx: &Transaction<'_>,
    ask: &mut Ask<NewEpoch, Option<crate::ledger::Image>>,
) -> Result<Option<Receipt>, Failure> {
    let NewEpoch { sale, stock_run } = &ask.question;
    let sql = "UPDATE sales SET epoch = epoch + 1, stock_run = ? WHERE slug = ?";
    let found = statements::execute_with(tx, sql, vec![stock_run.as_str().into(), sale.as_str().into()]).await?;
    let image = if found == 0 { None } else { image::read(tx, sale).await? };
    ask.decide(image);
    Ok((found > 0).then_some(Receipt::None))
}
