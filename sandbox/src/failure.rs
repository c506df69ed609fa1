//! Errors in Stripe's shape, and the one place that says which of them an idempotency key remembers.
//!
//! Stripe saves a result once an endpoint has begun to execute, errors included; what was refused before that (a bad
//! key, a full budget, a malformed parameter, a key that is already in flight) is not saved and may be sent again
//! with the same key: <https://docs.stripe.com/api/idempotent_requests>.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::cards::Decline;

/// A refused request.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    /// `Stripe-Rate-Limited-Reason`.
    pub(crate) throttled: Option<&'static str>,
    /// Refused before execution: no idempotency key remembers it.
    before_execution: bool,
    told: Box<Told>,
}

/// What the caller is told.
#[derive(Debug)]
struct Told {
    kind: &'static str,
    code: Option<Cow<'static, str>>,
    message: Cow<'static, str>,
    param: Option<String>,
    /// Further fields of the error object: the declined charge, the PaymentIntent, the PaymentMethod.
    more: Map<String, Value>,
}

impl Failure {
    fn new(status: u16, kind: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let told = Told { kind, code: None, message: message.into(), param: None, more: Map::new() };
        Self { status, throttled: None, before_execution: false, told: Box::new(told) }
    }

    fn not_executed(mut self) -> Self {
        self.before_execution = true;
        self
    }

    /// 400, refused while the parameters are read.
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "invalid_request_error", message).not_executed()
    }

    /// 400, refused by the endpoint itself: the state of an object does not allow it.
    pub(crate) fn refused(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// 400 `payment_intent_unexpected_state`.
    pub(crate) fn unexpected_state(message: impl Into<Cow<'static, str>>) -> Self {
        Self::refused(message).code("payment_intent_unexpected_state")
    }

    /// 400 for a parameter that must be there.
    pub(crate) fn missing(param: &str) -> Self {
        Self::invalid(format!("Missing required param: {param}.")).code("parameter_missing").param(param)
    }

    /// 400 for a parameter that nobody knows.
    pub(crate) fn unknown_parameter(message: String, param: &str) -> Self {
        Self::invalid(message).code("parameter_unknown").param(param)
    }

    /// 404, or 400 when the object is named by a parameter rather than by the path.
    pub(crate) fn no_such(what: &str, id: &str, param: &str) -> Self {
        let status = if matches!(param, "id" | "intent" | "session") { 404 } else { 400 };
        Self::new(status, "invalid_request_error", format!("No such {what}: '{id}'"))
            .code("resource_missing")
            .param(param)
    }

    /// 404 for a path that is not part of the API.
    pub(crate) fn no_such_path(method: &str, path: &str) -> Self {
        Self::new(404, "invalid_request_error", format!("Unrecognized request URL ({method}: {path}).")).not_executed()
    }

    /// 401.
    pub(crate) fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(401, "invalid_request_error", message).not_executed()
    }

    /// 403: a publishable key where a secret one is needed.
    pub(crate) fn secret_key_required() -> Self {
        Self::new(403, "invalid_request_error", "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list of your API keys at https://dashboard.stripe.com/account/apikeys.")
            .code("secret_key_required")
            .not_executed()
    }

    /// 400: the key belongs to another request.
    pub(crate) fn other_parameters(key: &str) -> Self {
        Self::new(400, "idempotency_error", format!("Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{key}' if you meant to execute a different request."))
            .not_executed()
    }

    /// 409: the key's first request has not been answered yet.
    pub(crate) fn key_in_use(key: &str) -> Self {
        Self::new(409, "invalid_request_error", format!("There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): {key}. Please try again later."))
            .code("idempotency_key_in_use")
            .not_executed()
    }

    /// 429 by one of the reasons of `Stripe-Rate-Limited-Reason`.
    pub(crate) fn throttled(reason: &'static str) -> Self {
        let mut failure = Self::new(
            429,
            "invalid_request_error",
            "Request rate limit exceeded. Learn more about rate limits here https://docs.stripe.com/rate-limits.",
        )
        .code("rate_limit")
        .not_executed();
        failure.throttled = Some(reason);
        failure
    }

    /// 429: another request works on the same object.
    pub(crate) fn locked() -> Self {
        Self::new(429, "invalid_request_error", "This object cannot be accessed right now because another API request or Stripe process is currently accessing it. If you see this error intermittently, retry the request. If you see this error frequently and are making multiple concurrent requests to a single object, make your requests serially or at a lower rate.")
            .code("lock_timeout")
            .not_executed()
    }

    /// 500. Saved for the key, as Stripe does.
    pub(crate) fn internal() -> Self {
        Self::new(500, "api_error", "An unknown error occurred")
    }

    /// 402 for card details that are refused when a token is made of them.
    pub(crate) fn card(code: &'static str, message: &'static str, param: &'static str) -> Self {
        Self::new(402, "card_error", message).code(code).param(param)
    }

    /// 402 for a decline by the bank.
    pub(crate) fn declined(decline: &Decline) -> Self {
        let mut failure = Self::new(402, "card_error", decline.message).code(decline.code);
        failure.told.more = decline.fields();
        failure
    }

    pub(crate) fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.told.code = Some(code.into());
        self
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.told.param = Some(param.into());
        self
    }

    /// Adds a field to the error object.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.told.more.insert(name.to_owned(), value);
        self
    }

    /// Whether an idempotency key remembers this answer.
    pub(crate) fn is_remembered(&self) -> bool {
        !self.before_execution
    }

    /// The answer's body.
    pub(crate) fn body(&self, request: &str) -> Value {
        let mut error = self.told.more.clone();
        error.insert("type".into(), json!(self.told.kind));
        error.insert("message".into(), json!(self.told.message));
        error.insert("request_log_url".into(), json!(format!("https://dashboard.stripe.com/test/logs/{request}")));
        if let Some(code) = &self.told.code {
            error.insert("doc_url".into(), json!(doc_url(code)));
            error.insert("code".into(), json!(code));
        }
        if let Some(param) = &self.told.param {
            error.insert("param".into(), json!(param));
        }
        json!({ "error": error })
    }
}

/// Where Stripe explains an error code.
pub(crate) fn doc_url(code: &str) -> String {
    format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"))
}
