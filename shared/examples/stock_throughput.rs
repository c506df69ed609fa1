//! How many calls a second the stock in Redis takes: buyers who are refused, buyers who get a hold, whole purchases.
//!
//! `REDIS_URL=redis://127.0.0.1:6379/9 cargo run --release -p shared --example stock_throughput -- 200000 256`
//!
//! It uses sales of its own, `bench-…`, and leaves them behind: give it a database that can be emptied.
#![allow(clippy::print_stdout, clippy::float_arithmetic, reason = "it prints figures for a person")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::env::Env;
use shared::ledger::records::{Image, ImageTier};
use shared::order::state::StockEffect;
use shared::redis_server::RedisServer;
use shared::sale::PricedItem;
use shared::stock::redis::RedisStock;
use shared::stock::{Reserve, Reserved, Settlement, Stock as _, StockError};

/// What a buyer does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Story {
    /// Comes when everything is gone.
    Refused,
    /// Gets a hold, and leaves.
    Holds,
    /// Buys in one call, and pays.
    Buys,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let buyers: u32 = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let at_once: u32 = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let url = std::env::var("REDIS_URL").map_err(|_| "set REDIS_URL to a database that can be emptied")?;
    let env = Env::system();
    let stock = Arc::new(RedisStock::new(RedisServer::connect(&url).await?, env.clone()));
    for (what, story, limit) in [
        ("refused", Story::Refused, None),
        ("held", Story::Holds, None),
        ("held, with a limit", Story::Holds, Some(4)),
        ("bought and paid", Story::Buys, None),
    ] {
        let sale = format!("bench-{}", env.uuid_v4().simple());
        let capacity = if story == Story::Refused { 0 } else { buyers };
        stock.rebuild(image(&sale, capacity, limit)?).await?;
        let started = Instant::now();
        let tasks = (0..at_once).map(|task| {
            let share = buyers / at_once + u32::from(task < buyers % at_once);
            tokio::spawn(come(Arc::clone(&stock), env.clone(), sale.clone(), story, share))
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await??;
        }
        let seconds = started.elapsed().as_secs_f64();
        println!("{what:>20}: {buyers} in {seconds:.2} s, {:.0} a second", f64::from(buyers) / seconds);
    }
    Ok(())
}

fn image(sale: &str, capacity: u32, limit: Option<u32>) -> Result<Image, Box<dyn std::error::Error>> {
    let tier = ImageTier { id: "std".into(), capacity, sold: 0, returned: 0, max_per_customer: limit };
    Ok(Image {
        sale: sale.to_owned(),
        currency: "usd".parse()?,
        epoch: 1,
        paused: false,
        tiers: vec![tier],
        pins: Vec::new(),
        bought: Vec::new(),
        sold: Vec::new(),
    })
}

async fn come(stock: Arc<RedisStock>, env: Env, sale: String, story: Story, n: u32) -> Result<(), StockError> {
    for _ in 0..n {
        let id = env.uuid_v7();
        let reserve = Reserve {
            hold: id,
            sale: sale.clone(),
            customer: env.uuid_v4(),
            items: vec![PricedItem { tier: "std".into(), quantity: 1, amount: 2_500 }],
            currency: shared::money::Currency::default(),
            think: Duration::from_secs(600),
            order: (story == Story::Buys).then_some(id),
        };
        let got = matches!(stock.reserve(reserve).await?, Reserved::Yes { .. });
        if got == (story == Story::Refused) {
            return Err(StockError("a buyer got what nobody has, or was refused what is there".into()));
        }
        if story == Story::Buys {
            let effect = StockEffect::Sold;
            stock.settle(Settlement { sale: sale.clone(), hold: id, order: id, version: 3, effect }).await?;
        }
    }
    Ok(())
}
