//! Who is on stage: the tasks of every simulated process, polled one at a time in an order that the dice decide.
//!
//! Nothing here runs by itself. A task is polled when something has woken it; when nobody is awake, the clock is moved to
//! the next sleeper's time. A process that dies has its tasks dropped, wherever they were waiting; one that stalls is not
//! polled for a while, and does not notice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::task::ArcWake;
use parking_lot::Mutex;
use shared::env::Seeded;

use crate::chance::Dice;

/// A process, or the world around all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// A web process.
    Web(usize),
    /// A worker.
    Worker(usize),
    /// An operator with the command line.
    Operator,
    /// Shoppers, banks, Stripe and fate: what no crash of ours ends.
    World,
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Web(n) => write!(f, "web {}", n + 1),
            Self::Worker(n) => write!(f, "worker {}", n + 1),
            Self::Operator => f.write_str("the operator"),
            Self::World => f.write_str("the world"),
        }
    }
}

/// What tasks ask of their stage.
#[derive(Default)]
pub(crate) struct Cues {
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    enter: Vec<(Who, BoxFuture<'static, ()>)>,
    die: Vec<Who>,
    stall: Vec<(Who, Duration)>,
}

impl Cues {
    /// A task enters.
    pub(crate) fn enter(&self, who: Who, task: BoxFuture<'static, ()>) {
        self.asked.lock().enter.push((who, task));
    }

    /// A process dies before anything else happens.
    pub(crate) fn die(&self, who: Who) {
        self.asked.lock().die.push(who);
    }

    /// A process stands still until a time of the monotonic clock.
    pub(crate) fn stall(&self, who: Who, until: Duration) {
        self.asked.lock().stall.push((who, until));
    }
}

struct Awake(AtomicBool);

impl ArcWake for Awake {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    who: Who,
    awake: Arc<Awake>,
    waker: Waker,
    future: BoxFuture<'static, ()>,
}

/// The stage.
pub(crate) struct Stage {
    seeded: Seeded,
    dice: Arc<Dice>,
    cues: Arc<Cues>,
    tasks: Vec<Task>,
    stalled: BTreeMap<Who, Duration>,
    pub(crate) steps: u64,
    ready: Vec<usize>,
    died: Vec<Who>,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A task was polled.
    Played,
    /// A process has died.
    Died(Who),
    /// Nobody wakes before the given time.
    Quiet,
}

impl Stage {
    pub(crate) fn new(seeded: Seeded, dice: Arc<Dice>, cues: Arc<Cues>) -> Self {
        Self {
            seeded,
            dice,
            cues,
            tasks: Vec::new(),
            stalled: BTreeMap::new(),
            steps: 0,
            ready: Vec::new(),
            died: Vec::new(),
        }
    }

    fn now(&self) -> Duration {
        shared::env::Source::monotonic(&self.seeded)
    }

    /// Polls one task, or moves the clock to where one wakes, but not beyond `until`.
    pub(crate) fn step(&mut self, until: Duration) -> Step {
        loop {
            self.take_cues();
            if let Some(who) = self.died.pop() {
                return Step::Died(who);
            }
            let now = self.now();
            self.stalled.retain(|_, end| *end > now);
            self.ready.clear();
            for (at, task) in self.tasks.iter().enumerate() {
                if task.awake.0.load(Ordering::Relaxed) && !self.stalled.contains_key(&task.who) {
                    self.ready.push(at);
                }
            }
            if !self.ready.is_empty() {
                let chosen = self.ready[self.dice.below(self.ready.len())];
                self.poll(chosen);
                return Step::Played;
            }
            let wakes = self.seeded.next_wake().map(|left| now + left);
            let next = wakes.into_iter().chain(self.stalled.values().copied()).min();
            match next.filter(|next| *next <= until) {
                Some(next) => self.seeded.advance(next.saturating_sub(now)),
                None => {
                    self.seeded.advance(until.saturating_sub(now));
                    return Step::Quiet;
                }
            }
        }
    }

    fn take_cues(&mut self) {
        let Asked { enter, die, stall } = std::mem::take(&mut *self.cues.asked.lock());
        for who in die {
            self.tasks.retain(|task| task.who != who);
            self.stalled.remove(&who);
            self.died.push(who);
        }
        self.stalled.extend(stall);
        for (who, future) in enter {
            let awake = Arc::new(Awake(AtomicBool::new(true)));
            let waker = futures::task::waker(awake.clone());
            self.tasks.push(Task { who, awake, waker, future });
        }
    }

    fn poll(&mut self, at: usize) {
        self.steps += 1;
        let task = &mut self.tasks[at];
        task.awake.0.store(false, Ordering::Relaxed);
        let done = task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
        if done == Poll::Ready(()) {
            drop(self.tasks.swap_remove(at));
        }
    }
}
