//! The calls that a worker makes.

use async_trait::async_trait;
use shared::env::Timestamp;
use shared::stripe::{
    Answer, Found, ListedEvent, ListedPayment, NewRefund, NotRead, Page, Refunded, Refunds, Refusal, StoredRequest,
    Stripe as Calls,
};
use uuid::Uuid;

use super::books::Reply;
use super::pages::{Session, pairs};
use super::{Stripe, refund_refused, refused};

/// Entries of one page; small, so that lists have several.
const PAGE: usize = 5;

#[async_trait]
impl Calls for Stripe {
    async fn send(&self, request: &StoredRequest, key: &str) -> Answer {
        let now = self.now();
        let parameters = format!("{} {} {}", request.path, request.body, request.version);
        let act = |books: &mut super::Books| {
            if request.path == "/v1/checkout/sessions" {
                let (answer, about) = books.open(&pairs(request), now);
                self.scene.tell_as(about, || ("Stripe".into(), format!("carries out {key}: {}", answer.as_str())));
                return Reply::Intent(answer);
            }
            let (answer, id) = books.charge(request, now);
            let about = id.as_ref().and_then(|id| books.intents.get(id)).map(|intent| intent.order);
            self.scene.tell_as(about, || ("Stripe".into(), format!("carries out {key}: {}", answer.as_str())));
            if let Some(id) = id {
                self.tell_of(books, &id);
            }
            Reply::Intent(answer)
        };
        self.keyed(key, parameters, act, true).answer()
    }

    async fn retrieve(&self, payment_intent: &str) -> Answer {
        if let Err(answer) = self.read() {
            return answer;
        }
        let books = self.books.lock();
        books.intents.get(payment_intent).map_or_else(|| refused(Refusal::Request), super::Intent::answer)
    }

    async fn cancel(&self, payment_intent: &str, key: &str) -> Answer {
        let act = |books: &mut super::Books| {
            let answer = books.cancel(payment_intent);
            let about = books.intents.get(payment_intent).map(|intent| intent.order);
            let what = || ("Stripe".into(), format!("is asked to cancel {payment_intent}: {}", answer.as_str()));
            self.scene.tell_as(about, what);
            self.tell_of(books, payment_intent);
            Reply::Intent(answer)
        };
        self.keyed(key, format!("cancel {payment_intent}"), act, false).answer()
    }

    async fn find(&self, order: Uuid, created_from: Timestamp, created_to: Timestamp) -> Found {
        if let Err(answer) = self.read() {
            return Found::Unknown { reason: answer.as_str().into() };
        }
        let books = self.books.lock();
        let of_order =
            |intent: &&super::Intent| intent.order == order && (created_from..=created_to).contains(&intent.created);
        let found: Vec<(String, Answer)> =
            books.intents.values().rev().filter(of_order).map(|intent| (intent.id.clone(), intent.answer())).collect();
        if found.is_empty() { Found::None } else { Found::Intents(found) }
    }

    async fn retrieve_session(&self, session: &str) -> Answer {
        self.end_pages_that_are_over();
        match self.read() {
            Ok(()) => self.books.lock().session(session),
            Err(answer) => answer,
        }
    }

    async fn expire_session(&self, session: &str, key: &str) -> Answer {
        self.end_pages_that_are_over();
        let act = |books: &mut super::Books| {
            let about = books.sessions.get(session).map(|session| session.order);
            let answer = self.expire_page(books, session);
            let what = || ("Stripe".into(), format!("is asked to end {session}: {}", answer.as_str()));
            self.scene.tell_as(about, what);
            Reply::Intent(answer)
        };
        self.keyed(key, format!("expire {session}"), act, false).answer()
    }

