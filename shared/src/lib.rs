//! What the web and the worker processes both know: the domain first, the adapters behind it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod access;
pub mod backing;
pub mod budget;
pub mod config;
pub mod crash;
pub mod data_dir;
pub mod decline;
pub mod env;
pub mod fleet;
pub mod gather;
pub mod guards;
pub mod jobs;
pub mod lease;
pub mod ledger;
pub mod message;
pub mod money;
pub mod order;
pub mod process;
pub mod queue;
pub mod redis_server;
pub mod rooms;
pub mod sale;
pub mod stock;
pub mod stripe;
pub mod telemetry;
