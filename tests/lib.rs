//! The harness of the integration suite: real servers and a real browser, started on free ports and stopped with the
//! test that asked for them.
//!
//! Everything here fails by panicking, with a sentence that says what was expected and what was there instead: it is
//! called from tests only, where that sentence is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod harness;
