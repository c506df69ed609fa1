//! What operators are given to run: files that no compiler reads, held to what they are about.

use shared::config::SETTINGS;
use shared::telemetry::names::METRICS;

use super::imports::crate_names;
use super::{expect_none, files_below, read};

const IMAGE: &str = "Dockerfile";
const COMPOSE: &str = "compose.yaml";
const SCALER: &str = "ops/keda/worker.yaml";
const UNITS: &str = "ops/systemd";

/// What these files set for others than Stampede.
const OF_OTHERS: [&str; 3] = ["POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"];

/// The value behind a name and a sign, in the first line that has it.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(name)).map(|value| value.trim().trim_matches('"'))
}

#[test]
fn the_image_is_built_with_the_pinned_toolchain() {
    let (image, pinned) = (read(IMAGE), read("rust-toolchain.toml"));
    assert_eq!(value(&image, "ARG RUST="), value(&pinned, "channel = "));
}

/// Cargo does not read a workspace of which a member is missing.
#[test]
fn the_image_gets_the_manifest_of_every_member() {
    let (image, context) = (read(IMAGE), read(".dockerignore"));
    let mut found = Vec::new();
    for name in crate_names() {
        if !image.contains(&format!("COPY {name}/Cargo.toml {name}/\n")) {
            found.push(format!("{IMAGE} does not copy the manifest of {name}"));
        }
        if !context.lines().any(|line| line == format!("!{name}") || line == format!("!{name}/Cargo.toml")) {
            found.push(format!(".dockerignore leaves {name} out"));
        }
    }
    expect_none(&found);
}

/// Names in capitals that a line of these files sets, as in `REDIS_URL: …`, `ENV BIND=…` or `Environment=DATA_DIR=…`.
fn set(line: &str) -> Vec<&str> {
    let line = line.trim().trim_start_matches("ENV ").trim_start_matches("Environment=");
    let assigned = line.split([' ', '\t']).filter_map(|part| part.split_once('=').map(|(name, _)| name));
    let is_name = |name: &&str| name.len() > 2 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    assigned.chain(line.split_once(": ").map(|(name, _)| name)).filter(is_name).collect()
}

#[test]
fn what_is_set_for_a_process_is_a_setting() {
    let known = |name: &str| OF_OTHERS.contains(&name) || SETTINGS.iter().any(|(setting, ..)| *setting == name);
    let mut found = Vec::new();
    for path in [COMPOSE.to_owned(), IMAGE.to_owned()].into_iter().chain(files_below(UNITS)) {
        let text = read(&path);
        let lines = text.lines().filter(|line| path != IMAGE || line.starts_with("ENV BIND"));
        let unknown = lines.flat_map(set).filter(|name| !known(name));
        found.extend(unknown.map(|name| format!("{path} sets {name}, which is no setting")));
    }
    expect_none(&found);
}

#[test]
fn a_line_tells_what_it_sets() {
    assert_eq!(set("    REDIS_URL: redis://redis:6379"), ["REDIS_URL"]);
    assert_eq!(set("ENV BIND=0.0.0.0:3000 DATA_DIR=/data"), ["BIND", "DATA_DIR"]);
    assert_eq!(set("Environment=DATA_DIR=/data"), ["DATA_DIR"]);
    assert!(set("LimitNOFILE=20000").is_empty() && set("  test: [CMD, redis-cli]").is_empty());
}

#[test]
fn the_scaler_asks_for_what_is_told() {
    let scaler = read(SCALER);
    let query = value(&scaler, "query:").expect("a query");
    let told = |name: &str| METRICS.iter().any(|(_, metric, _)| *metric == name);
    let asked = query.split(|c: char| !c.is_ascii_lowercase() && c != '_').find(|word| told(word));
    assert_eq!(asked, Some("recommended_workers"), "{query}");
}

/// Who is drained ends with code 0, and should stay away.
#[test]
fn a_worker_that_has_ended_well_is_not_started_again() {
    let unit = read("ops/systemd/stampede-worker@.service");
    assert_eq!(value(&unit, "Restart="), Some("on-failure"));
    let compose = read(COMPOSE);
    let (_, worker) = compose.split_once("\n  worker:\n").expect("the worker's part");
    assert_eq!(value(worker, "restart:"), Some("on-failure"));
}
