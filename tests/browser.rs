//! What a shopper sees, in a real Chromium.

mod access;
mod driver;
mod purchase;
mod shopper;
mod trouble;
mod wire;
