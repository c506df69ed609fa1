//! `stampede`: the command that people type. Without arguments it is the whole shop in one process.
#![allow(clippy::print_stdout, reason = "a command speaks to whoever typed it")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod admin;
mod cli;
mod control;
mod data_dir;
mod embedded;
mod report;

use std::process::ExitCode;

use clap::Parser as _;
use shared::config::Settings;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    // A file of settings is welcome; what the environment says counts more.
    if let Err(error) = dotenvy::dotenv()
        && !error.not_found()
    {
        eprintln!("stampede: the file .env cannot be read: {error}");
        return ExitCode::FAILURE;
    }
    let cli = Cli::parse();
    let settings = match Settings::from_env() {
        Ok(settings) => settings,
        Err(error) => {
            for sentence in error.0 {
                eprintln!("stampede: {sentence}");
            }
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("stampede: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli.command(), settings)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("stampede: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, settings: Settings) -> anyhow::Result<ExitCode> {
    let serves = matches!(command, Command::All | Command::Sandbox | Command::Web | Command::Worker);
    if serves {
        shared::telemetry::start(&settings.log, settings.log_json).map_err(anyhow::Error::msg)?;
    }
    match command {
        Command::All => embedded::run(settings, until_told()?).await.map(|()| ExitCode::SUCCESS),
        Command::Sandbox => embedded::sandbox_alone(&settings, until_told()?).await.map(|()| ExitCode::SUCCESS),
        Command::Web => anyhow::bail!(web::cannot_run_alone(&settings)),
        Command::Worker => anyhow::bail!(worker::cannot_run_alone(&settings)),
        Command::Migrate => {
            embedded::migrate(&settings).await?;
            println!("The ledger is up to date.");
            Ok(ExitCode::SUCCESS)
        }
        Command::Admin { command, json } => {
            let reply = control::ask(&settings, command).await?;
            print!("{}", if json { reply.as_json() } else { reply.as_text().to_owned() });
            Ok(if reply.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// Cancelled by the first Ctrl+C or SIGTERM; a second one ends the process at once.
fn until_told() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let told = token.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        };
        next().await;
        told.cancel();
        next().await;
        std::process::exit(130);
    });
    Ok(token)
}
