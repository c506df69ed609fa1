//! What the small Stripe has given back, and how much money it has to give.

use shared::stripe::{ListedRefund, Refunded, Refusal};
use uuid::Uuid;

use super::stripe::{Books, SmallStripe, Status};

/// How much money the account has to give back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Balance {
    #[default]
    Enough,
    /// None: refunds wait for it.
    Pends,
    /// None: refunds are refused.
    Refuses,
}

/// Every refund that was made, the oldest first, and of which payment.
#[derive(Default)]
pub(super) struct Till {
    pub(super) balance: Balance,
    refunds: Vec<(String, ListedRefund)>,
}

impl Till {
    /// Gives back a sum of a payment of which so much is left.
    pub(super) fn refund(&mut self, intent: &str, amount: i64, name: Option<Uuid>, left: i64) -> Refunded {
        if left == 0 {
            return Refunded::Already;
        }
        if amount > left {
            return Refunded::Refused { reason: "amount_too_large".into(), kind: Refusal::Request };
        }
        let id = format!("re_{:04}", self.refunds.len() + 1);
        let refund = id.clone();
        let stands = match self.balance {
            Balance::Refuses => return Refunded::NoBalance { reason: "balance_insufficient".into() },
            Balance::Pends => Refunded::Pending { refund, amount },
            Balance::Enough => Refunded::Succeeded { refund, amount },
        };
        let made = ListedRefund { stands: stands.clone(), id, name, amount, currency: "usd".into() };
        self.refunds.push((intent.to_owned(), made));
        stands
    }

    /// Pending refunds are done, or cannot be done; what of which payment did not go after all.
    pub(super) fn settle(&mut self, good: bool) -> Vec<(String, i64)> {
        let pending = |made: &ListedRefund| matches!(made.stands, Refunded::Pending { .. });
        if good {
            for (_, made) in self.refunds.iter_mut().filter(|(_, made)| pending(made)) {
                made.stands = Refunded::Succeeded { refund: made.id.clone(), amount: made.amount };
            }
            return Vec::new();
        }
        self.fail(pending)
    }

    /// Refunds fail, even such as looked done; what of which payment did not go after all.
    pub(super) fn fail(&mut self, which: impl Fn(&ListedRefund) -> bool) -> Vec<(String, i64)> {
        let mut back = Vec::new();
        for (intent, made) in self.refunds.iter_mut().filter(|(_, made)| which(made)) {
            made.stands = Refunded::Failed { refund: made.id.clone(), reason: "expired_or_canceled_card".into() };
            back.push((intent.clone(), made.amount));
        }
        back
    }

    /// How a refund stands that was made.
    pub(super) fn told(&self, id: &str) -> Refunded {
        let known = |(_, made): &&(String, ListedRefund)| made.id == id;
        self.refunds.iter().find(known).map(|(_, made)| made.stands.clone()).expect("no such refund")
    }

    /// The refunds of a payment, the newest first.
    pub(super) fn of(&self, intent: &str) -> Vec<ListedRefund> {
        self.refunds.iter().rev().filter(|(of, _)| of == intent).map(|(_, made)| made.clone()).collect()
    }
}

impl SmallStripe {
    /// From now on the account has so much money.
    pub(super) fn balance(&self, balance: Balance) {
        self.books.lock().till.balance = balance;
    }

    /// Pending refunds are done, or cannot be done.
    pub(super) fn settle_refunds(&self, good: bool) {
        let mut books = self.books.lock();
        let back = books.till.settle(good);
        books.take_back(back);
    }

    /// A bank returns the money of a refund that looked done.
    pub(super) fn return_refund(&self, id: &str) {
        let mut books = self.books.lock();
        let back = books.till.fail(|made| made.id == id);
        books.take_back(back);
    }

    /// Somebody gives money back in Stripe's dashboard; the refund's id.
    pub(super) fn refund_by_hand(&self, intent: &str, amount: i64) -> String {
        match self.books.lock().refund(intent, amount, None) {
            Refunded::Succeeded { refund, .. } | Refunded::Pending { refund, .. } => refund,
            other => panic!("{other:?}"),
        }
    }

    /// The refunds of a payment, the newest first.
    pub(super) fn refunds_of(&self, intent: &str) -> Vec<ListedRefund> {
        self.books.lock().till.of(intent)
    }
}

impl Books {
    pub(super) fn refund(&mut self, id: &str, amount: i64, name: Option<Uuid>) -> Refunded {
        let Some(intent) = self.intents.get_mut(id) else { panic!("a refund of nothing") };
        assert_eq!(intent.status, Status::Succeeded, "a refund of what was not paid");
        let made = self.till.refund(id, amount, name, intent.received - intent.refunded);
        if matches!(made, Refunded::Succeeded { .. } | Refunded::Pending { .. }) {
            intent.refunded += amount;
        }
        made
    }

    fn take_back(&mut self, back: Vec<(String, i64)>) {
        for (intent, amount) in back {
            self.intents.get_mut(intent.as_str()).unwrap().refunded -= amount;
        }
    }
}
