//! `cargo xtask api`: the suite's test of the API's description by a fuzzer, with as many requests as are asked for.

use anyhow::Result;
use clap::Args;

use crate::packages;
use crate::steps::{self, Steps, cargo, target};
use crate::{EVERYTHING, suite};

/// The suite's test.
const TEST: &str = "api::fuzzer::a_fuzzer_with_the_description_finds_no_error_and_no_break_of_it";

/// What `cargo xtask api` takes.
#[derive(Args)]
pub(crate) struct ApiArgs {
    /// Requests that are made up for each operation
    #[arg(long, default_value_t = 500)]
    examples: u32,
}

/// Builds everything, and lets Schemathesis ask a shop whatever its description allows, and more.
pub(crate) fn run(steps: &mut Steps, args: &ApiArgs) -> Result<String> {
    steps.step("build", || steps::run(cargo().arg("build").args(EVERYTHING).args(["--bins", "--test", "suite"])))?;
    let packages = steps.step("npm and Python packages", packages::install)?;
    let mut command = cargo();
    command.envs(suite::binaries(&target().join("debug"))?);
    command.envs(packages.fuzzer.map(|python| ("STAMPEDE_TEST_SCHEMATHESIS", python)));
    command.env("STAMPEDE_TEST_API_EXAMPLES", args.examples.to_string());
    command.arg("test").args(EVERYTHING).args(["--test", "suite", "--", "--exact", TEST, "--nocapture"]);
    steps.step("requests", || steps::run(&mut command))?;
    Ok(format!("{} requests for each operation found nothing", args.examples))
}
