//! What a shopper sees, in a real Chromium.

mod access;
mod authentication;
mod checkout;
mod driver;
mod fleet;
mod operators;
mod purchase;
mod shopper;
mod steering;
mod trouble;
mod wire;
