//! What must hold when the dust has settled, seen from outside: the ledger's rows, Stripe's lists, the stock, and what
//! every shopper's socket last said.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::Request;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement};
use serde_json::Value;
use tests::harness::client::{exchange, get};
use uuid::Uuid;

use super::crowd::{Crowd, Lives, capacity};
use super::shopper::{FINAL, Shopper};
use super::stage::Stage;

/// How long everything that was accepted may take to end when nothing goes wrong any more: the buyers' deadlines, the
/// lease of a dead worker's jobs, and a minute for events that no webhook brought.
const QUIET_WITHIN: Duration = Duration::from_secs(150);
/// How long a socket may show something else than the ledger after that.
const SHOWN_WITHIN: Duration = Duration::from_secs(45);
/// How long the stock may show something else than the ledger.
const MENDED_WITHIN: Duration = Duration::from_secs(60);
/// How often those who got nothing come back.
const ROUNDS: usize = 12;
/// Complaints of one kind that are told in full.
const TOLD: usize = 5;

/// An order as the ledger has it.
struct Row {
    id: Uuid,
    state: String,
    version: i64,
    amount: i64,
    refunded: i64,
    refunding: i64,
    units: i64,
    valid: i64,
    review: Option<String>,
}

impl Row {
    fn read(row: &QueryResult) -> Self {
        let number = |name: &str| row.try_get::<i64>("", name).expect("a number");
        Self {
            id: row.try_get("", "id").expect("an id"),
            state: row.try_get("", "state").expect("a state"),
            version: number("version"),
            amount: number("amount"),
            refunded: number("refunded"),
            refunding: number("refunding"),
            units: number("units"),
            valid: number("valid"),
            review: row.try_get("", "review").expect("a text or none"),
        }
    }

    /// As clients are told.
    fn shown(&self) -> &str {
        match &*self.state {
            "paid" if self.refunded >= self.amount => "refunded",
            "paid" if self.refunded > 0 => "partially_refunded",
            state => state,
        }
    }

    fn has_ended(&self) -> bool {
        FINAL.contains(&&*self.state) && self.refunding == 0
    }

    /// What the shop has of its buyer's money.
    fn kept(&self) -> i64 {
        if self.state == "paid" { self.amount - self.refunded } else { 0 }
    }
}

const ORDERS: &str = "SELECT o.id, o.state, o.version, o.amount, o.refunded, o.refunding, o.review, \
    (SELECT coalesce(sum(i.quantity), 0) FROM order_items i WHERE i.order_id = o.id) AS units, \
    (SELECT count(*) FROM tickets t WHERE t.order_id = o.id AND t.voided_by IS NULL) AS valid FROM orders o";

async fn orders(ledger: &DatabaseConnection) -> Result<Vec<Row>, String> {
    let rows = ledger.query_all_raw(Statement::from_string(ledger.get_database_backend(), ORDERS)).await;
    Ok(rows.map_err(|error| error.to_string())?.iter().map(Row::read).collect())
}

/// What was found of a sale.
#[derive(Default)]
pub(super) struct Verdict {
    /// What must not be; empty if all is well.
    pub(super) broken: Vec<String>,
    /// Counts, by name.
    pub(super) counts: BTreeMap<&'static str, u64>,
}

impl Verdict {
    fn breaks(&mut self, what: &str, found: &[String]) {
        if !found.is_empty() {
            let more = if found.len() > TOLD { " …" } else { "" };
            self.broken.push(format!("{}× {what}: {}{more}", found.len(), found[..found.len().min(TOLD)].join("; ")));
        }
    }
}

/// Waits for the end of everything, and looks at it.
pub(super) async fn judge(stage: &mut Stage, crowd: &Arc<Crowd>, lives: &Lives) -> Verdict {
    let mut verdict = Verdict::default();
    let ledger = Database::connect(&stage.ledger).await.expect("the ledger");
    settle(stage, crowd, lives, &ledger, &mut verdict).await;
    let rows = orders(&ledger).await.expect("the ledger's orders");
    until_shown(stage, lives, &ledger).await;
    of_the_shoppers(lives, &rows, &mut verdict);
    of_the_ledger(&rows, &mut verdict);
    of_stripe(stage, &rows, &mut verdict).await;
    let compared = complaint_of(stage, &["stripe", "reconcile", "--hours", "1"]).await;
    verdict.broken.extend(compared);
    let _ = ledger.close().await;
    verdict
}

