//! How things stand: jobs in the queues, units on the shelves. It is read where it is known when somebody asks, so that
//! it is told as long as one process lives. What could not be read is left out, and never told as nothing.

use std::time::Duration;

use futures::future::{join_all, join3};
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusBuilder;

use super::names;
use crate::env::{Env, Timestamp};
use crate::fleet::Outlook;
use crate::jobs::QUEUES;
use crate::ledger::Ledger;
use crate::queue::{Gauges, Queue};
use crate::sale::Sale;
use crate::stock::{Levels, Stock, TierLevel};

/// What is not read within this time is not known.
const WITHIN: Duration = Duration::from_secs(2);
/// The newest sales are told of, so many at most, with up to [`crate::sale::MOST_TIERS`] tiers each.
const MOST_SALES: usize = 20;
/// A sale is told of for so long after its last tier has closed: late payments and refunds still move its units.
const AFTER_CLOSING: Duration = Duration::from_secs(24 * 3600);

/// What is known at a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    queues: Vec<(&'static str, Gauges)>,
    sales: Vec<(String, Levels)>,
    /// Workers that are enough.
    recommended: Option<usize>,
}

impl Standing {
    /// Reads what can be read.
    pub(super) async fn read(
        env: &Env,
        ledger: &dyn Ledger,
        stock: &dyn Stock,
        queue: &dyn Queue,
        outlook: &Outlook,
    ) -> Self {
        let queues = env.timeout(WITHIN, read_queues(queue));
        let sales = env.timeout(WITHIN, read_sales(ledger, stock));
        let recommended = env.timeout(WITHIN, read_recommended(queue, outlook));
        let (queues, sales, recommended) = join3(queues, sales, recommended).await;
        Self {
            queues: queues.unwrap_or_default(),
            sales: sales.unwrap_or_default(),
            recommended: recommended.unwrap_or_default(),
        }
    }

    /// In Prometheus's text format. It goes through a recorder of its own: what is not known any more leaves no trace.
    pub(super) fn render(&self) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            names::describe();
            self.queues.iter().for_each(|(queue, gauges)| tell_queue(queue, gauges));
            self.sales.iter().for_each(|(sale, levels)| tell_sale(sale, levels));
            if let Some(workers) = self.recommended {
                gauge!("recommended_workers").set(u32::try_from(workers).unwrap_or(u32::MAX));
            }
        });
        recorder.handle().render()
    }
}

/// How long each queue is, as far as it can be read.
pub async fn read_queues(queue: &dyn Queue) -> Vec<(&'static str, Gauges)> {
    let read = join_all(QUEUES.iter().map(|name| queue.gauges(name))).await;
    let known = QUEUES.into_iter().zip(read).filter_map(|(name, read)| match read {
        Ok(gauges) => Some((name, gauges)),
        Err(error) => {
            tracing::debug!(queue = name, %error, "nobody knows how long a queue is");
            None
        }
    });
    known.collect()
}

async fn read_recommended(queue: &dyn Queue, outlook: &Outlook) -> Option<usize> {
    let read = outlook.read(queue).await;
    let read = read.inspect_err(|error| tracing::debug!(error, "nobody knows how many workers are enough"));
    read.ok().map(|(_, recommended)| recommended.workers)
}

async fn read_sales(ledger: &dyn Ledger, stock: &dyn Stock) -> Vec<(String, Levels)> {
    let sales = ledger.sales().await.unwrap_or_else(|error| {
        tracing::debug!(%error, "nobody knows which sales there are");
        Vec::new()
    });
    let slugs: Vec<String> = current(sales, ledger.now()).map(|sale| sale.slug).collect();
    let read = join_all(slugs.iter().map(|slug| stock.levels(slug))).await;
    // A sale that the stock does not know is being rebuilt.
    slugs.into_iter().zip(read).filter_map(|(slug, read)| Some((slug, read.ok().flatten()?))).collect()
}

/// The sales that are told of.
pub fn current(sales: Vec<Sale>, now: Timestamp) -> impl Iterator<Item = Sale> {
    sales.into_iter().filter(move |sale| !is_over(sale, now)).take(MOST_SALES)
}

