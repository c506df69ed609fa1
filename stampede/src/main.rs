//! `stampede`: the command that people type. Without arguments it is the whole shop in one process.
#![allow(clippy::print_stdout, reason = "a command speaks to whoever typed it")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod admin;
mod cli;
mod control;
mod embedded;
mod forecast;
mod operators;
mod report;
mod sandbox;
mod simulate;
mod steering;
mod top;
mod workers;

use std::process::ExitCode;

use clap::Parser as _;
use shared::config::Settings;
use shared::process::{self, until_told};

use crate::cli::{Cli, Command};

/// Small blocks that are freed by another thread than took them are what such a process lives on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = match Cli::parse().command() {
        // Made-up worlds need neither settings nor a runtime of this one.
        Command::Simulate(asked) => return simulate::run(&asked),
        command => command,
    };
    let (settings, runtime) = match (process::settings("stampede"), process::runtime("stampede")) {
        (Ok(settings), Ok(runtime)) => (settings, runtime),
        (Err(code), _) | (_, Err(code)) => return code,
    };
    let done = process::run_on(&runtime, run(command, settings));
    shared::telemetry::traces::end();
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("stampede: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, settings: Settings) -> anyhow::Result<ExitCode> {
    let serves = match command {
        Command::All => Some("stampede"),
        Command::Sandbox => Some("sandbox"),
        Command::Web => Some("web"),
        Command::Worker => Some("worker"),
        _ => None,
    };
    if let Some(process) = serves {
        shared::telemetry::start(&settings, process).map_err(anyhow::Error::msg)?;
    }
    match command {
        Command::All => embedded::run(settings, until_told()?).await.map(|()| ExitCode::SUCCESS),
        Command::Sandbox => embedded::sandbox_alone(&settings, until_told()?).await.map(|()| ExitCode::SUCCESS),
        Command::Web => web::process::run(settings, until_told()?).await.map(|()| ExitCode::SUCCESS),
        Command::Worker => worker::process::run(settings, until_told()?).await.map(|()| ExitCode::SUCCESS),
        Command::Control(request) => sandbox::send(&settings, &request).await,
        Command::Simulate(asked) => Ok(simulate::run(&asked)),
        Command::Top(asked) => top::run(&settings, asked).await,
        Command::Migrate => {
            embedded::migrate(&settings).await?;
            println!("The ledger is up to date.");
            Ok(ExitCode::SUCCESS)
        }
        Command::Admin { command, json } => Ok(print(&control::ask(&settings, command).await?, json)),
        Command::Access { asked, json } => Ok(print(&operators::carry_out(&settings, asked).await?, json)),
    }
}

fn print(reply: &report::Reply, json: bool) -> ExitCode {
    print!("{}", if json { reply.as_json() } else { reply.as_text().to_owned() });
    if reply.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
