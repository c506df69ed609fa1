//! How long the sandbox pretends that a bank takes.
//!
//! Only the calls that ask a card's bank wait: confirming, charging, capturing and refunding. Half of the time passes
//! before the effect and half after it, so that a caller that hangs up cannot know whether it happened, as with the
//! real one. The default is log-normal with a median of 600 ms: most answers around half a second, a few far later.

use std::{f64::consts::TAU, str::FromStr, time::Duration};

use rand::RngExt;

/// The longest that a drawn latency can be: a distribution's tail is cut here.
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// A latency, fixed or drawn anew for each call.
///
/// # Written form
/// - `0` or `none`: no wait at all
/// - `600ms`, `1.5s`, `250us`: always this long
/// - `uniform:300ms-900ms`: any length in between, equally likely
/// - `lognormal:600ms:0.4`: half of the calls below the median, with a long tail; the second number is the standard
///   deviation of the logarithm (0.4: one call in forty takes more than 2.2 times the median)
///
/// Nothing may be longer than a minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency(Shape);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Fixed(Duration),
    Uniform(Duration, Duration),
    LogNormal { median: Duration, sigma: f64 },
}

impl Latency {
    /// No wait at all.
    pub const ZERO: Self = Self(Shape::Fixed(Duration::ZERO));

    /// One draw.
    pub fn draw(&self) -> Duration {
        match self.0 {
            Shape::Fixed(length) => length,
            Shape::Uniform(low, high) => rand::rng().random_range(low..=high),
            Shape::LogNormal { median, sigma } => {
                // Box and Muller: two uniform draws make one that is normally distributed.
                let (u, v): (f64, f64) = (rand::rng().random_range(f64::EPSILON..1.0), rand::rng().random());
                let radius = u.ln().abs().mul_add(2.0, 0.0).sqrt();
                let normal = radius.mul_add(v.mul_add(TAU, 0.0).cos(), 0.0);
                Duration::try_from_secs_f64(median.as_secs_f64().mul_add(sigma.mul_add(normal, 0.0).exp(), 0.0))
                    .unwrap_or(LATENCY_MAX)
                    .min(LATENCY_MAX)
            }
        }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self(Shape::LogNormal { median: Duration::from_millis(600), sigma: 0.4 })
    }
}

impl FromStr for Latency {
    type Err = LatencyError;

    fn from_str(text: &str) -> Result<Self, LatencyError> {
        let text = text.trim();
        let shape = if let Some(range) = text.strip_prefix("uniform:") {
            let (low, high) = range.split_once('-').ok_or_else(|| wrong(text))?;
            let (low, high) = (duration(low)?, duration(high)?);
            if low > high {
                return Err(LatencyError(format!("the latency '{text}' ends before it begins")));
            }
            Shape::Uniform(low, high)
        } else if let Some(rest) = text.strip_prefix("lognormal:") {
            let (median, sigma) = rest.split_once(':').ok_or_else(|| wrong(text))?;
            let sigma: f64 = sigma.trim().parse().map_err(|_| wrong(text))?;
            if !(0.0..=3.0).contains(&sigma) {
                return Err(LatencyError(format!("the spread of the latency '{text}' must lie between 0 and 3")));
            }
            Shape::LogNormal { median: duration(median)?, sigma }
        } else if matches!(text, "0" | "none") {
            Shape::Fixed(Duration::ZERO)
        } else {
            Shape::Fixed(duration(text)?)
        };
        Ok(Self(shape))
    }
}

/// A latency that could not be read; its text is a sentence for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyError(String);

impl std::fmt::Display for LatencyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LatencyError {}

fn wrong(text: &str) -> LatencyError {
    LatencyError(format!(
        "'{text}' is not a latency: write 0, a length such as 600ms or 1.5s, uniform:300ms-900ms, or lognormal:600ms:0.4"
    ))
}

fn duration(text: &str) -> Result<Duration, LatencyError> {
    let text = text.trim();
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let per_unit = match unit {
        "us" => Duration::from_micros(1),
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        _ if number == "0" => Duration::ZERO,
        _ => return Err(wrong(text)),
    };
    let number: f64 = number.parse().map_err(|_| wrong(text))?;
    if !(0.0..=60e6).contains(&number) {
        return Err(wrong(text));
    }
    let length = per_unit.mul_f64(number);
    if length > LATENCY_MAX {
        return Err(LatencyError(format!("the latency '{text}' is longer than a minute")));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_written_form_is_understood() {
        let ms = Duration::from_millis;
        for (text, shape) in [
            ("0", Shape::Fixed(Duration::ZERO)),
            ("600ms", Shape::Fixed(ms(600))),
            ("1.5s", Shape::Fixed(ms(1_500))),
            ("uniform:300ms-900ms", Shape::Uniform(ms(300), ms(900))),
            ("lognormal:600ms:0.4", Shape::LogNormal { median: ms(600), sigma: 0.4 }),
        ] {
            assert_eq!(text.parse(), Ok(Latency(shape)), "{text}");
        }
    }

    #[test]
    fn a_wrong_latency_is_answered_with_a_sentence() {
        for text in
            ["", "600", "fast", "-1ms", "2h", "61s", "NaNs", "uniform:900ms-300ms", "lognormal:600ms", "lognormal:1s:9"]
        {
            let error = text.parse::<Latency>().unwrap_err().to_string();
            assert!(error.contains("latency"), "{text}: {error}");
        }
    }

    #[test]
    fn half_of_the_default_draws_lie_below_600_ms() {
        let below = (0..4_000).filter(|_| Latency::default().draw() < Duration::from_millis(600)).count();
        assert!((1_800..2_200).contains(&below), "{below} of 4000");
    }
}
