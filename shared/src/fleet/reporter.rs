//! A process says how it fares, and hears what is wished of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::load::of_the_kernel;
use super::{Kind, Load, ProcessBeat, Quantiles, SharedFleet, State, WebLoad, Wish, WorkerLoad};
use crate::budget::MilliHertz;
use crate::env::{Env, Timestamp};
use crate::telemetry::lately::{Lately, What};

/// What a process counts is read this often; a process that only serves beats as often.
const READ_EVERY: Duration = Duration::from_millis(1_900);
/// A process that charges asks this often what is wished of it: with jitter and a round trip it hears within a second.
const HEAR_EVERY: Duration = Duration::from_millis(700);
/// Processes that begin together do not beat in step.
const JITTER: Duration = Duration::from_millis(200);
/// How far back the rate of orders looks.
const RATE_OVER: Duration = Duration::from_secs(10);
/// How long a process that ends tries to strike itself out; otherwise it lapses.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Who a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name, which no other process has or had.
    pub name: String,
    /// What it is there for.
    pub kind: Kind,
    /// When it began.
    pub started_at: Timestamp,
}

impl Identity {
    /// A process that begins now, under a name of its own that people can type.
    #[must_use]
    pub fn new(kind: Kind, env: &Env) -> Self {
        let id = env.uuid_v4().simple().to_string();
        // 48 random bits: of a thousand processes a day no two would be called the same in ten thousand years.
        let name = format!("{}-{}", kind.as_str(), id.get(..12).unwrap_or(&id));
        Self { name, kind, started_at: env.now() }
    }
}

/// What a process counts nowhere: how it stands at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whether it goes on.
    pub state: State,
    /// Open sockets, and the customers who have them, of a process that serves.
    pub web: Option<(u64, u64)>,
    /// Charges under way at most, what bounds them if anything does, and how many are; of a process that charges.
    pub worker: Option<(u32, Option<u32>, u32)>,
}

/// Says how a process fares, for as long as it lives.
pub struct Reporter {
    /// Time and jitter.
    pub env: Env,
    /// The books.
    pub fleet: SharedFleet,
    /// Who it is.
    pub identity: Identity,
    /// What it has counted, and how long things took.
    pub lately: Lately,
    /// How it stands.
    pub look: Arc<dyn Fn() -> Seen + Send + Sync>,
    /// Where is told what was wished of it.
    pub heard: watch::Sender<Wish>,
}

impl Reporter {
    /// Beats until `end`, then strikes the process out. Books that cannot be reached are tried again with the next beat.
    pub async fn run(self, end: CancellationToken) {
        let (host, pid) = (host(), std::process::id());
        let every = if self.identity.kind.works() { HEAR_EVERY } else { READ_EVERY };
        let mut counts = Counts::default();
        while !end.is_cancelled() {
            let seen = (self.look)();
            let beat = ProcessBeat {
                name: self.identity.name.clone(),
                kind: self.identity.kind,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                host: host.clone(),
                pid,
                started_at: self.identity.started_at,
                beat_at: self.env.now(),
                state: seen.state,
                wish: *self.heard.borrow(),
                load: counts.load(seen, &self.lately, self.env.monotonic()),
            };
            match end.run_until_cancelled(self.fleet.beat(&beat)).await {
                Some(Ok(wish)) => drop(self.heard.send_if_modified(|heard| std::mem::replace(heard, wish) != wish)),
                Some(Err(error)) => tracing::debug!(%error, "this process could not say that it lives"),
                None => {}
            }
            end.run_until_cancelled(self.env.sleep(every + self.env.jitter(JITTER))).await;
        }
        let left = self.env.timeout(LEAVE_WITHIN, self.fleet.leave(&self.identity.name)).await;
        if !matches!(left, Some(Ok(()))) {
            tracing::debug!("this process is left to lapse in the books");
        }
    }
}

/// The machine's name; that of a container is its own.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What was counted, as last read.
#[derive(Default)]
struct Counts {
    read_at: Option<Duration>,
    load: Load,
    /// Orders accepted by when, the oldest first.
    accepted: VecDeque<(Duration, u64)>,
}

impl Counts {
    /// How the process fares: as it stands now, with what was read a moment ago.
    fn load(&mut self, seen: Seen, lately: &Lately, now: Duration) -> Load {
        if self.read_at.is_none_or(|at| now.saturating_sub(at) >= READ_EVERY) {
            self.read_at = Some(now);
            self.read(lately, seen, now);
        }
        let mut load = self.load.clone();
        if let (Some(web), Some((sockets, rooms))) = (&mut load.web, seen.web) {
            (web.sockets, web.rooms) = (sockets, rooms);
        }
        if let (Some(worker), Some((concurrency, bound, in_hand))) = (&mut load.worker, seen.worker) {
            (worker.concurrency, worker.bound, worker.in_hand) = (concurrency, bound, in_hand);
        }
        load
    }

