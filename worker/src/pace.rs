//! How many charges a worker has under way: what an operator wishes, or its settings say, or else what follows from the
//! budget. It can change at any moment, and nothing that runs is cut off for it.

use shared::budget::Budget;
use shared::fleet::{MOST_CONCURRENCY, Wish};
use shared::queue::width::Width;
use tokio::sync::watch;

/// Charges under way where neither anybody nor any limit says how many: then the ledger is what limits, and it writes large
/// groups at less cost. As many as three web processes let in at once: one worker keeps up with them.
const UNLIMITED: usize = 1_500;

/// The pace of one worker; clones are the same.
#[derive(Clone, Debug)]
pub struct Pace {
    /// What its settings say.
    set: Option<usize>,
    wishes: watch::Receiver<Wish>,
    width: Width,
    in_hand: watch::Sender<usize>,
    /// How many may be under way by the budget, as last seen.
    by_budget: watch::Sender<Option<usize>>,
}

/// How a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Charges under way at the same time, at most.
    pub concurrency: usize,
    /// What an operator or the settings say, if they do.
    pub bound: Option<usize>,
    /// Charges under way.
    pub in_hand: usize,
}

impl Pace {
    /// By these settings, until an operator wishes something else.
    #[must_use]
    pub fn new(set: Option<usize>, wishes: watch::Receiver<Wish>) -> Self {
        let width = Width::new(set.unwrap_or(UNLIMITED));
        Self { set, wishes, width, in_hand: watch::Sender::new(1), by_budget: watch::Sender::new(None) }
    }

    /// The pace of a worker to whom nobody wishes anything.
    #[must_use]
    pub fn steady(set: Option<usize>) -> Self {
        Self::new(set, watch::Sender::new(Wish::default()).subscribe())
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let by_budget = self.by_budget.borrow().unwrap_or(usize::MAX);
        let concurrency = self.width.most().min(by_budget);
        Standing { concurrency, bound: self.bound(), in_hand: self.width.running() }
    }

    fn bound(&self) -> Option<usize> {
        let wished = self.wishes.borrow().concurrency.and_then(|most| usize::try_from(most).ok());
        wished.or(self.set)
    }

    /// How many handlers run at the same time.
    pub(crate) fn width(&self) -> Width {
        self.width.clone()
    }

    /// How many jobs are in hand.
    pub(crate) fn in_hand(&self) -> watch::Receiver<usize> {
        self.in_hand.subscribe()
    }

    /// Goes by the budget as it stands now.
    pub(crate) fn follow(&self, budget: &Budget) {
        self.by_budget.send_replace(budget.most_charges());
        let (at_once, in_hand) = pace(self.bound(), budget.hands());
        self.width.set(at_once);
        self.in_hand.send_if_modified(|before| std::mem::replace(before, in_hand) != in_hand);
    }

    /// Ends when an operator wishes something else, or never.
    pub(crate) async fn wished(&mut self) {
        // Who could wish it is gone.
        if self.wishes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// How many charges run at the same time, and how many are in hand: a quarter more, so that the next one is there when one
/// ends. Where the budget alone limits, whoever is in hand runs: they wait for their turn in the order in which they were
/// accepted, and stand in that line only while they run.
fn pace(bound: Option<usize>, by_budget: Option<usize>) -> (usize, usize) {
    let most = usize::try_from(MOST_CONCURRENCY).unwrap_or(usize::MAX);
    let at_once = bound.or(by_budget.map(|_| most)).unwrap_or(UNLIMITED).clamp(1, most);
    let in_hand = at_once + at_once / 4 + 1;
    (at_once, by_budget.map_or(in_hand, |by_budget| in_hand.min(by_budget.max(1))))
}

#[cfg(test)]
mod tests {
    use shared::budget::Limits;
    use shared::env::Seeded;

    use super::*;

    #[test]
    fn an_operator_counts_more_than_the_settings_and_they_more_than_the_budget() {
        assert_eq!(pace(None, None), (1_500, 1_876));
        assert_eq!(pace(None, Some(52)), (10_000, 52), "all that are in hand stand in line");
        assert_eq!(pace(Some(4), None), (4, 6));
        assert_eq!(pace(Some(4), Some(52)), (4, 6));
        assert_eq!(pace(Some(100), Some(52)), (100, 52), "no more in hand than go out soon");
        assert_eq!(pace(Some(0), Some(0)), (1, 1));
        assert_eq!(pace(Some(1_000_000), None).0, 10_000);
    }

    #[test]
    fn a_worker_without_a_setting_has_as_many_charges_as_littles_law_says() {
        let budget = |rate| Budget::alone(Seeded::new(1).env(), Limits { endpoint: Some(rate), total: None });
        let pace = Pace::steady(None);
        pace.follow(&budget(25));
        // Nobody knows yet how long Stripe takes: a second, and as much again.
        assert_eq!(pace.standing(), Standing { concurrency: 51, bound: None, in_hand: 0 });
        pace.follow(&budget(500));
        assert_eq!(pace.standing().concurrency, 1_001);
        assert_eq!(
            *pace.in_hand().borrow(),
            1_251,
            "those under way, and those that go out within a second and a half"
        );
    }

    #[test]
    fn what_an_operator_wishes_counts_at_once_and_null_goes_back_to_the_settings() {
        let wishes = watch::Sender::new(Wish::default());
        let pace = Pace::new(Some(8), wishes.subscribe());
        let budget = Budget::alone(Seeded::new(1).env(), Limits::default());
        let after = |concurrency| {
            wishes.send_replace(Wish { concurrency, drain: false });
            pace.follow(&budget);
            (pace.standing().concurrency, pace.standing().bound)
        };
        assert_eq!(after(None), (8, Some(8)));
        assert_eq!(after(Some(2)), (2, Some(2)));
        assert_eq!(after(Some(40)), (40, Some(40)), "more than was set is fine");
        assert_eq!(after(None), (8, Some(8)));
    }
}
