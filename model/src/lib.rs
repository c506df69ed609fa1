//! The life of an order, in all orders in which it can happen: a model of one small sale for the model checker
//! stateright (explicit states, breadth first), which walks through every interleaving of a [`World`].
//!
//! **What is the product's own.** Every decision: the ledger's ([`shared::ledger::book::Book`], which is what all three
//! ledgers decide by, with [`shared::order::state::apply`] in it) and the workers' ([`worker::decide`],
//! [`shared::stripe::request_of`], [`worker::settle::settlement`]). The model calls these functions with the product's own
//! values and goes on with what they return; it repeats none of their rules.
//!
//! **What is abstracted.**
//!
//! - *Time* stands still. Whatever waits for a deadline may happen at any moment after the deadline was set; a day passes
//!   only when nothing is on its way (a request lives for seconds).
//! - *Stripe* is a handful of PaymentIntents with their states, and the answers that it keeps by idempotency key with a
//!   digest of the request's bytes. It executes a request at once; but a request may be executed long after whoever sent it
//!   has given it up, and an answer may be acted upon long after it was given.
//! - *The queue* is a set of jobs by key, each with at most one lease; ends are fenced by the lease. A lease may lapse
//!   under a worker that lives. Retries have no pause and no number.
//! - *The stock* is one shelf per order that goes by the versions that it is told.
//! - *Rooms, mail, tickets' codes, hosted Checkout and refunds on request* are left out.
//!
//! [`Rules`] say how much may happen; [`Wrong`] rules make a mistake on purpose, which the checker must find.

pub mod actions;
pub mod ends;
pub mod properties;
pub mod rules;
pub mod stripe;
mod turns;
pub mod world;

pub use rules::{Mishaps, Rules, Wrong};
pub use world::World;
