//! `stampede forecast`: how long a sale takes at the budget that Stripe allows, what is enough to use it, and what a
//! larger one would give.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::budget::forecast::{AT_ONCE, Forecast};
use shared::budget::{Endpoint, Limits, MilliHertz, Standing};
use shared::config::Settings;

use crate::admin::Desk;
use crate::report::Reply;

/// What Stripe allows everybody, and what larger accounts have.
const RATES: [u32; 4] = [25, 50, 100, 500];
/// How long Stripe takes for a charge, when neither this shop has seen one nor somebody says so.
const LATENCY: Duration = Duration::from_millis(600);

/// What is to be foretold.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The units of this sale that are not sold yet, one order each
    #[arg(long)]
    pub sale: Option<String>,
    /// So many orders
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub orders: Option<u64>,
    /// How long Stripe takes for a charge; without it what the workers have seen, or 600
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub latency_ms: Option<u64>,
    /// Charges a second; may be given several times. Without it what is allowed now, and 25, 50, 100 and 500
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: Vec<u32>,
}

/// What the settings say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    limits: Limits,
    at_once: usize,
}

impl Pace {
    /// By these settings.
    #[must_use]
    pub(crate) fn of(settings: &Settings) -> Self {
        Self { limits: settings.limits(), at_once: settings.worker_concurrency.unwrap_or(AT_ONCE) }
    }
}

impl Desk {
    /// Foretells a sale.
    ///
    /// # Errors
    /// When ledger or stock cannot be reached.
    pub(crate) async fn forecast(&self, asked: Asked) -> anyhow::Result<Reply> {
        let orders = match (asked.orders, &asked.sale) {
            (Some(orders), _) => orders,
            (None, None) => return Ok(Reply::refused("say which --sale, or how many --orders".to_owned())),
            (None, Some(slug)) => match self.left(slug).await? {
                Some(orders) => orders,
                None => return Ok(Reply::refused(format!("there is no sale {slug:?}"))),
            },
        };
        let (standing, runs) = match &self.worker {
            Some(ctx) => {
                ctx.budget.look(false).await;
                (ctx.budget.standing(), true)
            }
            None => (Standing::default(), false),
        };
        let set = self.pace.limits.endpoint.map(|rate| u64::from(rate) * 1_000);
        let allowed = if runs { standing.allowed(Endpoint::CreateIntent) } else { set };
        let (latency, source) = match (asked.latency_ms, standing.latency) {
            (Some(ms), _) => (Duration::from_millis(ms), "given"),
            (None, Some(seen)) => (seen, "measured"),
            (None, None) => (LATENCY, "assumed"),
        };
        let given = asked.rate.iter().chain(RATES.iter().filter(|_| asked.rate.is_empty()));
        let mut rates: Vec<MilliHertz> = given.map(|rate| u64::from(*rate) * 1_000).collect();
        rates.extend(allowed.filter(|_| asked.rate.is_empty()));
        rates.sort_unstable();
        rates.dedup();
        let rows = rates.into_iter().map(|rate| Forecast::of(orders, rate, latency, self.pace.at_once));
        let data = json!({
            "sale": asked.sale, "orders": orders, "latency_ms": whole_ms(latency), "latency": source,
            "allowed_per_second": allowed.map(per_second), "is_cut": standing.is_cut(Endpoint::CreateIntent) && runs,
            "workers_running": runs.then_some(standing.sharers),
            "forecasts": rows.map(row).collect::<Vec<_>>(),
        });
        Ok(Reply::made(words(&data), data))
    }

    /// Units of a sale that are not sold; `None` when there is no such sale.
    async fn left(&self, slug: &str) -> anyhow::Result<Option<u64>> {
        if self.sale(slug).await?.is_none() {
            return Ok(None);
        }
        let levels = self.helm().levels(slug).await?;
        Ok(Some(levels.tiers.iter().map(|tier| u64::from(tier.free) + u64::from(tier.held)).sum()))
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// As people write it: 25, or 17.5.
fn per_second(rate: MilliHertz) -> Value {
    if rate.is_multiple_of(1_000) { json!(rate / 1_000) } else { json!(Duration::from_millis(rate).as_secs_f64()) }
}

fn row(forecast: Forecast) -> Value {
    json!({
        "per_second": per_second(forecast.rate), "per_minute": forecast.rate * 60 / 1_000,
        "seconds": whole_ms(forecast.length).div_ceil(1_000), "charges_under_way": forecast.under_way,
        "workers": forecast.workers,
    })
}

fn words(data: &Value) -> String {
    let mut text = format!(
        "{} orders, Stripe taking {} ms for each ({}).\n",
        data["orders"],
        data["latency_ms"],
        data["latency"].as_str().unwrap_or_default()
    );
    let _ = match &data["allowed_per_second"] {
        Value::Null => writeln!(text, "No limit is set, and none was met."),
        rate if data["is_cut"] == true => {
            writeln!(text, "Stripe refuses more than {rate} charges a second at the moment.")
        }
        rate => writeln!(text, "{rate} charges a second are allowed."),
    };
    let _ = writeln!(
        text,
        "{:>10} {:>10} {:>12} {:>18} {:>8}",
        "a second", "a minute", "the sale", "charges under way", "workers"
    );
    for row in data["forecasts"].as_array().into_iter().flatten() {
        let length = long(row["seconds"].as_u64().unwrap_or_default());
        let cells = ["per_second", "per_minute", "charges_under_way", "workers"].map(|name| row[name].to_string());
        let [second, minute, under_way, workers] = cells;
        let _ = writeln!(text, "{second:>10} {minute:>10} {length:>12} {under_way:>18} {workers:>8}");
    }
    text.push_str(
        "More workers than these make no sale shorter; with one more than these, one may die and nobody notices.\n",
    );
    text
}

/// 400 s are 6 min 40 s.
fn long(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}
