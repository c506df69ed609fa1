//! What can be typed behind `cargo xtask bench`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::scenario::Scenario;
use super::system::System;

/// Measures Stampede and its peers side by side: fresh processes for every run, medians of several runs.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    typed: Option<Typed>,
    #[command(flatten)]
    series: Series,
    #[command(flatten)]
    pub(super) places: PlaceArgs,
}

/// Where things are.
#[derive(Clone, Debug, Args)]
pub(super) struct PlaceArgs {
    /// Where results go [default: target/bench]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
    /// Where the built programs lie [default: beside this one]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(super) programs: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
enum Typed {
    /// Everybody buys at once, at every system (this is done without a command, too)
    Compare(Series),
    /// A steady rate for a minute, by shoppers who buy again and again over sockets that stay open
    Minute(Series),
    /// A steady rate at half of what `compare` measured as the most
    Latency(Series),
    /// Far more shoppers than tickets: how long until everybody knows
    Soldout(Series),
    /// Sockets and nothing else: memory of each, and the time of a broadcast to all
    Idle(Series),
    /// From few shoppers to many: CPU and memory per shopper
    Growth(Series),
    /// Several times the capacity for a minute: who is let in, who is told to come again, and how soon it is over
    Overload(Series),
    /// Prints the tables of what was measured
    Table(Judgement),
    /// Draws what was measured
    Plots(Judgement),
    /// Writes tables and plots into docs/BENCHMARKS.md and docs/images
    Report(Judgement),
    /// Starts one system and prints what a driver needs to measure it, until it is interrupted
    Up {
        /// Which
        #[arg(value_enum)]
        system: System,
        #[command(flatten)]
        series: Series,
    },
}

/// Which runs count.
#[derive(Clone, Copy, Debug, Args)]
pub struct Judgement {
    /// Leave out runs during which others used more than this share of the machine
    #[arg(long, default_value_t = 0.05, value_name = "SHARE")]
    pub disturbed: f64,
}

/// A series of runs.
#[derive(Clone, Debug, Args)]
pub struct Series {
    /// Which systems [default: those that can play the scenario]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub systems: Option<Vec<System>>,
    /// How many shoppers
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub shoppers: Option<Vec<u32>>,
    /// Milliseconds that a charge takes at the stand-in for Stripe
    #[arg(long, value_delimiter = ',', value_name = "MS")]
    pub latency: Option<Vec<u64>>,
    /// Runs of each; those that there are already are not run again
    #[arg(long, default_value_t = 5)]
    pub runs: u32,
    /// Purchases per second [default: 2300 for a minute; half of the most for latency]; in `overload` the capacity of which
    /// several times as much is asked for [default: it is found first]
    #[arg(long)]
    pub rate: Option<f64>,
    /// How long a steady rate lasts [default: 60 for a minute and for overload, 20 for latency]
    #[arg(long)]
    pub seconds: Option<u32>,
    /// How many times its capacity a system is asked for in `overload`
    #[arg(long, default_value_t = 5.0, value_name = "TIMES")]
    pub factor: f64,
    /// Nobody comes again later than so many seconds after the start in `overload` [default: half as long again as it
    /// should take to serve everybody]
    #[arg(long, value_name = "SECONDS")]
    pub leave: Option<u32>,
    /// Tickets of a sale that sells out
    #[arg(long, default_value_t = 500)]
    pub tickets: u32,
    /// Buy over so many kept connections; 0: each purchase over a connection of its own [default: by scenario]
    #[arg(long)]
    pub pool: Option<u16>,
    /// Web processes of Stampede [default: as many as the sockets need]
    #[arg(long)]
    pub webs: Option<u16>,
    /// Driver processes [default: as many as the sockets need]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub drivers: Option<u32>,
    /// Most shoppers of a wave in `growth`
    #[arg(long, default_value_t = 45_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub wave: u32,
    /// Charges under way at the same time [default: each system's own]
    #[arg(long)]
    pub concurrency: Option<u32>,
    /// Shoppers of the warm-up
    #[arg(long, default_value_t = 300)]
    pub warmup: u32,
    /// How long to wait for an idle machine, in seconds
    #[arg(long, default_value_t = 90)]
    pub patience: u64,
    /// The first of a hundred ports of 127.0.0.1 that are used
    #[arg(long, default_value_t = 7600)]
    pub ports: u16,
    /// Handed on to the driver
    #[arg(last = true)]
    pub driver: Vec<String>,
}

/// A command, as it is carried out.
pub(super) enum Task {
    Measure(Scenario, Series),
    Table(f64),
    Plots(f64),
    Report(f64),
    Up(System, Series),
}

impl Cli {
    pub(super) fn task(self) -> Task {
        let Some(typed) = self.typed else { return Task::Measure(Scenario::Compare, self.series) };
        match typed {
            Typed::Compare(series) => Task::Measure(Scenario::Compare, series),
            Typed::Minute(series) => Task::Measure(Scenario::Minute, series),
            Typed::Latency(series) => Task::Measure(Scenario::Latency, series),
            Typed::Soldout(series) => Task::Measure(Scenario::Soldout, series),
            Typed::Idle(series) => Task::Measure(Scenario::Idle, series),
            Typed::Growth(series) => Task::Measure(Scenario::Growth, series),
            Typed::Overload(series) => Task::Measure(Scenario::Overload, series),
            Typed::Table(judgement) => Task::Table(judgement.disturbed),
            Typed::Plots(judgement) => Task::Plots(judgement.disturbed),
            Typed::Report(judgement) => Task::Report(judgement.disturbed),
            Typed::Up { system, series } => Task::Up(system, series),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_are_well_formed_and_comparing_needs_no_word() {
        Cli::command().debug_assert();
        let task = |words: &[&str]| Cli::parse_from([&["bench"], words].concat()).task();
        let plain =
            task(&["--systems", "null,bullmq", "--shoppers", "500,2000", "--runs", "1", "--", "--threads", "2"]);
        let Task::Measure(Scenario::Compare, series) = plain else { panic!("it compares") };
        assert_eq!(series.systems, Some(vec![System::Null, System::Bullmq]));
        assert_eq!((series.shoppers, series.runs), (Some(vec![500, 2000]), 1));
        assert_eq!(series.driver, ["--threads", "2"]);
        assert!(matches!(
            task(&["overload", "--leave", "90"]),
            Task::Measure(Scenario::Overload, Series { leave: Some(90), .. })
        ));
        assert!(matches!(task(&["idle", "--out", "x"]), Task::Measure(Scenario::Idle, _)));
    }
}
