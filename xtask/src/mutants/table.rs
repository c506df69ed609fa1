//! Which guards are taken away, and who has to notice.

use super::Mutant;

const fn of(off: &'static [&'static str], seeds: Option<u64>, tests: &'static [&'static str]) -> Mutant {
    Mutant { off, seeds, tests }
}

/// Every mutant: first each guard alone, in the order in which they are listed, then some together.
pub const MUTANTS: &[Mutant] = &[of(&["StockUnits"], Some(12), &[])];
