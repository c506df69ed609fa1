//! The endpoints, one file per kind of object. `routes` is their table.

mod charges;
mod customers;
pub(crate) mod disputes;
mod events;
pub(crate) mod instrument;
mod intent_params;
mod intents;
mod lists;
mod methods;
pub(crate) mod payments;
pub(crate) mod refunds;
pub(crate) mod routes;
mod session_params;
pub(crate) mod sessions;
mod webhook_endpoints;
