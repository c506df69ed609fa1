//! A shop that is spread over processes: a crowd at two of its doors, and whatever may die beneath it.

mod checkout;
mod crowd;
mod deaths;
mod limits;
mod losses;
mod memory;
mod refunds;
mod sweeps;
mod watching;
