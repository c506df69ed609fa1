//! Stories of charging, settling and sweeping, stepped by hand over the in-memory parts and a small Stripe.
//!
//! Everything runs in one thread under a seeded clock. A handler is polled once at a time; where a story says so,
//! it stops at a call ([`faults`]) and is then resumed, or dropped, which is what a kill looks like from outside.
//! [`walk`] leaves all of that to chance, and checks the invariants after every step.

mod answers;
mod authentication;
mod buyers;
mod checkout;
mod comparing;
mod deaths;
mod drifting;
mod faults;
mod letters;
mod losing;
mod missing;
mod refund_events;
mod refund_walk;
mod refunds;
mod reviews;
mod stripe;
mod sweeping;
mod till;
mod two_tabs;
mod walk;
mod webhooks;
mod world;
