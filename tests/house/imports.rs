//! Who may import whom: `domain ← ledger, stock, queue, rooms, stripe ← web | worker ← stampede ← tests`.
//!
//! Between crates the manifests decide, as cargo reads them. Within `shared` the paths in the code do: the domain
//! knows no adapter, and each adapter alone knows the library that it hides.

use std::process::Command;

use serde_json::Value;

use super::rust::{Mention, mentions, test_modules};
use super::{expect_none, files_below, read, root};

/// Every crate of the workspace; which of ours its code may import; and which its tests may, beyond that.
/// `None` stands for all of them.
type Row = (&'static str, Option<&'static [&'static str]>, &'static [&'static str]);
const CRATES: [Row; 11] = [
    ("shared", Some(&[]), &["sandbox"]),
    ("web", Some(&["shared"]), &["sandbox"]),
    ("worker", Some(&["shared"]), &["sandbox"]),
    // Anybody's Stripe sandbox: it would not notice if the rest of Stampede were another program.
    ("sandbox", Some(&[]), &[]),
    // Plays web and worker against each other in made-up worlds; nothing of the shop knows of it but the command.
    ("simulation", Some(&["shared", "web", "worker"]), &[]),
    ("stampede", Some(&["shared", "web", "worker", "sandbox", "simulation"]), &[]),
    ("tests", None, &[]),
    // Asks the decisions of ledger and workers in every order of events; says what parsers are fed with.
    ("model", Some(&["shared", "worker"]), &[]),
    ("fuzzing", Some(&["shared", "web", "worker"]), &[]),
    // Measures programs, ours and others', from outside; borrows the cluster of PostgreSQL.
    ("bench", Some(&["xtask"]), &[]),
    // Runs before anything else is built.
    ("xtask", Some(&[]), &[]),
];

/// Modules of `shared` that talk to the outside. All others are domain, save those in [`NEITHER`].
const ADAPTERS: [&str; 10] =
    ["access", "fleet", "ledger", "stock", "queue", "redis_server", "rooms", "stripe", "lease", "budget"];

/// Files and folders of `shared/src` that are neither domain nor adapter, and what they are.
const NEITHER: [(&str, &str); 13] = [
    ("backing", "reaches what the processes of one shop share"),
    ("lib.rs", "the list of modules"),
    ("config", "reads the environment"),
    ("data_dir", "locks the data directory, keeps a secret in it"),
    ("crash", "kills the process where a test asks for it"),
    ("gather", "makes the calls of many callers one: for adapters"),
    ("guards", "takes a guard away where a test asks for it"),
    ("jobs", "what web and worker send one another: orders, in the form of the queue"),
    ("message", "what clients are told: orders and stock, in the form of the contract"),
    ("process", "begins and ends a process of ours"),
    ("steer", "does to sales, jobs and orders what operators ask for"),
    ("telemetry", "writes logs and metrics"),
    ("env/system.rs", "asks the machine for the time"),
];

/// What no domain file mentions: databases, networks, runtimes, the operating system.
const NOT_IN_DOMAIN: [&str; 18] = [
    "apalis",
    "apalis_core",
    "apalis_codec",
    "axum",
    "clap",
    "hyper",
    "hyper_util",
    "redis",
    "sea_orm",
    "sea_orm_migration",
    "sqlx",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "tokio",
    "tokio_util",
];

/// Libraries, and the only folders of ours that may mention them.
const KNOWN_TO: [(&[&str], &[&str]); 5] = [
    (&["sea_orm", "sea_orm_migration", "sqlx"], &["shared/src/ledger", "shared/src/access"]),
    (
        &["redis"],
        &[
            "shared/src/redis_server",
            "shared/src/stock",
            "shared/src/queue",
            "shared/src/rooms",
            "shared/src/lease",
            "shared/src/budget",
            "shared/src/fleet",
        ],
    ),
    (&["apalis", "apalis_core", "apalis_codec"], &["shared/src/queue", "worker/src"]),
    (
        &["stripe_core", "stripe_shared", "stripe_types", "stripe_client_core", "hyper", "hyper_util", "hyper_rustls"],
        &["shared/src/stripe", "shared/src/telemetry", "web/src/listen"],
    ),
    (&["axum", "tower_http"], &["web/src", "stampede/src"]),
];

/// Crates in which [`KNOWN_TO`] holds; the sandbox and the tests are programs of their own.
const PRODUCT: [&str; 4] = ["shared", "web", "worker", "stampede"];

/// A dependency of one crate of ours on another, as a manifest has it.
struct Edge<'a> {
    from: &'a str,
    to: &'a str,
    for_tests: bool,
}

fn manifest_breaches(edges: &[Edge<'_>]) -> Vec<String> {
    let allowed = |edge: &Edge<'_>| {
        let row = CRATES.iter().find(|(name, ..)| *name == edge.from);
        let row = row.unwrap_or_else(|| panic!("the crate {} has no row in CRATES", edge.from));
        row.1.is_none_or(|may| may.contains(&edge.to)) || edge.for_tests && row.2.contains(&edge.to)
    };
    let forbidden = edges.iter().filter(|edge| !allowed(edge));
    forbidden.map(|edge| format!("{}/Cargo.toml must not depend on {}", edge.from, edge.to)).collect()
}

/// Breaches in the code of one file outside its tests.
fn code_breaches(path: &str, source: &str) -> Vec<String> {
    let (name, within) = path.split_once("/src/").unwrap_or((path, ""));
    let module = within.split(['/', '.']).next().unwrap_or_default();
    let neither = NEITHER.iter().any(|(file, _)| within == *file || module == *file);
    let in_domain = name == "shared" && !ADAPTERS.contains(&module) && !neither;
    let mut found = Vec::new();
    for mention in mentions(source).iter().filter(|mention| mention.imported || mention.path.len() > 1) {
        if !may_import_crate(name, mention) {
            found.push(format!("{path}:{} {mention}: {name} must not import this crate", mention.line));
        }
        if in_domain && NOT_IN_DOMAIN.iter().any(|words| mention.starts_with(words)) {
            found.push(format!("{path}:{} {mention}: the domain is pure", mention.line));
        }
        if in_domain && is_adapter(mention, within) {
            found.push(format!("{path}:{} {mention}: the domain knows no adapter", mention.line));
        }
        for (libraries, folders) in KNOWN_TO {
            let here =
                folders.iter().any(|folder| path.strip_prefix(folder).is_some_and(|r| r.starts_with(['/', '.'])));
            if PRODUCT.contains(&name) && !here && libraries.iter().any(|library| mention.starts_with(library)) {
                found.push(format!("{path}:{} {mention}: known to {} alone", mention.line, folders.join(", ")));
            }
        }
    }
    found
}

fn may_import_crate(name: &str, mention: &Mention) -> bool {
    let Some((_, Some(may), _)) = CRATES.iter().find(|(row, ..)| *row == name) else { return true };
    let other = CRATES.iter().map(|(other, ..)| *other).find(|other| mention.path[0] == *other);
    other.is_none_or(|other| other == name || may.contains(&other))
}

/// `crate::ledger`, or `super::ledger` in a file that lies directly in `src`.
fn is_adapter(mention: &Mention, within: &str) -> bool {
    let top = !within.contains('/');
    ADAPTERS.iter().any(|adapter| {
        mention.starts_with(&format!("crate::{adapter}")) || top && mention.starts_with(&format!("super::{adapter}"))
    })
}

/// The files of a crate's code, less the modules that are declared for tests only.
pub(super) fn code_files(name: &str) -> Vec<(String, String)> {
    let files = files_below(&format!("{name}/src")).into_iter().filter(|path| path.ends_with(".rs"));
    let files: Vec<(String, String)> = files.map(|path| (path.clone(), read(&path))).collect();
    let tests: Vec<String> = files
        .iter()
        .flat_map(|(path, source)| {
            let folder = match path.rsplit_once('/') {
                Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder,
                _ => path.trim_end_matches(".rs"),
            };
            test_modules(source).into_iter().map(move |module| format!("{folder}/{module}"))
        })
        .collect();
    let is_test = |path: &str| {
        tests.iter().any(|test| path.strip_prefix(test.as_str()).is_some_and(|rest| rest.starts_with(['/', '.'])))
    };
    files.into_iter().filter(|(path, _)| !is_test(path)).collect()
}

/// The names of the workspace's crates, which are those of their folders.
pub(super) fn crate_names() -> impl Iterator<Item = &'static str> {
    CRATES.iter().map(|(name, ..)| *name)
}

/// Cargo's own reading of the manifests.
pub(super) fn metadata() -> Value {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

#[test]
fn manifests_keep_the_order_of_the_layers() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let mut edges = Vec::new();
    for package in packages {
        let from = package["name"].as_str().expect("a package has a name");
        for dependency in package["dependencies"].as_array().expect("a list of dependencies") {
            // Only crates of the workspace have a path.
            if dependency["path"].is_string() {
                let to = dependency["name"].as_str().expect("a dependency has a name");
                edges.push(Edge { from, to, for_tests: dependency["kind"] == "dev" });
            }
        }
    }
    assert!(edges.len() >= 5, "the layers have edges");
    expect_none(&manifest_breaches(&edges));
}

#[test]
fn code_keeps_the_order_of_the_layers() {
    let files = CRATES.iter().flat_map(|(name, ..)| code_files(name));
    expect_none(&files.flat_map(|(path, source)| code_breaches(&path, &source)).collect::<Vec<_>>());
}

#[test]
fn a_manifest_that_breaks_the_order_is_found() {
    let found = |from, to, for_tests| manifest_breaches(&[Edge { from, to, for_tests }]).len();
    assert_eq!(found("web", "worker", false), 1);
    assert_eq!(found("worker", "web", true), 1);
    assert_eq!(found("sandbox", "shared", false), 1);
    assert_eq!(found("shared", "sandbox", false), 1);
    assert_eq!(found("shared", "sandbox", true), 0);
    assert_eq!(found("stampede", "web", false) + found("tests", "stampede", false), 0);
    assert_eq!(found("simulation", "worker", false) + found("stampede", "simulation", false), 0);
    assert_eq!(found("worker", "simulation", true) + found("simulation", "sandbox", true), 2);
}

#[test]
fn code_that_breaks_the_order_is_found() {
    let found = |path: &str, source: &str| code_breaches(path, source).len();
    assert_eq!(found("web/src/lib.rs", "use worker::run;"), 1);
    assert_eq!(found("worker/src/a/b.rs", "fn f() { web::rooms::push() }"), 1);
    assert_eq!(found("sandbox/src/lib.rs", "use {serde, shared::money::Money};"), 1);
    assert_eq!(found("stampede/src/main.rs", "use {shared::config::Config, web::serve, worker::run};"), 0);

    assert_eq!(found("shared/src/order.rs", "use tokio::sync::mpsc;"), 1);
    assert_eq!(found("shared/src/order/state.rs", "use crate::{ledger::Ledger, money::Money};"), 1);
    assert_eq!(found("shared/src/sale.rs", "use super::stock::Hold;"), 1);
    assert_eq!(found("shared/src/money.rs", "fn f() { std::fs::read(p) }"), 1);
    assert_eq!(found("shared/src/order.rs", "#[cfg(test)] mod tests { #[tokio::test] async fn f() {} }"), 0);
    assert_eq!(found("shared/src/env/system.rs", "use tokio::time;"), 0);

    assert_eq!(found("shared/src/ledger/sql.rs", "use sea_orm::Database;"), 0);
    assert_eq!(found("shared/src/ledgers.rs", "use sea_orm::Database;"), 2);
    assert_eq!(found("shared/src/stock/memory.rs", "use sea_orm::{Database, DbErr};"), 2);
    assert_eq!(found("shared/src/stripe.rs", "use {hyper::Request, stripe_core::PaymentIntent};"), 0);
    assert_eq!(found("worker/src/charge.rs", "use stripe_core::PaymentIntent;"), 1);
    assert_eq!(found("worker/src/lib.rs", "use apalis::prelude::Monitor;"), 0);
    assert_eq!(found("web/src/lib.rs", "use apalis::prelude::Monitor;"), 1);
    assert_eq!(found("worker/src/lib.rs", "use axum::Router;"), 1);
}
