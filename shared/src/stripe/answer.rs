//! What a reply means: "yes", "no", "not now", or "nobody knows".
//!
//! | reply | meaning |
//! | --- | --- |
//! | 2xx with a PaymentIntent | its state |
//! | `card_error`, or 402 with any error object | the card was declined |
//! | 429; 409 | not executed: throttled, or another request holds the key or the object |
//! | 400 `idempotency_error` | the key was used with other parameters |
//! | 400, 404 about the payment token | the shopper's card details are used up or not ours: declined, another card may work |
//! | other 4xx with an error object | refused; 401 and 403 are our configuration |
//! | 5xx, no reply, anything unreadable | nobody knows |
//!
//! Codes and statuses: <https://docs.stripe.com/api/errors>, <https://docs.stripe.com/rate-limits>.
//! A page from a proxy is never a "no": only Stripe's own error object is.

use std::time::Duration;

use serde_json::Value;

use super::http::{NoReply, Reply};
use super::intent::{Intent, text};
use super::session::Session;
use super::{Answer, ListedRefund, NotRead, Refunded, Refusal};
use crate::budget::Throttle;
use crate::decline::{Decline, DeclineClass};

/// Stripe's error object, as far as anything depends on it.
#[derive(Debug, Default)]
struct StripeError {
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    advice_code: Option<String>,
    param: Option<String>,
    payment_intent: Option<String>,
}

/// Everything a reply can be but a 2xx.
enum No {
    Declined { payment_intent: Option<String>, decline: Decline },
    Throttled { reason: String, after: Option<Duration>, in_flight: bool },
    Unknown { reason: String, replayed: bool },
    Refused { reason: String, kind: Refusal, code: Option<String> },
}

/// The code with which Stripe refuses to confirm or cancel a PaymentIntent that is past that.
const UNEXPECTED_STATE: &str = "payment_intent_unexpected_state";

/// The parameters that carry what the shopper's page gave us.
const TOKEN_PARAMS: [&str; 4] =
    ["confirmation_token", "payment_method", "payment_method_data[card]", "payment_method_data[card][token]"];

/// The answer to a request whose 2xx is a PaymentIntent.
pub(super) fn of_intent(heard: &Result<Reply, NoReply>) -> Answer {
    of(heard, "a 2xx without a PaymentIntent", |reply| Some(Intent::read(&reply.body)?.answer(reply.replayed)))
}

/// The answer to a request whose 2xx is a Checkout Session.
pub(super) fn of_session(heard: &Result<Reply, NoReply>) -> Answer {
    of(heard, "a 2xx without a Checkout Session", |reply| Some(Session::read(&reply.body)?.answer(reply.replayed)))
}

fn of(heard: &Result<Reply, NoReply>, unreadable: &str, read: fn(&Reply) -> Option<Answer>) -> Answer {
    match verdict(heard) {
        Ok(reply) => {
            read(reply).unwrap_or_else(|| Answer::Unknown { reason: reply.named(unreadable), replayed: reply.replayed })
        }
        Err(No::Declined { payment_intent, decline }) => Answer::Declined { payment_intent, decline },
        Err(No::Throttled { reason, after, in_flight }) => Answer::Throttled { reason, after, in_flight },
        Err(No::Unknown { reason, replayed }) => Answer::Unknown { reason, replayed },
        Err(No::Refused { reason, kind, .. }) => Answer::Refused { reason, kind },
    }
}

/// True when Stripe refused because the PaymentIntent has moved on: reading it tells more than the refusal does.
pub(super) fn is_past_that(heard: &Result<Reply, NoReply>) -> bool {
    matches!(verdict(heard), Err(No::Refused { code: Some(code), .. }) if code == UNEXPECTED_STATE)
}

/// What is to be asked less often, if Stripe has refused for that.
pub(super) fn throttle(heard: &Result<Reply, NoReply>) -> Option<Throttle> {
    match verdict(heard) {
        Err(No::Throttled { reason, in_flight, .. }) if heard.is_ok() => Some(Throttle::of(&reason, in_flight)),
        _ => None,
    }
}

