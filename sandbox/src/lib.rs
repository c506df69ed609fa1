//! A payment provider that runs on a desk: Stripe's API, stateful, with test cards only.
//!
//! The shop, its tests and its load tests talk to it as they would to Stripe, and nothing in it knows the shop. It is
//! believed by Stripe's own SDKs and by strict typed clients, because it does the things that matter when money moves:
//!
//! - an idempotency key executes once, whatever dies in the middle (`idempotency`, `disk`);
//! - a decline is a 402 that changes the PaymentIntent, and 3-D Secure a page that somebody has to click;
//! - nothing that was answered is forgotten by a crash: the write is durable before the answer;
//! - webhooks are signed, retried, and sometimes come twice (`webhooks`);
//! - the fields of a card live in a frame of the sandbox's own origin, and the page that embeds it sees a token
//!   (`pages`, with the files in `static/`);
//! - and what goes wrong in production can be made to go wrong here, on request (`faults`, `control`).
//!
//! One request's way: `api` checks the key, the budget and the idempotency key; `resources::routes` finds the
//! endpoint, which reads its parameters (`form`) and gives back a call; the call runs on `work` under the locks
//! of its objects; the batch of changed rows and the remembered answer are committed together (`store`); then the
//! answer leaves.
//!
//! Any key that begins with `sk_test_` or `rk_test_` is accepted as a secret one and any that begins with `pk_test_`
//! as a publishable one, besides the two of [`Config`]; all of them are one account.
//!
//! Not here: Checkout Sessions other than those on a hosted page that is paid once, subscriptions, disputes that come by
//! themselves (the cards that cause them simply pay; `control` opens one), Connect, balances of
//! their own (a balance transaction can be seen by expanding it), payment methods other than cards.

// Stripe's objects are long lists of fields, each written out in one `json!`.
#![recursion_limit = "512"]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod api;
mod cards;
mod control;
mod disk;
mod expand;
mod failure;
mod faults;
mod form;
mod hosted;
mod idempotency;
mod latency;
mod model;
mod pages;
mod render;
mod resources;
mod server;
mod store;
mod traffic;
mod webhooks;
mod wire;
mod work;

use std::{net::SocketAddr, path::PathBuf};

pub use latency::{Latency, LatencyError};
pub use server::{Running, start};

/// How a sandbox runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Its database file; none: everything is in memory, and gone with the process.
    pub database: Option<PathBuf>,
    /// How long the calls take that ask a card's bank.
    pub latency: Latency,
    /// Requests per endpoint and second that are allowed, as Stripe's 25; none: any number.
    pub rate_limit: Option<u32>,
    /// A secret key that it accepts.
    pub secret_key: String,
    /// A publishable key that it accepts.
    pub publishable_key: String,
}

impl Default for Config {
    /// `127.0.0.1:12111`, in memory, with the default latency and no limit.
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 12111)),
            database: None,
            latency: Latency::default(),
            rate_limit: None,
            secret_key: "sk_test_sandbox".to_owned(),
            publishable_key: "pk_test_sandbox".to_owned(),
        }
    }
}
