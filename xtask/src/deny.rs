//! The dependency graph against `deny.toml`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use xtask::program::{find_on_path, quietly};

use crate::steps::{cargo, root, run, target};

const VERSION: &str = "0.20.2";

/// Bans, licences and sources always; known vulnerabilities where their database can be had.
pub(crate) fn check() -> Result<()> {
    let program = program()?;
    let deny = || {
        let mut command = Command::new(&program);
        command.current_dir(root()).env("GIT_TERMINAL_PROMPT", "0");
        command
    };
    run(deny().args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    if quietly(deny().args(["fetch", "db"])).is_err() {
        eprintln!("NOT CHECKED: known vulnerabilities; the RustSec database is out of reach from here");
        return Ok(());
    }
    run(deny().args(["check", "--disable-fetch", "advisories"]))
}

/// The one on PATH, or one built into the target folder: without optimisation, since it runs for a second and would
/// take minutes to optimise.
fn program() -> Result<PathBuf> {
    if let Some(installed) = find_on_path("cargo-deny") {
        return Ok(installed);
    }
    let folder = target().join("tools");
    let program = folder.join("bin/cargo-deny");
    if !program.is_file() {
        eprintln!("building cargo-deny {VERSION} into {}", folder.display());
        let mut install = cargo();
        install.args(["install", "cargo-deny", "--locked", "--debug", "--quiet", "--version", VERSION, "--root"]);
        install.arg(&folder).arg("--target-dir").arg(folder.join("build"));
        run(install.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0"))?;
        // The objects are of no more use, and a gigabyte.
        let _ = std::fs::remove_dir_all(folder.join("build"));
    }
    Ok(program)
}
