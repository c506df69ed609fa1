//! The ledger on a real PostgreSQL: the suite that every ledger runs, alone and two on one database, and the model.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shared::env::Env;
use shared::ledger::book::Terms;
use shared::ledger::conformance::{PairStory, Story, World, model, pair_stories, stories};
use shared::ledger::sql::SqlLedger;
use tests::harness::postgres::{Database, fresh_database};

async fn world(database: &Database) -> World {
    let env = Env::system();
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

#[test]
fn the_postgresql_ledger_and_the_model_cannot_be_told_apart() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let config = Config { cases: 8, max_shrink_iters: 50, failure_persistence: None, ..Config::default() };
    let steps = prop::collection::vec(any::<model::Step>(), 1..60);
    let run = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async {
            let database = fresh_database().await;
            model::agrees(&world(&database).await, None, &steps).await;
        });
        Ok(())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}
