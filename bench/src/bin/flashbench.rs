//! The load driver: see `--help`.
#![allow(clippy::print_stdout, reason = "a report is what this program is for")]

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bench::adapter::Adapter;
use bench::driver::{Options, Report, drive};
use bench::files::raise_limit;
use clap::Parser as _;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("flashbench: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether every shopper got a final answer.
fn run(options: Options) -> Result<bool> {
    let path = &options.adapter;
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let adapter = Adapter::parse(&text).with_context(|| format!("{} is no adapter", path.display()))?;
    let _ = raise_limit();
    let mut builder = if options.threads > 1 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    let runtime = builder.worker_threads(options.threads.max(1)).enable_all().build()?;
    let json = options.json.clone();
    let report = runtime.block_on(drive(adapter, options))?;
    // Thousands of sockets are left to the kernel.
    runtime.shutdown_background();
    tell(&report);
    let text = serde_json::to_string(&report)? + "\n";
    match json.as_deref() {
        Some(path) if path == Path::new("-") => print!("{text}"),
        Some(path) => std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?,
        None => {}
    }
    Ok(report.seen.whole())
}

fn tell(report: &Report) {
    let (seen, figures) = (&report.seen, &report.figures);
    let latency = figures
        .result_ms
        .map_or_else(String::new, |ms| format!(", result ms p50 {} p99 {} max {}", ms.p50, ms.p99, ms.max));
    eprintln!(
        "{} {} shoppers, {}: joined {}, accepted {} ({}/s), completed {} ({}/s), declined {}, refused {:?}, lost {}, \
         errors {:?}, ports tried again {}{latency}; last answer {} s; cpu {} s, peak {} MiB; driver {:.4} ms per purchase",
        report.system,
        seen.shoppers,
        report.mode,
        seen.joined,
        seen.accepted,
        figures.accepted_per_s,
        figures.completed,
        figures.completed_per_s,
        seen.declined,
        seen.refused,
        seen.lost,
        seen.errors,
        seen.connects_repeated,
        figures.answering_s,
        figures.cpu_s,
        figures.peak_rss_mib,
        figures.driver_cpu_ms_per_charge,
    );
}
