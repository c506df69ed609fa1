//! The ledger on a real PostgreSQL: the suite that every ledger runs, alone and two on one database, and the model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shared::env::Env;
use shared::ledger::Ledger as _;
use shared::ledger::book::Terms;
use shared::ledger::conformance::{PairStory, Story, World, model, pair_stories, stories};
use shared::ledger::sql::SqlLedger;
use tests::harness::postgres::{Database, fresh_database};
use tests::harness::proxy::{Flow, Proxy};

async fn world(database: &Database) -> World {
    world_of(database, Env::system()).await
}

async fn world_of(database: &Database, env: Env) -> World {
    SqlLedger::migrate(database.url()).await.unwrap();
    let ledger = SqlLedger::connect(database.url(), env.clone(), Terms::default()).await.unwrap();
    World { ledger: Arc::new(ledger), env }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_postgresql_ledger_does_what_every_ledger_must_do() {
    at_once(stories().into_iter().map(|(name, story): Story| async move {
        let database = fresh_database().await;
        eprintln!("story: {name}");
        story(world(&database).await).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_may_share_one_postgresql_database() {
    at_once(pair_stories().into_iter().map(|(name, story): PairStory| async move {
        let database = fresh_database().await;
        eprintln!("story: {name}");
        story([world(&database).await, world(&database).await]).await;
        // Each takes a second until PostgreSQL has noticed, and a transaction.
        assert_eq!(database.deadlocks().await, 0, "{name}");
    }))
    .await;
}

/// Runs stories, a few at the same time: most of their time they wait for the disk.
async fn at_once<F: Future<Output = ()> + Send + 'static>(stories: impl Iterator<Item = F>) {
    let mut running = stream::iter(stories.map(tokio::spawn)).buffer_unordered(4);
    while let Some(ended) = running.next().await {
        ended.expect("the story holds");
    }
}

/// A crowd that asks again after each refusal, as pages do, must not keep the ledger from finding its server again.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_whose_connections_are_lost_under_a_crowd_of_readers_is_read_again() {
    let database = fresh_database().await;
    let url = database.url();
    SqlLedger::migrate(url).await.unwrap();
    let (before, name) = url.rsplit_once('/').unwrap();
    let (before, port) = before.rsplit_once(':').unwrap();
    let wire = Proxy::start(port.parse().unwrap()).await;
    // To ask takes a little, and to connect a multiple of it.
    wire.set(Flow::Slow(Duration::from_millis(15)));
    let wired = format!("{before}:{}/{name}", wire.port());
    let ledger = SqlLedger::connect(&wired, Env::system(), Terms::default()).await.unwrap();
    let (ledger, read) = (Arc::new(ledger), Arc::new(AtomicUsize::new(0)));
    let come = |number: usize| {
        let reader = || {
            let (ledger, read) = (ledger.clone(), read.clone());
            tokio::spawn(async move {
                loop {
                    match ledger.counters("night").await {
                        Ok(_) => drop(read.fetch_add(1, Ordering::Relaxed)),
                        Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
                    }
                }
            })
        };
        (0..number).map(|_| reader()).collect::<Vec<_>>()
    };
    let more = async |number: usize| {
        let before = read.load(Ordering::Relaxed);
        let reading = async {
            while read.load(Ordering::Relaxed) < before + number {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(25), reading).await.is_ok()
    };
    let mut readers = come(8);
    assert!(more(200).await, "a few can read it");
    // More than can be served: from now on whoever is served has waited for almost as long as anybody waits.
    readers.extend(come(2_000));
    assert!(more(100).await, "a crowd can read it");
    wire.cut();
    assert!(more(100).await, "it is read again");
    readers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[test]
fn the_postgresql_ledger_and_the_model_cannot_be_told_apart() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let config = Config { cases: 8, max_shrink_iters: 50, failure_persistence: None, ..Config::default() };
    let steps = prop::collection::vec(any::<model::Step>(), 1..60);
    let run = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async {
            let database = fresh_database().await;
            let world = world_of(&database, model::rising(Env::system())).await;
            model::agrees(&world, None, &steps).await;
        });
        Ok(())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}
