//! Medians, and the leaving out of runs that others disturbed.

use std::collections::BTreeMap;

use super::record::Record;
use super::system::System;

/// The median; `None` of nothing.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        even if even % 2 == 0 => Some(f64::midpoint(values[middle - 1], values[middle])),
        _ => Some(values[middle]),
    }
}

/// What runs are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) latency_ms: u64,
    pub(super) shoppers: u32,
    pub(super) system: System,
    /// Purchases asked for per second, to the nearest one; 0 where there is no rate.
    pub(super) rate: u32,
}

/// The runs of one scenario that count, and how many do not.
pub(super) struct Cells {
    pub(super) of: BTreeMap<Key, Vec<Record>>,
    /// Names of the runs that were left out, with the share of the machine that others used.
    pub(super) left_out: Vec<(String, f64)>,
}

impl Cells {
    /// Sorts runs into cells; those during which others used more than a share of the machine are left out.
    pub(super) fn sort(records: impl IntoIterator<Item = Record>, disturbed: f64) -> Self {
        let mut cells = Self { of: BTreeMap::new(), left_out: Vec::new() };
        for record in records {
            let share = record.share_of_others();
            if share > disturbed {
                cells.left_out.push((record.name(), share));
                continue;
            }
            let (latency_ms, shoppers, system) = (record.latency_ms, record.shoppers, record.system);
            let key = Key { latency_ms, shoppers, system, rate: record.asked() };
            cells.of.entry(key).or_default().push(record);
        }
        cells
    }
}

/// The median of something over the runs of a cell.
pub(super) fn of(runs: &[Record], what: impl Fn(&Record) -> Option<f64>) -> Option<f64> {
    median(runs.iter().filter_map(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_or_between_the_two_that_are() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
        assert_eq!(median([f64::NAN, 1.0]), Some(1.0));
    }

    #[test]
    fn runs_at_other_rates_are_not_mixed_and_have_other_names() {
        let run =
            |rate| Record { system: System::Bullmq, shoppers: 500, run: 1, rate: Some(rate), ..Record::default() };
        assert_eq!(run(2_400.4).name(), "bullmq_n500_lat0_rate2400_run1");
        let cells = Cells::sort([run(1_200.0), run(2_400.4), run(2_400.0)], 0.05);
        let sizes: Vec<_> = cells.of.iter().map(|(key, runs)| (key.rate, runs.len())).collect();
        assert_eq!(sizes, [(1_200, 1), (2_400, 2)]);
    }

    #[test]
    fn disturbed_runs_are_left_out_and_named() {
        let run = |run: u32, others: f64| Record {
            system: System::Bullmq,
            shoppers: 500,
            run,
            wall_s: 10.0,
            cpu_s_of_others: others,
            cores: 2,
            ..Record::default()
        };
        // A fifth of a CPU second in ten seconds of two cores is one part in a hundred; four are a fifth.
        let cells = Cells::sort([run(1, 0.2), run(2, 4.0), run(3, -0.1)], 0.05);
        let runs = cells.of.values().next().unwrap();
        assert_eq!(runs.iter().map(|record| record.run).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(cells.left_out, [("bullmq_n500_lat0_run2".to_owned(), 0.2)]);
    }
}
