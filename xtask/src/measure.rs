//! `cargo xtask bench`: builds what is measured and what measures, and hands over to the runner in `bench`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::pgo;
use crate::steps::{Steps, cargo, run, target};

/// What `cargo xtask bench` takes.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct MeasureArgs {
    /// Cargo's profile, or `dist-pgo` for what `cargo xtask pgo` builds
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Handed on to the runner.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds without the features of the tests, and measures.
pub(crate) fn measure(steps: &mut Steps, args: &MeasureArgs) -> Result<String> {
    if args.profile == pgo::PROFILE {
        let programs = pgo::build(steps)?;
        return run_in(&programs, steps, args);
    }
    steps.step("build", || {
        let mut build = cargo();
        build.args(["build", "--locked", "--bins", "--package", "stampede", "--package", "bench"]);
        run(build.args(["--profile", &args.profile]))
    })?;
    let folder = if args.profile == "dev" { "debug" } else { &args.profile };
    run_in(&target().join(folder), steps, args)
}

fn run_in(programs: &Path, steps: &mut Steps, args: &MeasureArgs) -> Result<String> {
    steps.step("bench", || run(Command::new(programs.join("bench")).args(&args.arguments)))?;
    Ok("measured".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        args: MeasureArgs,
    }

    #[test]
    fn everything_but_the_profile_goes_to_the_runner() {
        let read = |words: &[&str]| Typed::parse_from([&["bench"], words].concat()).args;
        let plain = read(&["--systems", "null", "--", "--threads", "2"]);
        assert_eq!(
            (plain.profile.as_str(), plain.arguments.join(" ").as_str()),
            ("dist", "--systems null -- --threads 2")
        );
        assert_eq!(read(&["--help"]).arguments, ["--help"]);
        let chosen = read(&["--profile", "release", "idle", "--help"]);
        assert_eq!((chosen.profile.as_str(), chosen.arguments.join(" ").as_str()), ("release", "idle --help"));
    }
}
