//! What a driver waits for: the word to begin, outcomes, a broadcast.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::process::Command;

use super::crowd::Crowd;
use super::shopper::Shopper;
use crate::measure::clock;

/// Time between two looks at the counts.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Says that all have joined, and waits for a line.
#[allow(clippy::print_stdout, reason = "the runner reads it")]
pub(super) async fn until_told() -> Result<()> {
    println!("joined");
    // On a thread of its own: sockets answer pings meanwhile.
    let line = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await?;
    if line? == 0 {
        bail!("whoever started this driver has gone");
    }
    Ok(())
}

/// Waits until every purchase has its final answer, or the last one's time is over.
pub(super) async fn for_outcomes(crowd: &Arc<Crowd>, shoppers: &[Arc<Shopper>]) {
    let expected = crowd.options.count(shoppers.len());
    let timeout = Duration::from_nanos(crowd.options.timeout_ns());
    let deadline = tokio::time::Instant::now() + timeout;
    while crowd.finished.load(Ordering::Acquire) < expected && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Runs the command that makes the system speak to everybody, and waits until everybody has heard.
pub(super) async fn for_broadcast(crowd: &Arc<Crowd>, shoppers: &[Arc<Shopper>]) {
    let options = &crowd.options;
    if options.broadcast.is_none() && !options.await_broadcast {
        return;
    }
    // Whatever was told to newcomers is not this broadcast.
    crowd.hearers.store(0, Ordering::Release);
    crowd.heard.iter().for_each(|at| at.store(0, Ordering::Release));
    let trigger = async {
        let Some(command) = &options.broadcast else { return };
        match Command::new("sh").args(["-c", command]).output().await {
            Ok(output) if output.status.success() => {}
            Ok(output) => crowd.error(&format!("broadcast: {}", String::from_utf8_lossy(&output.stderr))),
            Err(error) => crowd.error(&format!("broadcast: {error}")),
        }
    };
    let deadline = clock::now() + options.timeout_ns();
    let heard = async {
        while crowd.hearers.load(Ordering::Acquire) < shoppers.len() as u64 && clock::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    futures::join!(trigger, heard);
}
