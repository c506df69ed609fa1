//! Stripe's own payment page (hosted Checkout), as the small Stripe has it.

use shared::env::Timestamp;
use shared::order::StoredRequest;
use shared::stripe::{Answer, Refusal};
use uuid::Uuid;

use super::{Books, SmallStripe, Status, refused};

/// Where a page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tests) enum Page {
    Open,
    Complete,
    Expired,
}

/// A Checkout Session.
#[derive(Clone, Debug)]
pub(in crate::tests) struct Session {
    pub(in crate::tests) id: String,
    pub(in crate::tests) page: Page,
    pub(super) order: Uuid,
    pub(super) attempt: u32,
    pub(super) created: Timestamp,
    /// What was tried on the page.
    intent: Option<String>,
    amount: i64,
}

impl SmallStripe {
    /// The pages of an order, the oldest first.
    pub(in crate::tests) fn sessions(&self, order: Uuid) -> Vec<Session> {
        self.books.lock().sessions.values().filter(|session| session.order == order).cloned().collect()
    }

    /// A buyer tries a card on an order's newest page; whether the page was open.
    pub(in crate::tests) fn try_on_page(&self, order: Uuid, becomes: Status) -> bool {
        let is_open = self.sessions(order).last().is_some_and(|session| session.page == Page::Open);
        if is_open {
            self.try_all_the_same(order, becomes);
        }
        is_open
    }

    /// What no rule of Stripe's allows: a card is charged on a page, though that is over.
    pub(in crate::tests) fn try_all_the_same(&self, order: Uuid, becomes: Status) {
        let id = self.sessions(order).last().expect("no page").id.clone();
        let now = self.env.now();
        let mut books = self.books.lock();
        let session = books.sessions[&id].clone();
        let intent = match session.intent {
            Some(intent) => intent,
            None => books.create(session.order, session.attempt, session.amount, "usd", now),
        };
        books.intents.get_mut(&intent).unwrap().become_(becomes);
        let session = books.sessions.get_mut(&id).unwrap();
        session.intent = Some(intent);
        if matches!(becomes, Status::Succeeded | Status::Processing) {
            session.page = Page::Complete;
        }
    }

    /// The page ends by Stripe's own clock.
    pub(in crate::tests) fn page_ends(&self, order: Uuid) {
        let id = self.sessions(order).last().expect("no page").id.clone();
        self.books.lock().expire(&id);
    }
}

impl Session {
    fn answer(&self, books: &Books) -> Answer {
        let session = self.id.clone();
        match self.page {
            Page::Open => Answer::Hosted { url: format!("https://stripe.example/{session}"), session },
            Page::Expired => Answer::SessionExpired { session },
            Page::Complete => books.intents[self.intent.as_ref().unwrap()].answer(),
        }
    }
}

impl Books {
    /// Makes a page. **One live payable per order**: nothing else may be payable then.
    pub(super) fn open(&mut self, request: &StoredRequest, now: Timestamp) -> Answer {
        let field = |name: &str| {
            let mut pairs = request.body.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).unwrap_or_else(|| panic!("{name}"))
        };
        let order: Uuid = field("metadata[order]").parse().unwrap();
        let dead = |status: Status| matches!(status, Status::Canceled | Status::Succeeded);
        assert!(self.intents.values().all(|intent| intent.order != order || dead(intent.status)), "payable twice");
        self.no_page_is_open(order);
        let price: i64 = field("line_items[0][price_data][unit_amount]").parse().unwrap();
        let quantity: i64 = field("line_items[0][quantity]").parse().unwrap();
        let id = format!("cs_{:04}", self.sessions.len() + 1);
        let session = Session {
            id: id.clone(),
            page: Page::Open,
            order,
            attempt: field("metadata[attempt]").parse().unwrap(),
            created: now,
            intent: None,
            amount: price * quantity,
        };
        self.sessions.insert(id.clone(), session);
        self.session(&id)
    }

    pub(super) fn no_page_is_open(&self, order: Uuid) {
        let open = self.sessions.values().find(|session| session.order == order && session.page == Page::Open);
        assert!(open.is_none(), "payable twice: {open:?}");
    }

    pub(super) fn session(&self, id: &str) -> Answer {
        self.sessions.get(id).map_or_else(|| refused(Refusal::Request), |session| session.answer(self))
    }

    pub(super) fn expire(&mut self, id: &str) -> Answer {
        if let Some(session) = self.sessions.get_mut(id)
            && session.page == Page::Open
        {
            session.page = Page::Expired;
            if let Some(intent) = session.intent.as_ref().and_then(|intent| self.intents.get_mut(intent)) {
                intent.status = Status::Canceled;
            }
        }
        self.session(id)
    }
}
