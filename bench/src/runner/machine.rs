//! The machine: what it is, and whether somebody else uses it.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A machine with less than this share busy is idle.
const IDLE_BELOW: f64 = 0.1;

/// What figures depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) processor: String,
    pub(super) memory_gib: u64,
    pub(super) kernel: String,
    pub(super) postgres: String,
    pub(super) redis: String,
}

/// Ticks of all cores since the machine started: those in use, and all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    busy: u64,
    all: u64,
}

impl Machine {
    pub(super) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split(':').nth(1).unwrap_or_default().trim().to_owned()
        };
        let kilobytes: f64 = after(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
        let version = |program: &str| {
            let path = xtask::cluster::postgres_program(program).unwrap_or_else(|| program.into());
            let output = std::process::Command::new(path).arg("--version").output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
        };
        Self {
            cores: cores(),
            processor: after(&read("/proc/cpuinfo"), "model name"),
            memory_gib: (kilobytes / 1024.0 / 1024.0).round() as u64,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            postgres: version("postgres"),
            redis: version("redis-server").split(" sha").next().unwrap_or_default().to_owned(),
        }
    }
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Who gets which cores, where what is measured and what measures are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// All but the last one.
    System,
    /// The last one: the driver, and the stand-in for Stripe.
    Driver,
}

impl Side {
    /// The command that starts a program, where they are kept apart on its own cores: the program takes the command's
    /// place, and its process id.
    pub(super) fn start(self, program: &Path, apart: bool) -> Vec<OsString> {
        if apart { self.words(program, cores()) } else { vec![program.into()] }
    }

    fn words(self, program: &Path, cores: usize) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(last) = cores.checked_sub(1).filter(|last| *last > 0) {
            let own = if self == Self::Driver { last.to_string() } else { format!("0-{}", last - 1) };
            words.extend(["taskset", "-c", &own].map(OsString::from));
        }
        words.push(program.into());
        words
    }
}

impl Ticks {
    pub(super) fn now() -> Self {
        Self::read(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// The first line: user, nice, system, idle, iowait, irq, softirq, steal.
    fn read(stat: &str) -> Self {
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
        let all = ticks.iter().sum();
        Self { busy: all - ticks.iter().skip(3).take(2).sum::<u64>(), all }
    }

    /// CPU seconds in use from then until now.
    pub(super) fn busy_seconds_since(&self, then: &Self) -> f64 {
        (self.busy - then.busy) as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    fn share_since(&self, then: &Self) -> f64 {
        (self.busy - then.busy) as f64 / (self.all - then.all).max(1) as f64
    }
}

/// Waits until the machine is idle, or patience ends; returns the share that was busy in the last second.
pub(super) async fn until_idle(patience: Duration) -> f64 {
    let end = Instant::now() + patience;
    loop {
        let before = Ticks::now();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let share = Ticks::now().share_since(&before);
        if share <= IDLE_BELOW || Instant::now() >= end {
            return share;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_has_the_last_core_to_itself_if_there_is_more_than_one() {
        let line = |side: Side, cores: usize| {
            let words = side.words(Path::new("web"), cores);
            words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!([line(Side::System, 2), line(Side::Driver, 2)], ["taskset -c 0-0 web", "taskset -c 1 web"]);
        assert_eq!([line(Side::System, 8), line(Side::Driver, 8)], ["taskset -c 0-6 web", "taskset -c 7 web"]);
        assert_eq!([line(Side::System, 1), line(Side::Driver, 1)], ["web", "web"]);
    }

    #[test]
    fn idle_and_waiting_for_disks_are_not_busy() {
        let before = Ticks::read("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 1");
        let after = Ticks::read("cpu  130 0 60 850 60 0 0 0 0 0\n");
        assert!((after.share_since(&before) - 0.4).abs() < 1e-9);
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert!((after.busy_seconds_since(&before) - 40.0 / ticks).abs() < 1e-9);
    }
}
