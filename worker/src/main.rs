//! The `worker` process of a shop that is spread over several processes.

use std::process::ExitCode;

/// Small blocks that are freed by another thread than took them are what such a process lives on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shared::process::serve("worker", worker::process::run)
}
