//! What a test may ask for: a shop, a customer, a database, a Redis server, a port, a browser, a wire.

pub mod browser;
pub mod client;
pub mod crowd;
pub mod desk;
pub mod driver;
pub mod fleet;
pub mod kept;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod redis;
pub mod shop;
