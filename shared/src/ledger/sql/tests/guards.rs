//! What holds although the book was wrong: the statements that store its changes, and the tables that they write to.

use super::*;
use crate::ledger::book::{Book, Moment};
use crate::ledger::records::SaleCounters;
use crate::ledger::sql::database::Database;
use crate::ledger::sql::failure::Failure;
use crate::ledger::sql::store::store;

/// A ledger with this many orders of one unit each, and a way to its database beside it.
async fn shop(orders: usize) -> (Files, Env, SqlLedger, Database, Vec<Accept>) {
    let (files, env) = (Files::new(), Env::system());
    let url = files.next();
    let ledger = connect(&url, &env).await;
    selling(&ledger, 20).await;
    let purchases: Vec<Accept> = (0..orders).map(|_| purchase(&env)).collect();
    for purchase in &purchases {
        ledger.accept(purchase.clone()).await.unwrap();
    }
    let db = open::open(&url).await.unwrap().writer;
    (files, env, ledger, db, purchases)
}

/// Which guard of the statements refuses to store what a book has decided, if one does.
async fn refused(db: &Database, env: &Env, book: &mut Book) -> Option<String> {
    let tx = db.begin().await.unwrap();
    let changes = book.take_changes();
    let stored = store(&tx, book, changes, env.now()).await;
    tx.rollback().await.unwrap();
    match stored {
        Ok(()) => None,
        Err(Failure::Guard(guard)) => Some(guard.to_owned()),
        Err(other) => Some(format!("not the statement: {other:?}")),
    }
}

#[tokio::test]
async fn a_change_on_top_of_a_version_that_is_no_more_is_not_written() {
    let (_files, env, ledger, db, purchases) = shop(1).await;
    let order = ledger.order(purchases[0].order).await.unwrap().unwrap();
    let attempt = ledger.attempt(order.id, 1).await.unwrap().unwrap();
    for (version, guard) in [(order.version, None), (order.version + 1, Some("orders_version".to_owned()))] {
        let mut book = Book::new(Terms::default());
        book.insert_order(Order { version, ..order.clone() });
        book.attempts.insert((order.id, 1), attempt.clone());
        let claimed = book.claim(Moment { now: env.now(), env: &env }, order.id, 1, request);
        assert!(matches!(claimed, Claimed::Yes { .. }));
        // Its sale is not in this book, and neither are the sale's counters.
        assert_eq!(refused(&db, &env, &mut book).await, guard);
    }
}

#[tokio::test]
async fn the_statement_adds_no_units_beyond_the_capacity_whatever_the_book_has_counted() {
    let (_files, env, ledger, db, _) = shop(20).await;
    let sale = ledger.sales().await.unwrap().remove(0);
    let mut book = Book::new(Terms::default());
    book.insert_sale(sale, SaleCounters::default(), std::collections::BTreeMap::new());
    let accepted = book.accept(Moment { now: env.now(), env: &env }, &purchase(&env));
    assert!(matches!(accepted, Accepted::New(_)), "the book believes that all are free");
    assert_eq!(refused(&db, &env, &mut book).await.as_deref(), Some("tiers_capacity"));
}

#[tokio::test]
async fn the_tables_refuse_a_second_one_of_what_there_may_be_once() {
    let (_files, _env, _ledger, db, _) = shop(2).await;
    let refund = |reason: &str, request: &str, stripe_id: &str| {
        format!(
            "INSERT INTO refunds (id, order_id, payment_intent, amount, currency, reason, request, asked, restock, \
             spent_keys, ask_at, state, stripe_id, created_at) SELECT randomblob(16), id, 'pi_1', 1, 'usd', '{reason}', \
             {request}, '', FALSE, 0, 0, 'owed', {stripe_id}, 0 FROM orders"
        )
    };
    let ticket =
        "INSERT INTO tickets (id, order_id, position, tier, code) SELECT randomblob(16), id, 0, 'std', hex(id) || ";
    db.run(&format!("{ticket}'a' FROM orders")).unwrap();
    for (sql, because) in [
        ("UPDATE orders SET hold = x'00'".to_owned(), "orders.hold"),
        ("UPDATE orders SET refunded = amount + 1".to_owned(), "orders_give_back_what_was_paid"),
        (
            "INSERT INTO attempts (order_id, number, token, state) SELECT order_id, 2, token, 'owed' FROM attempts"
                .into(),
            "attempts.token",
        ),
        (refund("requested", "x'01'", "NULL"), "refunds.request"),
        (refund("elsewhere", "NULL", "'re_1'"), "refunds.stripe_id"),
        (refund("paid_late", "NULL", "NULL"), "refunds.payment_intent"),
        (format!("{ticket}'b' FROM orders"), "tickets.position"),
    ] {
        let tx = db.begin().await.unwrap();
        let refused = db.run(&sql).map_or_else(|error| error.to_string(), |_| "nobody".into());
        tx.rollback().await.unwrap();
        assert!(refused.contains(because), "{sql} is refused by {refused}");
    }
}
