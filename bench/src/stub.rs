//! A stand-in for the part of Stripe that a charge calls, fast enough not to be what is measured.
//!
//! | call | answer |
//! | --- | --- |
//! | `POST /v1/charges` | a charge that succeeded |
//! | `POST /v1/payment_intents`, `POST /v1/payment_intents/{id}/confirm` | a PaymentIntent, succeeded if confirmed |
//! | `GET /v1/payment_intents/{id}` | the PaymentIntent, as it was told last |
//! | `GET /v1/…` | an empty list |
//! | `GET /stats`, `POST /reset`, `GET /health` | for whoever measures |
//!
//! Idempotency keys are those of <https://docs.stripe.com/api/idempotent_requests>: the same key and parameters replay the
//! first answer (402s too), the same key while the first call is under way is 409, and with other parameters 400. A source
//! or payment method that holds `chargeDeclined` is declined.

mod answers;
mod form;
mod ids;
mod serve;
mod state;

pub use serve::{Options, run};
