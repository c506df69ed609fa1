//! The rules of this house that a compiler does not see: who may import whom, what the domain and the handlers may
//! not touch, how long a file may get, and that documents name only what exists.
//!
//! Each rule is a function from text to the list of its breaches, tested on text that breaks it; and a test that
//! runs it over the workspace and expects an empty list.

mod dependencies;
mod documents;
mod edge_cases;
mod files;
mod guards;
mod imports;
mod invariants;
mod migrations;
mod observability;
mod packaging;
mod purity;
mod rust;
mod stripe;

use std::path::{Path, PathBuf};

/// Folders that hold nothing written here.
const FOREIGN: [&str; 5] = ["target", "node_modules", "data", ".git", ".venv"];

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie within the workspace")
}

/// Every file below a folder of the workspace, as paths from its root with `/` between folders, sorted.
fn files_below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let entry = entry.expect("a folder can be read");
            let kind = entry.file_type().expect("a file has a type");
            if kind.is_dir() && !FOREIGN.contains(&entry.file_name().to_string_lossy().as_ref()) {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(from_root(&entry.path()));
            }
        }
    }
    found.sort();
    found
}

fn from_root(path: &Path) -> String {
    let path: PathBuf = path.strip_prefix(root()).expect("it lies in the workspace").components().collect();
    path.to_string_lossy().into_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

/// Fails with all breaches, one a line.
fn expect_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}
