//! One request's work: what it reads, what it changes, and the events it causes.

use std::sync::Arc;

use rand::distr::{Alphanumeric, SampleString};
use serde_json::Value;

use crate::{
    failure::Failure,
    form::Params,
    model::{Event, Snapshot},
    render::Render,
    store::{Batch, Record, Store},
};

/// A request as its endpoint sees it, before it executes.
pub(crate) struct Request<'a> {
    pub(crate) params: Params,
    /// The object named by the path, empty when it names none.
    pub(crate) id: String,
    pub(crate) store: &'a Store,
    /// Sent with a publishable key, from a page.
    pub(crate) publishable: bool,
}

/// What runs once a request's parameters were understood. It is handed the work and may change nothing else.
pub(crate) type Run = Box<dyn FnOnce(&mut Work<'_>) -> Result<Value, Failure> + Send>;

/// A request whose parameters were understood.
pub(crate) struct Call {
    /// Ids of the objects that nobody else may work on meanwhile.
    pub(crate) locks: Vec<String>,
    /// A card's bank is asked, which takes time.
    pub(crate) asks_bank: bool,
    pub(crate) expand: Vec<String>,
    pub(crate) run: Run,
}

impl Call {
    /// A call that neither waits nor locks. What nobody took of the parameters is refused here.
    pub(crate) fn new(
        mut params: Params,
        run: impl FnOnce(&mut Work<'_>) -> Result<Value, Failure> + Send + 'static,
    ) -> Result<Self, Failure> {
        let expand = params.expand()?;
        params.finish()?;
        Ok(Self { locks: Vec::new(), asks_bank: false, expand, run: Box::new(run) })
    }

    pub(crate) fn locking(mut self, ids: impl IntoIterator<Item = String>) -> Self {
        self.locks.extend(ids);
        self
    }

    pub(crate) fn asking_the_bank(mut self, asks: bool) -> Self {
        self.asks_bank = asks;
        self
    }
}

/// A request while it executes.
pub(crate) struct Work<'a> {
    pub(crate) store: &'a Store,
    /// Seconds since the epoch.
    pub(crate) now: i64,
    /// The sandbox's own origin, as the caller sees it.
    pub(crate) base: &'a str,
    pub(crate) request: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) batch: Batch,
    pub(crate) events: Vec<Arc<Event>>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(store: &'a Store, base: &'a str) -> Self {
        let now = store.now();
        let (batch, events) = (Batch::default(), Vec::new());
        Self { store, now, base, request: None, idempotency_key: None, batch, events }
    }

    /// An object by its id; `param` says which parameter named it (`id` for the path).
    pub(crate) fn find<T: Record>(&self, what: &str, id: &str, param: &str) -> Result<Arc<T>, Failure> {
        T::table(self.store).get(id).ok_or_else(|| Failure::no_such(what, id, param))
    }

    pub(crate) fn put<T: Record>(&mut self, row: T) -> Arc<T> {
        self.batch.put(row)
    }

    pub(crate) fn render(&self, object: &impl Render) -> Value {
        object.render(self.base)
    }

    /// Tells the account's endpoints.
    pub(crate) fn event(&mut self, kind: &str, object: Snapshot) {
        let pending = self.store.webhook_endpoints.all().iter().filter(|endpoint| endpoint.wants(kind)).count();
        let event = self.batch.put(Event {
            id: new_id("evt_"),
            created: self.now,
            kind: kind.to_owned(),
            object,
            request: self.request.clone(),
            idempotency_key: self.idempotency_key.clone(),
            pending,
        });
        self.events.push(event);
    }
}

/// A new id: its prefix and 24 letters and digits.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}{}", random(24))
}

/// Random letters and digits.
pub(crate) fn random(length: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), length)
}