/// Whether all tiers of a sale have been closed for so long that nothing moves any more.
fn is_over(sale: &Sale, now: Timestamp) -> bool {
    let closed = |at: Timestamp| at.plus(AFTER_CLOSING) <= now;
    sale.tiers.iter().all(|tier| sale.tier_closes_at(tier).is_some_and(closed))
}

fn tell_queue(queue: &'static str, gauges: &Gauges) {
    let Gauges { waiting, running, delayed, dead, oldest_age } = *gauges;
    for (state, jobs) in [("waiting", waiting), ("running", running), ("delayed", delayed), ("dead", dead)] {
        gauge!("queue_jobs", "queue" => queue, "state" => state).set(u32::try_from(jobs).unwrap_or(u32::MAX));
    }
    gauge!("queue_oldest_waiting_seconds", "queue" => queue).set(oldest_age.as_secs_f64());
}

fn tell_sale(sale: &str, levels: &Levels) {
    for tier in &levels.tiers {
        let labels = || [("sale", sale.to_owned()), ("tier", tier.id.clone())];
        for (shelf, units) in [("free", tier.free), ("held", tier.held), ("sold", tier.sold)] {
            let [sale, tier] = labels();
            gauge!("stock_units", &[sale, tier, ("shelf", shelf.to_owned())]).set(units);
        }
        gauge!("stock_capacity_units", &labels()).set(tier.capacity);
    }
    let broken = !levels.tiers.iter().all(adds_up);
    gauge!("stock_conservation_broken", "sale" => sale.to_owned()).set(u8::from(broken));
}

/// Whether a tier's free, held and sold units are its capacity.
#[must_use]
pub fn adds_up(tier: &TierLevel) -> bool {
    [tier.free, tier.held, tier.sold].into_iter().map(u64::from).sum::<u64>() == u64::from(tier.capacity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::conformance::demo;

    fn levels(free: u32, held: u32, sold: u32) -> Levels {
        let tier = TierLevel { id: "std".into(), capacity: 10, free, held, sold, ..TierLevel::default() };
        Levels { epoch: 1, tiers: vec![tier] }
    }

    #[test]
    fn units_that_do_not_add_up_are_told_and_so_is_what_each_name_means() {
        let sales = vec![("night".into(), levels(5, 2, 3)), ("rush".into(), levels(5, 2, 4))];
        let dead = Gauges { dead: 1, oldest_age: Duration::from_millis(1_500), ..Gauges::default() };
        let text = Standing { queues: vec![("webhook", dead)], sales, recommended: Some(3) }.render();
        for line in [
            "stock_units{sale=\"night\",tier=\"std\",shelf=\"held\"} 2",
            "stock_capacity_units{sale=\"night\",tier=\"std\"} 10",
            "stock_conservation_broken{sale=\"night\"} 0",
            "stock_conservation_broken{sale=\"rush\"} 1",
            "queue_jobs{queue=\"webhook\",state=\"dead\"} 1",
            "queue_jobs{queue=\"webhook\",state=\"waiting\"} 0",
            "queue_oldest_waiting_seconds{queue=\"webhook\"} 1.5",
            "# TYPE stock_units gauge",
            "recommended_workers 3",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} in\n{text}");
        }
        assert!(text.contains("# HELP stock_units Units of a tier"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let text = Standing::default().render();
        assert_eq!(text.trim(), "");
        let text = Standing { sales: vec![("night".into(), levels(10, 0, 0))], ..Standing::default() }.render();
        assert!(text.contains("stock_units") && !text.contains("queue_"), "{text}");
    }

    #[test]
    fn a_sale_is_told_of_until_a_day_after_its_last_tier_has_closed() {
        let mut sale = demo(5, None);
        let closed = Timestamp(1_000);
        let a_day_later = closed.plus(AFTER_CLOSING);
        assert!(!is_over(&sale, a_day_later), "it never closes");
        sale.closes_at = Some(closed);
        assert!(!is_over(&sale, a_day_later.minus(Duration::from_millis(1))));
        assert!(is_over(&sale, a_day_later));
        sale.closes_at = None;
        let mut late = sale.tiers[0].clone();
        sale.tiers[0].closes_at = Some(closed);
        late.closes_at = Some(closed.plus(Duration::from_secs(1)));
        sale.tiers.truncate(1);
        assert!(is_over(&sale, a_day_later));
        sale.tiers.push(late);
        assert!(!is_over(&sale, a_day_later), "one tier was open for longer");
    }
}
