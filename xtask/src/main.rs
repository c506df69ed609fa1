//! `cargo xtask test`: everything that must hold before a change is merged, from an empty clone, in one command.
//!
//! It installs what the tests need where the system's package manager can, checks form (rustfmt, clippy, rustdoc,
//! cargo-deny), builds the binaries once, starts one PostgreSQL cluster, and runs every test. It stops at the first
//! step that fails and names it. What it started is stopped again, also when it fails, panics or is killed.
//!
//! Steps share what is compiled: clippy and rustdoc read the same check artifacts, and the tests run on what the build
//! step made, because both select the whole workspace with the same features.

mod api;
mod chaos;
mod deny;
mod hunt;
mod measure;
mod packages;
mod pgo;
mod steps;
mod suite;
mod tools;

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use steps::{Steps, cargo, run};
use xtask::cluster;

/// Checks and tests of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the tests need, check form and dependencies, build, and run every test.
    Test(TestArgs),
    /// Look once more for secrets in what the processes of the last run of tests wrote.
    Secrets,
    /// Check form only: rustfmt, clippy and rustdoc, warnings denied.
    Check,
    /// Walk through the worlds of the model checker in a release build, and print how large they are.
    Model(Passed),
    /// Feed everything that reads what others write, in a release build on every core: --inputs, --seed, --only, --at.
    Fuzz(Passed),
    /// Have a fuzzer ask a shop whatever the description of its API allows, and more: --examples.
    Api(api::ApiArgs),
    /// Run whole sales of thousands of shoppers in which processes, servers and Stripe fail, by seeds.
    Chaos(chaos::ChaosArgs),
    /// Measure Stampede and its peers side by side, optimised: `cargo xtask bench --help` lists what can be measured.
    Bench(measure::MeasureArgs),
    /// Build the fastest program: compiled with the counts of a program that has played a sale (profile-guided). Takes
    /// two builds with link-time optimisation.
    Pgo,
    /// Take the guards away, all or those that are named, and look whether somebody notices each. All together write
    /// the table of docs/PROOF.md.
    Mutants {
        /// Only as far as each `cargo xtask test` looks: no optimised build, and no more than a few seeds
        #[arg(long, conflicts_with = "guards")]
        quick: bool,
        /// As in shared/src/guards.rs
        guards: Vec<String>,
    },
}

#[derive(Args)]
struct TestArgs {
    /// For the loop while writing code: installs nothing and leaves out rustdoc, cargo-deny and documentation tests.
    #[arg(long)]
    fast: bool,
    /// Run only the tests whose names contain one of these; then their number is not compared with the floor.
    filters: Vec<String>,
}

#[derive(Args)]
struct Passed {
    /// Handed on to the program.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Selects what is compiled, the same in every step. The crash points are compiled in, so that tests can kill a process
/// at a named point, and with them the mutants, so that tests can take a guard away; a release build has neither.
const EVERYTHING: [&str; 4] = ["--workspace", "--features", "stampede/crash-points", "--locked"];

fn main() -> ExitCode {
    let mut steps = Steps::begin();
    let outcome = match Cli::parse().command {
        Task::Check => check(&mut steps, true).map(|()| "form".to_owned()),
        Task::Secrets => {
            steps.step("secrets", || suite::search_for_secrets(&suite::kept(), false)).map(|()| "no secret".into())
        }
        Task::Model(passed) => release(&mut steps, "model", &passed),
        Task::Fuzz(passed) => release(&mut steps, "fuzzing", &passed),
        Task::Test(args) => test(&mut steps, &args),
        Task::Bench(args) => measure::measure(&mut steps, &args),
        Task::Pgo => pgo::build(&mut steps).map(|folder| format!("{}", folder.join("stampede").display())),
        Task::Api(args) => api::run(&mut steps, &args),
        Task::Chaos(args) => chaos::run(&mut steps, &args),
        Task::Mutants { quick, guards } => mutants(&mut steps, quick, &guards),
    };
    steps.end(outcome)
}

fn check(steps: &mut Steps, docs: bool) -> Result<()> {
    steps.step("rustfmt", || run(cargo().args(["fmt", "--all", "--check"])))?;
    steps.step("clippy", || {
        run(cargo().arg("clippy").args(EVERYTHING).args(["--all-targets", "--", "-D", "warnings"]))
    })?;
    if docs {
        steps.step("rustdoc", || {
            run(cargo().arg("doc").args(EVERYTHING).arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings"))
        })?;
    }
    Ok(())
}

/// Builds a program of the workspace for speed, and runs it. Both such programs are built, so that they share everything.
fn release(steps: &mut Steps, package: &'static str, passed: &Passed) -> Result<String> {
    steps.step("build", || {
        // Everything, so that whatever was built for another of these commands is not built again.
        run(cargo().arg("build").args(EVERYTHING).args(["--release", "--bins"]))
    })?;
    let program = steps::target().join("release").join(package);
    steps.step(package, || run(Command::new(program).args(&passed.arguments)))?;
    Ok(package.to_owned())
}

fn test(steps: &mut Steps, args: &TestArgs) -> Result<String> {
    if !args.fast {
        steps.step("what the tests need", tools::install)?;
    }
    check(steps, !args.fast)?;
    if !args.fast {
        steps.step("dependencies", deny::check)?;
    }
    steps.step("build", || run(cargo().arg("build").args(EVERYTHING).arg("--all-targets")))?;
    if !args.fast && args.filters.is_empty() {
        steps.step("documentation tests", || run(cargo().arg("test").args(EVERYTHING).arg("--doc")))?;
    }
    let packages = steps.step("npm and Python packages", packages::install)?;
    steps.step("the page's own modules", packages::test_modules)?;
    let cluster = steps.step("PostgreSQL", cluster::Cluster::start)?;
    let environment = suite::Environment::new(&cluster, packages)?;
    let ran = steps.step("tests", || environment.run(&args.filters))?;
    steps.step("secrets", || suite::search_for_secrets(&suite::kept(), args.filters.is_empty()))?;
    if args.filters.is_empty() {
        steps.step("mutants", || hunt::Hunt::begin(&environment, true)?.quick())?;
    }
    drop(cluster);
    if !args.filters.is_empty() {
        return Ok(format!("the selected tests\n\n{ran} passed, 0 failed"));
    }
    let floor = suite::compare_with_floor(ran)?;
    Ok(format!("at least {floor} tests should have run\n\n{ran} passed, 0 failed"))
}

fn mutants(steps: &mut Steps, quick: bool, guards: &[String]) -> Result<String> {
    steps.step("build", || run(cargo().arg("build").args(EVERYTHING).arg("--all-targets")))?;
    let packages = steps.step("npm and Python packages", packages::install)?;
    let cluster = steps.step("PostgreSQL", cluster::Cluster::start)?;
    let environment = suite::Environment::new(&cluster, packages)?;
    let hunt = steps.step("the programs", || hunt::Hunt::begin(&environment, quick))?;
    let noticed = steps.step("mutants", || if quick { hunt.quick() } else { hunt.whole(guards) })?;
    Ok(format!("{noticed} mutants were noticed"))
}

/// Whether a program answers to `--version`.
fn answers(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
