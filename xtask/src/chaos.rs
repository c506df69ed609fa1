//! `cargo xtask chaos`: the long form of the suite's test of the same name, with as many faults as are asked for.

use anyhow::Result;
use clap::Args;

use crate::steps::{self, Steps, cargo, target};
use crate::{EVERYTHING, suite};

/// The suite's test.
const TEST: &str = "chaos::twenty_faults_in_two_sales_break_no_promise";

/// What `cargo xtask chaos` takes.
#[derive(Args)]
pub(crate) struct ChaosArgs {
    /// How many faults; each sale has ten
    #[arg(long, default_value_t = 20)]
    faults: u32,
    /// The first sale's seed, instead of those in tests/chaos/seeds.txt; the others follow it
    #[arg(long)]
    seed: Option<u64>,
    /// Shoppers of each sale
    #[arg(long, default_value_t = 2_000)]
    shoppers: u32,
    /// Run optimised binaries: what a small machine needs for thousands of shoppers
    #[arg(long)]
    release: bool,
}

/// Builds everything and runs the sales; what they print is shown as it comes. Logs of a sale that broke something are
/// kept in `target/chaos`.
pub(crate) fn run(steps: &mut Steps, args: &ChaosArgs) -> Result<String> {
    let profile: &[&str] = if args.release { &["--release"] } else { &[] };
    steps.step("build", || {
        steps::run(cargo().arg("build").args(EVERYTHING).args(profile).args(["--bins", "--test", "suite"]))
    })?;
    let binaries = target().join(if args.release { "release" } else { "debug" });
    let mut command = cargo();
    command.envs(suite::binaries(&binaries)?);
    command.env("STAMPEDE_TEST_CHAOS_FAULTS", args.faults.to_string());
    command.env("STAMPEDE_TEST_CHAOS_SHOPPERS", args.shoppers.to_string());
    command.env("STAMPEDE_TEST_CHAOS_LOGS", target().join("chaos"));
    if let Some(seed) = args.seed {
        command.env("STAMPEDE_TEST_CHAOS_SEED", seed.to_string());
    }
    command.arg("test").args(EVERYTHING).args(profile).args(["--test", "suite", "--", "--exact", TEST, "--nocapture"]);
    steps.step("sales", || steps::run(&mut command))?;
    Ok(format!("{} faults broke nothing", args.faults))
}