/// The answer to a refund.
pub(super) fn of_refund(heard: &Result<Reply, NoReply>) -> Refunded {
    match verdict(heard) {
        Ok(reply) => refund(reply).unwrap_or_else(|| Refunded::Unknown {
            reason: reply.named("a 2xx without a refund"),
            replayed: reply.replayed,
        }),
        Err(No::Declined { decline, .. }) if decline.raw.as_deref().is_some_and(says_no_balance) => {
            Refunded::NoBalance { reason: decline.raw.unwrap_or_default() }
        }
        Err(No::Refused { code: Some(code), reason, .. }) if says_no_balance(&code) => Refunded::NoBalance { reason },
        Err(No::Declined { decline, .. }) => {
            Refunded::Refused { reason: decline.raw.unwrap_or_default(), kind: Refusal::Request }
        }
        Err(No::Throttled { reason, after, in_flight }) => Refunded::Throttled { reason, after, in_flight },
        Err(No::Unknown { reason, replayed }) => Refunded::Unknown { reason, replayed },
        Err(No::Refused { code: Some(code), .. }) if code == "charge_already_refunded" => Refunded::Already,
        Err(No::Refused { reason, kind, .. }) => Refunded::Refused { reason, kind },
    }
}

/// Whether Stripe has not enough of our money to give any back: <https://docs.stripe.com/error-codes>
fn says_no_balance(words: &str) -> bool {
    ["balance_insufficient", "insufficient_funds"].into_iter().any(|code| words.split('/').next() == Some(code))
}

/// A refund has few fields, and three of them matter: it is read leniently at once.
fn refund(reply: &Reply) -> Option<Refunded> {
    refund_of(&serde_json::from_slice(&reply.body).ok()?)
}

fn refund_of(value: &Value) -> Option<Refunded> {
    let refund = refund_id(value)?;
    let amount = value.get("amount")?.as_i64()?;
    let status = text(value, "status")?;
    match status.as_str() {
        "succeeded" => Some(Refunded::Succeeded { refund, amount }),
        "pending" | "requires_action" => Some(Refunded::Pending { refund, amount }),
        "failed" | "canceled" => {
            let reason = text(value, "failure_reason").unwrap_or(status);
            Some(Refunded::Failed { refund, reason })
        }
        _ => None,
    }
}

fn refund_id(value: &Value) -> Option<String> {
    text(value, "id").filter(|id| id.starts_with("re_") || id.starts_with("pyr_"))
}

fn listed_refund(value: &Value) -> Option<ListedRefund> {
    let name = value.get("metadata").and_then(|metadata| text(metadata, "refund"));
    Some(ListedRefund {
        stands: refund_of(value)?,
        id: refund_id(value)?,
        name: name.and_then(|name| name.parse().ok()),
        amount: value.get("amount")?.as_i64()?,
        currency: text(value, "currency")?,
    })
}

/// One page of a list and whether more follow, or why it cannot be read.
pub(super) type Page<T> = Result<(Vec<T>, bool), String>;

/// One page of PaymentIntents.
pub(super) fn of_page(heard: &Result<Reply, NoReply>) -> Page<Intent> {
    page(heard, Intent::lenient)
}

/// One page of Checkout Sessions.
pub(super) fn of_sessions(heard: &Result<Reply, NoReply>) -> Page<Session> {
    page(heard, Session::of)
}

/// One page of refunds.
pub(super) fn of_refunds(heard: &Result<Reply, NoReply>) -> Page<ListedRefund> {
    page(heard, listed_refund)
}

/// The body of a list.
pub(super) fn of_list(heard: &Result<Reply, NoReply>) -> Result<&[u8], NotRead> {
    let (reason, after, refused) = match verdict(heard) {
        Ok(reply) => return Ok(&reply.body),
        Err(No::Declined { .. }) => ("a decline instead of a list".to_owned(), None, false),
        Err(No::Throttled { reason, after, .. }) => (reason, after, false),
        Err(No::Unknown { reason, .. }) => (reason, None, false),
        Err(No::Refused { reason, kind, .. }) => (reason, None, kind == Refusal::Request),
    };
    Err(NotRead { reason, after, refused })
}

/// All or nothing: an entry that cannot be read might be the one that is looked for.
fn page<T>(heard: &Result<Reply, NoReply>, entry: fn(&Value) -> Option<T>) -> Page<T> {
    let read = |body: &[u8]| {
        let value: Value = serde_json::from_slice(body).ok()?;
        let more = value.get("has_more")?.as_bool()?;
        let entries = value.get("data")?.as_array()?.iter().map(entry).collect::<Option<Vec<_>>>()?;
        Some((entries, more))
    };
    match verdict(heard) {
        Ok(reply) => read(&reply.body).ok_or_else(|| reply.named("a list that cannot be read")),
        Err(No::Declined { .. }) => Err("a decline instead of a list".to_owned()),
        Err(No::Throttled { reason, .. } | No::Unknown { reason, .. } | No::Refused { reason, .. }) => Err(reason),
    }
}

