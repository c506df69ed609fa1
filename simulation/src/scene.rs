//! What everybody in a world shares: the clock, chance, the story so far, and what has been found wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use shared::env::{Env, Seeded, Timestamp};
use uuid::Uuid;

use crate::chance::{Dice, Fault, Faults, Without};
use crate::stage::{Cues, Who};

/// How far the wall clock may be off, either way. Webhooks are refused from five minutes on; a lost payment is looked for
/// ten minutes around the time of its sending.
const CLOCK_OFF: Duration = Duration::from_secs(480);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Since the world began.
    pub at: Duration,
    /// Who did it.
    pub who: String,
    /// What.
    pub what: String,
    /// Whom it concerns: an order, if it is about one.
    pub about: Option<Uuid>,
}

/// What must always hold, and did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// In a sentence.
    pub what: String,
    /// The order that shows it.
    pub about: Option<Uuid>,
}

pub(crate) struct Scene {
    pub(crate) seeded: Seeded,
    pub(crate) env: Env,
    pub(crate) dice: Arc<Dice>,
    pub(crate) faults: Faults,
    pub(crate) cues: Arc<Cues>,
    /// The wall clock when the world began.
    began: Timestamp,
    story: Option<Mutex<Vec<Told>>>,
    breach: Mutex<Option<Breach>>,
    /// Units that there are, by tier: what was declared, and what operators have added.
    pub(crate) capacity: Mutex<BTreeMap<String, u32>>,
    /// Something may have changed that has to be checked.
    pub(crate) dirty: std::sync::atomic::AtomicBool,
}

impl Scene {
    pub(crate) fn new(seed: u64, without: Without, tells: bool) -> Arc<Self> {
        let seeded = Seeded::new(seed);
        let env = seeded.env();
        Arc::new(Self {
            began: env.now(),
            seeded,
            env,
            dice: Arc::new(Dice::new(seed ^ 0xd1ce)),
            faults: Faults::new(seed, without),
            cues: Arc::new(Cues::default()),
            story: tells.then(Mutex::default),
            breach: Mutex::default(),
            capacity: Mutex::default(),
            dirty: true.into(),
        })
    }

    pub(crate) fn enter(&self, who: Who, task: BoxFuture<'static, ()>) {
        self.cues.enter(who, task);
    }

    /// Tells something; the words are made only where somebody listens.
    pub(crate) fn tell(&self, who: Who, about: Option<Uuid>, what: impl FnOnce() -> String) {
        self.tell_as(about, || (who.to_string(), what()));
    }

    pub(crate) fn tell_as(&self, about: Option<Uuid>, words: impl FnOnce() -> (String, String)) {
        if let Some(story) = &self.story {
            let (who, what) = words();
            story.lock().push(Told { at: self.env.monotonic(), who, what, about });
        }
    }

    pub(crate) fn story(&self) -> Vec<Told> {
        self.story.as_ref().map(|story| story.lock().clone()).unwrap_or_default()
    }

    /// Something was found wrong; the first finding counts.
    pub(crate) fn broken(&self, about: Option<Uuid>, what: impl Into<String>) {
        self.breach.lock().get_or_insert_with(|| Breach { what: what.into(), about });
    }

    pub(crate) fn breach(&self) -> Option<Breach> {
        self.breach.lock().clone()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.breach.lock().is_some()
    }

    pub(crate) fn has_changed(&self) {
        self.dirty.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// The time by clocks that are right: Stripe's, and those of banks.
    pub(crate) fn true_time(&self) -> Timestamp {
        self.began.plus(self.env.monotonic())
    }

    /// The wall clock of all our processes and the ledger's becomes wrong by chance, or right.
    pub(crate) fn jump(&self, right: bool) {
        let most = u64::try_from(CLOCK_OFF.as_millis()).unwrap_or(u64::MAX);
        let off = if right { 0 } else { self.faults.dice().draw() % (2 * most) };
        let right_now = self.true_time();
        let to = if right { right_now } else { right_now.minus(CLOCK_OFF).plus(Duration::from_millis(off)) };
        self.seeded.jump_to(to);
        let by = to.0 - right_now.0;
        self.tell(Who::World, None, || format!("the wall clock is off by {by} ms now"));
    }

    pub(crate) async fn sleep(&self, pause: Duration) {
        self.env.sleep(pause).await;
    }

    /// Most calls take no time worth telling; some let others go first.
    pub(crate) async fn travel(&self) {
        if self.faults.dice().below(4) == 0 {
            self.env.sleep(self.faults.dice().between(0, 9)).await;
        }
    }

    /// The process dies here, and this future with it.
    pub(crate) async fn die(&self, who: Who) {
        self.cues.die(who);
        std::future::pending::<()>().await;
    }

    pub(crate) fn slow(&self) -> Duration {
        let dice = self.faults.dice();
        let (least, most) = [(20, 400), (400, 4_000), (4_000, 12_000), (12_000, 45_000)][dice.below(4)];
        dice.between(least, most)
    }

    pub(crate) fn fault(&self, who: Who, fault: Fault, about: Option<Uuid>, where_: &str) {
        self.tell(who, about, || format!("FAULT at {where_}: {}", fault.words()));
    }
}