/// Waits until everybody is done and every order has ended; then those who got nothing come back, until nothing is left
/// or everybody has something.
async fn settle(
    stage: &mut Stage,
    crowd: &Arc<Crowd>,
    lives: &Lives,
    ledger: &DatabaseConnection,
    verdict: &mut Verdict,
) {
    for round in 0..ROUNDS {
        let since = Instant::now();
        loop {
            stage.keep();
            let open = orders(ledger).await.expect("the ledger's orders").iter().filter(|row| !row.has_ended()).count();
            let busy = crowd.busy();
            if open == 0 && busy == 0 {
                break;
            }
            if since.elapsed() > QUIET_WITHIN {
                verdict.broken.push(format!("after {QUIET_WITHIN:?} {open} orders are open and {busy} shoppers busy"));
                return;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        of_the_stock(stage, verdict).await;
        let refused = lives.shoppers.iter().filter(|shopper| shopper.told().sold_out).count();
        let free = free(stage).await;
        verdict.counts.insert("rounds", round as u64);
        if refused == 0 || free == Some(0) {
            return;
        }
        crowd.once_more();
    }
}

/// Units that anybody can have, as the shop says.
async fn free(stage: &Stage) -> Option<u64> {
    let url = format!("{}/api/sales/night", stage.fleet.url(1));
    get(&url).await.ok()?.1["tiers"][0]["free"].as_u64()
}

/// Waits until every socket shows what the ledger has; whoever does not is found afterwards.
async fn until_shown(stage: &mut Stage, lives: &Lives, ledger: &DatabaseConnection) {
    let since = Instant::now();
    loop {
        stage.keep();
        let rows = orders(ledger).await.expect("the ledger's orders");
        if differing(lives, &rows).is_empty() || since.elapsed() > SHOWN_WITHIN {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn differing(lives: &Lives, rows: &[Row]) -> Vec<String> {
    let by_id: HashMap<Uuid, &Row> = rows.iter().map(|row| (row.id, row)).collect();
    let mut found = Vec::new();
    for shopper in &lives.shoppers {
        let heard = shopper.ear.orders();
        let known = heard.keys().chain(&shopper.told().accepted).copied().collect::<std::collections::BTreeSet<_>>();
        for order in known {
            let said = heard.get(&order).map(|heard| (heard.version, &*heard.state));
            let is = by_id.get(&order).map(|row| (row.version, row.shown()));
            if said != is {
                found.push(format!("order {order} is {is:?}, and its socket said {said:?}"));
            }
        }
    }
    found
}

fn of_the_shoppers(lives: &Lives, rows: &[Row], verdict: &mut Verdict) {
    let by_id: HashMap<Uuid, &Row> = rows.iter().map(|row| (row.id, row)).collect();
    let told: Vec<_> = lives.shoppers.iter().map(|shopper| shopper.told()).collect();
    verdict.breaks("differing socket", &differing(lives, rows));
    let complaints: Vec<String> = told.iter().flat_map(|told| told.complaints.clone()).collect();
    verdict.breaks("complaint", &complaints);
    let accepted = told.iter().flat_map(|told| &told.accepted);
    let lost: Vec<String> = accepted.filter(|order| !by_id.contains_key(order)).map(ToString::to_string).collect();
    verdict.breaks("lost order (answered with 202, and not in the ledger)", &lost);
    let after_no = told.iter().flat_map(|told| &told.refused).filter(|order| by_id.contains_key(order)).count();
    let sum = |of: fn(&Shopper) -> u64| lives.shoppers.iter().map(|shopper| of(shopper)).sum::<u64>();
    verdict.counts.insert("accepted", rows.len() as u64);
    verdict.counts.insert("sold out", told.iter().filter(|told| told.sold_out).count() as u64);
    verdict.counts.insert("reconnects", sum(|shopper| shopper.ear.reconnects()));
    verdict.counts.insert("accepted although refused", after_no as u64);
}

fn of_the_ledger(rows: &[Row], verdict: &mut Verdict) {
    let open = rows.iter().filter(|row| !row.has_ended());
    let open: Vec<String> = open.map(|row| format!("{} is {} {:?}", row.id, row.state, row.review)).collect();
    verdict.breaks("order without an end", &open);
    let valid: i64 = rows.iter().map(|row| row.valid).sum();
    let capacity = capacity();
    if valid > i64::from(capacity) {
        verdict.broken.push(format!("oversold: {valid} valid tickets of {capacity} units"));
    }
    let without = rows.iter().filter(|row| row.valid != if row.shown() == "paid" { row.units } else { 0 });
    let without: Vec<String> =
        without.map(|row| format!("{} is {} with {} of {}", row.id, row.shown(), row.valid, row.units)).collect();
    verdict.breaks("order whose tickets are not what was paid for", &without);
    if verdict.counts.get("sold out").is_some_and(|refused| *refused > 0) && valid < i64::from(capacity) {
        verdict
            .broken
            .push(format!("undersold: somebody was refused for good, and {valid} of {capacity} units are sold"));
    }
    let of = |state: &str| rows.iter().filter(|row| row.shown() == state).count() as u64;
    for state in ["paid", "refunded", "expired", "canceled"] {
        verdict.counts.insert(state, of(state));
    }
    verdict.counts.insert("units", valid.unsigned_abs());
}

/// Every charge at Stripe.
async fn charges(stage: &Stage) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().and_then(|last| last["id"].as_str()).map(|id| format!("&starting_after={id}"));
        let url = format!("{}/v1/charges?limit=100{}", stage.fleet.sandbox_url(), after.unwrap_or_default());
        let request = Request::get(url).header("authorization", "Bearer sk_test_sandbox").body(Full::default());
        let page = exchange(request.expect("a request")).await.expect("the sandbox").json();
        all.extend(page["data"].as_array().expect("a list").iter().cloned());
        if page["has_more"] != true {
            return all;
        }
    }
}

async fn of_stripe(stage: &Stage, rows: &[Row], verdict: &mut Verdict) {
    let charges = charges(stage).await;
    let (paid, declined): (Vec<&Value>, Vec<&Value>) = charges.iter().partition(|charge| charge["paid"] == true);
    let mut kept: HashMap<Uuid, Vec<i64>> = HashMap::new();
    for charge in &paid {
        let left = charge["amount"].as_i64().unwrap_or(0) - charge["amount_refunded"].as_i64().unwrap_or(0);
        let order = charge["metadata"]["order"].as_str().and_then(|order| order.parse().ok());
        if left > 0 {
            kept.entry(order.unwrap_or_default()).or_default().push(left);
        }
    }
    let twice = kept.iter().filter(|(_, charges)| charges.len() > 1);
    verdict.breaks("order charged twice", &twice.map(|(order, sums)| format!("{order}: {sums:?}")).collect::<Vec<_>>());
    let mut differ = Vec::new();
    for row in rows {
        let at_stripe: i64 = kept.remove(&row.id).unwrap_or_default().iter().sum();
        if at_stripe != row.kept() {
            differ.push(format!("{} is {}: {} in the ledger, {at_stripe} at Stripe", row.id, row.shown(), row.kept()));
        }
    }
    differ.extend(kept.iter().map(|(order, sums)| format!("{order} is unknown: {sums:?} at Stripe")));
    verdict.breaks("sum that differs", &differ);
    verdict.counts.insert("charges", paid.len() as u64);
    verdict.counts.insert("declined", declined.len() as u64);
}

/// Waits until the stock shows what the ledger has. One that differs is mended by the sweep, in two steps, each after both
/// have stood still for 15 s (`docs/OPERATING.md`, "Drift"); that it had to be is counted.
async fn of_the_stock(stage: &mut Stage, verdict: &mut Verdict) {
    let since = Instant::now();
    let mut mended = 0;
    while let Some(said) = complaint_of(stage, &["stock", "check", "night"]).await {
        mended = 1;
        stage.keep();
        if since.elapsed() > MENDED_WITHIN {
            verdict.broken.push(said);
            break;
        }
    }
    *verdict.counts.entry("stock mended by the sweep").or_default() += mended;
}

/// What a command prints that does not end well.
async fn complaint_of(stage: &Stage, command: &[&str]) -> Option<String> {
    let output = stage.fleet.cli(command).await;
    let said = || format!("`stampede {}` says: {}", command.join(" "), String::from_utf8_lossy(&output.stdout));
    (!output.status.success()).then(said)
}
