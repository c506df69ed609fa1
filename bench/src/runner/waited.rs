//! For how long a system waited for Stripe, by its own metrics.

/// Charges that succeeded, and how long they took together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Waited {
    seconds: f64,
    charges: f64,
}

impl Waited {
    /// Reads it out of Prometheus' text.
    pub(super) fn read(metrics: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = metrics.lines().find(|line| {
                line.strip_prefix(name).is_some_and(|labels| {
                    labels.starts_with('{')
                        && ["operation=\"charge\"", "outcome=\"succeeded\""].iter().all(|label| labels.contains(label))
                })
            })?;
            line.rsplit(' ').next()?.parse().ok()
        };
        Some(Self { seconds: value("stripe_request_seconds_sum")?, charges: value("stripe_request_seconds_count")? })
    }

    /// What each charge took since, on average; `None` when there was none.
    pub(super) fn each_ms_since(self, before: Self) -> Option<f64> {
        let charges = self.charges - before.charges;
        (charges > 0.0).then(|| (self.seconds - before.seconds) * 1_000.0 / charges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_charge_took_since_is_read_from_metrics() {
        let metrics = |sum: f64, count: u32| {
            format!(
                "# TYPE stripe_request_seconds summary\n\
                 stripe_request_seconds{{operation=\"charge\",outcome=\"succeeded\",quantile=\"0.5\"}} 7\n\
                 stripe_request_seconds_sum{{operation=\"retrieve\",outcome=\"succeeded\"}} 9\n\
                 stripe_request_seconds_sum{{operation=\"charge\",outcome=\"succeeded\"}} {sum}\n\
                 stripe_request_seconds_count{{operation=\"charge\",outcome=\"declined\"}} 1\n\
                 stripe_request_seconds_count{{operation=\"charge\",outcome=\"succeeded\"}} {count}\n"
            )
        };
        let read = |sum, count| Waited::read(&metrics(sum, count)).unwrap();
        assert_eq!(read(5.0, 1_300).each_ms_since(read(1.0, 300)), Some(4.0));
        assert_eq!(read(1.0, 300).each_ms_since(read(1.0, 300)), None);
        assert_eq!(Waited::read("stripe_request_seconds_sum 3"), None);
    }
}
