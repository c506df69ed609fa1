//! Stripe's own payment page (hosted Checkout): made, paid, ended by us or by its own clock.

use serde_json::json;
use shared::decline::DeclineClass;
use shared::env::Timestamp;
use shared::order::StoredRequest;
use shared::stripe::{Answer, Refusal};
use uuid::Uuid;

use super::books::{Books, Intent, Status};
use super::{Stripe, refused};

/// Where a page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Open,
    Complete,
    Expired,
}

/// A Checkout Session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) page: Page,
    pub(crate) order: Uuid,
    pub(super) attempt: u32,
    pub(super) created: Timestamp,
    /// It ends by itself then.
    until: Timestamp,
    /// What was tried on the page.
    intent: Option<String>,
    amount: i64,
    currency: String,
}

/// What a buyer does on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tries {
    GoodCard,
    BadCard,
}

impl Stripe {
    /// The pages of an order that can be paid on now.
    pub(crate) fn open_pages(&self, order: Uuid) -> Vec<Session> {
        self.end_pages_that_are_over();
        let books = self.books.lock();
        let is_open = |session: &&Session| session.order == order && session.page == Page::Open;
        books.sessions.values().filter(is_open).cloned().collect()
    }

    /// A buyer tries a card on a page; nothing if the page is over.
    pub(crate) fn try_on_page(&self, id: &str, tries: Tries) -> bool {
        self.end_pages_that_are_over();
        let now = self.now();
        let mut books = self.books.lock();
        let Some((intent, order)) = books.try_on_page(id, tries, now) else { return false };
        self.scene.tell_as(Some(order), || {
            let words = if tries == Tries::GoodCard { "is paid on its page" } else { "its card is declined there" };
            ("Stripe".into(), format!("{id}: {words}"))
        });
        self.tell_of(&mut books, &intent);
        self.tell_of_page(&mut books, id);
        self.scene.has_changed();
        true
    }

    /// Pages end by Stripe's own clock, whoever looks.
    pub(super) fn end_pages_that_are_over(&self) {
        let now = self.now();
        let mut books = self.books.lock();
        let is_over = |session: &&Session| session.page == Page::Open && session.until <= now;
        let over: Vec<String> = books.sessions.values().filter(is_over).map(|session| session.id.clone()).collect();
        for id in over {
            self.expire_page(&mut books, &id);
        }
    }

    pub(super) fn expire_page(&self, books: &mut Books, id: &str) -> Answer {
        let was_open = books.sessions.get(id).is_some_and(|session| session.page == Page::Open);
        let answer = books.expire(id);
        if was_open {
            self.tell_of_page(books, id);
        }
        answer
    }

    /// Makes an event of what a page has become.
    fn tell_of_page(&self, books: &mut Books, id: &str) {
        let Some(session) = books.sessions.get(id) else { return };
        let kind = match session.page {
            Page::Open => return,
            Page::Complete => "checkout.session.completed",
            Page::Expired => "checkout.session.expired",
        };
        let object = json!({"id": id, "object": "checkout.session", "payment_intent": session.intent,
            "metadata": {"order": session.order, "attempt": session.attempt.to_string()}});
        let about = session.order;
        self.send(books, kind, &object, Some(about));
    }
}

impl Books {
    /// Makes a page; whose it is.
    pub(super) fn open(&mut self, pairs: &[(String, String)], now: Timestamp) -> (Answer, Option<Uuid>) {
        let field = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let number = |name: &str| field(name).and_then(|text| text.parse::<i64>().ok());
        let made = || {
            let price = number("line_items[0][price_data][unit_amount]")?;
            let until = Timestamp(number("expires_at")? * 1_000);
            Some(Session {
                id: format!("cs_{:04}", self.sessions.len() + 1),
                page: Page::Open,
                order: field("metadata[order]")?.parse().ok()?,
                attempt: field("metadata[attempt]")?.parse().ok()?,
                created: now,
                until,
                intent: None,
                amount: price * number("line_items[0][quantity]")?,
                currency: field("line_items[0][price_data][currency]")?.to_owned(),
            })
        };
        // "Any value from 30 minutes to 24 hours": https://docs.stripe.com/api/checkout/sessions/create
        let fits = |session: &Session| (30 * 60..=24 * 3_600).contains(&session.until.since(now).as_secs());
        let Some(session) = made().filter(fits) else { return (refused(Refusal::Request), None) };
        let (id, order) = (session.id.clone(), session.order);
        self.sessions.insert(id.clone(), session);
        (self.session(&id), Some(order))
    }

    fn try_on_page(&mut self, id: &str, tries: Tries, now: Timestamp) -> Option<(String, Uuid)> {
        let session = self.sessions.get(id).filter(|session| session.page == Page::Open)?.clone();
        let intent = match session.intent {
            Some(intent) => intent,
            None => self.create(session.order, session.attempt, session.amount, &session.currency, now),
        };
        let good = tries == Tries::GoodCard;
        let becomes = if good { Status::Succeeded } else { Status::Declined(DeclineClass::CardDeclined) };
        self.intents.get_mut(&intent)?.become_(becomes);
        let session = self.sessions.get_mut(id)?;
        session.intent = Some(intent.clone());
        if good {
            session.page = Page::Complete;
        }
        Some((intent, session.order))
    }

    pub(super) fn session(&self, id: &str) -> Answer {
        let Some(session) = self.sessions.get(id) else { return refused(Refusal::Request) };
        let (id, url) = (session.id.clone(), format!("https://stripe.example/{}", session.id));
        match session.page {
            Page::Open => Answer::Hosted { session: id, url },
            Page::Expired => Answer::SessionExpired { session: id },
            Page::Complete => {
                let intent = session.intent.as_ref().and_then(|intent| self.intents.get(intent));
                intent.map_or_else(|| refused(Refusal::Request), Intent::answer)
            }
        }
    }

    fn expire(&mut self, id: &str) -> Answer {
        if let Some(session) = self.sessions.get_mut(id).filter(|session| session.page == Page::Open) {
            session.page = Page::Expired;
            if let Some(intent) = session.intent.as_ref().and_then(|intent| self.intents.get_mut(intent)) {
                intent.become_(Status::Canceled);
            }
        }
        self.session(id)
    }

    /// Whether an order can be paid in two ways at once: by an open page, and by another one or a payment beside it.
    pub(crate) fn payable_twice(&self, order: Uuid) -> bool {
        let open: Vec<&Session> =
            self.sessions.values().filter(|session| session.order == order && session.page == Page::Open).collect();
        let beside = |intent: &&Intent| {
            intent.order == order
                && !matches!(intent.status, Status::Canceled | Status::Succeeded)
                && !open.iter().any(|session| session.intent.as_deref() == Some(intent.id.as_str()))
        };
        open.len() > 1 || (open.len() == 1 && self.intents.values().any(|intent| beside(&intent)))
    }
}

/// The pairs of a request's body.
pub(super) fn pairs(request: &StoredRequest) -> Vec<(String, String)> {
    serde_urlencoded::from_str(&request.body).unwrap_or_default()
}