    fn read(&mut self, lately: &Lately, seen: Seen, now: Duration) {
        let times = |what| lately.of(what, now).map(Quantiles::of);
        let (cpu_ms, resident_bytes) = of_the_kernel();
        let accepted_total = lately.counts("orders_accepted_total").values().sum();
        let accepted_rate = self.rate(now, accepted_total);
        let web = || WebLoad {
            accepted_total,
            accepted_rate,
            accept: times(What::Accept),
            push: times(What::Push),
            ..WebLoad::default()
        };
        let worker = || WorkerLoad {
            charged_total: lately.counts("orders_settled_total").get("paid").copied().unwrap_or(0),
            queue_wait: times(What::QueueWait),
            stripe: times(What::Stripe),
            settle: times(What::Settle),
            declines: lately.counts("orders_declined_total"),
            throttled: lately.counts("stripe_budget_throttled_total"),
            ..WorkerLoad::default()
        };
        self.load =
            Load { cpu_ms, resident_bytes, web: seen.web.map(|_| web()), worker: seen.worker.map(|_| worker()) };
    }

    /// Orders accepted in a second lately, in thousandths.
    fn rate(&mut self, now: Duration, accepted: u64) -> MilliHertz {
        self.accepted.push_back((now, accepted));
        while self.accepted.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= RATE_OVER) {
            self.accepted.pop_front();
        }
        let Some((since, before)) = self.accepted.front().copied() else { return 0 };
        let passed = u64::try_from(now.saturating_sub(since).as_millis()).unwrap_or(u64::MAX);
        accepted.saturating_sub(before).saturating_mul(1_000_000).checked_div(passed).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::env::Seeded;
    use crate::fleet::memory::MemoryFleet;
    use crate::fleet::{Ask, Fleet as _};

    const WORKS: Seen = Seen { state: State::Running, web: None, worker: Some((7, Some(9), 3)) };

    #[test]
    fn a_worker_hears_of_a_wish_within_a_second_and_leaves_the_books_when_it_ends() {
        let clock = Seeded::new(5);
        let fleet = Arc::new(MemoryFleet::new(clock.env()));
        let (heard, wishes) = watch::channel(Wish::default());
        let reporter = Reporter {
            env: clock.env(),
            fleet: fleet.clone(),
            identity: Identity::new(Kind::Worker, &clock.env()),
            lately: Lately::default(),
            look: Arc::new(|| WORKS),
            heard,
        };
        let (name, end) = (reporter.identity.name.clone(), CancellationToken::new());
        let mut running = Box::pin(reporter.run(end.clone()));
        assert!((&mut running).now_or_never().is_none());
        let listed = fleet.processes().now_or_never().unwrap().unwrap();
        let worker = listed[0].beat.load.worker.clone().unwrap();
        assert_eq!((listed[0].beat.name.as_str(), worker.concurrency, worker.in_hand), (name.as_str(), 7, 3));
        fleet.ask(&name, Ask::Concurrency(Some(2))).now_or_never().unwrap().unwrap();
        clock.advance(Duration::from_millis(950));
        assert!((&mut running).now_or_never().is_none());
        assert_eq!(wishes.borrow().concurrency, Some(2));
        end.cancel();
        assert!(running.now_or_never().is_some());
        assert!(fleet.processes().now_or_never().unwrap().unwrap().is_empty());
    }

    #[test]
    fn the_rate_of_orders_is_that_of_the_last_ten_seconds() {
        let mut counts = Counts::default();
        let mut at = |second: u64, accepted| counts.rate(Duration::from_secs(second), accepted);
        assert_eq!((at(0, 100), at(2, 150), at(4, 150)), (0, 25_000, 12_500));
        for second in 5..=30 {
            at(second, 150);
        }
        assert_eq!(at(31, 160), 1_000, "ten in ten seconds");
    }

    #[test]
    fn names_tell_what_a_process_is_and_no_two_are_the_same() {
        let env = Seeded::new(1).env();
        let (one, other) = (Identity::new(Kind::Web, &env), Identity::new(Kind::Worker, &env));
        assert!(one.name.starts_with("web-") && other.name.starts_with("worker-"));
        assert_ne!(one.name.split_once('-').unwrap().1, other.name.split_once('-').unwrap().1);
        assert!(!host().is_empty());
    }
}
