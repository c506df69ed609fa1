//! The peers' packages: installed from their lock files into cargo's folder, and again only when a lock file changed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use xtask::program::{find_on_path, quietly};

use super::Places;
use super::system::System;

/// Installs what a system needs.
///
/// # Errors
/// When Python or Node is missing, in a sentence; or what their installers said.
pub(super) fn install(places: &Places, system: System) -> Result<()> {
    match system {
        System::CeleryPrefork | System::CeleryGevent => python(places),
        System::Bullmq => node(places),
        System::Null | System::StampedeEmbedded | System::StampedeSqlite | System::StampedePostgres => Ok(()),
    }
}

fn python(places: &Places) -> Result<()> {
    if quietly(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_err() {
        bail!("the Celery peer needs Python 3 with venv and pip: install it, or leave the peer out by --systems");
    }
    let environment = places.peers.join("venv");
    unchanged_or(
        &places.root.join("bench/peers/celery/requirements.txt"),
        &environment.join("installed-from"),
        |lock| {
            quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
            let mut pip = Command::new(environment.join("bin/python"));
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(lock);
            quietly(&mut pip).map(drop)
        },
    )
}

fn node(places: &Places) -> Result<()> {
    if find_on_path("node").is_none() || find_on_path("npm").is_none() {
        bail!("the BullMQ peer needs Node and npm: install them, or leave the peer out by --systems");
    }
    let (folder, source) = (places.peers.join("bullmq"), places.root.join("bench/peers/bullmq"));
    unchanged_or(&source.join("package-lock.json"), &folder.join("node_modules/.installed-from"), |_| {
        std::fs::create_dir_all(&folder)?;
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(source.join(file), folder.join(file))?;
        }
        let mut npm = Command::new("npm");
        // Not `ci`, which refuses a lock file that lacks other systems' optional packages.
        npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder);
        quietly(&mut npm).map(drop)
    })
}

/// Does the work unless its note says that it was done for this very lock file; then leaves the note.
fn unchanged_or(lock: &Path, note: &Path, work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let wanted = std::fs::read(lock).with_context(|| format!("{} cannot be read", lock.display()))?;
    if std::fs::read(note).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    eprintln!("installing from {}", lock.display());
    work(lock)?;
    std::fs::write(note, wanted).with_context(|| format!("{} cannot be written", note.display()))
}
