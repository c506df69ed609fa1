//! What the tests start besides our own programs, for `cargo xtask test` and for tests that want one of their own; and
//! which mutants have to be noticed; and what may never stand in what they wrote.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod cluster;
pub mod mutants;
pub mod program;
pub mod secrets;
