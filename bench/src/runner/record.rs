//! One run, as it is kept.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::machine::Machine;
use super::overload::Overload;
use super::scenario::Scenario;
use super::system::System;
use crate::driver::Report;
use crate::measure::figures::Figures;

/// A run and its circumstances.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) scenario: Scenario,
    pub(super) system: System,
    pub(super) shoppers: u32,
    pub(super) latency_ms: u64,
    pub(super) run: u32,
    pub(super) webs: u16,
    #[serde(default)]
    pub(super) waves: u32,
    /// Purchases per second that were asked for, in scenarios with a steady rate.
    pub(super) rate: Option<f64>,
    /// What was asked for, and what could be served, where it was too much.
    #[serde(default)]
    pub(super) overload: Option<Overload>,
    pub(super) profile: String,
    pub(super) machine: Machine,
    pub(super) cores: usize,
    /// The drivers' command line; of several, that of the first.
    pub(super) command: String,
    pub(super) drivers: u32,
    /// How long the drivers ran.
    pub(super) wall_s: f64,
    pub(super) busy_before: f64,
    /// CPU seconds meanwhile of everybody but the system, the stand-in for Stripe and the drivers.
    pub(super) cpu_s_of_others: f64,
    /// What the stand-in for Stripe counted.
    pub(super) stub: Value,
    /// For how long a worker waited for Stripe's answer to a charge, on average; where it counts that.
    #[serde(default)]
    pub(super) stripe_took_ms: Option<f64>,
    pub(super) report: Option<Report>,
}

impl Record {
    /// `bullmq_n500_lat0_run1`, or `bullmq_n500_lat0_rate1200_run1`.
    pub(super) fn name(&self) -> String {
        let system = self.system.name();
        let rate = self.rate.map_or(String::new(), |_| format!("_rate{}", self.asked()));
        format!("{system}_n{}_lat{}{rate}_run{}", self.shoppers, self.latency_ms, self.run)
    }

    /// Purchases asked for per second, to the nearest one; 0 where there is no rate.
    pub(super) fn asked(&self) -> u32 {
        self.rate.map_or(0, |rate| rate.round() as u32)
    }

    /// The share of the machine that others used.
    pub(super) fn share_of_others(&self) -> f64 {
        let whole = self.wall_s * self.cores as f64;
        if whole > 0.0 { (self.cpu_s_of_others / whole).max(0.0) } else { 0.0 }
    }

    pub(super) fn figures(&self) -> Option<&Figures> {
        self.report.as_ref().map(|report| &report.figures)
    }

    pub(super) fn path(&self, out: &Path) -> PathBuf {
        out.join(self.scenario.name()).join(format!("{}.json", self.name()))
    }

    pub(super) fn write(&self, out: &Path) -> Result<()> {
        let path = self.path(out);
        std::fs::create_dir_all(path.parent().unwrap_or(out))?;
        std::fs::write(&path, serde_json::to_string(self)? + "\n")
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Every run of a scenario, by name.
    pub(super) fn read_all(out: &Path, scenario: Scenario) -> Result<Vec<Self>> {
        let folder = out.join(scenario.name());
        let files = std::fs::read_dir(&folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
        files.sort();
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(&path)?;
            serde_json::from_str(&text).with_context(|| format!("{} is no run of this version", path.display()))
        };
        files.into_iter().map(read).collect()
    }
}
