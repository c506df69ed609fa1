//! `cargo xtask bench`: builds what is measured and what measures, and hands over to the runner in `bench`.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::steps::{Steps, cargo, run, target};

/// What `cargo xtask bench` takes.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct BenchArgs {
    /// Cargo's profile; figures are those of `dist`
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Handed on to the runner.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds without the features of the tests, and measures.
pub(crate) fn bench(steps: &mut Steps, args: &BenchArgs) -> Result<String> {
    steps.step("build", || {
        let mut build = cargo();
        build.args(["build", "--locked", "--bins", "--package", "stampede", "--package", "bench"]);
        run(build.args(["--profile", &args.profile]))
    })?;
    let folder = if args.profile == "dev" { "debug" } else { &args.profile };
    let runner = target().join(folder).join("bench");
    steps.step("bench", || run(Command::new(runner).args(&args.arguments)))?;
    Ok("measured".to_owned())
}
