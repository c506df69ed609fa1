//! [`Stripe`] over HTTP.
//!
//! Requests other than a stored charge are built by the typed client and sent with this build's API version.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use hyper::Method;
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};
use stripe_core::payment_intent::{CancelPaymentIntent, ListPaymentIntent, RetrievePaymentIntent};
use stripe_core::refund::{CreateRefund, ListRefund, RetrieveRefund};
use stripe_types::{RangeBoundsTs, RangeQueryTs};
use tracing::Instrument as _;
use uuid::Uuid;

use super::http::{Call, ClientError, NoReply, Reply, Transport};
use super::lists::{ListedEvent, ListedPayment, NotRead, PAGE, Page};
use super::session;
use super::{API_VERSION, Answer, Found, NewRefund, Refunded, Refunds, Refusal, StoredRequest, Stripe, answer};
use crate::budget::{Endpoint, SharedBudget};
use crate::env::{Env, Timestamp};
use crate::telemetry::traces;

/// How long a request that nobody waits for waits for its turn.
const TURN_PATIENCE: Duration = Duration::from_secs(5);
/// The most pages that are read of a list: 10,000 PaymentIntents, several minutes of the busiest sale.
const PAGES_MAX: usize = 100;

/// Stripe, or a server that speaks as it does, for one account. Cloning shares the connections.
#[derive(Clone)]
pub struct HttpStripe {
    transport: Transport,
    env: Env,
    /// Whose turn it is; `None` where nobody counts.
    budget: Option<SharedBudget>,
}

impl fmt::Debug for HttpStripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpStripe({})", self.transport.base())
    }
}

impl HttpStripe {
    /// A client for the server at `base` (`https://api.stripe.com`), with a secret or restricted key. `timeout`
    /// bounds a whole request, from connecting to the answer's last byte; a claim's lease must be longer.
    ///
    /// # Errors
    /// [`ClientError`] when the address or the key cannot be right, or when the key would cross a network in the
    /// clear.
    pub fn new(base: &str, secret_key: &str, timeout: Duration, env: Env) -> Result<Self, ClientError> {
        Ok(Self { transport: Transport::new(base, secret_key, timeout, env.clone())?, env, budget: None })
    }

