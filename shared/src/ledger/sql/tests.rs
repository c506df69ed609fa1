//! What the conformance suite cannot see from outside: lost answers to COMMIT, broken members, the file itself.

mod guards;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join_all;
use parking_lot::Mutex;
use proptest::prelude::*;
use sea_orm::{DbErr, RuntimeErr};
use tempfile::TempDir;
use uuid::Uuid;

use super::database::Transaction;
use super::{SqlLedger, open};
use crate::env::{Env, Seeded, Timestamp};
use crate::ledger::book::Terms;
use crate::ledger::conformance::{self, World, demo};
use crate::ledger::{Accept, Accepted, Claimed, Control, InboxEvent, Ledger, Word};
use crate::order::{Attempt, Order};
use crate::sale::{PricedItem, Sale};
use crate::stripe::StoredRequest;

/// What is to go wrong with the next COMMIT of a ledger.
#[derive(Clone, Default)]
pub(super) struct Faults(Arc<Mutex<Vec<Fault>>>);

/// A COMMIT whose answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It happened all the same.
    LostAfter,
    /// And it did not happen.
    LostBefore,
}

impl Faults {
    pub(super) fn take(&self) -> Option<Fault> {
        self.0.lock().pop()
    }
}

impl Fault {
    pub(super) async fn commit(self, tx: Transaction<'_>) -> Result<(), DbErr> {
        match self {
            Self::LostAfter => tx.commit().await?,
            Self::LostBefore => tx.rollback().await?,
        }
        Err(DbErr::Conn(RuntimeErr::Internal("the answer was lost".into())))
    }
}

/// A folder of databases, each made when it is first named.
struct Files {
    folder: TempDir,
    made: AtomicU32,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), made: AtomicU32::new(0) }
    }

    fn next(&self) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        format!("sqlite://{}/{number}.db?mode=rwc", self.folder.path().display())
    }
}

async fn connect(url: &str, env: &Env) -> SqlLedger {
    SqlLedger::connect(url, env.clone(), Terms::default()).await.unwrap()
}

async fn world(url: &str) -> World {
    let env = Env::system();
    World { ledger: Arc::new(connect(url, &env).await), env }
}

async fn selling(ledger: &SqlLedger, capacity: u32) {
    ledger.create_sale(demo(capacity, None)).await.unwrap();
}

fn purchase(env: &Env) -> Accept {
    let order = env.uuid_v7();
    Accept {
        order,
        customer: env.uuid_v4(),
        hold: order,
        sale: "demo".into(),
        epoch: Some(1),
        items: vec![PricedItem { tier: "std".into(), quantity: 1, amount: 2_500 }],
        currency: "usd".parse().unwrap(),
        email: "a@example.com".into(),
        name: "A. Shopper".into(),
        token: "tok_visa".into(),
        think_ms: 60_000,
        accept_by: Timestamp(i64::MAX),
        short_line: 0,
    }
}

fn request(_: &Order, _: &Attempt, _: Option<&Sale>) -> Result<StoredRequest, String> {
    Ok(StoredRequest { path: "/v1/payment_intents".into(), body: "amount=2500".into(), version: "v".into() })
}

#[tokio::test]
async fn the_sqlite_ledger_does_what_every_ledger_must_do() {
    let files = Files::new();
    conformance::run_all(async || world(&files.next()).await).await;
}

#[tokio::test]
async fn two_processes_may_share_one_sqlite_file() {
    let files = Files::new();
    conformance::run_pairs(async || {
        let url = files.next();
        [world(&url).await, world(&url).await]
    })
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_sqlite_ledger_and_the_model_cannot_be_told_apart(steps in prop::collection::vec(any::<[u8; 3]>(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let seeded = Seeded::new(7);
            let env = conformance::model::rising(seeded.env());
            let files = Files::new();
            let world = World { ledger: Arc::new(connect(&files.next(), &env).await), env };
            conformance::model::agrees(&world, Some(&seeded), &steps).await;
        });
    }
}

