//! A distribution of latencies that can be added to another one: an HDR histogram in microseconds, true to three digits.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Digits that are kept.
const DIGITS: u8 = 3;

/// Latencies.
#[derive(Clone, Debug)]
pub struct Spectrum(Histogram<u64>);

/// What a table shows of a distribution, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half were quicker.
    pub p50: f64,
    /// Nine of ten were quicker.
    pub p90: f64,
    /// 95 of 100 were quicker.
    pub p95: f64,
    /// 99 of 100 were quicker.
    pub p99: f64,
    /// 999 of 1,000 were quicker.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
}

impl Default for Spectrum {
    fn default() -> Self {
        // It grows by itself to whatever is recorded.
        match Histogram::new(DIGITS) {
            Ok(histogram) => Self(histogram),
            Err(error) => unreachable!("three digits are allowed: {error}"),
        }
    }
}

impl Spectrum {
    /// Counts one latency, given in nanoseconds.
    pub fn record(&mut self, nanoseconds: u64) {
        self.record_many(nanoseconds / 1_000, 1);
    }

    fn record_many(&mut self, microseconds: u64, count: u64) {
        // It grows by itself, and so refuses nothing.
        let _ = self.0.record_n(microseconds.max(1), count);
    }

    /// Adds another distribution to this one.
    pub fn merge(&mut self, other: &Self) {
        let _ = self.0.add(&other.0);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// `None` when nothing was counted.
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        let at = |quantile: f64| milliseconds(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: milliseconds(self.0.max()),
            mean: (self.0.mean() / 10.0).round() / 100.0,
        })
    }
}

fn milliseconds(microseconds: u64) -> f64 {
    (Duration::from_micros(microseconds).as_secs_f64() * 1e5).round() / 100.0
}

/// Written as pairs of microseconds and count, so that a reader needs no library.
impl Serialize for Spectrum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs = self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()));
        serializer.collect_seq(pairs)
    }
}

impl<'de> Deserialize<'de> for Spectrum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut spectrum = Self::default();
        for (microseconds, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            spectrum.record_many(microseconds, count);
        }
        Ok(spectrum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: impl IntoIterator<Item = u64>) -> Spectrum {
        let mut spectrum = Spectrum::default();
        milliseconds.into_iter().for_each(|each| spectrum.record(each * 1_000_000));
        spectrum
    }

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= expected / 500.0
    }

    #[test]
    fn percentiles_are_those_of_the_numbers_one_to_a_thousand() {
        let found = of(1..=1_000).percentiles().unwrap();
        for (found, expected) in [
            (found.p50, 500.0),
            (found.p90, 900.0),
            (found.p95, 950.0),
            (found.p99, 990.0),
            (found.p999, 999.0),
            (found.max, 1_000.0),
            (found.mean, 500.5),
        ] {
            assert!(near(found, expected), "{found} is not {expected}");
        }
        assert!(of([]).percentiles().is_none());
    }

    #[test]
    fn two_halves_merged_are_the_whole_also_when_written_and_read() {
        let mut low = of(1..=500);
        let high: Spectrum = serde_json::from_str(&serde_json::to_string(&of(501..=1_000)).unwrap()).unwrap();
        low.merge(&high);
        let (merged, whole) = (low.percentiles().unwrap(), of(1..=1_000).percentiles().unwrap());
        assert!(near(merged.p50, whole.p50) && near(merged.p99, whole.p99) && near(merged.max, whole.max));
        assert_eq!(low.count(), 1_000);
    }

    #[test]
    fn an_hour_is_counted_though_a_minute_was_expected() {
        let spectrum = of([3_600_000]);
        assert!(near(spectrum.percentiles().unwrap().max, 3_600_000.0));
    }
}
