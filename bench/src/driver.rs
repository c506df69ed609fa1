//! The load driver: shoppers with a socket each, who buy all at once or at a steady rate, timed from their purchase to
//! what their socket says of it.
//!
//! It takes as little of the machine as it can, since it shares it with the system it measures: requests are written
//! once per shopper and sent as they are, and a frame is parsed only if it holds the words of a final one.

mod connections;
mod crowd;
mod load;
mod options;
mod purchase;
mod room;
mod shopper;
mod tally;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::adapter::Adapter;
use crate::measure::clock;
use crate::measure::figures::Figures;
use crate::measure::processes::{Group, Sampler};
use crate::measure::seen::{Merge, Seen};
use crowd::Crowd;
use shopper::Shopper;
use tally::Look;

pub use options::Options;

/// What a driver writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The adapter's name.
    pub system: String,
    /// As given.
    pub label: String,
    /// In words.
    pub mode: String,
    /// What was seen.
    pub seen: Seen,
    /// What follows from it.
    pub figures: Figures,
}

/// Plays all waves.
///
/// # Errors
/// When an option or the adapter is unfit. Whatever goes wrong with the system is part of the report.
pub async fn drive(adapter: Adapter, mut options: Options) -> Result<Report> {
    options.settle_load().map_err(anyhow::Error::msg)?;
    if options.purchases > 1 && !adapter.tells_purchases_apart() {
        bail!("--purchases and --load need an adapter whose [post] body has {{order}} and whose [result] has `order`");
    }
    let (system, label, mode) = (adapter.name.clone(), options.label.clone(), options.spoken());
    let crowd = Arc::new(Crowd::new(adapter, options));
    let groups = Arc::new(crowd.options.parts.clone());
    let mut seen: Option<Seen> = None;
    for _ in 0..crowd.options.waves {
        crowd.forget();
        let wave = wave(&crowd, &groups).await?;
        match &mut seen {
            None => seen = Some(wave),
            Some(seen) => seen.merge(&wave, Merge::After),
        }
    }
    let mut seen = seen.context("--waves should be 1 or more")?;
    seen.driver_cpu_total_s = clock::own_cpu();
    Ok(Report { system, label, mode, figures: Figures::of(&seen), seen })
}

async fn wave(crowd: &Arc<Crowd>, groups: &Arc<Vec<Group>>) -> Result<Seen> {
    let options = &crowd.options;
    let sampler = Sampler::start(groups.clone());
    let before = Look::at(groups);
    let began = clock::now();
    let (shoppers, rooms) = gather(crowd).await;
    let connecting_ns = clock::now() - began;
    tokio::time::sleep(options.settle()).await;
    if options.barrier {
        waiting::until_told().await?;
    }

    let joined = Look::at(groups);
    let own = clock::own_cpu();
    let go = clock::now();
    crowd.go.store(go, Ordering::Relaxed);
    let errands = if options.connect_only {
        waiting::for_broadcast(crowd, &shoppers).await;
        Vec::new()
    } else {
        let errands = send(crowd, &shoppers, go).await;
        waiting::for_outcomes(crowd, &shoppers).await;
        errands
    };
    let end = Look::at(groups);
    let driver_cpu_s = clock::own_cpu() - own;
    tokio::time::sleep(options.linger()).await;
    let tail = Look::at(groups);

    let mut seen = tally::count(crowd, &shoppers, go);
    (seen.began, seen.connecting_ns, seen.driver_cpu_s) = (began, connecting_ns, driver_cpu_s);
    seen.parts = tally::parts(groups, [before, joined, end, tail], &sampler.looks());
    end_all(rooms.into_iter().chain(errands)).await;
    Ok(seen)
}

/// Lets every shopper open a session and a socket; returns those who joined their room, and all sockets' tasks.
async fn gather(crowd: &Arc<Crowd>) -> (Vec<Arc<Shopper>>, Vec<JoinHandle<()>>) {
    let mut arriving = Vec::new();
    for index in 0..crowd.options.shoppers {
        let crowd = crowd.clone();
        arriving.push(tokio::spawn(async move {
            let _turn = crowd.arrivals.acquire().await.ok()?;
            match room::arrive(&crowd, index).await {
                Ok(arrived) => Some(arrived),
                Err(error) => {
                    crowd.error(&error);
                    None
                }
            }
        }));
    }
    let (mut shoppers, mut rooms) = (Vec::new(), Vec::new());
    for arrived in arriving {
        if let Ok(Some((shopper, room))) = arrived.await {
            shoppers.push(shopper);
            rooms.push(room);
        }
    }
    (shoppers, rooms)
}

/// All purchases in the order in which they are made: each shopper's first, each shopper's second, and so on.
fn in_turn<'a>(options: &Options, shoppers: &'a [Arc<Shopper>]) -> impl Iterator<Item = (&'a Arc<Shopper>, u32)> {
    let count = usize::try_from(options.count(shoppers.len())).unwrap_or(usize::MAX);
    (0..options.purchases).flat_map(|number| shoppers.iter().map(move |shopper| (shopper, number))).take(count)
}

/// Starts every purchase when it is due.
async fn send(crowd: &Arc<Crowd>, shoppers: &[Arc<Shopper>], go: u64) -> Vec<JoinHandle<()>> {
    let mut errands = Vec::new();
    let start = tokio::time::Instant::now();
    for ((shopper, purchase), place) in in_turn(&crowd.options, shoppers).zip(0..) {
        let due = crowd.options.due(place);
        if let Some(after) = due
            && start.elapsed() < after
        {
            tokio::time::sleep_until(start + after).await;
        }
        // The clock starts when it was due, not when the driver got to it.
        let due = due.map(|after| go + u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
        errands.push(tokio::spawn(purchase::buy(crowd.clone(), shopper.clone(), purchase, due)));
    }
    errands
}

async fn end_all(tasks: impl Iterator<Item = JoinHandle<()>>) {
    let tasks: Vec<_> = tasks.collect();
    tasks.iter().for_each(JoinHandle::abort);
    for task in tasks {
        // Aborted or not, it has let go of its socket afterwards.
        let _ = task.await;
    }
}
