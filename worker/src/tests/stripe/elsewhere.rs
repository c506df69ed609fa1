//! What happens at Stripe without a request of ours: a bank that has thought, a buyer at a challenge, a payment on another
//! way.

use super::*;

impl SmallStripe {
    /// The bank has thought about it.
    pub(crate) fn resolve(&self, id: &str, status: Status) {
        let mut books = self.books.lock();
        if let Some(intent) = books.intents.get_mut(id) {
            intent.become_(status);
        }
        books.tell(id, self.env.now());
    }

    /// A payment intent is there no more, as in another account.
    pub(crate) fn lose(&self, id: &str) {
        self.books.lock().intents.remove(id);
    }

    /// The challenge that a payment intent's buyer sees now, in whichever tab.
    pub(crate) fn challenge(&self, id: &str) -> Challenge {
        let number = self.books.lock().intents[id].challenge;
        Challenge { payment_intent: id.to_owned(), number }
    }

    /// A buyer answers a challenge: passed, or failed. One that is over is of no effect; whether this one was not.
    pub(crate) fn answer_challenge(&self, challenge: &Challenge, passed: bool) -> bool {
        let mut books = self.books.lock();
        let Some(intent) = books.intents.get_mut(&challenge.payment_intent) else { return false };
        let open = intent.status == Status::Action && intent.challenge == challenge.number;
        if open {
            let failed = Status::Declined(DeclineClass::AuthenticationRequired);
            intent.become_(if passed { Status::Succeeded } else { failed });
        }
        open
    }

    /// What no rule of Stripe's allows: a payment succeeds, though its challenge is over or it was canceled.
    pub(crate) fn pass_all_the_same(&self, id: &str) {
        let mut books = self.books.lock();
        let intent = books.intents.get_mut(id).unwrap();
        intent.become_(Status::Succeeded);
        intent.foreign = true;
    }

    /// Somebody pays for an order on another way: a payment that our worker did not ask for.
    pub(crate) fn pay_elsewhere(&self, order: Uuid, amount: i64) -> Payment {
        let mut books = self.books.lock();
        let now = self.env.now();
        let id = books.create(order, 1, amount, "usd", now);
        let intent = books.intents.get_mut(&id).unwrap();
        intent.become_(Status::Succeeded);
        intent.foreign = true;
        let answer = intent.answer();
        books.tell(&id, now);
        match answer {
            Answer::Succeeded(payment) => payment,
            other => panic!("{other:?}"),
        }
    }
}