    /// Whatever is asked waits for its turn in this budget, but for [`Stripe::send`]'s first request: whose turn that is
    /// only its caller knows.
    #[must_use]
    pub fn paced(mut self, budget: SharedBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// One request, in its turn.
    pub(super) async fn observed<T>(
        &self,
        operation: &'static str,
        call: Call<'_>,
        read: impl FnOnce(&Result<Reply, NoReply>) -> (T, Outcome) + Send,
    ) -> T {
        let Some(budget) = &self.budget else { return self.sent(operation, call, read).await };
        let endpoint = Endpoint::of(call.method.as_str(), call.path);
        let turn = match budget.turn(endpoint, budget.ticket(), TURN_PATIENCE).await {
            Ok(turn) => turn,
            Err(wait) => return read(&Err(NoReply::OutOfTurn(wait))).0,
        };
        let mut throttle = None;
        let mut lost = true;
        let result = self.sent(operation, call, |heard| {
            (throttle, lost) = (answer::throttle(heard), heard.is_err());
            read(heard)
        });
        let result = result.await;
        match throttle {
            Some(throttle) => turn.throttled(throttle).await,
            None if lost => turn.unheard(),
            None => turn.answered(),
        }
        result
    }

    /// One request, measured and logged under the outcome that `read` finds in what came back.
    async fn sent<T>(
        &self,
        operation: &'static str,
        call: Call<'_>,
        read: impl FnOnce(&Result<Reply, NoReply>) -> (T, Outcome) + Send,
    ) -> T {
        let started = self.env.monotonic();
        let span = traces::stripe(operation);
        let heard = self.transport.call(call).instrument(span.clone()).await;
        let elapsed = self.env.monotonic().saturating_sub(started);
        let (result, outcome) = read(&heard);
        let request_id = heard.as_ref().ok().and_then(|reply| reply.request_id.as_deref());
        let status = heard.as_ref().ok().map(|reply| reply.status);
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let reason = outcome.reason.as_deref();
        span.record("outcome", outcome.name);
        span.record("status", status);
        match outcome.name {
            "unknown" | "refused" => {
                tracing::warn!(
                    operation,
                    outcome = outcome.name,
                    status,
                    request_id,
                    elapsed_ms,
                    reason,
                    "asked Stripe"
                );
            }
            name => tracing::debug!(operation, outcome = name, status, request_id, elapsed_ms, reason, "asked Stripe"),
        }
        metrics::histogram!("stripe_request_seconds", "operation" => operation, "outcome" => outcome.name)
            .record(elapsed.as_secs_f64());
        if outcome.name == "throttled" {
            let label = throttle_label(reason.unwrap_or_default());
            metrics::counter!("stripe_throttled_total", "reason" => label).increment(1);
        }
        result
    }

    async fn session(&self, operation: &'static str, call: Call<'_>) -> Answer {
        self.observed(operation, call, session_and_outcome).await.0
    }

    async fn intent(&self, operation: &'static str, call: Call<'_>) -> (Answer, bool) {
        self.observed(operation, call, intent_and_outcome).await
    }
}

/// And whether the answer is a stored one.
fn session_and_outcome(heard: &Result<Reply, NoReply>) -> ((Answer, bool), Outcome) {
    let answer = answer::of_session(heard);
    let outcome = Outcome::of(&answer);
    ((answer, heard.as_ref().is_ok_and(|reply| reply.replayed)), outcome)
}

/// And whether the PaymentIntent has moved on.
fn intent_and_outcome(heard: &Result<Reply, NoReply>) -> ((Answer, bool), Outcome) {
    let answer = answer::of_intent(heard);
    let outcome = Outcome::of(&answer);
    ((answer, answer::is_past_that(heard)), outcome)
}

#[async_trait]
impl Stripe for HttpStripe {
    async fn send(&self, request: &StoredRequest, key: &str) -> Answer {
        let call = Call {
            method: Method::POST,
            path: &request.path,
            query: None,
            body: Some(request.body.clone()),
            key: Some(key),
            version: &request.version,
        };
        if request.path == session::PATH {
            // What is stored under a key tells how things were: a page that is over must not be shown as open.
            return match self.sent("checkout", call, session_and_outcome).await {
                (Answer::Hosted { session, .. }, true) => self.retrieve_session(&session).await,
                (answer, _) => answer,
            };
        }
        let (answer, past_that) = self.sent("charge", call, intent_and_outcome).await;
        let Some(confirmed) = confirmed_intent(&request.path) else { return answer };
        match answer {
            refused if past_that => match self.retrieve(confirmed).await {
                Answer::Declined { .. } | Answer::NotStarted { .. } | Answer::RequiresAction { .. } => refused,
                what_it_became => what_it_became,
            },
            Answer::Declined { payment_intent: None, decline } => {
                Answer::Declined { payment_intent: Some(confirmed.to_owned()), decline }
            }
            answer => answer,
        }
    }

    async fn retrieve(&self, payment_intent: &str) -> Answer {
        let built = RetrievePaymentIntent::new(payment_intent).build();
        let path = below_v1(&built);
        self.intent("retrieve", typed(&built, &path, None)).await.0
    }

    async fn cancel(&self, payment_intent: &str, key: &str) -> Answer {
        let built = CancelPaymentIntent::new(payment_intent).build();
        let path = below_v1(&built);
        let (answer, past_that) = self.intent("cancel", typed(&built, &path, Some(key))).await;
        if past_that { self.retrieve(payment_intent).await } else { answer }
    }

