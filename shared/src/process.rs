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

/// The runtime that everything runs on, on half of the cores: the ledger's writer has a thread of its own, and beside a
/// process there are Redis, the database and other processes. More threads than can run wake each other for nothing.
/// Tokio's own `TOKIO_WORKER_THREADS` says otherwise.
///
/// # Errors
/// Has told what is wrong, and gives the code to exit with.
pub fn runtime(name: &str) -> Result<Runtime, ExitCode> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        builder.worker_threads(cores.div_ceil(2));
    }
    builder.enable_all().build().map_err(|error| {
        eprintln!("{name}: {error}");
        ExitCode::FAILURE
    })
}

/// Runs a future on the threads of the runtime until it ends. `block_on` alone would poll it on this one, and whatever
/// it waits for (sockets, timers, other tasks) would have to wake this thread from one of those.
pub fn run_on<T: Send + 'static>(runtime: &Runtime, future: impl Future<Output = T> + Send + 'static) -> T {
    match runtime.block_on(runtime.spawn(future)) {
        Ok(done) => done,
        // Nobody cancels it.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Runs a server under its settings until it ends or is told to; what the process exits with.
pub fn serve<F, E>(name: &'static str, run: impl FnOnce(Settings, CancellationToken) -> F) -> ExitCode
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: std::fmt::Display + Send + 'static,
{
    let serve = || {
        let settings = settings(name)?;
        let runtime = runtime(name)?;
        let entered = runtime.enter();
        let started = crate::telemetry::start(&settings, name);
        let told = until_told();
        drop(entered);
        let failed = |sentence: &dyn std::fmt::Display| {
            eprintln!("{name}: {sentence:#}");
            ExitCode::FAILURE
        };
        started.map_err(|sentence| failed(&sentence))?;
        let told = told.map_err(|error| failed(&error))?;
        let served = run_on(&runtime, run(settings, told)).map_err(|error| failed(&error));
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
