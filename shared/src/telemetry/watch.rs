//! What operators ask any process: does it live, is it ready, what does it count, and how do things stand.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::standing::Standing;
use crate::env::Env;
use crate::fleet::Outlook;
use crate::ledger::SharedLedger;
use crate::queue::Queue;
use crate::stock::SharedStock;

/// The answer of a process that runs.
pub const ALIVE: &str = "ok\n";
/// What [`Watch::metrics`] is written in.
pub const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Call [`Watch::sum_up`] this often; until then every single measurement is kept.
pub const SUM_UP_EVERY: Duration = Duration::from_secs(5);
/// Who asks how things stand within this time hears the same: many who ask cost no more than one.
const FRESH: Duration = Duration::from_secs(1);

/// Answers operators; cheap to clone.
#[derive(Clone)]
pub struct Watch(Arc<Inner>);

struct Inner {
    env: Env,
    ledger: SharedLedger,
    stock: SharedStock,
    queue: Arc<dyn Queue>,
    outlook: Outlook,
    counted: PrometheusHandle,
    going_down: CancellationToken,
    /// How things stood, and when, by the monotonic clock. Held while it is read: who comes meanwhile waits for it.
    stood: Mutex<Option<(Duration, String)>>,
}

/// Whether a process can do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The ledger answers.
    pub ledger: bool,
    /// The stock answers, and so the Redis of a shop in several processes.
    pub stock: bool,
    /// The process was told to end, and takes nothing new.
    pub going_down: bool,
}

impl Readiness {
    /// Whether to send it work.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self.ledger && self.stock && !self.going_down
    }

    /// The body of `/readyz`.
    #[must_use]
    pub fn to_json(self) -> Value {
        let word = |good: bool| if good { "ok" } else { "unreachable" };
        json!({ "ledger": word(self.ledger), "stock": word(self.stock), "going_down": self.going_down })
    }
}

impl Watch {
    /// Over what a process works with. `going_down` is cancelled when it is told to end.
    #[must_use]
    pub fn new(
        env: Env,
        ledger: SharedLedger,
        stock: SharedStock,
        queue: Arc<dyn Queue>,
        outlook: Outlook,
        counted: PrometheusHandle,
        going_down: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner { env, ledger, stock, queue, outlook, counted, going_down, stood: Mutex::default() }))
    }

    /// Whether it can do its work now.
    pub async fn readiness(&self) -> Readiness {
        let Inner { ledger, stock, going_down, .. } = &*self.0;
        let (ledger, stock) = join(ledger.ping(), stock.run_id()).await;
        Readiness { ledger: ledger.is_ok(), stock: stock.is_ok(), going_down: going_down.is_cancelled() }
    }

    /// What this process counted, and how things stand in the whole shop, at most a second ago.
    pub async fn metrics(&self) -> String {
        let stands = self.stands().await;
        self.0.counted.render() + &stands
    }

    /// Puts what was measured into its sums. Nobody may ever ask for the metrics; what they take must not grow with what
    /// the process does.
    pub fn sum_up(&self) {
        self.0.counted.run_upkeep();
    }

    async fn stands(&self) -> String {
        let Inner { env, ledger, stock, queue, outlook, stood, .. } = &*self.0;
        let mut stood = stood.lock().await;
        if let Some((when, text)) = &*stood
            && env.monotonic().saturating_sub(*when) < FRESH
        {
            return text.clone();
        }
        let text = Standing::read(env, &**ledger, &**stock, &**queue, outlook).await.render();
        *stood = Some((env.monotonic(), text.clone()));
        text
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::budget::{Budget, Limits};
    use crate::env::Seeded;
    use crate::fleet::memory::MemoryFleet;
    use crate::jobs::Webhook;
    use crate::ledger::book::Terms;
    use crate::ledger::conformance::demo;
    use crate::ledger::memory::MemoryLedger;
    use crate::queue::memory::Memory;
    use crate::queue::{NewJob, QueueOptions};
    use crate::stock::keeper;
    use crate::stock::memory::MemoryStock;

    /// A watch over a shop in memory, and the shop's queue and ledger.
    pub(in crate::telemetry) fn watch(env: &Env, going_down: CancellationToken) -> (Watch, Arc<Memory>, SharedLedger) {
        let ledger: SharedLedger = Arc::new(MemoryLedger::new(env.clone(), Terms::default()));
        let queue = Arc::new(Memory::new(env.clone(), QueueOptions::default()));
        let counted = PrometheusBuilder::new().build_recorder().handle();
        let stock: SharedStock = Arc::new(MemoryStock::new(env.clone()));
        let budget = Arc::new(Budget::alone(env.clone(), Limits::default()));
        let outlook = Outlook { fleet: Arc::new(MemoryFleet::new(env.clone())), budget };
        (Watch::new(env.clone(), ledger.clone(), stock, queue.clone(), outlook, counted, going_down), queue, ledger)
    }

    #[tokio::test]
    async fn who_asks_twice_within_a_second_hears_the_same() {
        let seeded = Seeded::new(1);
        let (watch, queue, _) = watch(&seeded.env(), CancellationToken::new());
        let waiting =
            |text: &str, jobs: u32| text.contains(&format!("{{queue=\"webhook\",state=\"waiting\"}} {jobs}\n"));
        assert!(waiting(&watch.metrics().await, 0));
        queue.push(vec![NewJob::of(&Webhook::of("evt_1")).unwrap()]).await.unwrap();
        seeded.advance(Duration::from_millis(999));
        assert!(waiting(&watch.metrics().await, 0));
        seeded.advance(Duration::from_millis(1));
        assert!(waiting(&watch.metrics().await, 1));
    }

    #[tokio::test]
    async fn a_sale_that_the_stock_does_not_know_is_not_told_as_empty() {
        let seeded = Seeded::new(1);
        let (watch, _, ledger) = watch(&seeded.env(), CancellationToken::new());
        let sale = demo(5, None);
        ledger.create_sale(sale.clone()).await.unwrap();
        assert!(!watch.metrics().await.contains("stock_"));
        seeded.advance(FRESH);
        keeper::restore(&*ledger, &*watch.0.stock, &[(sale.slug.clone(), sale.epoch)]).await.unwrap();
        let text = watch.metrics().await;
        let free = format!("stock_units{{sale=\"{}\",tier=\"{}\",shelf=\"free\"}} 5\n", sale.slug, sale.tiers[0].id);
        assert!(text.contains(&free), "{text}");
    }

    #[tokio::test]
    async fn a_process_that_goes_down_is_not_ready() {
        let going_down = CancellationToken::new();
        let (watch, ..) = watch(&Seeded::new(1).env(), going_down.clone());
        assert!(watch.readiness().await.is_ready());
        going_down.cancel();
        let readiness = watch.readiness().await;
        assert!(!readiness.is_ready() && readiness.to_json()["going_down"] == true);
    }
}
