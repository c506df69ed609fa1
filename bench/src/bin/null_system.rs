//! A system with nothing behind it, on the port that is its only argument.

use std::process::ExitCode;

use bench::files::raise_limit;

fn main() -> ExitCode {
    let _ = raise_limit();
    let Some(port) = std::env::args().nth(1).and_then(|port| port.parse().ok()) else {
        eprintln!("null_system PORT");
        return ExitCode::from(2);
    };
    match bench::null::run(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("null_system: {error:#}");
            ExitCode::FAILURE
        }
    }
}
