//! The contract with outside clients: every call, every message, every command, with the names that they rely on.

mod authentication;
mod buying;
mod calls;
mod checkout;
mod command_line;
mod deadlines;
mod doors;
mod processes;
mod refunds;
mod repeats;
mod rooms;

use serde_json::Value;

/// Asserts that an object has these fields; it may have others.
fn has(value: &Value, fields: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    for field in fields {
        assert!(object.contains_key(*field), "{field} is missing from {value}");
    }
}

/// Asserts that this is an order as rooms and calls show it.
fn is_an_order(value: &Value) {
    has(value, &["id", "state", "version", "sale", "items", "amount", "currency"]);
    has(value, &["charge", "decline", "action", "queue", "tickets"]);
    has(&value["items"][0], &["tier", "quantity"]);
}