    async fn find(&self, order: Uuid, created_from: Timestamp, created_to: Timestamp) -> Found {
        let window = RangeQueryTs::Bounds(RangeBoundsTs {
            gte: Some(created_from.0.div_euclid(1000)),
            lte: Some(created_to.0.div_euclid(1000).saturating_add(1)),
            ..RangeBoundsTs::default()
        });
        let mut intents = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut list = ListPaymentIntent::new().created(window).limit(PAGE);
            if let Some(last) = &after {
                list = list.starting_after(last.clone());
            }
            let built = list.build();
            let path = below_v1(&built);
            let call = typed(&built, &path, None);
            let (page, more) = match self.observed("list", call, |heard| and_outcome(answer::of_page(heard))).await {
                Ok(page) => page,
                Err(reason) => return Found::Unknown { reason },
            };
            after = page.last().map(|intent| intent.id.clone());
            let ours = page.into_iter().filter(|intent| intent.order == Some(order));
            intents.extend(ours.map(|intent| (intent.id.clone(), intent.answer(false))));
            if !more || after.is_none() {
                return if intents.is_empty() { Found::None } else { Found::Intents(intents) };
            }
        }
        Found::Unknown { reason: format!("more than {PAGES_MAX} pages of PaymentIntents in the window") }
    }

    async fn retrieve_session(&self, session: &str) -> Answer {
        let path = format!("{}/{session}", session::PATH);
        self.session("retrieve_session", reading(&path, "expand[]=payment_intent")).await
    }

    async fn expire_session(&self, session: &str, key: &str) -> Answer {
        let path = format!("{}/{session}/expire", session::PATH);
        let body = Some("expand[]=payment_intent".to_owned());
        let call = Call { method: Method::POST, body, key: Some(key), ..reading(&path, "") };
        match self.session("expire_session", call).await {
            // It is complete, or has ended before; reading it tells which.
            Answer::Refused { kind: Refusal::Request, .. } => self.retrieve_session(session).await,
            answer => answer,
        }
    }

    async fn find_session(&self, order: Uuid, attempt: u32, created_from: Timestamp, created_to: Timestamp) -> Found {
        let (from, to) = (created_from.0.div_euclid(1000), created_to.0.div_euclid(1000).saturating_add(1));
        let mut sessions = Vec::new();
        let mut after = String::new();
        for _ in 0..PAGES_MAX {
            let query =
                format!("limit={PAGE}&created[gte]={from}&created[lte]={to}&expand[]=data.payment_intent{after}");
            let page = self.observed("list_sessions", reading(session::PATH, &query), |heard| {
                and_outcome(answer::of_sessions(heard))
            });
            let (page, more) = match page.await {
                Ok(page) => page,
                Err(reason) => return Found::Unknown { reason },
            };
            let last = page.last().map(|session| session.id.clone());
            let ours = page.into_iter().filter(|found| found.order == Some(order) && found.attempt == Some(attempt));
            sessions.extend(ours.map(|session| (session.id.clone(), session.answer(false))));
            match last {
                Some(last) if more => after = format!("&starting_after={last}"),
                _ => return if sessions.is_empty() { Found::None } else { Found::Intents(sessions) },
            }
        }
        Found::Unknown { reason: format!("more than {PAGES_MAX} pages of Checkout Sessions in the window") }
    }

    async fn events(&self, created_from: Timestamp, after: Option<&str>) -> Result<Page<ListedEvent>, NotRead> {
        self.list_events(created_from, after).await
    }

    async fn payments(&self, created_from: Timestamp, after: Option<&str>) -> Result<Page<ListedPayment>, NotRead> {
        self.list_payments(created_from, after).await
    }

    async fn refund(&self, refund: NewRefund<'_>, key: &str) -> Refunded {
        let NewRefund { payment_intent, amount, order, name } = refund;
        let name = [("order".to_owned(), order.to_string()), ("refund".to_owned(), name.to_string())];
        let create = CreateRefund::new().payment_intent(payment_intent).amount(amount);
        let built = create.metadata(std::collections::HashMap::from(name)).build();
        let path = below_v1(&built);
        self.observed("refund", typed(&built, &path, Some(key)), refund_and_outcome).await
    }

    async fn retrieve_refund(&self, stripe_id: &str) -> Refunded {
        let built = RetrieveRefund::new(stripe_id).build();
        let path = below_v1(&built);
        self.observed("retrieve_refund", typed(&built, &path, None), refund_and_outcome).await
    }

