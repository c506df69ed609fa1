//! How a process of ours begins and ends, the same for each of its binaries: a file of settings is welcome, wrong ones
//! are told all at once, and the first Ctrl+C or SIGTERM asks it to end in order.
#![allow(clippy::print_stderr, reason = "a process that cannot start says so to whoever started it")]

use std::process::ExitCode;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;

/// Reads the settings, from a file `.env` and from the environment, which counts more.
///
/// # Errors
/// Has told what is wrong, and gives the code to exit with.
pub fn settings(name: &str) -> Result<Settings, ExitCode> {
    if let Err(error) = dotenvy::dotenv()
        && !error.not_found()
    {
        eprintln!("{name}: the file .env cannot be read: {error}");
        return Err(ExitCode::FAILURE);
    }
    Settings::from_env().map_err(|error| {
        for sentence in error.0 {
            eprintln!("{name}: {sentence}");
        }
        ExitCode::from(2)
    })
}

/// The runtime that everything runs on.
///
/// # Errors
/// Has told what is wrong, and gives the code to exit with.
pub fn runtime(name: &str) -> Result<Runtime, ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        eprintln!("{name}: {error}");
        ExitCode::FAILURE
    })
}

/// Runs a server under its settings until it ends or is told to; what the process exits with.
pub fn serve<F, E>(name: &'static str, run: impl FnOnce(Settings, CancellationToken) -> F) -> ExitCode
where
    F: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let serve = || {
        let settings = settings(name)?;
        let runtime = runtime(name)?;
        let entered = runtime.enter();
        let started = crate::telemetry::start(&settings, name);
        drop(entered);
        let failed = |sentence: &dyn std::fmt::Display| {
            eprintln!("{name}: {sentence:#}");
            ExitCode::FAILURE
        };
        started.map_err(|sentence| failed(&sentence))?;
        let served = runtime.block_on(async {
            let told = until_told().map_err(|error| failed(&error))?;
            run(settings, told).await.map_err(|error| failed(&error))
        });
        crate::telemetry::traces::end();
        served
    };
    serve().err().unwrap_or(ExitCode::SUCCESS)
}

/// Cancelled by the first Ctrl+C or SIGTERM; a second one ends the process at once.
///
/// # Errors
/// When signals cannot be listened to.
pub fn until_told() -> std::io::Result<CancellationToken> {
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
