//! `stampede simulate`: the whole flow in made-up worlds, as many as you like, each from a seed.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use shared::env::Env;
use shared::guards::Guard;
use simulation::{Shrunk, Summary, Told, Without};

/// Seeds that are drawn when none is named are below this, so that they can be typed.
const SEEDS_BELOW: u64 = 1_000_000_000;
/// Lines of a story whose failure is about no order in particular.
const LINES_MAX: usize = 400;

/// `stampede simulate …`
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// How many worlds [default: 1000; with --seed, that one]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// The first seed; drawn if it is not given, and printed
    #[arg(long)]
    seed: Option<u64>,
    /// Worlds at the same time [default: one per processor]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// With --seed: tell all that happened, although nothing failed
    #[arg(long, requires = "seed")]
    story: bool,
    /// End at the first seed that fails, and look for no smaller world in which it does
    #[arg(long)]
    fail_fast: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Plays the worlds; exits with 1 if a promise was broken in one of them.
pub(crate) fn run(asked: &Simulate) -> ExitCode {
    let first = asked.seed.unwrap_or_else(|| Env::system().random_u64() % SEEDS_BELOW);
    let count = asked.seeds.unwrap_or(if asked.seed.is_some() { 1 } else { 1_000 });
    let threads =
        asked.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    // Drawn on a terminal only.
    let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} seeds  {per_sec}  {eta} left{msg}") {
        bar.set_style(style);
    }
    let most_failed = if asked.fail_fast { 1 } else { simulation::MOST_FAILED };
    let began = Instant::now();
    let summary = simulation::run(first, count, threads, most_failed, &|ended| {
        bar.inc(1);
        if let Some(breach) = &ended.breach {
            bar.set_message(format!("  seed {} failed: {}", ended.seed, breach.what));
        }
    });
    let took = began.elapsed();
    bar.finish_and_clear();
    let failed = summary.failed.keys().next().filter(|_| !asked.fail_fast);
    let smaller = failed.and_then(|seed| simulation::shrink(*seed));
    if asked.json {
        println!("{:#}", data(first, count, &summary, took, smaller.as_ref()));
    } else {
        print!("{}", words(first, &summary, took));
        if let Some(smaller) = &smaller {
            print!("{}", story(smaller));
        } else if asked.story {
            let ended = simulation::play(first, &Without::default(), true);
            ended.story.iter().for_each(|told| println!("{}", line(told)));
        }
    }
    if summary.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// In a build in which guards can be taken away: which of them were.
fn guards_off() -> String {
    let off: Vec<&str> = Guard::taken_away().into_iter().map(Guard::name).collect();
    if off.is_empty() { String::new() } else { format!("{:<12} {}\n", "guards off", off.join(", ")) }
}

/// In hundredths: how many of these in one second.
fn rate(seeds: u64, took: Duration) -> u128 {
    u128::from(seeds) * 100_000 / took.as_millis().max(1)
}

fn words(first: u64, summary: &Summary, took: Duration) -> String {
    let rate = rate(summary.seeds, took);
    let mut text = guards_off();
    let rows = [
        ("first seed", first.to_string()),
        ("seeds", summary.seeds.to_string()),
        ("took", format!("{} s, {}.{:02} seeds a second", took.as_secs(), rate / 100, rate % 100)),
        ("simulated", format!("{} hours", summary.simulated.as_secs() / 3_600)),
        ("steps", summary.steps.to_string()),
        ("orders", format!("{}, of which {} were paid", summary.orders, summary.paid)),
        ("faults", summary.faults.values().sum::<u64>().to_string()),
    ];
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<12} {value}");
    }
    for (kind, count) in &summary.faults {
        let _ = writeln!(text, "{count:>12} {}", kind.words());
    }
    match summary.failed.len() {
        0 => text.push_str("Every promise held.\n"),
        failed => {
            let _ = writeln!(text, "\n{failed} seeds FAILED:");
            for (seed, breach) in &summary.failed {
                let _ = writeln!(text, "  --seed {seed}: {}", breach.what);
            }
        }
    }
    text
}

/// What happened to the order in question, and to everybody.
fn story(smaller: &Shrunk) -> String {
    let ended = &smaller.ended;
    let Some(breach) = &ended.breach else { return String::new() };
    let faults: u64 = ended.faults.iter().map(|(_, count)| count).sum();
    let mut text = format!("\nThe story of seed {}, with no more than {faults} faults:\n", ended.seed);
    let concerns = |told: &&Told| breach.about.is_none() || told.about.is_none() || told.about == breach.about;
    let told: Vec<&Told> = ended.story.iter().filter(concerns).collect();
    for told in told.iter().skip(told.len().saturating_sub(LINES_MAX)) {
        let _ = writeln!(text, "{}", line(told));
    }
    let about = breach.about.map(|order| format!(" (order {order})")).unwrap_or_default();
    let _ = writeln!(text, "BROKEN: {}{about}", breach.what);
    text
}

fn line(told: &Told) -> String {
    let (secs, ms) = (told.at.as_secs(), told.at.subsec_millis());
    let about = told.about.map(|order| format!(" [{}]", &order.to_string()[28..])).unwrap_or_default();
    format!("{secs:>7}.{ms:03}{about} {}: {}", told.who, told.what)
}

fn data(first: u64, count: u64, summary: &Summary, took: Duration, smaller: Option<&Shrunk>) -> Value {
    let faults: Value = summary.faults.iter().map(|(kind, count)| (kind.words().to_owned(), json!(count))).collect();
    let failed: Vec<Value> = summary
        .failed
        .iter()
        .map(|(seed, breach)| json!({"seed": seed, "what": breach.what, "order": breach.about}))
        .collect();
    let told =
        |told: &Told| json!({"at_ms": told.at.as_millis(), "who": told.who, "what": told.what, "order": told.about});
    let story: Option<Vec<Value>> = smaller.map(|smaller| smaller.ended.story.iter().map(told).collect());
    json!({
        "guards_off": Guard::taken_away().into_iter().map(Guard::name).collect::<Vec<_>>(),
        "first_seed": first, "seeds_asked": count, "seeds": summary.seeds, "took_ms": took.as_millis(),
        "steps": summary.steps, "orders": summary.orders, "paid": summary.paid,
        "simulated_ms": summary.simulated.as_millis(), "faults": faults, "failed": failed, "story": story,
    })
}
