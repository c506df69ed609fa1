//! What the tests need from the system: a browser, PostgreSQL, Redis, Prometheus, Node and Python.
//!
//! On Debian and Ubuntu the missing ones are installed, on a machine that has never run `apt-get update` too. Elsewhere
//! a sentence names them.

use std::ops::RangeInclusive;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use xtask::cluster::postgres_program;
use xtask::program::{find_on_path, quietly};

use crate::answers;
use crate::steps::run;

/// Something that the tests start, and where Debian keeps it.
struct Tool {
    name: &'static str,
    debian: &'static [&'static str],
    present: fn() -> bool,
}

const TOOLS: [Tool; 8] = [
    Tool {
        name: "Chromium or Chrome",
        debian: &["chromium"],
        present: || {
            ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].iter().any(|n| on_path(n))
        },
    },
    Tool { name: "chromedriver", debian: &["chromium-driver"], present: || on_path("chromedriver") },
    Tool {
        name: "PostgreSQL's server programs",
        debian: &["postgresql"],
        present: || postgres_program("initdb").is_some() && postgres_program("postgres").is_some(),
    },
    Tool { name: "redis-server", debian: &["redis-server"], present: || on_path("redis-server") },
    Tool {
        name: "Prometheus, with promtool",
        debian: &["prometheus"],
        present: || on_path("prometheus") && on_path("promtool"),
    },
    Tool { name: "Node", debian: &["nodejs"], present: || answers("node") },
    Tool { name: "npm", debian: &["npm"], present: || answers("npm") },
    Tool { name: "Python with venv and pip", debian: &["python3", "python3-venv"], present: python_makes_environments },
];

/// Clang and `llvm-profdata` of one LLVM between these; the newest one. Installs the oldest if there is none.
pub(crate) fn llvm(versions: RangeInclusive<u32>) -> Result<u32> {
    let programs = |version: &u32| ["clang", "llvm-profdata"].map(|name| format!("{name}-{version}"));
    let newest = || versions.clone().rev().find(|version| programs(version).iter().all(|name| on_path(name)));
    if let Some(version) = newest() {
        return Ok(version);
    }
    let packages = ["clang", "llvm"].map(|name| format!("{name}-{}", versions.start()));
    if let Some(apt) = AptGet::find() {
        apt.fetch(&packages.each_ref().map(String::as_str))?;
    }
    let wanted = format!("clang-N and llvm-profdata-N are not on PATH, with one N from {versions:?}");
    newest().with_context(|| format!("{wanted}; on Debian they are in the packages {}", packages.join(" and ")))
}

/// Installs what is missing, or says what is.
pub(crate) fn install() -> Result<()> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !(tool.present)()).collect();
    if missing.is_empty() {
        eprintln!("everything is there");
        return Ok(());
    }
    let names = |tools: &[&Tool]| tools.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", ");
    let Some(apt) = AptGet::find() else {
        bail!(
            "these are missing, and there is no apt-get (as root or with sudo) to install them: {}. \
             Install them with your package manager so that they are on PATH",
            names(&missing)
        );
    };
    let packages: Vec<&str> = missing.iter().flat_map(|tool| tool.debian).copied().collect();
    apt.fetch(&packages)?;
    let missing: Vec<&Tool> = missing.into_iter().filter(|tool| !(tool.present)()).collect();
    if !missing.is_empty() {
        bail!(
            "still missing after apt-get install: {}. Put them on PATH by hand (on Ubuntu, whose Chromium is a snap, \
             Google's Chrome and chromedriver packages serve)",
            names(&missing)
        );
    }
    Ok(())
}

/// `apt-get`, with the right to install.
struct AptGet {
    sudo: bool,
}

impl AptGet {
    fn find() -> Option<Self> {
        let sudo = quietly(Command::new("id").arg("-u")).ok()?.trim() != "0";
        (on_path("apt-get") && (!sudo || on_path("sudo"))).then_some(Self { sudo })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(if self.sudo { "sudo" } else { "env" });
        if self.sudo {
            command.arg("env");
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-q"]);
        command
    }

    /// Installs packages. Lists of them that are missing or old make the first try fail; new ones are fetched only then.
    fn fetch(&self, packages: &[&str]) -> Result<()> {
        eprintln!("installing {}", packages.join(" "));
        self.install(packages).or_else(|_| {
            self.update();
            self.install_aloud(packages)
        })
    }

    fn install(&self, packages: &[&str]) -> Result<()> {
        quietly(self.command().args(["install", "--no-install-recommends"]).args(packages)).map(drop)
    }

    fn install_aloud(&self, packages: &[&str]) -> Result<()> {
        run(self.command().args(["install", "--no-install-recommends"]).args(packages))
    }

    /// A source that is out of reach is none of our business as long as the packages are found.
    fn update(&self) {
        if let Err(error) = quietly(self.command().arg("update")) {
            eprintln!("apt-get update had trouble; going on: {error:#}");
        }
    }
}

/// Debian splits venv and pip off, so that a `python3` alone proves nothing.
fn python_makes_environments() -> bool {
    quietly(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_ok()
}

fn on_path(name: &str) -> bool {
    find_on_path(name).is_some()
}
