//! What the stock must show, counted by the database.

use std::collections::HashMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Select};
use uuid::Uuid;

use super::database::{Cells, Reads};
use super::entities::{order_items, orders, sales, tiers};
use super::failure::Failure;
use super::{read, rows, statements};
use crate::env::Timestamp;
use crate::ledger::{Image, ImagePin, LATELY};
use crate::sale::{Item, PricedItem};

/// Reads it. The connection is inside a transaction that shows one state of the ledger to all its statements, or
/// that holds the sale's lock.
pub(super) async fn read<C: Reads>(db: &C, slug: &str) -> Result<Option<Image>, Failure> {
    let Some(row) = db.one(sales::Entity::find_by_id(slug)).await? else { return Ok(None) };
    let select = tiers::Entity::find().filter(tiers::Column::Sale.eq(slug)).order_by_asc(tiers::Column::Position);
    let tiers = read::tiers_by_sale(db.all(select).await?).remove(slug).unwrap_or_default();
    let returned: HashMap<String, u32> =
        tiers.iter().map(|(tier, counts)| (tier.id.clone(), counts.returned)).collect();
    let sale = rows::sale(row, tiers.into_iter().map(|(tier, _)| tier).collect())?;
    let mut image = Image::empty(&sale);
    let sold = "SELECT i.tier, CAST(SUM(i.quantity) AS BIGINT) FROM orders o JOIN order_items i ON i.order_id = o.id
                WHERE o.sale = ? AND o.state = 'paid' GROUP BY i.tier";
    for (id, sum) in query::<(String, i64), _>(db, sold, slug).await? {
        if let Some(tier) = image.tiers.iter_mut().find(|tier| tier.id == id) {
            tier.sold = units(sum);
        }
    }
    for tier in &mut image.tiers {
        tier.returned = returned.get(&tier.id).copied().unwrap_or(0);
        tier.sold = tier.sold.saturating_sub(tier.returned);
    }
    image.bought = bought(db, slug).await?;
    let of_sale = || orders::Entity::find().filter(orders::Column::Sale.eq(slug)).order_by_asc(orders::Column::Id);
    image.pins = pins(db, of_sale().filter(Expr::cust(read::OPEN))).await?;
    let last = orders::Entity::find()
        .filter(orders::Column::Sale.eq(slug))
        .filter(Expr::cust(read::PAID))
        .order_by_desc(orders::Column::UpdatedAt);
    if let Some(last) = db.one(last).await? {
        let since = Timestamp(last.updated_at).minus(LATELY);
        let lately = of_sale().filter(Expr::cust(read::PAID)).filter(orders::Column::UpdatedAt.gte(since.0));
        image.sold = pins(db, lately).await?;
    }
    Ok(Some(image))
}

/// Units per customer, of tiers that have a limit: nobody asks for the others.
async fn bought<C: Reads>(db: &C, slug: &str) -> Result<Vec<(Uuid, Item)>, Failure> {
    let bought = "SELECT o.customer, i.tier, CAST(SUM(i.quantity) AS BIGINT)
                  FROM orders o JOIN order_items i ON i.order_id = o.id
                  JOIN tiers t ON t.sale = o.sale AND t.id = i.tier AND t.max_per_customer IS NOT NULL
                  WHERE o.sale = ? AND o.state = 'paid' GROUP BY o.customer, i.tier ORDER BY o.customer, i.tier";
    let found = query::<(Uuid, String, i64), _>(db, bought, slug).await?;
    let one = |(customer, tier, sum)| (customer, Item { tier, quantity: units(sum) });
    Ok(found.into_iter().map(one).collect())
}

/// What some orders have of the stock.
async fn pins<C: Reads>(db: &C, select: Select<orders::Entity>) -> Result<Vec<ImagePin>, Failure> {
    let open = db.all(select).await?;
    let mut items: HashMap<Uuid, Vec<PricedItem>> = HashMap::new();
    for part in open.chunks(1_024) {
        let of_these = order_items::Column::OrderId.is_in(statements::padded(part.iter().map(|o| o.id).collect()));
        let select = order_items::Entity::find().filter(of_these).order_by_asc(order_items::Column::Position);
        for row in db.all(select).await? {
            items.entry(row.order_id).or_default().push(rows::item(row));
        }
    }
    let pin = |order: orders::Model| ImagePin {
        order: order.id,
        hold: order.hold,
        customer: order.customer,
        version: order.version,
        items: items.remove(&order.id).unwrap_or_default(),
    };
    Ok(open.into_iter().map(pin).collect())
}

async fn query<T: Cells, C: Reads>(db: &C, sql: &str, slug: &str) -> Result<Vec<T>, Failure> {
    Ok(db.rows(statements::statement(db.backend(), sql, vec![slug.into()])).await?)
}

fn units(sum: i64) -> u32 {
    u32::try_from(sum).unwrap_or(u32::MAX)
}
