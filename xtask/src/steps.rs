//! Steps with a name and a time, and the commands that they run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xtask::program::spelled;

/// The steps of one run.
pub(crate) struct Steps {
    began: Instant,
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    /// Starts the clock.
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), done: Vec::new() }
    }

    /// Runs one step; its name is put in front of its error.
    pub(crate) fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("\n=== {name}");
        let began = Instant::now();
        let outcome = work();
        let took = began.elapsed();
        self.done.push((name, took));
        eprintln!("=== {name}: {} after {}", if outcome.is_ok() { "good" } else { "FAILED" }, spoken(took));
        outcome.with_context(|| format!("the step \"{name}\" failed"))
    }

    /// Prints the time of each step and the closing line.
    pub(crate) fn end(self, outcome: Result<String>) -> ExitCode {
        eprintln!();
        for (name, took) in &self.done {
            eprintln!("{:>12}  {name}", spoken(*took));
        }
        let took = spoken(self.began.elapsed());
        match outcome {
            Ok(what) => {
                eprintln!("\nAll good after {took}: {what}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("\nFAILED after {took}: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}

fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds >= 60 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else {
        format!("{seconds}.{} s", duration.subsec_millis() / 100)
    }
}

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// Cargo's folder for what it builds: `target`, unless the environment moves it.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// The cargo that started this program, at the workspace's root, without what it told this program about itself: the
/// build script of `ring` takes such a variable for a change, and half the graph would be built again each time that
/// somebody goes from `cargo nextest` to `cargo xtask` and back.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    let ours = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(ours)) {
        command.env_remove(name);
    }
    command
}

/// Runs a command whose output the reader should see.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{} cannot be started", spelled(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", spelled(command));
    }
    Ok(())
}
