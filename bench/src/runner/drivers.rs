//! Driver processes: as many as the sockets need, started together, and their reports made one.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use super::machine::Side;
use crate::driver::Report;
use crate::measure::figures::Figures;
use crate::measure::processes::Group;
use crate::measure::seen::Merge;

/// What is to be driven.
#[derive(Clone, Debug, Default)]
pub(super) struct Drive {
    pub(super) program: PathBuf,
    pub(super) adapter: PathBuf,
    pub(super) hosts: Vec<String>,
    pub(super) drivers: u32,
    /// Shoppers of each wave, over all drivers.
    pub(super) shoppers: u32,
    /// Waves, one after the other.
    pub(super) waves: u32,
    /// Where connections come from, each driver's addresses beside one another; none: from wherever the system says.
    pub(super) from: Vec<Ipv4Addr>,
    /// Purchases per second, over all drivers.
    pub(super) rate: Option<f64>,
    /// What makes the system speak to every socket.
    pub(super) broadcast: Option<String>,
    /// Whether it keeps to its own core.
    pub(super) apart: bool,
    /// Everything else.
    pub(super) arguments: Vec<String>,
}

impl Drive {
    /// The command line of one driver, without what measures it.
    pub(super) fn arguments_of(&self, driver: u32) -> Vec<String> {
        let share = self.shoppers / self.drivers + u32::from(driver < self.shoppers % self.drivers);
        let mut words = vec!["--adapter".to_owned(), self.adapter.display().to_string()];
        words.extend(["--shoppers".to_owned(), share.to_string(), "--waves".to_owned()]);
        words.push(self.waves.max(1).to_string());
        words.extend(self.hosts.iter().flat_map(|host| ["--set".to_owned(), format!("host={host}")]));
        let each = self.from.len() / self.drivers as usize;
        if each > 0 {
            let own = self.from.iter().skip(driver as usize * each).take(each).map(ToString::to_string);
            words.extend(["--from".to_owned(), own.collect::<Vec<_>>().join(",")]);
        }
        if let Some(rate) = self.rate {
            let share = rate / f64::from(self.drivers);
            words.extend(["--mode", "rate", "--rate"].map(str::to_owned).into_iter().chain([share.to_string()]));
        }
        match &self.broadcast {
            Some(command) if driver == 0 => words.extend(["--broadcast".to_owned(), command.clone()]),
            Some(_) => words.push("--await-broadcast".to_owned()),
            None => {}
        }
        words.extend(self.arguments.iter().cloned());
        words
    }

    /// Drives, and returns what all drivers saw together.
    pub(super) async fn run(&self, groups: &[Group], logs: &Path) -> Result<Report> {
        let mut running = Vec::new();
        for driver in 0..self.drivers {
            running.push(self.spawn(driver, groups, logs)?);
        }
        if self.drivers > 1 {
            start_together(&mut running, self.waves.max(1)).await?;
        }
        let mut whole: Option<Report> = None;
        for (driver, mut child) in running.into_iter().enumerate() {
            let status = child.wait().await?;
            let path = report_path(logs, driver);
            let text = std::fs::read_to_string(&path);
            let text = text.with_context(|| format!("driver {driver} ended with {status}; see {}", logs.display()))?;
            let report: Report = serde_json::from_str(&text)?;
            let _ = std::fs::remove_file(path);
            match &mut whole {
                None => whole = Some(report),
                Some(whole) => whole.seen.merge(&report.seen, Merge::Beside),
            }
        }
        let mut whole = whole.context("there is one driver at least")?;
        whole.figures = Figures::of(&whole.seen);
        Ok(whole)
    }

    fn spawn(&self, driver: u32, groups: &[Group], logs: &Path) -> Result<Child> {
        let path = report_path(logs, driver as usize);
        let _ = std::fs::remove_file(&path);
        let log = std::fs::File::options().create(true).append(true).open(logs.join("driver.log"))?;
        let words = Side::Driver.start(&self.program, self.apart);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(self.arguments_of(driver)).arg("--json").arg(path);
        for group in groups {
            let ids: Vec<String> = group.roots.iter().map(ToString::to_string).collect();
            command.arg("--proc").arg(format!("{}={}", group.name, ids.join(",")));
        }
        if self.drivers > 1 {
            command.arg("--barrier").stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command.stdin(Stdio::null()).stdout(Stdio::null());
        }
        command.stderr(log).kill_on_drop(true);
        command.spawn().with_context(|| format!("{} does not start", self.program.display()))
    }
}

fn report_path(logs: &Path, driver: usize) -> PathBuf {
    logs.join(format!("driver-{driver}.json"))
}

/// In each wave, waits until every driver has its sockets, and lets all of them begin.
async fn start_together(running: &mut [Child], waves: u32) -> Result<()> {
    let mut talks = Vec::new();
    for child in running.iter_mut() {
        let output = child.stdout.take().context("its output is a pipe")?;
        let input = child.stdin.take().context("its input is a pipe")?;
        talks.push((BufReader::new(output).lines(), input));
    }
    for _ in 0..waves {
        for (output, _) in &mut talks {
            if output.next_line().await?.as_deref() != Some("joined") {
                bail!("a driver ended before its shoppers had joined");
            }
        }
        for (_, input) in &mut talks {
            input.write_all(b"go\n").await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_share_shoppers_and_rate_and_one_makes_the_broadcast() {
        let drive = Drive {
            drivers: 3,
            shoppers: 100,
            rate: Some(300.0),
            broadcast: Some("speak".to_owned()),
            hosts: vec!["a:1".to_owned(), "b:2".to_owned()],
            ..Drive::default()
        };
        let lines: Vec<String> = (0..3).map(|driver| drive.arguments_of(driver).join(" ")).collect();
        assert!(lines[0].contains(
            "--shoppers 34 --waves 1 --set host=a:1 --set host=b:2 --mode rate --rate 100 --broadcast speak"
        ));
        assert!(lines[1].contains("--shoppers 33 ") && lines[1].ends_with("--await-broadcast"));
        assert!(lines[2].contains("--shoppers 33 "));
    }

    #[test]
    fn drivers_share_no_address() {
        let from = (1..=4).map(|last| Ipv4Addr::new(127, 64, 0, last)).collect();
        let drive = Drive { drivers: 2, shoppers: 2, from, ..Drive::default() };
        let line = |driver: u32| drive.arguments_of(driver).join(" ");
        assert!(line(0).contains("--from 127.64.0.1,127.64.0.2") && line(1).contains("--from 127.64.0.3,127.64.0.4"));
        assert!(!Drive { from: Vec::new(), ..drive.clone() }.arguments_of(0).contains(&"--from".to_owned()));
    }
}
