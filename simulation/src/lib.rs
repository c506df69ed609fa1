//! A deterministic simulation of the whole flow: shoppers, web processes, workers, an operator and Stripe in one thread,
//! under a seeded clock, with faults at every call. One seed always tells the same story.
//!
//! The code under test is the product's own: requests go through the router of `web`, jobs and sweeps are the handlers of
//! `worker`, and ledger, stock, queue and rooms are the implementations in memory. Written for the simulation are only
//! the loops around them (`shop`), a Stripe (`stripe`), people (`shopper`, `fate`), and a checker (`check`) that believes
//! nobody.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod batch;
mod chance;
mod check;
mod edge;
mod fate;
#[cfg(test)]
mod mutants;
mod plan;
mod scene;
mod shop;
mod shopper;
mod shrink;
mod stage;
mod stripe;
mod tab;
#[cfg(test)]
mod tests;
mod wire;
mod world;

pub use batch::{MOST_FAILED, Summary, run};
pub use chance::{Fault, Without};
pub use scene::{Breach, Told};
pub use shrink::{Shrunk, shrink};
pub use world::Ended;

/// Plays a seed; `tells` keeps its story.
#[must_use]
pub fn play(seed: u64, without: &Without, tells: bool) -> Ended {
    world::play(seed, without, tells, |_| {})
}
