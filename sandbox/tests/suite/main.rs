//! The sandbox from outside: over HTTP, as its callers see it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod challenges;
mod durability;
mod faults;
mod harness;
mod idempotency;
mod pages;
mod payments;
mod refunds;
mod sessions;
mod strict_types;
mod webhooks;