#[tokio::test]
async fn a_purchase_whose_commit_went_unanswered_is_told_as_new_whether_it_happened_or_not() {
    for fault in [Fault::LostAfter, Fault::LostBefore] {
        let (files, env) = (Files::new(), Env::system());
        let ledger = connect(&files.next(), &env).await;
        selling(&ledger, 20).await;
        // Twice: also the answer to the second try may be lost.
        ledger.faults.0.lock().extend([fault, Fault::LostBefore]);
        let purchases: Vec<Accept> = (0..30).map(|_| purchase(&env)).collect();
        let answers = join_all(purchases.iter().map(|purchase| ledger.accept(purchase.clone()))).await;
        for (n, (purchase, answer)) in purchases.iter().zip(answers).enumerate() {
            match answer.unwrap() {
                Accepted::New(order) => assert_eq!(Some(order), ledger.order(purchase.order).await.unwrap()),
                other => assert!(n >= 20 && matches!(other, Accepted::SoldOut { .. }), "{n}: {other:?}"),
            }
            let lines = ledger.audit(purchase.order).await.unwrap().len();
            assert_eq!(lines, usize::from(n < 20), "accepted once");
        }
        assert_eq!(ledger.image("demo").await.unwrap().unwrap().pins.len(), 20);
    }
}

#[tokio::test]
async fn a_control_and_an_event_whose_commit_went_unanswered_happen_once() {
    let (files, env) = (Files::new(), Env::system());
    let ledger = connect(&files.next(), &env).await;
    ledger.faults.0.lock().push(Fault::LostAfter);
    selling(&ledger, 20).await;
    assert_eq!(ledger.sales().await.unwrap().len(), 1);
    for fault in [Fault::LostAfter, Fault::LostBefore] {
        let capacity = ledger.sales().await.unwrap()[0].tiers[0].capacity;
        ledger.faults.0.lock().push(fault);
        let add = Control::AddStock { tier: "std".into(), quantity: 5, request: env.uuid_v4() };
        ledger.control("demo", add, &Word::of("ops")).await.unwrap();
        assert_eq!(ledger.sales().await.unwrap()[0].tiers[0].capacity, capacity + 5);
        ledger.faults.0.lock().push(fault);
        let event = InboxEvent { id: format!("evt_{fault:?}"), received_at: Timestamp(1), body: "{}".into() };
        assert_eq!(ledger.store_events(vec![event]).await.unwrap(), [true]);
    }
}

#[tokio::test]
async fn a_commit_that_is_never_answered_is_an_error_and_not_a_guess() {
    let (files, seeded) = (Files::new(), Seeded::new(1));
    let env = seeded.env();
    let ledger = connect(&files.next(), &env).await;
    selling(&ledger, 20).await;
    ledger.faults.0.lock().extend([Fault::LostBefore; 100]);
    let accept = ledger.accept(purchase(&env));
    tokio::pin!(accept);
    // The writer backs off by the injected clock, which moves while the answer is waited for.
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut accept => break answer,
            () = tokio::task::yield_now() => seeded.advance(std::time::Duration::from_secs(1)),
        }
    };
    assert!(answer.unwrap_err().to_string().contains("unknown"));
}

#[tokio::test]
async fn everything_survives_closing_and_opening_again() {
    let (files, env) = (Files::new(), Env::system());
    let url = files.next();
    let purchase = purchase(&env);
    let (order, attempt) = {
        let ledger = connect(&url, &env).await;
        selling(&ledger, 20).await;
        ledger.accept(purchase.clone()).await.unwrap();
        let Claimed::Yes { order, attempt, .. } = ledger.claim(purchase.order, 1, request).await.unwrap() else {
            panic!("not claimed")
        };
        ledger.close().await;
        let refused = ledger.accept(purchase.clone()).await.unwrap_err();
        assert!(refused.to_string().contains("closed"), "{refused}");
        (order, attempt)
    };
    let ledger = connect(&url, &env).await;
    assert_eq!(ledger.order(order.id).await.unwrap(), Some(*order.clone()));
    assert_eq!(ledger.attempt(order.id, 1).await.unwrap(), Some(*attempt));
    assert_eq!(ledger.accept(purchase).await.unwrap(), Accepted::Replay(*order));
}

#[tokio::test]
async fn closing_waits_for_what_was_asked_for_and_dropping_ends_the_threads() {
    let (files, env) = (Files::new(), Env::system());
    let url = files.next();
    let ledger = connect(&url, &env).await;
    selling(&ledger, 500).await;
    let accepts = join_all((0..300).map(|_| ledger.accept(purchase(&env))));
    let (answers, ()) = futures::future::join(accepts, ledger.close()).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Accepted::New(_)))));
    let dropped = connect(&url, &env).await;
    let working = std::mem::take(&mut *dropped.working.lock());
    drop(dropped);
    for ended in working {
        ended.await.unwrap();
    }
}