fn verdict(heard: &Result<Reply, NoReply>) -> Result<&Reply, No> {
    let reply = match heard {
        Ok(reply) => reply,
        Err(NoReply::Lost(reason)) => return Err(No::Unknown { reason: reason.clone(), replayed: false }),
        Err(NoReply::OutOfTurn(wait)) => {
            return Err(No::Throttled { reason: "budget".to_owned(), after: Some(*wait), in_flight: false });
        }
        Err(NoReply::NotSent(reason)) => {
            return Err(No::Refused { reason: reason.clone(), kind: Refusal::Request, code: None });
        }
    };
    // What went well is told by another object, which need not be looked through for an error.
    if (200..=299).contains(&reply.status) {
        return Ok(reply);
    }
    match (reply.status, StripeError::read(&reply.body)) {
        (429, error) => Err(throttled(reply, &error.unwrap_or_default())),
        (409, Some(error)) => Err(No::Throttled {
            reason: error.code.unwrap_or_else(|| "conflict".to_owned()),
            after: reply.retry_after,
            in_flight: true,
        }),
        (status @ 400..=499, Some(error)) if status != 408 && status != 424 => Err(no(reply, error)),
        _ => Err(No::Unknown { reason: reply.named("no usable answer"), replayed: reply.replayed }),
    }
}

fn throttled(reply: &Reply, error: &StripeError) -> No {
    let in_flight = error.code.as_deref() == Some("lock_timeout");
    let named = if in_flight { None } else { reply.rate_reason.clone() };
    let reason = named.or_else(|| error.code.clone()).unwrap_or_else(|| "rate_limit".to_owned());
    No::Throttled { reason, after: reply.retry_after, in_flight }
}

/// A 4xx of Stripe's own, 409 and 429 apart.
fn no(reply: &Reply, error: StripeError) -> No {
    let kind = error.kind.as_deref();
    if kind == Some("card_error") || reply.status == 402 {
        return No::Declined { payment_intent: error.payment_intent.clone(), decline: error.decline() };
    }
    if kind == Some("idempotency_error") {
        return error.refused(reply, Refusal::Idempotency);
    }
    if matches!(reply.status, 401 | 403) {
        return error.refused(reply, Refusal::Configuration);
    }
    if error.blames_the_token() {
        let decline = Decline { class: DeclineClass::TryAnotherCard, ..error.decline() };
        return No::Declined { payment_intent: error.payment_intent, decline };
    }
    error.refused(reply, Refusal::Request)
}

impl StripeError {
    fn read(body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let error = value.get("error").filter(|error| error.is_object())?;
        let word = |key: &str| text(error, key).filter(|word| is_machine_word(word));
        Some(Self {
            kind: word("type"),
            code: word("code"),
            decline_code: word("decline_code"),
            advice_code: word("advice_code"),
            param: word("param"),
            payment_intent: error.get("payment_intent").and_then(|intent| text(intent, "id")),
        })
    }

    fn decline(&self) -> Decline {
        DeclineClass::of_stripe(self.code.as_deref(), self.decline_code.as_deref(), self.advice_code.as_deref())
    }

    /// A token that does not exist, belongs to another account or was used before is nothing that an operator could
    /// mend, and anybody can send one: such an order must end as declined instead of holding stock until a human comes.
    fn blames_the_token(&self) -> bool {
        let ours = matches!(self.code.as_deref(), Some("parameter_missing" | "parameter_unknown" | UNEXPECTED_STATE));
        let token_param = self.param.as_deref().is_some_and(|param| TOKEN_PARAMS.contains(&param));
        !ours && (token_param || self.code.as_deref() == Some("token_already_used"))
    }

    fn refused(self, reply: &Reply, kind: Refusal) -> No {
        let words = [self.kind.as_deref(), self.code.as_deref(), self.param.as_deref()];
        let words = words.map(|word| word.unwrap_or("-")).join("/");
        No::Refused { reason: reply.named(&words), kind, code: self.code }
    }
}

/// Stripe's codes and parameter names; whatever else is found in their place is not repeated.
fn is_machine_word(word: &str) -> bool {
    word.len() <= 80 && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-[].".contains(&b))
}
