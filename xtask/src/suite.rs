//! The tests: what they are handed, who runs them, and how many there must be.
//!
//! A green run of no tests is the failure that nobody notices. So the tests that ran are counted, and fewer than the
//! number in `tests/floor.txt` is red.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use xtask::cluster::Cluster;
use xtask::program::quietly;

use crate::EVERYTHING;
use crate::packages::Packages;
use crate::steps::{cargo, root, run, target};

/// The environment variables of the tests.
pub(crate) struct Environment(Vec<(&'static str, PathBuf)>);

impl Environment {
    /// Binaries, the cluster, Stripe's SDK for Python, and the fuzzer of the API.
    pub(crate) fn new(cluster: &Cluster, packages: Packages) -> Result<Self> {
        let mut variables = binaries(&target().join("debug"))?;
        variables.push(("STAMPEDE_TEST_POSTGRES", PathBuf::from(cluster.url())));
        variables.extend(packages.python.map(|python| ("STAMPEDE_TEST_PYTHON", python)));
        variables.extend(packages.fuzzer.map(|python| ("STAMPEDE_TEST_SCHEMATHESIS", python)));
        Ok(Self(variables))
    }

    /// Runs every test, or those that match a filter, and returns how many ran.
    pub(crate) fn run(&self, filters: &[String]) -> Result<usize> {
        if quietly(cargo().args(["nextest", "--version"])).is_ok() {
            self.nextest(filters)
        } else {
            eprintln!("cargo-nextest is not installed: `cargo test` takes its place, more slowly");
            self.cargo_test(filters)
        }
    }

    /// Their names and values.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    fn cargo(&self) -> Command {
        let mut command = cargo();
        command.envs(self.variables());
        command
    }

    fn nextest(&self, filters: &[String]) -> Result<usize> {
        let report = target().join("nextest/default/junit.xml");
        // A report of an earlier run must not be counted when this one ends before writing its own.
        let _ = std::fs::remove_file(&report);
        run(self.cargo().args(["nextest", "run"]).args(EVERYTHING).args(filters))?;
        let report = std::fs::read_to_string(&report).context("nextest left no report")?;
        count_in_report(&report).context("nextest's report does not say how many tests ran")
    }

    /// The suite's tests one at a time, since here nothing keeps the heavy ones apart.
    fn cargo_test(&self, filters: &[String]) -> Result<usize> {
        let mut ran = 0;
        for (targets, threads) in [(["--lib", "--bins"].as_slice(), None), (&["--test", "*"], Some("--test-threads=1"))]
        {
            let mut command = self.cargo();
            command.arg("test").args(EVERYTHING).arg("--no-fail-fast").args(targets);
            command.arg("--").args(threads).args(filters);
            ran += counted(&mut command)?;
        }
        Ok(ran)
    }
}

/// The variables that name the binaries of a folder.
pub(crate) fn binaries(folder: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let names = [
        ("STAMPEDE_BIN", "stampede"),
        ("STAMPEDE_WEB_BIN", "web"),
        ("STAMPEDE_WORKER_BIN", "worker"),
        ("STAMPEDE_FLASHBENCH_BIN", "flashbench"),
    ];
    let built = |(variable, name)| {
        let path = folder.join(name);
        if path.is_file() { Ok((variable, path)) } else { bail!("the build made no {}", path.display()) }
    };
    names.into_iter().map(built).collect()
}

/// Runs `cargo test`, shows its output, and adds up what it says of the tests that passed.
fn counted(command: &mut Command) -> Result<usize> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cargo cannot be started")?;
    let output = child.stdout.take().context("its output is a pipe")?;
    let mut ran = 0;
    for line in BufReader::new(output).lines() {
        let line = line?;
        ran += passed_in_line(&line).unwrap_or(0);
        eprintln!("{line}");
    }
    if !child.wait()?.success() {
        bail!("a test failed");
    }
    Ok(ran)
}

/// Reads `test result: ok. 12 passed; 0 failed; …`.
fn passed_in_line(line: &str) -> Option<usize> {
    line.strip_prefix("test result: ")?.split(". ").nth(1)?.split(' ').next()?.parse().ok()
}

/// Reads `<testsuites name="…" tests="12" …>`.
fn count_in_report(report: &str) -> Option<usize> {
    let head = &report[report.find("<testsuites")?..];
    head.split(" tests=\"").nth(1)?.split('"').next()?.parse().ok()
}

/// The least number of tests that a full run has.
pub(crate) fn compare_with_floor(ran: usize) -> Result<usize> {
    let path = root().join("tests/floor.txt");
    let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let floor: usize = text.trim().parse().with_context(|| format!("{} holds no number", path.display()))?;
    if ran < floor {
        bail!("only {ran} tests ran, and tests/floor.txt asks for {floor}: were some lost?");
    }
    if ran > floor {
        eprintln!("\n{ran} tests ran: raise tests/floor.txt from {floor} with the change that added them");
    }
    Ok(floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_both_runners() {
        assert_eq!(passed_in_line("test result: ok. 12 passed; 0 failed; 1 ignored"), Some(12));
        assert_eq!(passed_in_line("test result: FAILED. 3 passed; 1 failed"), Some(3));
        assert_eq!(passed_in_line("test order::paid ... ok"), None);
        let report = "<?xml?>\n<testsuites name=\"nextest-run\" tests=\"7\" failures=\"0\">\n<testsuite tests=\"2\">";
        assert_eq!(count_in_report(report), Some(7));
        assert_eq!(count_in_report("<testsuites>"), None);
    }
}
