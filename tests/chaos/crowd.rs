//! The crowd of one sale: who comes when, and what they all share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::dice::Dice;
use super::schedule::WINDOW;
use super::shopper::{Plan, Shopper};

/// How many shoppers, where it is not the number that every change is tested with.
const SHOPPERS: &str = "STAMPEDE_TEST_CHAOS_SHOPPERS";
/// Shoppers of one sale in a test of every change, which runs on builds that are not optimised.
const EACH_CHANGE: usize = 500;
/// What there is to sell, in units for a hundred shoppers, who want some 120: it lasts for most of the window.
const UNITS: usize = 100;
/// What the operator's calls are signed with.
pub(super) const OPERATOR_KEY: &str = "an operator's key of some length: 0123456789";
/// This part of the crowd, in percent, comes in the first seconds, as crowds do.
const AT_ONCE: u64 = 20;

/// Shoppers of one sale.
fn shoppers() -> usize {
    super::number(SHOPPERS).map_or(EACH_CHANGE, |number| usize::try_from(number).unwrap())
}

/// Units that there are to sell.
pub(super) fn capacity() -> u32 {
    u32::try_from(shoppers() * UNITS / 100).unwrap()
}

/// What the shoppers of a sale share.
pub(super) struct Crowd {
    pub(super) seed: u64,
    /// How many they are.
    number: usize,
    /// The addresses of the web processes.
    pub(super) doors: Arc<[String]>,
    /// The sandbox's address.
    pub(super) sandbox: String,
    /// Counts how often those who got nothing were told to try again.
    pub(super) rounds: watch::Sender<u64>,
    resting: AtomicUsize,
    unanswered: AtomicU64,
    cut: AtomicU64,
}

impl Crowd {
    pub(super) fn new(seed: u64, doors: Vec<String>, sandbox: String) -> Arc<Self> {
        let (resting, unanswered, cut) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let number = shoppers();
        Arc::new(Self {
            seed,
            number,
            doors: doors.into(),
            sandbox,
            rounds: watch::Sender::new(0),
            resting,
            unanswered,
            cut,
        })
    }

    /// A door, in turns.
    pub(super) fn door(&self, number: usize) -> &str {
        &self.doors[number % self.doors.len()]
    }

    /// How long after the sale began a shopper comes.
    pub(super) fn arrival(&self, dice: &mut Dice) -> Duration {
        let latest = if dice.percent() < AT_ONCE { 2_000 } else { WINDOW };
        Duration::from_millis(dice.between(0, latest))
    }

    /// A try without an answer, or with "not now"; waits as the page does before the next one.
    pub(super) async fn count_unanswered(&self, dice: &mut Dice) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(dice.between(250, 1_000))).await;
    }

    /// Tries that were answered by nobody, or by "not now".
    pub(super) fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// A try found nobody, or its connection was cut before the answer.
    pub(super) fn count_cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    /// Tries that found nobody, or whose connection was cut.
    pub(super) fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    /// A shopper has nothing more to do for now.
    pub(super) fn rest(&self) {
        self.resting.fetch_add(1, Ordering::Relaxed);
    }

    /// Shoppers who still do something.
    pub(super) fn busy(&self) -> usize {
        self.number - self.resting.load(Ordering::Relaxed)
    }

    /// Those who got nothing try again.
    pub(super) fn once_more(&self) {
        self.resting.store(0, Ordering::Relaxed);
        self.rounds.send_modify(|rounds| *rounds += 1);
    }
}

/// The shoppers, and their lives.
pub(super) struct Lives {
    pub(super) shoppers: Vec<Arc<Shopper>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Lives {
    pub(super) fn begin(crowd: &Arc<Crowd>) -> Self {
        let mut dice = Dice::new(crowd.seed, 1 << 32);
        let shoppers: Vec<Arc<Shopper>> = (0..crowd.number)
            .map(|place| Arc::new(Shopper::new(crowd.clone(), place, Plan::draw(&mut dice))))
            .collect();
        let live = |shopper: &Arc<Shopper>| {
            let shopper = shopper.clone();
            tokio::spawn(async move { shopper.live().await })
        };
        let tasks = shoppers.iter().map(live).collect();
        Self { shoppers, tasks }
    }

    /// Sends everybody home.
    pub(super) async fn end(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        for ended in join_all(self.tasks).await {
            assert!(!ended.is_err_and(|error| error.is_panic()), "a shopper's story broke off");
        }
        self.shoppers.iter().for_each(|shopper| shopper.ear.leave());
    }
}
