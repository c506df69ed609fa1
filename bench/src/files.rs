//! How many files this process may hold: each socket is one.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Asks for as many as the machine allows, and returns their number.
#[must_use]
pub fn raise_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused or not: what holds afterwards is asked for.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
