//! How many purchases are made when: stretches of a steady rate, one after the other.

use std::str::FromStr;
use std::time::Duration;

/// So many purchases per second, for so long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    per_second: f64,
    seconds: f64,
}

impl FromStr for Stretch {
    type Err = String;

    /// Reads `2500x60`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
        let (rate, seconds) = text.split_once('x').ok_or("should be RATExSECONDS")?;
        let (per_second, seconds) = number(rate).zip(number(seconds)).ok_or("both are numbers above 0")?;
        Ok(Self { per_second, seconds })
    }
}

impl Stretch {
    /// Purchases that it holds.
    fn count(self) -> u64 {
        (self.per_second * self.seconds).round().max(0.0) as u64
    }
}

/// Purchases of all stretches.
pub(super) fn count(stretches: &[Stretch]) -> u64 {
    stretches.iter().map(|stretch| stretch.count()).sum()
}

/// How long after the first one the purchase at this place is due, counted from 0; one behind the last is due at its end.
pub(super) fn due(stretches: &[Stretch], place: u64) -> Duration {
    let (mut before, mut began) = (0, 0.0);
    for stretch in stretches {
        let within = place - before;
        if within < stretch.count() {
            return Duration::from_secs_f64(began + within as f64 / stretch.per_second);
        }
        (before, began) = (before + stretch.count(), began + stretch.seconds);
    }
    Duration::from_secs_f64(began)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_follow_each_other_and_each_is_steady() {
        let stretches: Vec<Stretch> = ["10x2", "100x0.5", "4x1"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(count(&stretches), 20 + 50 + 4);
        let at = |place: u64| due(&stretches, place).as_millis();
        assert_eq!([at(0), at(1), at(19)], [0, 100, 1_900]);
        assert_eq!([at(20), at(21), at(69)], [2_000, 2_010, 2_490]);
        assert_eq!([at(70), at(73), at(74)], [2_500, 3_250, 3_500]);
        for wrong in ["10", "x2", "10x", "0x5", "-1x2", "NaNx1"] {
            assert!(wrong.parse::<Stretch>().is_err(), "{wrong}");
        }
    }
}
