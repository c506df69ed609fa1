//! The budget for Stripe's requests: its books in a real Redis, and whole sales that keep to it.

mod books;
mod sale;
