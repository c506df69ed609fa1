//! The machine's own clock, which all processes share, so that what two of them saw can be put in order.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds since the machine started.
#[must_use]
pub fn now() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic)).max(1)
}

/// CPU seconds that this process has used.
#[must_use]
pub fn own_cpu() -> f64 {
    seconds(nanoseconds(clock_gettime(ClockId::ProcessCPUTime)))
}

/// Seconds of so many nanoseconds.
#[must_use]
pub fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn nanoseconds(time: Timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