    async fn find_session(&self, order: Uuid, attempt: u32, created_from: Timestamp, created_to: Timestamp) -> Found {
        self.end_pages_that_are_over();
        if let Err(answer) = self.read() {
            return Found::Unknown { reason: answer.as_str().into() };
        }
        let books = self.books.lock();
        let of_attempt = |session: &&Session| {
            let made_then = (created_from..=created_to).contains(&session.created);
            session.order == order && session.attempt == attempt && made_then
        };
        let found: Vec<(String, Answer)> = books
            .sessions
            .values()
            .rev()
            .filter(of_attempt)
            .map(|session| (session.id.clone(), books.session(&session.id)))
            .collect();
        if found.is_empty() { Found::None } else { Found::Intents(found) }
    }

    async fn refund(&self, refund: NewRefund<'_>, key: &str) -> Refunded {
        let NewRefund { payment_intent, amount, name, order } = refund;
        let act = |books: &mut super::Books| {
            let made = books.refund(payment_intent, amount, Some(name));
            self.scene
                .tell_as(Some(order), || ("Stripe".into(), format!("is asked for a refund of {amount}: {made:?}")));
            if let Refunded::Succeeded { refund, .. } | Refunded::Pending { refund, .. } = &made {
                self.tell_of_refund(books, "refund.created", refund);
            }
            Reply::Refund(made)
        };
        self.keyed(key, format!("{refund:?}"), act, false).refunded()
    }

    async fn retrieve_refund(&self, stripe_id: &str) -> Refunded {
        if let Err(answer) = self.read() {
            return Refunded::Unknown { reason: answer.as_str().into(), replayed: false };
        }
        self.books.lock().refund_stands(stripe_id).unwrap_or_else(|| refund_refused(Refusal::Request))
    }

    async fn refunds(&self, payment_intent: &str) -> Refunds {
        if let Err(answer) = self.read() {
            return Refunds::Unknown { reason: answer.as_str().into() };
        }
        Refunds::All(self.books.lock().refunds_of(payment_intent))
    }

    async fn events(&self, created_from: Timestamp, after: Option<&str>) -> Result<Page<ListedEvent>, NotRead> {
        self.asked()?;
        let books = self.books.lock();
        let listed = |(created, id, body): &(Timestamp, String, String)| ListedEvent {
            id: id.clone(),
            created: whole_second(*created),
            body: body.clone(),
        };
        let since = whole_second(created_from);
        let all: Vec<ListedEvent> =
            books.events.iter().rev().map(listed).filter(|event| event.created >= since).collect();
        page(&all, after, |event| &event.id)
    }

    async fn payments(&self, created_from: Timestamp, after: Option<&str>) -> Result<Page<ListedPayment>, NotRead> {
        self.asked()?;
        let books = self.books.lock();
        let since = whole_second(created_from);
        let all: Vec<ListedPayment> = books
            .intents
            .values()
            .rev()
            .filter(|intent| intent.created >= since)
            .map(|intent| ListedPayment {
                payment_intent: intent.id.clone(),
                order: Some(intent.order),
                answer: intent.answer(),
            })
            .collect();
        page(&all, after, |payment| &payment.payment_intent)
    }
}

impl Stripe {
    fn asked(&self) -> Result<(), NotRead> {
        self.read().map_err(|answer| {
            let (reason, after) = match answer {
                Answer::Throttled { reason, after, .. } => (reason, after),
                answer => (answer.as_str().to_owned(), None),
            };
            NotRead { reason, after, refused: false }
        })
    }
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp(time.0.div_euclid(1_000) * 1_000)
}

fn page<T: Clone>(all: &[T], after: Option<&str>, id: fn(&T) -> &String) -> Result<Page<T>, NotRead> {
    let start = match after {
        None => 0,
        Some(after) => {
            let gone = || NotRead { reason: "resource_missing".into(), after: None, refused: true };
            1 + all.iter().position(|item| id(item) == after).ok_or_else(gone)?
        }
    };
    let items: Vec<T> = all.iter().skip(start).take(PAGE).cloned().collect();
    let more = all.len() > start + items.len();
    let next = items.last().filter(|_| more).map(|item| id(item).clone());
    Ok(Page { items, next })
}
