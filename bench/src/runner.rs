//! The runner: fresh processes for every run, a warm-up, a machine that is idle, one measurement, and everything stopped
//! again; then tables and plots of what was measured.

pub mod cli;
mod drivers;
mod limits;
mod machine;
mod median;
mod overload;
mod peers;
mod plots;
mod record;
mod report;
mod run;
mod scenario;
mod stack;
mod svg;
mod svg_time;
mod system;
mod tables;
mod waited;
mod web;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use cli::{Cli, Task};

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The workspace.
    root: PathBuf,
    /// The folder of the built programs, this one among them.
    programs: PathBuf,
    /// Where results go: one folder per scenario.
    out: PathBuf,
    /// Where the peers are installed.
    peers: PathBuf,
}

impl Places {
    fn find(cli: &Cli) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("this crate lies in a workspace")?;
        let beside = std::env::current_exe()?.parent().context("a program lies in a folder")?.to_owned();
        let programs = cli.places.programs.clone().unwrap_or(beside);
        let target = programs.parent().context("the programs lie in a folder of cargo's")?.to_owned();
        let out = cli.places.out.clone().unwrap_or_else(|| target.join("bench"));
        Ok(Self { root: root.to_owned(), programs, out: std::path::absolute(out)?, peers: target.join("bench-peers") })
    }

    /// What the programs were built for, by the name of their folder.
    fn profile(&self) -> String {
        self.programs.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// Carries a command out, until it is done or a signal ends it; what it started is stopped in either case.
///
/// # Errors
/// What went wrong; a run that others disturbed is no error.
pub async fn run(cli: Cli) -> Result<()> {
    let _ = crate::files::raise_limit();
    let places = Places::find(&cli)?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        done = carry_out(cli, &places) => done,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("told to end"),
    }
}

async fn carry_out(cli: Cli, places: &Places) -> Result<()> {
    match cli.task() {
        Task::Measure(scenario, series) => scenario::measure(places, scenario, &series).await,
        Task::Table(disturbed) => report::print_tables(places, disturbed),
        Task::Plots(disturbed) => report::write_plots(places, &places.out, disturbed).map(drop),
        Task::Report(disturbed) => report::write_report(places, disturbed),
        Task::Up(system, series) => scenario::up(places, system, &series).await,
    }
}
