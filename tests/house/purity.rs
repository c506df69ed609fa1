//! Nothing in `shared`, `worker` and `simulation` asks the machine for the time, an id, a timer or a thread, adapters apart: it asks
//! the value it was given. That is what lets one seed replay a whole run.

use super::expect_none;
use super::imports::code_files;
use super::rust::mentions;

/// What asks the machine.
const FORBIDDEN: [&str; 14] = [
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "new_v4",
    "now_v7",
    "rand::rng",
    "rand::random",
    "tokio::time",
    "tokio::spawn",
    "tokio::task",
    "thread::sleep",
    "thread::spawn",
    "thread::Builder",
];

/// The adapters: files, or folders with a `/` at the end, that may, and why they must.
const ADAPTERS: [(&str, &str); 12] = [
    ("shared/src/env/system.rs", "is the machine's clock, timer and source of ids, for everybody else"),
    ("shared/src/ledger/sql.rs", "has the writer's thread, of which one ledger has one"),
    ("shared/src/ledger/sql/turns.rs", "waits for a file's lock on a thread that may"),
    ("shared/src/ledger/sql/open.rs", "bounds how long a database may take to be reached"),
    ("shared/src/ledger/sql/writer.rs", "lets whoever moves the log go on between two groups"),
    ("shared/src/process.rs", "begins and ends a process: listens to its signals"),
    ("shared/src/queue/backend.rs", "runs fetcher, lease keeper and reporter under apalis"),
    ("shared/src/gather.rs", "makes the call in which many callers go, whoever of them leaves"),
    ("shared/src/rooms/redis.rs", "reads a subscription's connection, whatever its owner does"),
    ("shared/src/telemetry/door.rs", "answers operators, whatever the process is at"),
    ("worker/src/process.rs", "is the process, too: says that it lives, and hears what is wished of it"),
    ("worker/src/run.rs", "is the process: handlers under apalis, the sweep on its timer"),
];

fn breaches(path: &str, source: &str) -> Vec<String> {
    let asks = |mention: &super::rust::Mention| FORBIDDEN.iter().any(|words| mention.contains(words));
    let found = mentions(source).into_iter().filter(asks);
    found.map(|mention| format!("{path}:{} {mention}: ask the Env instead", mention.line)).collect()
}

fn covers(entry: &str, path: &str) -> bool {
    path == entry || entry.ends_with('/') && path.starts_with(entry)
}

fn files() -> Vec<(String, String)> {
    [code_files("shared"), code_files("worker"), code_files("simulation")].concat()
}

#[test]
fn time_ids_and_threads_come_from_the_env() {
    let is_adapter = |path: &str| ADAPTERS.iter().any(|(entry, _)| covers(entry, path));
    let files = files().into_iter().filter(|(path, _)| !is_adapter(path));
    expect_none(&files.flat_map(|(path, source)| breaches(&path, &source)).collect::<Vec<_>>());
}

#[test]
fn every_exception_is_still_needed() {
    let files = files();
    let needs =
        |entry: &str| files.iter().any(|(path, source)| covers(entry, path) && !breaches(path, source).is_empty());
    let stale = ADAPTERS.iter().filter(|(entry, _)| !needs(entry));
    expect_none(
        &stale.map(|(entry, _)| format!("{entry} needs no exception: take it off the list")).collect::<Vec<_>>(),
    );
}

#[test]
fn code_that_asks_the_machine_is_found() {
    let found = |source: &str| breaches("worker/src/charge.rs", source).len();
    assert_eq!(found("let now = std::time::SystemTime::now();"), 1);
    assert_eq!(found("use std::time::Instant; fn f() { Instant::now(); }"), 1);
    assert_eq!(found("use tokio::{sync::mpsc, time::sleep};"), 1);
    assert_eq!(found("let id = uuid::Uuid::now_v7();"), 1);
    assert_eq!(found("tokio::spawn(async {});"), 1);
    assert_eq!(found("let thread = std::thread::Builder::new();"), 1);
    assert_eq!(found("let id = map(Uuid::new_v4);"), 1);
    assert_eq!(found("use tokio::sync::mpsc; use std::time::Duration; let now = env.now();"), 0);
    assert_eq!(found("#[cfg(test)] mod tests { fn f() { Instant::now(); } }"), 0);
}
