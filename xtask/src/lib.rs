//! What the tests start besides our own programs, for `cargo xtask test` and for tests that want one of their own; and
//! which mutants have to be noticed.

pub mod cluster;
pub mod mutants;
pub mod program;
