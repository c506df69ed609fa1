//! The measuring of Stampede and of what others would have built: a load driver, a stand-in for Stripe, a system with
//! nothing behind it, and the runner that starts them all side by side.
//!
//! `driver` plays the shoppers, `measure` holds what is counted and how counts of several processes become one,
//! `stub` is the stand-in for Stripe, and `runner` starts fresh processes for every run and writes tables and plots.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
#![allow(clippy::float_arithmetic, reason = "figures are measured, not paid")]

pub mod adapter;
pub mod driver;
pub mod files;
pub mod measure;
pub mod null;
pub mod runner;
pub mod stub;
pub mod wire;
