//! The `worker` process of a shop that is spread over several processes.

use std::process::ExitCode;

use shared::config::Settings;

fn main() -> ExitCode {
    match Settings::from_env() {
        Ok(settings) => eprintln!("worker: {}", worker::cannot_run_alone(&settings)),
        Err(error) => eprintln!("worker: {error}"),
    }
    ExitCode::FAILURE
}
