//! The `web` process of a shop that is spread over several processes.

use std::process::ExitCode;

use shared::config::Settings;

fn main() -> ExitCode {
    match Settings::from_env() {
        Ok(settings) => eprintln!("web: {}", web::cannot_run_alone(&settings)),
        Err(error) => eprintln!("web: {error}"),
    }
    ExitCode::FAILURE
}
