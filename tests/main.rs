//! The integration suite: everything that needs more than one crate, a real server or a real browser.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod answers;
mod bad_input;
mod bench;
mod browser;
mod budget;
mod chaos;
mod contract;
mod crash;
mod crowd;
mod fleet;
mod gates;
mod house;
mod ledger;
mod model;
mod postgres;
mod processes;
mod queue;
mod redis_server;
mod rooms;
mod sandbox;
mod sdk;
mod simulation;
mod stock;
mod webhooks;