    async fn refunds(&self, payment_intent: &str) -> Refunds {
        let mut refunds = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut list = ListRefund::new().payment_intent(payment_intent).limit(PAGE);
            if let Some(last) = &after {
                list = list.starting_after(last.clone());
            }
            let built = list.build();
            let path = below_v1(&built);
            let call = typed(&built, &path, None);
            let page = self.observed("list_refunds", call, |heard| and_outcome(answer::of_refunds(heard))).await;
            let (page, more) = match page {
                Ok(page) => page,
                Err(reason) => return Refunds::Unknown { reason },
            };
            after = page.last().map(|refund| refund.id.clone());
            refunds.extend(page);
            if !more || after.is_none() {
                return Refunds::All(refunds);
            }
        }
        Refunds::Unknown { reason: format!("more than {PAGES_MAX} pages of refunds") }
    }
}

fn refund_and_outcome(heard: &Result<Reply, NoReply>) -> (Refunded, Outcome) {
    let refunded = answer::of_refund(heard);
    let outcome = Outcome::of_refund(&refunded);
    (refunded, outcome)
}

fn and_outcome<T>(page: answer::Page<T>) -> (answer::Page<T>, Outcome) {
    let outcome = match &page {
        Err(reason) => Outcome { name: "unknown", reason: Some(reason.clone()) },
        Ok(_) => Outcome { name: "read", reason: None },
    };
    (page, outcome)
}

/// A call that reads, written by hand.
fn reading<'a>(path: &'a str, query: &'a str) -> Call<'a> {
    Call { method: Method::GET, path, query: Some(query), body: None, key: None, version: API_VERSION }
}

pub(super) fn below_v1(built: &RequestBuilder) -> String {
    format!("/v1{}", built.path)
}

pub(super) fn typed<'a>(built: &'a RequestBuilder, path: &'a str, key: Option<&'a str>) -> Call<'a> {
    let method = match built.method {
        StripeMethod::Get => Method::GET,
        StripeMethod::Post => Method::POST,
        StripeMethod::Delete => Method::DELETE,
    };
    Call { method, path, query: built.query.as_deref(), body: built.body.clone(), key, version: API_VERSION }
}

/// The PaymentIntent that a stored request confirms; `None` when it makes one.
fn confirmed_intent(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/payment_intents/")?.strip_suffix("/confirm")
}

/// One word for the metrics, and the reason for the log.
pub(super) struct Outcome {
    pub(super) name: &'static str,
    pub(super) reason: Option<String>,
}

impl Outcome {
    fn of(answer: &Answer) -> Self {
        let reason = match answer {
            Answer::Throttled { reason, .. } | Answer::Unknown { reason, .. } | Answer::Refused { reason, .. } => {
                Some(reason.clone())
            }
            Answer::Declined { decline, .. } => decline.raw.clone(),
            _ => None,
        };
        Self { name: answer.as_str(), reason }
    }

    fn of_refund(refunded: &Refunded) -> Self {
        let (name, reason) = match refunded {
            Refunded::Succeeded { .. } => ("succeeded", None),
            Refunded::Pending { .. } => ("pending", None),
            Refunded::Failed { reason, .. } => ("failed", Some(reason)),
            Refunded::Already => ("already", None),
            Refunded::NoBalance { reason } => ("no_balance", Some(reason)),
            Refunded::Throttled { reason, .. } => ("throttled", Some(reason)),
            Refunded::Unknown { reason, .. } => ("unknown", Some(reason)),
            Refunded::Refused { reason, .. } => ("refused", Some(reason)),
        };
        Self { name, reason: reason.cloned() }
    }
}

/// A bounded set of labels, whatever a server may send.
fn throttle_label(reason: &str) -> &'static str {
    const KNOWN: [&str; 8] = [
        "global-rate",
        "endpoint-rate",
        "global-concurrency",
        "endpoint-concurrency",
        "resource-specific",
        "lock_timeout",
        "idempotency_key_in_use",
        "rate_limit",
    ];
    KNOWN.into_iter().find(|known| *known == reason).unwrap_or("other")
}

#[cfg(test)]
mod tests;
