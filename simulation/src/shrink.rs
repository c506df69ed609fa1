//! A failing world made smaller: fewer faults, fewer kinds of them, fewer shoppers, as long as something still fails.

use crate::chance::Without;
use crate::shop::Parts;
use crate::world::{Ended, play};

/// Worlds that are played in search of a smaller one.
const MOST_PLAYS: u32 = 150;
/// Faults that are left out one by one.
const ONE_BY_ONE: u64 = 60;

/// A failing world that is as small as could be found, and its story.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What was left out.
    pub without: Without,
    /// What became of it.
    pub ended: Ended,
}

/// Looks for a smaller world of a seed that fails; `None` when it does not fail.
#[must_use]
pub fn shrink(seed: u64) -> Option<Shrunk> {
    shrink_with(seed, |_| {})
}

struct Search {
    seed: u64,
    twist: fn(&mut Parts),
    plays: u32,
    best: Without,
}

impl Search {
    /// Whether it still fails without even this; then that is the best so far.
    fn fails(&mut self, without: Without) -> bool {
        if self.plays >= MOST_PLAYS {
            return false;
        }
        self.plays += 1;
        let fails = play(self.seed, &without, false, self.twist).breach.is_some();
        if fails {
            self.best = without;
        }
        fails
    }
}

pub(crate) fn shrink_with(seed: u64, twist: fn(&mut Parts)) -> Option<Shrunk> {
    let whole = play(seed, &Without::default(), false, twist);
    whole.breach.as_ref()?;
    let mut search = Search { seed, twist, plays: 0, best: Without::default() };
    // The fewest faults from the beginning on. More of them need not fail where fewer do; it is a search, not a proof.
    let (mut least, mut most) = (0, whole.drawn);
    while least < most {
        let middle = least + (most - least) / 2;
        if search.fails(Without { most_faults: Some(middle), ..search.best.clone() }) {
            most = middle;
        } else {
            least = middle + 1;
        }
    }
    for (kind, _) in whole.faults.iter().filter(|(_, count)| *count > 0) {
        let mut without = search.best.clone();
        without.kinds.push(*kind);
        search.fails(without);
    }
    for shoppers in 1..12 {
        if search.fails(Without { shoppers: Some(shoppers), ..search.best.clone() }) {
            break;
        }
    }
    for number in 0..most.min(ONE_BY_ONE) {
        let mut without = search.best.clone();
        without.numbers.push(number);
        search.fails(without);
    }
    let ended = play(seed, &search.best, true, twist);
    Some(Shrunk { without: search.best, ended })
}
