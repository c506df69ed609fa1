//! How many purchases a ledger takes in a second: accepts alone, then whole cycles of accept, claim and settle.
//!
//! `cargo run --release -p shared --example ledger_throughput -- sqlite:///tmp/bench.db?mode=rwc 50000 1024`
#![allow(clippy::print_stdout, clippy::float_arithmetic, reason = "it prints figures for a person")]

use std::sync::Arc;
use std::time::Instant;

use shared::env::{Env, Timestamp};
use shared::ledger::book::Terms;
use shared::ledger::sql::SqlLedger;
use shared::ledger::{Accept, Accepted, Applied, Change, Claimed, Ledger, LedgerError};
use shared::money::Currency;
use shared::order::{Attempt, Order, Outcome};
use shared::sale::{PricedItem, Sale, Tier};
use shared::stripe::StoredRequest;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: ledger_throughput URL [orders] [concurrent buyers]")?;
    let orders: u32 = arguments.next().map_or(Ok(50_000), |text| text.parse())?;
    let buyers: u32 = arguments.next().map_or(Ok(1_024), |text| text.parse())?;
    let env = Env::system();
    let currency: Currency = "usd".parse()?;
    SqlLedger::migrate(&url).await?;
    let ledger: Arc<dyn Ledger> = Arc::new(SqlLedger::connect(&url, env.clone(), Terms::default()).await?);
    for (what, limit, settles) in
        [("accepts", None, false), ("accepts with a limit", Some(4), false), ("accept, claim, settle", None, true)]
    {
        let slug = format!("bench-{}", env.uuid_v4().simple());
        ledger.create_sale(sale(&slug, orders, limit, currency)).await?;
        let started = Instant::now();
        let tasks = (0..buyers).map(|buyer| {
            let share = orders / buyers + u32::from(buyer < orders % buyers);
            tokio::spawn(buy(Arc::clone(&ledger), env.clone(), slug.clone(), currency, share, settles))
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await??;
        }
        let seconds = started.elapsed().as_secs_f64();
        println!("{what:>22}: {orders} in {seconds:.2} s, {:.0} a second", f64::from(orders) / seconds);
    }
    Ok(())
}

async fn buy(
    ledger: Arc<dyn Ledger>,
    env: Env,
    sale: String,
    currency: Currency,
    n: u32,
    settles: bool,
) -> Result<(), LedgerError> {
    for _ in 0..n {
        let answer = ledger.accept(purchase(&env, &sale, currency)).await?;
        let Accepted::New(order) = answer else { return Err(LedgerError(format!("not accepted: {answer:?}"))) };
        if !settles {
            continue;
        }
        let claimed = ledger.claim(order.id, 1, request).await?;
        let Claimed::Yes { .. } = claimed else { return Err(LedgerError(format!("not claimed: {claimed:?}"))) };
        let outcome = Outcome::Succeeded {
            payment_intent: Some(format!("pi_{}", order.id.simple())),
            charge: Some(format!("ch_{}", order.id.simple())),
            amount: order.amount,
            currency: order.currency,
        };
        let applied = ledger.apply(order.id, Change::Observed { attempt: 1, outcome }).await?;
        let Applied::Order { changed: true, .. } = applied else {
            return Err(LedgerError(format!("not settled: {applied:?}")));
        };
    }
    Ok(())
}

fn request(order: &Order, attempt: &Attempt, _: Option<&Sale>) -> Result<StoredRequest, String> {
    let body = format!(
        "amount={}&currency={}&confirm=true&payment_method_types[]=card&metadata[order]={}&metadata[attempt]={}\
         &payment_method_data[type]=card&payment_method_data[card][token]={}",
        order.amount, order.currency, order.id, attempt.number, attempt.token
    );
    Ok(StoredRequest { path: "/v1/payment_intents".into(), body, version: "2026-01-01".into() })
}

fn purchase(env: &Env, sale: &str, currency: Currency) -> Accept {
    let order = env.uuid_v7();
    Accept {
        order,
        customer: env.uuid_v4(),
        hold: order,
        sale: sale.to_owned(),
        epoch: Some(1),
        items: vec![PricedItem { tier: "std".into(), quantity: 1, amount: 2_500 }],
        currency,
        email: format!("shopper.{:x}@example.com", env.random_u64()),
        name: "A. Shopper".into(),
        token: "tok_visa".into(),
        think_ms: 60_000,
        accept_by: Timestamp(i64::MAX),
        short_line: 0,
    }
}

fn sale(slug: &str, capacity: u32, max_per_customer: Option<u32>, currency: Currency) -> Sale {
    let tier = Tier {
        id: "std".into(),
        name: "Standard".into(),
        amount: 2_500,
        capacity,
        max_per_customer,
        opens_at: None,
        closes_at: None,
    };
    Sale {
        slug: slug.to_owned(),
        name: "Throughput".into(),
        currency,
        opens_at: Timestamp(0),
        closes_at: None,
        hold_ms: 600_000,
        late: shared::sale::LatePolicy::default(),
        paused: false,
        epoch: 1,
        tiers: vec![tier],
    }
}
