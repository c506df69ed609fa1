//! Whole sales in which things go wrong: real processes, real servers, thousands of shoppers, and faults by a seed.
//!
//! `cargo xtask chaos --faults 200` runs as many sales as that takes, by the seeds of `tests/chaos/seeds.txt`; with every
//! change the first two are run. A sale goes on while processes are killed and stopped, connections cut, servers emptied,
//! filled and replaced, and Stripe does whatever Stripe may do (`schedule`). When the dust has settled, a checker that
//! knows nothing of the code compares ledger, Stripe, stock and what every shopper's socket last said (`checker`).

mod checker;
mod crowd;
mod dice;
mod director;
mod ear;
mod moves;
mod report;
mod schedule;
mod servers;
mod shopper;
mod stage;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use xtask::cluster::Cluster;

use report::{Sale, Summary};

/// How many faults, where it is not the number that every change is tested with.
const FAULTS: &str = "STAMPEDE_TEST_CHAOS_FAULTS";
/// The first seed, where it is not the list's; the others follow it.
const SEED: &str = "STAMPEDE_TEST_CHAOS_SEED";
/// Where logs of a sale that broke something are kept.
const LOGS: &str = "STAMPEDE_TEST_CHAOS_LOGS";
/// Faults that every change is tested with.
const EACH_CHANGE: usize = 20;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// One sale, from the first shopper until everything has ended.
async fn sale(cluster: &stage::SharedCluster, seed: u64) -> Sale {
    let began = Instant::now();
    let faults = schedule::of(seed);
    report::announce(seed, &faults);
    let mut stage = stage::Stage::start(cluster, crowd::capacity()).await;
    let doors = (0..stage::PLACES).map(|place| stage.fleet.url(place)).collect();
    let crowd = crowd::Crowd::new(seed, doors, stage.fleet.sandbox_url());
    let lives = crowd::Lives::begin(&crowd);
    let mut met = director::carry_out(&mut stage, &faults, Instant::now()).await;
    let ready = stage.until_ready().await;
    let mut verdict = checker::judge(&mut stage, &crowd, &lives).await;
    for (kind, role) in [("web_killed_at_a_point", stage::Role::Web), ("worker_killed_at_a_point", stage::Role::Worker)]
    {
        if let Some(met) = met.get_mut(kind) {
            *met = stage.died_at_a_point(role);
        }
    }
    verdict.broken.extend(ready.err());
    verdict.counts.insert("unanswered", crowd.unanswered());
    verdict.counts.insert("ended by themselves", stage.fell);
    lives.end().await;
    let logs = (!verdict.broken.is_empty()).then(|| stage.keep_logs(seed));
    let sale = Sale { seed, faults, met, verdict, logs, took: began.elapsed() };
    report::tell(&sale);
    sale
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_faults_in_two_sales_break_no_promise() {
    let faults = number(FAULTS).map_or(EACH_CHANGE, |faults| usize::try_from(faults).unwrap());
    let sales = faults.div_ceil(schedule::PER_SALE);
    let listed = schedule::seeds();
    let more = listed.iter().max().map_or(1, |last| last + 1);
    let seeds: Vec<u64> = match number(SEED) {
        Some(first) => (first..).take(sales).collect(),
        None => listed.into_iter().chain(more..).take(sales).collect(),
    };
    let cluster = tokio::task::spawn_blocking(|| Cluster::start().unwrap()).await.unwrap();
    let cluster = Arc::new(Mutex::new(cluster));
    let mut summary = Summary::default();
    for seed in seeds {
        summary.add(sale(&cluster, seed).await);
    }
    assert!(summary.tell(), "something broke: see above");
}

#[test]
fn the_listed_seeds_are_two_hundred_faults_of_every_kind() {
    let faults: Vec<_> = schedule::seeds().into_iter().flat_map(schedule::of).collect();
    assert!(faults.len() >= 200, "{}", faults.len());
    let drawn: BTreeSet<&str> = faults.iter().map(|fault| fault.kind).collect();
    let missing: Vec<_> = schedule::KINDS.iter().filter(|(kind, _)| !drawn.contains(kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_seed_is_one_schedule_and_the_next_seed_another() {
    assert_eq!(schedule::of(7), schedule::of(7));
    assert_ne!(schedule::of(7), schedule::of(8));
}
