//! What the tests start besides our own programs, for `cargo xtask test` and for tests that want one of their own.

pub mod cluster;
pub mod program;
