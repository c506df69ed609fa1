//! Which traces are kept, by the names that OpenTelemetry gives its samplers.

use opentelemetry_sdk::trace::Sampler;

/// Which traces are kept
/// (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Whoever continues a trace does as the one who began it.
    by_parent: bool,
    /// How many of those that begin here, from 0 to 1.
    share: f64,
}

impl Sampling {
    /// Reads `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`; `None` when they make no sense.
    #[must_use]
    pub fn read(name: &str, argument: Option<&str>) -> Option<Self> {
        let (by_parent, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let share = match root {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => argument.map_or(Some(1.0), share)?,
            _ => return None,
        };
        Some(Self { by_parent, share })
    }

    pub(super) fn sampler(self) -> Sampler {
        // At its ends, this is all or none of them.
        let root = Sampler::TraceIdRatioBased(self.share);
        if self.by_parent { Sampler::ParentBased(Box::new(root)) } else { root }
    }
}

fn share(ratio: &str) -> Option<f64> {
    ratio.parse().ok().filter(|share| (0.0..=1.0).contains(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_have_their_standard_names() {
        let read = |name, argument| Sampling::read(name, argument).map(|s| (s.by_parent, s.share));
        assert_eq!(read("parentbased_always_on", None), Some((true, 1.0)));
        assert_eq!(read("always_off", None), Some((false, 0.0)));
        assert_eq!(read("traceidratio", Some("0.25")), Some((false, 0.25)));
        assert_eq!(read("parentbased_traceidratio", Some("1")), Some((true, 1.0)));
        assert_eq!(read("parentbased_traceidratio", None), Some((true, 1.0)));
        for (name, argument) in [
            ("sometimes", None),
            ("traceidratio", Some("2")),
            ("traceidratio", Some("-1")),
            ("traceidratio", Some("a half")),
            ("traceidratio", Some("NaN")),
            ("parentbased_", None),
        ] {
            assert_eq!(read(name, argument), None, "{name} {argument:?}");
        }
    }
}
