//! The `web` process of a shop that is spread over several processes.

use std::process::ExitCode;

fn main() -> ExitCode {
    shared::process::serve("web", web::process::run)
}
