//! How long a sale takes at a budget (pure). By Little's law (J. D. C. Little, 1961) as many charges are under way as
//! the rate times the time that one takes.

use std::time::Duration;

use super::MilliHertz;
use super::line::law;

/// So many charges under way a process is asked for at most, unless its settings say otherwise.
pub const AT_ONCE: usize = 100;

/// Charges under way at the same time that are enough for a rate, in thousandths a second, if each takes so long: with as
/// much again for when Stripe takes longer.
#[must_use]
pub fn charges_under_way(rate: MilliHertz, latency: Duration) -> usize {
    law(rate, latency * 2)
}

/// A sale at one rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Charges a second, in thousandths.
    pub rate: MilliHertz,
    /// From the first charge's sending to the last one's answer.
    pub length: Duration,
    /// Charges under way at the same time that are enough, with as much again for when Stripe takes longer.
    pub under_way: usize,
    /// Worker processes that are enough, at so many charges under way each.
    pub workers: usize,
}

impl Forecast {
    /// So many orders at this rate, each taking Stripe so long; a worker has so many under way at most.
    #[must_use]
    pub fn of(orders: u64, rate: MilliHertz, latency: Duration, at_once: usize) -> Self {
        let rate = rate.max(1);
        let queue = u128::from(orders) * 1_000_000 / u128::from(rate);
        let queue = Duration::from_millis(u64::try_from(queue).unwrap_or(u64::MAX));
        let under_way = charges_under_way(rate, latency);
        Self { rate, length: queue.saturating_add(latency), under_way, workers: under_way.div_ceil(at_once.max(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_tickets_at_stripes_default_take_four_hundred_seconds_and_one_worker() {
        let latency = Duration::from_millis(600);
        let told = Forecast::of(10_000, 25_000, latency, AT_ONCE);
        assert_eq!((told.length, told.under_way, told.workers), (Duration::from_millis(400_600), 31, 1));
        let raised = Forecast::of(10_000, 500_000, latency, AT_ONCE);
        assert_eq!((raised.length, raised.under_way, raised.workers), (Duration::from_millis(20_600), 601, 7));
        assert_eq!(Forecast::of(0, 0, Duration::ZERO, 0).length, Duration::ZERO);
    }
}
