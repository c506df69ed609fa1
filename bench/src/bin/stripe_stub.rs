//! The stand-in for Stripe: see `--help`.

use std::process::ExitCode;

use bench::files::raise_limit;
use bench::stub::{Options, run};
use clap::Parser as _;

fn main() -> ExitCode {
    let _ = raise_limit();
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stripe_stub: {error:#}");
            ExitCode::FAILURE
        }
    }
}
