//! npm and Python packages of the tests: the accessibility audit, Stripe's own SDKs, and the fuzzer of the API. Installed from lock files into
//! the tests' folders, and again only when a lock file has changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use xtask::program::quietly;

use crate::steps::{root, run};

/// Where the tests find what was installed.
pub(crate) struct Packages {
    /// The Python of the virtual environment, if the tests have one.
    pub(crate) python: Option<PathBuf>,
    /// The Python that has the fuzzer of the API.
    pub(crate) fuzzer: Option<PathBuf>,
}

/// Installs all of them.
pub(crate) fn install() -> Result<Packages> {
    for folder in ["tests/tools", "tests/sdk"] {
        npm(&root().join(folder))?;
    }
    Ok(Packages { python: python(&root().join("tests/sdk"))?, fuzzer: python(&root().join("tests/api"))? })
}

/// The tests of the page's modules, which need Node alone.
pub(crate) fn test_modules() -> Result<()> {
    let folder = root().join("static/tests");
    let files = std::fs::read_dir(&folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.to_str().is_some_and(|name| name.ends_with(".test.js") || name.ends_with(".test.mjs")))
        .collect();
    if files.is_empty() {
        eprintln!("there are none");
        return Ok(());
    }
    files.sort();
    run(Command::new("node").arg("--test").args(files).current_dir(root()))
}

fn npm(folder: &Path) -> Result<()> {
    let lock = folder.join("package-lock.json");
    if !lock.is_file() {
        return Ok(());
    }
    unchanged_or(&lock, &folder.join("node_modules/.installed-from"), || {
        quietly(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder)).map(drop)
    })
}

fn python(folder: &Path) -> Result<Option<PathBuf>> {
    let requirements = folder.join("requirements.txt");
    if !requirements.is_file() {
        return Ok(None);
    }
    let environment = folder.join(".venv");
    let python = environment.join("bin/python");
    unchanged_or(&requirements, &environment.join("installed-from"), || {
        quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
        quietly(&mut pip).map(drop)
    })?;
    Ok(Some(python))
}

/// Does the work unless its note says that it was done for this very lock file; then leaves the note.
fn unchanged_or(lock: &Path, note: &Path, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = std::fs::read(lock).with_context(|| format!("{} cannot be read", lock.display()))?;
    if std::fs::read(note).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    eprintln!("installing from {}", lock.strip_prefix(root()).unwrap_or(lock).display());
    work()?;
    std::fs::write(note, wanted).with_context(|| format!("{} cannot be written", note.display()))
}
