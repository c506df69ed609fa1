//! Does every unit have its place, and do stock and ledger say the same? It is what `stampede stock check` asks, at a
//! price that a shop can pay all the time: one reading of the stock each time, and the ledger's sums now and then.
//!
//! While a crowd buys, a unit is in the stock a moment before it is in the ledger; so a difference means something only
//! when neither has moved between two looks.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use shared::env::Timestamp;
use shared::ledger::Committed;
use shared::stock::Levels;
use shared::telemetry::standing::adds_up;

/// The ledger is asked about a sale this often.
pub const COMPARE_EVERY: Duration = Duration::from_secs(5);

/// What is known of each sale.
#[derive(Default)]
pub struct Checks(HashMap<String, Check>);

#[derive(Default)]
struct Check {
    /// When the ledger was asked last, by the monotonic clock.
    compared: Option<Duration>,
    /// What both showed then.
    shown: Option<(Committed, Levels)>,
    /// When they said the same for the last time, by the ledger's clock.
    agreed_at: Option<Timestamp>,
    /// What did not add up then, in sentences.
    wrong: Vec<String>,
}

impl Checks {
    /// Forgets sales that are not current any more.
    pub fn keep(&mut self, is_current: impl Fn(&str) -> bool) {
        self.0.retain(|sale, _| is_current(sale));
    }

    /// Whether the ledger is to be asked about this sale now.
    #[must_use]
    pub fn is_due(&self, sale: &str, now: Duration) -> bool {
        let compared = self.0.get(sale).and_then(|check| check.compared);
        compared.is_none_or(|compared| now.saturating_sub(compared) >= COMPARE_EVERY)
    }

    /// Takes into account what both show. The ledger was read first.
    pub fn compare(&mut self, sale: &str, ledger: Committed, stock: Levels, now: Duration, at: Timestamp) {
        let check = self.0.entry(sale.to_owned()).or_default();
        check.compared = Some(now);
        let differences = differences(&ledger, &stock);
        let stand_still = check.shown.as_ref() == Some(&(ledger.clone(), stock.clone()));
        if differences.is_empty() {
            check.agreed_at = Some(at);
            check.wrong = Vec::new();
        } else if stand_still {
            check.wrong = differences;
        }
        check.shown = Some((ledger, stock));
    }

    /// What is to be told of a sale whose stock shows this now.
    #[must_use]
    pub fn told(&self, sale: &str, levels: Option<&Levels>, at: Timestamp) -> Value {
        let check = self.0.get(sale);
        let mut wrong: Vec<String> = check.map(|check| check.wrong.clone()).unwrap_or_default();
        match levels {
            None => wrong.push("the stock does not know this sale".into()),
            Some(levels) => wrong.extend(levels.tiers.iter().filter(|tier| !adds_up(tier)).map(|tier| {
                let (id, free, held, sold) = (&tier.id, tier.free, tier.held, tier.sold);
                format!("{id}: {free} free + {held} held + {sold} sold is not the capacity {}", tier.capacity)
            })),
        }
        let agreed_at = check.and_then(|check| check.agreed_at).map(Timestamp::to_rfc3339);
        json!({ "holds": wrong.is_empty(), "checked_at": at.to_rfc3339(), "agreed_at": agreed_at, "wrong": wrong })
    }
}

/// What differs, in sentences.
fn differences(ledger: &Committed, stock: &Levels) -> Vec<String> {
    let mut found = Vec::new();
    if ledger.epoch != stock.epoch {
        found.push(format!("the stock is of epoch {}, the ledger of epoch {}", stock.epoch, ledger.epoch));
    }
    for (id, capacity, committed) in &ledger.tiers {
        let Some(tier) = stock.tiers.iter().find(|tier| tier.id == *id) else {
            found.push(format!("{id}: the stock does not know it"));
            continue;
        };
        let taken = tier.pinned.saturating_add(tier.sold);
        for (what, stock, ledger) in [("capacity", tier.capacity, *capacity), ("taken", taken, *committed)] {
            if stock != ledger {
                found.push(format!("{id}: {what} is {stock} in the stock and {ledger} in the ledger"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use shared::stock::TierLevel;

    use super::*;

    fn levels(sold: u32) -> Levels {
        let tier = TierLevel { id: "std".into(), capacity: 10, free: 10 - sold, sold, ..TierLevel::default() };
        Levels { epoch: 1, tiers: vec![tier] }
    }

    fn committed(units: u32) -> Committed {
        Committed { epoch: 1, tiers: vec![("std".into(), 10, units)], ..Committed::default() }
    }

    fn holds(checks: &Checks, stock: &Levels) -> bool {
        checks.told("night", Some(stock), Timestamp(0))["holds"] == true
    }

    #[test]
    fn a_difference_counts_when_both_stand_still_and_is_over_when_they_agree() {
        let mut checks = Checks::default();
        let second = Duration::from_secs;
        let mut look = |at: u64, ledger, stock: u32| {
            assert!(checks.is_due("night", second(at)));
            checks.compare("night", committed(ledger), levels(stock), second(at), Timestamp(0));
            assert!(!checks.is_due("night", second(at + 4)));
            holds(&checks, &levels(stock))
        };
        assert!(look(0, 3, 3));
        assert!(look(5, 3, 4), "a purchase is under way");
        assert!(look(10, 4, 5), "and the next one");
        assert!(!look(15, 4, 5), "nothing moves, and they differ");
        assert!(!look(20, 4, 6), "to move is not to agree");
        assert!(look(25, 6, 6));
    }

    #[test]
    fn what_does_not_add_up_is_told_at_once_and_so_is_a_stock_that_forgot() {
        let checks = Checks::default();
        let mut broken = levels(3);
        broken.tiers[0].free = 8;
        assert!(holds(&checks, &levels(3)) && !holds(&checks, &broken));
        let told = checks.told("night", Some(&broken), Timestamp(0));
        assert_eq!(told["wrong"][0], "std: 8 free + 0 held + 3 sold is not the capacity 10");
        assert_eq!(checks.told("night", None, Timestamp(0))["holds"], false);
    }

    #[test]
    fn another_epoch_capacity_or_tier_is_a_difference() {
        let mut stock = levels(3);
        assert!(differences(&committed(3), &stock).is_empty());
        stock.epoch = 2;
        stock.tiers[0].capacity = 12;
        assert_eq!(differences(&committed(4), &stock).len(), 3);
        stock.tiers.clear();
        assert_eq!(differences(&committed(3), &stock).len(), 2);
    }
}
