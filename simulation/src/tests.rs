//! The simulation holds on fresh seeds, tells each seed's story the same way twice, and notices shops that are worse.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use crate::chance::Without;
use crate::mutants::forgets_to_free;
use crate::{batch, play, shrink, world};

/// A number that nobody has chosen; printed, so that whatever it leads to can be played again.
fn fresh() -> u64 {
    RandomState::new().hash_one("a first seed") % 1_000_000_000
}

#[test]
fn three_hundred_fresh_seeds_hold_every_promise() {
    let first = fresh();
    eprintln!("seeds from {first} on; `stampede simulate --seed {first} --seeds 300` plays them again");
    let summary = batch::run(first, 300, 2, batch::MOST_FAILED, &|_| {});
    assert!(summary.failed.is_empty(), "{:#?}", summary.failed);
    assert!(summary.orders > 600 && summary.paid * 2 > summary.orders, "too little happens: {summary:?}");
    let absent: Vec<_> = summary.faults.iter().filter(|(_, count)| **count == 0).collect();
    assert!(absent.is_empty(), "these faults never happened: {absent:?}");
}

#[test]
fn the_same_seed_twice_tells_the_same_story() {
    let first = fresh();
    eprintln!("seeds from {first} on");
    for seed in first..first + 12 {
        let (one, two) = (play(seed, &Without::default(), true), play(seed, &Without::default(), true));
        assert!(one.story.len() > 10);
        let differs = one.story.iter().zip(&two.story).find(|(one, two)| one != two);
        assert!(differs.is_none(), "seed {seed}: {differs:#?}");
        assert_eq!((one.steps, one.story.len()), (two.steps, two.story.len()), "seed {seed}");
    }
}

#[test]
fn a_story_is_made_smaller_and_still_fails() {
    let twist = forgets_to_free;
    let seed = (0..1_000).find(|seed| world::play(*seed, &Without::default(), false, twist).breach.is_some());
    let seed = seed.expect("it is noticed that units are lost");
    let whole = world::play(seed, &Without::default(), true, twist);
    let small = shrink::shrink_with(seed, twist).expect("it fails");
    assert!(small.ended.breach.is_some() && small.ended.story.len() < whole.story.len());
    let faults = |counts: &[(crate::Fault, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
    let (few, many) = (faults(&small.ended.faults), faults(&whole.faults));
    assert!(few <= 10 && few <= many, "{few} faults of {many}: {:?}", small.ended.faults);
}
