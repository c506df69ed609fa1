//! One run, from nothing to its record.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use super::drivers::Drive;
use super::machine::{Machine, Ticks, cores, until_idle};
use super::overload::Overload;
use super::record::Record;
use super::scenario::Plan;
use super::stack::Stack;
use super::{Places, peers};

/// How long it may take until a charge comes through.
const FIRST_CHARGE_WITHIN: Duration = Duration::from_secs(60);

/// Carries a plan out.
pub(super) async fn carry_out(places: &Places, plan: &Plan) -> Result<Record> {
    peers::install(places, plan.record.system)?;
    let path = plan.record.path(&places.out);
    let logs = path.with_extension("logs");
    let stack = Stack::start(places, plan.record.system, &plan.stage, &logs).await?;
    let record = measure(places, plan, &stack).await;
    stack.stop().await;
    let record = record?;
    record.write(&places.out)?;
    Ok(record)
}

async fn measure(places: &Places, plan: &Plan, stack: &Stack) -> Result<Record> {
    warm_up(plan, stack).await?;
    let busy_before = until_idle(plan.patience).await;
    stack.reset_stub().await?;
    let mut drive = plan.drive.clone();
    if plan.broadcasts {
        drive.broadcast = Some(stack.stampede_line("sale add-stock demo std 1"));
    }
    let mut record = plan.record.clone();
    if let Some(overload) = &mut record.overload {
        if overload.capacity <= 0.0 {
            overload.capacity = find_capacity(&plan.drive, stack).await?;
            until_idle(plan.patience).await;
            stack.reset_stub().await?;
        }
        record.rate = Some(overload.rate());
        drive.rate = None;
        // What was typed has the last word.
        drive.arguments = [overload.arguments(), drive.arguments].concat();
    }
    let stripe_before = stack.waited_for_stripe().await?;
    let (before, began) = (Ticks::now(), Instant::now());
    let report = drive.run(&stack.groups(), stack.logs()).await?;
    let (wall, busy) = (began.elapsed(), Ticks::now().busy_seconds_since(&before));
    let parts = &report.seen.parts;
    let phases = parts.iter().map(|part| part.connecting.used() + part.charging.used() + part.tail.used());
    Ok(Record {
        machine: Machine::this(),
        cores: cores(),
        profile: places.profile(),
        command: spelled(&drive),
        wall_s: wall.as_secs_f64(),
        busy_before,
        cpu_s_of_others: busy - phases.sum::<f64>() - report.seen.driver_cpu_total_s,
        stub: stack.stub_stats().await?,
        stripe_took_ms: stack
            .waited_for_stripe()
            .await?
            .zip(stripe_before)
            .and_then(|(now, before)| now.each_ms_since(before)),
        report: Some(report),
        ..record
    })
}

/// What the system completes per second when purchases follow each other over some connections.
async fn find_capacity(drive: &Drive, stack: &Stack) -> Result<f64> {
    let arguments = Overload::finding(drive.shoppers);
    let finding = Drive { rate: None, arguments, ..drive.clone() };
    let report = finding.run(&[], stack.logs()).await?;
    if !report.seen.whole() {
        bail!("not everybody was served when the capacity was to be found; see {}", stack.logs().display());
    }
    Ok(report.figures.completed_per_s)
}

/// Waits until a charge goes all the way through, and then lets a small crowd do so.
async fn warm_up(plan: &Plan, stack: &Stack) -> Result<()> {
    let few = |shoppers: u32, more: &[&str]| Drive {
        shoppers,
        drivers: 1,
        arguments: more.iter().map(|word| (*word).to_owned()).collect(),
        program: plan.drive.program.clone(),
        adapter: plan.drive.adapter.clone(),
        hosts: plan.drive.hosts.clone(),
        ..Drive::default()
    };
    let hosts = u32::try_from(plan.drive.hosts.len()).unwrap_or(1);
    let first = few(2 * hosts, &["--timeout", "3", "--settle", "0", "--linger", "0"]);
    let since = Instant::now();
    while !first.run(&[], stack.logs()).await?.seen.whole() {
        if since.elapsed() > FIRST_CHARGE_WITHIN {
            bail!("no charge comes through; see {}", stack.logs().display());
        }
    }
    if plan.warmup > 0 {
        few(plan.warmup, &["--settle", "200", "--linger", "0"]).run(&[], stack.logs()).await?;
    }
    Ok(())
}

/// The first driver's command line as one would type it at the workspace's root.
fn spelled(drive: &Drive) -> String {
    let words = drive.arguments_of(0).into_iter().map(|word| match word.find("bench/adapters/") {
        Some(at) => word[at..].to_owned(),
        None => word,
    });
    let words: Vec<String> = words.collect();
    format!("flashbench {}", words.join(" "))
}
