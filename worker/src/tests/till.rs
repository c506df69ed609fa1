//! What the small Stripe has given back, and how much money it has to give.

use shared::stripe::{FoundRefund, Refunded, Refusal};
use uuid::Uuid;

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

/// Every refund that was made.
#[derive(Default)]
pub(super) struct Till {
    pub(super) balance: Balance,
    /// Of which payment, under which name, and what became of it.
    refunds: Vec<(String, Uuid, Refunded)>,
}

impl Till {
    /// Gives back a sum of a payment of which so much is left.
    pub(super) fn refund(&mut self, intent: &str, amount: i64, name: Uuid, left: i64) -> Refunded {
        if left == 0 {
            return Refunded::Already;
        }
        if amount > left {
            return Refunded::Refused { reason: "amount_too_large".into(), kind: Refusal::Request };
        }
        let refund = format!("re_{:04}", self.refunds.len() + 1);
        let made = match self.balance {
            Balance::Refuses => return Refunded::NoBalance { reason: "balance_insufficient".into() },
            Balance::Pends => Refunded::Pending { refund, amount },
            Balance::Enough => Refunded::Succeeded { refund, amount },
        };
        self.refunds.push((intent.to_owned(), name, made.clone()));
        made
    }

    /// Pending refunds are done, or cannot be done; what of which payment did not go after all.
    pub(super) fn settle(&mut self, good: bool) -> Vec<(String, i64)> {
        let mut back = Vec::new();
        for (intent, _, made) in &mut self.refunds {
            let Refunded::Pending { refund, amount } = made.clone() else { continue };
            *made = if good {
                Refunded::Succeeded { refund, amount }
            } else {
                back.push((intent.clone(), amount));
                Refunded::Failed { refund, reason: "expired_or_canceled_card".into() }
            };
        }
        back
    }

    /// How a refund stands that was made.
    pub(super) fn told(&self, id: &str) -> Refunded {
        let known = |made: &&Refunded| match made {
            Refunded::Succeeded { refund, .. } | Refunded::Pending { refund, .. } | Refunded::Failed { refund, .. } => {
                refund == id
            }
            _ => false,
        };
        self.refunds.iter().map(|(_, _, made)| made).find(known).cloned().expect("no such refund")
    }

    /// A refund by its name.
    pub(super) fn found(&self, intent: &str, name: Uuid) -> FoundRefund {
        let found = self.refunds.iter().find(|(of, known, _)| of == intent && *known == name);
        found.map_or(FoundRefund::No, |(_, _, made)| FoundRefund::Yes(made.clone()))
    }
}
