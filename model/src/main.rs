//! Walks through the larger worlds, and prints how large they are: `cargo xtask model`.
#![allow(clippy::print_stdout, reason = "a table is what this program is for")]
use std::process::ExitCode;
use std::time::Instant;

use model::{Rules, ends, properties};
use stateright::{Checker as _, Model as _};

fn main() -> ExitCode {
    let mut good = true;
    println!("{:<34} {:>12} {:>12} {:>6} {:>9} {:>9}", "world", "states", "unique", "depth", "settled", "seconds");
    let only: Vec<String> = std::env::args().skip(1).collect();
    for rules in Rules::SMALL.iter().chain(&Rules::LARGE) {
        if !only.is_empty() && !only.iter().any(|name| rules.name.contains(name.as_str())) {
            continue;
        }
        let began = Instant::now();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let checker = rules.clone().checker().threads(threads).spawn_bfs().join();
        let checked = began.elapsed();

        let ends = ends::find(rules);
        println!(
            "{:<34} {:>12} {:>12} {:>6} {:>9} {:>5}.{:03}",
            rules.name,
            checker.state_count(),
            checker.unique_state_count(),
            checker.max_depth(),
            ends.settled,
            checked.as_secs(),
            checked.subsec_millis(),
        );
        let found = checker.discoveries();
        for (name, _) in properties::ALWAYS {
            if let Some(path) = found.get(name) {
                println!("BROKEN: {name}\n{}", properties::told(&path.clone().into_actions()));
                good = false;
            }
        }
        for (name, _) in properties::sometimes(rules) {
            if !found.contains_key(name) {
                println!("NEVER SEEN: {name}");
                good = false;
            }
        }
        if let Some((path, world)) = ends.lost {
            println!(
                "LOST: from here nothing leads to an end\n{}{}",
                properties::told(&path),
                properties::in_short(&world)
            );
            good = false;
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
