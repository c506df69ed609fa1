//! What a worker can ask of the small Stripe.

use async_trait::async_trait;
use shared::env::Timestamp;
use shared::stripe::{
    Answer, Found, ListedEvent, ListedPayment, NewRefund, NotRead, Page, Refunded, Refunds, Refusal, StoredRequest,
    Stripe,
};
use uuid::Uuid;

use super::{Books, Call, Intent, Reply, SmallStripe, refused};

#[async_trait]
impl Stripe for SmallStripe {
    async fn send(&self, request: &StoredRequest, key: &str) -> Answer {
        self.travel("send", || {
            let now = self.env.now();
            self.books.lock().sent.push((key.to_owned(), request.clone()));
            let parameters = format!("{} {} {}", request.path, request.body, request.version);
            self.keyed(Call::Send, key, parameters, |books| Reply::Intent(books.charge(request, now))).answer()
        })
        .await
    }

    async fn retrieve(&self, payment_intent: &str) -> Answer {
        self.travel("retrieve", || match self.read(Call::Retrieve, payment_intent) {
            Ok(()) => self.books.lock().intents.get(payment_intent).map_or(refused(Refusal::Request), Intent::answer),
            Err(answer) => answer,
        })
        .await
    }

    async fn cancel(&self, payment_intent: &str, key: &str) -> Answer {
        self.travel("cancel", || {
            let parameters = format!("cancel {payment_intent}");
            let now = self.env.now();
            self.keyed(Call::Cancel, key, parameters, |books| Reply::Intent(books.cancel(payment_intent, now))).answer()
        })
        .await
    }

    async fn find(&self, order: Uuid, created_from: Timestamp, created_to: Timestamp) -> Found {
        self.travel("find", || {
            if let Err(answer) = self.read(Call::Find, "") {
                return Found::Unknown { reason: answer.as_str().into() };
            }
            let mut intents = self.intents(order);
            intents.retain(|intent| (created_from..=created_to).contains(&intent.created));
            intents.reverse();
            match intents.is_empty() {
                true => Found::None,
                false => Found::Intents(intents.into_iter().map(|i| (i.id.clone(), i.answer())).collect()),
            }
        })
        .await
    }

    async fn retrieve_session(&self, session: &str) -> Answer {
        self.travel("retrieve_session", || match self.read(Call::RetrieveSession, session) {
            Ok(()) => self.books.lock().session(session),
            Err(answer) => answer,
        })
        .await
    }

    async fn expire_session(&self, session: &str, key: &str) -> Answer {
        self.travel("expire_session", || {
            let parameters = format!("expire {session}");
            self.keyed(Call::Expire, key, parameters, |books| Reply::Intent(books.expire(session))).answer()
        })
        .await
    }

    async fn find_session(&self, order: Uuid, attempt: u32, created_from: Timestamp, created_to: Timestamp) -> Found {
        self.travel("find_session", || {
            if let Err(answer) = self.read(Call::FindSession, "") {
                return Found::Unknown { reason: answer.as_str().into() };
            }
            let mut found = self.sessions(order);
            found.retain(|s| s.attempt == attempt && (created_from..=created_to).contains(&s.created));
            let books = self.books.lock();
            match found.is_empty() {
                true => Found::None,
                false => Found::Intents(found.into_iter().map(|s| (s.id.clone(), books.session(&s.id))).collect()),
            }
        })
        .await
    }

    async fn events(&self, created_from: Timestamp, after: Option<&str>) -> Result<Page<ListedEvent>, NotRead> {
        self.travel("events", || self.list_events(created_from, after)).await
    }

    async fn payments(&self, created_from: Timestamp, after: Option<&str>) -> Result<Page<ListedPayment>, NotRead> {
        self.travel("payments", || self.list_payments(created_from, after)).await
    }

    async fn refund(&self, refund: NewRefund<'_>, key: &str) -> Refunded {
        self.travel("refund", || {
            let NewRefund { payment_intent, amount, name, .. } = refund;
            let parameters = format!("{refund:?}");
            let act = |books: &mut Books| Reply::Refund(books.refund(payment_intent, amount, Some(name)));
            self.keyed(Call::Refund, key, parameters, act).refunded()
        })
        .await
    }

    async fn retrieve_refund(&self, stripe_id: &str) -> Refunded {
        self.travel("retrieve_refund", || {
            if let Err(answer) = self.read(Call::RetrieveRefund, stripe_id) {
                return Refunded::Unknown { reason: answer.as_str().into(), replayed: false };
            }
            self.books.lock().till.told(stripe_id)
        })
        .await
    }

    async fn refunds(&self, payment_intent: &str) -> Refunds {
        self.travel("refunds", || {
            if let Err(answer) = self.read(Call::Refunds, payment_intent) {
                return Refunds::Unknown { reason: answer.as_str().into() };
            }
            Refunds::All(self.refunds_of(payment_intent))
        })
        .await
    }
}
