//! A sale that goes well, and a Prometheus that has nothing to complain of.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::Value;
use shared::telemetry::names::{Kind, METRICS};
use tests::harness::prometheus::of_the_workspace;

use super::stage::{KEY, SHOP, Stage};

/// Longer than the longest window of a rule that counts what must never happen, in a hurry.
const SELLS_FOR: Duration = Duration::from_secs(8);
const BUYERS: usize = 8;

/// Buyers come for a while, and are charged or declined. Meanwhile every process is scraped without an error, whatever is
/// told is known by its name and kind, and rules and panels are evaluated without an error.
pub(super) async fn a_sale_goes_well(stage: &Stage) {
    stage.fleet.sale("night", 5_000, &[]).await;
    let began = Instant::now();
    let buyer = |place: usize| async move {
        let mut bought = 0;
        while began.elapsed() < SELLS_FOR {
            let client = stage.customer().await;
            let mut room = client.room(&["night"]).await;
            let card = if (place + bought) % 10 == 9 { "pm_card_visa_chargeDeclined" } else { "pm_card_visa" };
            let (order, (status, answer)) = client.buy("night", 1, card).await;
            assert_eq!(status, 202, "{answer}");
            room.until(order, &["paid", "declined"]).await;
            bought += 1;
        }
        bought
    };
    let bought: usize = join_all((0..BUYERS).map(buyer)).await.into_iter().sum();
    assert!(bought > 3 * BUYERS, "{bought} orders");
    every_scrape_succeeds(stage).await;
    every_name_is_known(stage).await;
    every_rule_and_panel_is_evaluated(stage).await;
    assert!(!stage.fleet.logs().contains(KEY));
    assert_eq!(stage.fleet.counter("second_gate_fired_total").await, 0);
    assert!(tests::harness::desk::counter_at(&stage.fleet.url(SHOP), "orders_accepted_total").await >= bought as u64);
}

async fn every_scrape_succeeds(stage: &Stage) {
    let targets = stage.prometheus.ask("targets").await;
    let targets = targets["activeTargets"].as_array().expect("a list");
    assert_eq!(targets.len(), 6, "three web processes, a stand-in and two workers");
    for target in targets {
        assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()), "{target}");
    }
    // And not only at last. In such a hurry a machine that is busy with something else may miss one.
    let missed = stage.prometheus.query("avg_over_time(up[1m]) < 0.9").await;
    assert!(missed.is_empty(), "{missed:?}");
    assert!(stage.prometheus.query("scrape_samples_scraped < 1").await.is_empty());
}

async fn every_name_is_known(stage: &Stage) {
    let told = stage.prometheus.ask("metadata").await;
    let told = told.as_object().expect("names");
    assert!(told.len() > 20, "{told:?}");
    for (name, entries) in told {
        let known = METRICS.iter().find(|(_, known, _)| known == name);
        let (kind, _, meaning) = known.unwrap_or_else(|| panic!("nobody knows what {name} means"));
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
        };
        let entries = entries.as_array().expect("a list");
        assert!(entries.iter().all(|entry| entry["type"] == word), "{name} is a {word}: {entries:?}");
        assert!(entries.iter().any(|entry| entry["help"] == *meaning), "{name}: {entries:?}");
    }
}

fn expressions(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("expr").and_then(Value::as_str).map(ToOwned::to_owned);
            own.into_iter().chain(fields.values().flat_map(expressions)).collect()
        }
        Value::Array(values) => values.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

async fn every_rule_and_panel_is_evaluated(stage: &Stage) {
    let rules = stage.prometheus.ask("rules").await;
    for rule in rules["groups"].as_array().expect("groups").iter().flat_map(|group| group["rules"].as_array().unwrap())
    {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let panels: Value = serde_json::from_str(&of_the_workspace("ops/grafana/stampede.json")).expect("JSON");
    let panels = expressions(&panels);
    assert!(panels.len() > 20);
    let (mut shown, mut empty) = (0, Vec::new());
    for expression in panels {
        // What Grafana puts in: a window, and what was chosen.
        let asked = expression.replace("$__rate_interval", "15s").replace("$__range", "15s");
        let asked = asked.replace("$sale", ".*").replace("$instance", ".*");
        if stage.prometheus.query(&asked).await.is_empty() { empty.push(expression) } else { shown += 1 }
    }
    // Many panels are about what has not gone wrong yet.
    assert!(shown > 15, "{shown} panels show something; these do not: {empty:#?}");
}
