use shared::budget::{Budget as Slots, Limits};
use shared::env::Seeded;
use shared::fleet::memory::MemoryFleet;
use shared::ledger::book::Terms;
use shared::ledger::conformance::demo;
use shared::ledger::memory::MemoryLedger;
use shared::queue::QueueOptions;
use shared::queue::memory::Memory;
use shared::stock::keeper;
use shared::stock::memory::MemoryStock;

use super::*;

/// A composer over a shop in memory that sells five units of something.
async fn composer(seeded: &Seeded) -> Composer {
    let env = seeded.env();
    let ledger: SharedLedger = Arc::new(MemoryLedger::new(env.clone(), Terms::default()));
    let budget = Arc::new(Slots::alone(env.clone(), Limits::default()));
    let outlook = Outlook { fleet: Arc::new(MemoryFleet::new(env.clone())), budget: budget.clone() };
    let sources = Sources {
        ledger: ledger.clone(),
        stock: Arc::new(MemoryStock::new(env.clone())),
        queue: Arc::new(Memory::new(env.clone(), QueueOptions::default())),
        budget,
        outlook,
        env,
    };
    ledger.create_sale(demo(5, None)).await.unwrap();
    Composer::new(sources)
}

#[tokio::test]
async fn many_who_look_at_once_cost_one_look() {
    let seeded = Seeded::new(1);
    let composer = composer(&seeded).await;
    let first = composer.look().await;
    seeded.advance(FRESH - Duration::from_millis(1));
    assert!(Arc::ptr_eq(&first, &composer.look().await));
    seeded.advance(Duration::from_millis(1));
    assert!(!Arc::ptr_eq(&first, &composer.look().await));
    assert_eq!(composer.history().await.len(), 2);
}

#[tokio::test]
async fn units_that_nobody_knows_are_not_told_as_none() {
    let seeded = Seeded::new(1);
    let composer = composer(&seeded).await;
    let told = |overview: &Overview| overview.sales.as_ref().unwrap()[0].clone();
    let sale = told(&*composer.look().await);
    assert_eq!((&sale["status"], &sale["tiers"][0]["free"]), (&"paused".into(), &Value::Null), "{sale}");
    assert_eq!(sale["conservation"]["holds"], false);
    let Sources { ledger, stock, .. } = &composer.sources;
    let known = demo(5, None);
    keeper::restore(&**ledger, &**stock, &[(known.slug, known.epoch)]).await.unwrap();
    seeded.advance(Duration::from_secs(5));
    let sale = told(&*composer.look().await);
    assert_eq!((&sale["tiers"][0]["free"], &sale["conservation"]["holds"]), (&5.into(), &true.into()), "{sale}");
}

#[tokio::test]
async fn the_plots_go_back_fifteen_minutes_and_no_further() {
    let seeded = Seeded::new(1);
    let composer = composer(&seeded).await;
    for _ in 0..200 {
        composer.look().await;
        seeded.advance(Duration::from_secs(5));
    }
    let points = composer.history().await;
    assert_eq!(points.len(), 181, "one in five seconds");
    let span = points.last().unwrap().at - points.first().unwrap().at;
    assert_eq!(span, 15 * 60 * 1_000);
}

fn counts(seconds: u64, accepted: u64, settled: u64) -> Counts {
    let at = Duration::from_secs(seconds);
    Counts { at, accepted: Some(accepted), settled: Some(settled), ..Counts::default() }
}

#[test]
fn a_crowds_first_moment_is_foretold_by_the_budget_and_what_comes_after_by_what_was_seen() {
    let total = shared::budget::Meter { allowed: Some(25_000), ..Default::default() };
    let standing = Standing { total, latency: Some(Duration::from_millis(600)), ..Standing::default() };
    let tell = |from: Counts, to: Counts| {
        let told = forecast(None, &standing, Some(&from), &to, Timestamp(0));
        (told.waiting, told.at_per_second, told.ends_in_ms)
    };
    let first = tell(counts(0, 0, 0), counts(5, 51, 1));
    assert_eq!(first, (Some(50), Some(Thousandths(25_000)), Some(2_600)), "not one in five seconds");
    let slow = tell(counts(5, 51, 1), counts(10, 101, 51));
    assert_eq!(slow, (Some(50), Some(Thousandths(10_000)), Some(5_600)));
    let over = tell(counts(10, 101, 51), counts(15, 101, 101));
    assert_eq!(over, (Some(0), Some(Thousandths(25_000)), Some(0)));
}

#[test]
fn a_counter_that_began_anew_has_grown_by_what_it_shows() {
    let grown = rate(Some(&counts(0, 100, 0)), &counts(2, 10, 0), |counts| counts.accepted);
    assert_eq!(grown, Some(Thousandths(5_000)));
    assert_eq!(rate(None, &counts(2, 10, 0), |counts| counts.accepted), None);
}
