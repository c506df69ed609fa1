//! What is printed of each sale, and of all of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::checker::Verdict;
use super::director::Met;
use super::schedule::{Fault, KINDS, PER_SALE};

/// What became of one sale.
pub(super) struct Sale {
    pub(super) seed: u64,
    pub(super) faults: Vec<Fault>,
    pub(super) met: Met,
    pub(super) verdict: Verdict,
    /// Where logs were kept.
    pub(super) logs: Option<PathBuf>,
    pub(super) took: Duration,
}

/// Says what is to go wrong in a sale.
pub(super) fn announce(seed: u64, faults: &[Fault]) {
    eprintln!("\nsale of seed {seed}:");
    for fault in faults {
        eprintln!("  {fault}");
    }
}

/// Says what became of a sale.
pub(super) fn tell(sale: &Sale) {
    let counts: Vec<String> = sale.verdict.counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    eprintln!("  {} s: {}", sale.took.as_secs(), counts.join(", "));
    let met: Vec<String> = sale.met.iter().map(|(kind, met)| format!("{kind} {met}")).collect();
    eprintln!("  met: {}", met.join(", "));
    if sale.verdict.broken.is_empty() {
        eprintln!("  seed {}: nothing broke", sale.seed);
    }
    for what in &sale.verdict.broken {
        eprintln!("  seed {}: BROKEN: {what}", sale.seed);
    }
    if let Some(logs) = &sale.logs {
        eprintln!("  logs are in {}", logs.display());
        eprintln!("  once more: cargo xtask chaos --faults {PER_SALE} --seed {}", sale.seed);
    }
}

/// What became of all sales.
#[derive(Default)]
pub(super) struct Summary {
    sales: usize,
    broken: Vec<u64>,
    /// Faults of each kind: how many there were, how many met something, and how much they met.
    kinds: BTreeMap<&'static str, (u64, u64, u64)>,
    counts: BTreeMap<&'static str, u64>,
    took: Duration,
}

impl Summary {
    pub(super) fn add(&mut self, sale: Sale) {
        self.sales += 1;
        self.took += sale.took;
        if !sale.verdict.broken.is_empty() {
            self.broken.push(sale.seed);
        }
        for (name, count) in sale.verdict.counts {
            *self.counts.entry(name).or_default() += count;
        }
        for fault in sale.faults {
            let met = sale.met.get(fault.kind).copied().unwrap_or(0);
            let (faults, that_met, sum) = self.kinds.entry(fault.kind).or_default();
            (*faults, *that_met, *sum) = (*faults + 1, *that_met + u64::from(met > 0), *sum + met);
        }
    }

    /// Prints the summary; whether all is well.
    pub(super) fn tell(&self) -> bool {
        eprintln!("\n{:<40} {:>6} {:>10} {:>12}", "kind of fault", "faults", "that met", "met in all");
        let mut all = (0, 0);
        for (kind, _) in KINDS {
            let (faults, that_met, sum) = self.kinds.get(kind).copied().unwrap_or_default();
            all = (all.0 + faults, all.1 + that_met);
            eprintln!("{kind:<40} {faults:>6} {that_met:>10} {sum:>12}");
        }
        eprintln!("{:<40} {:>6} {:>10}", "", all.0, all.1);
        for (name, count) in &self.counts {
            eprintln!("{name:<40} {count:>6}");
        }
        // A kind that never meets anything proves nothing.
        let idle = self.kinds.iter().filter(|(_, (faults, that_met, _))| *faults > 1 && *that_met == 0);
        let idle: Vec<&str> = idle.map(|(kind, _)| *kind).collect();
        if !idle.is_empty() {
            eprintln!("never met anything: {}", idle.join(", "));
        }
        let broken = if self.broken.is_empty() {
            "nothing broke".to_owned()
        } else {
            format!("BROKEN: seeds {:?}", self.broken)
        };
        eprintln!("\n{} sales in {} s: {broken}", self.sales, self.took.as_secs());
        self.broken.is_empty() && idle.is_empty()
    }
}