#[tokio::test]
async fn what_was_claimed_when_it_was_accepted_is_sent_while_others_write() {
    let (files, env) = (Files::new(), Env::system());
    let url = files.next();
    let ledger = connect(&url, &env).await;
    selling(&ledger, 20).await;
    let orders: Vec<Uuid> = (0..9).map(|_| env.uuid_v7()).collect();
    for order in &orders {
        ledger.accept(Accept { order: *order, hold: *order, short_line: 9, ..purchase(&env) }).await.unwrap();
    }
    let other = open::open(&url).await.unwrap().writer;
    let writing = other.begin().await.unwrap();
    let claims = join_all(orders.iter().map(|order| ledger.claim(*order, 1, request)));
    for (order, claimed) in orders.iter().zip(claims.await) {
        let Ok(Claimed::Yes { order: known, attempt, first: false }) = claimed else { panic!("{claimed:?}") };
        assert_eq!((known.id, attempt.order), (*order, *order));
    }
    writing.rollback().await.unwrap();
    assert!(matches!(ledger.claim(env.uuid_v7(), 1, request).await.unwrap(), Claimed::Unknown));
    ledger.close().await;
    assert!(ledger.claim(orders[0], 1, request).await.is_err(), "it is closed");
}

#[tokio::test]
async fn a_decision_that_breaks_off_fails_alone() {
    let (files, env) = (Files::new(), Env::system());
    let ledger = connect(&files.next(), &env).await;
    selling(&ledger, 20).await;
    let orders: Vec<Uuid> = (0..9).map(|_| env.uuid_v7()).collect();
    for order in &orders {
        ledger.accept(Accept { order: *order, hold: *order, ..purchase(&env) }).await.unwrap();
    }
    let claims = orders.iter().enumerate().map(|(n, order)| {
        let prepare = if n == 5 {
            |_: &Order, _: &Attempt, _: Option<&Sale>| panic!("a defect in the making of requests")
        } else {
            request
        };
        ledger.claim(*order, 1, prepare)
    });
    for (n, claimed) in join_all(claims).await.into_iter().enumerate() {
        match claimed {
            Ok(Claimed::Yes { first: true, .. }) => assert_ne!(n, 5),
            other => assert!(n == 5 && other.is_err(), "{n}: {other:?}"),
        }
    }
    assert!(matches!(ledger.claim(orders[5], 1, request).await.unwrap(), Claimed::Yes { first: true, .. }));
}

#[tokio::test]
async fn the_database_itself_refuses_what_must_never_happen() {
    let (files, env) = (Files::new(), Env::system());
    let url = files.next();
    let ledger = connect(&url, &env).await;
    selling(&ledger, 20).await;
    ledger.accept(purchase(&env)).await.unwrap();
    let db = open::open(&url).await.unwrap().writer;
    for (sql, because) in [
        ("UPDATE audit SET note = 'nothing happened'", "append-only"),
        ("DELETE FROM audit", "append-only"),
        ("UPDATE tiers SET committed = capacity + 1", "tiers_never_oversell"),
        ("UPDATE tiers SET committed = -1", "tiers_never_oversell"),
        ("UPDATE orders SET state = 'gone'", "orders_state_is_known"),
        ("UPDATE orders SET state = 'closing'", "orders_closing_knows_its_ends"),
        ("UPDATE attempts SET first_sent_at = 1", "attempts_send_what_is_stored"),
        ("DELETE FROM sales", "FOREIGN KEY"),
    ] {
        let refused = db.run(sql).unwrap_err().to_string();
        assert!(refused.contains(because), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_refused_with_a_sentence_and_without_its_password() {
    let unusable = [
        "postgres://shop:hunter2@127.0.0.1:1/shop",
        "postgres://shop:hunter2@127.0.0.1:no-port/shop",
        "mysql://shop:hunter2@localhost/shop",
        "sqlite::memory:",
        "sqlite:///no/such/folder/ledger.db?mode=rwc",
    ];
    for url in unusable {
        let refused = SqlLedger::connect(url, Env::system(), Terms::default()).await.err().unwrap().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
        assert!(refused.len() > 40, "{url}: {refused}");
    }
    let refused = SqlLedger::migrate(unusable[0]).await.unwrap_err().to_string();
    assert!(refused.contains("127.0.0.1:1") && !refused.contains("hunter2"), "{refused}");
}
