//! What the sandbox remembers of each object: only what can differ from one to the next.
//!
//! Stripe's objects have forty fields and more, nearly all of them null here; `render` adds those when an object is
//! answered. A row is immutable: a change makes a new one, so that events can share the old one as their snapshot.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cards::{self, TestCard};

pub(crate) type Metadata = BTreeMap<String, String>;

/// A card as it was typed in; which test card it is says everything else.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Card {
    /// `card_…`, for the older calls that show the card itself.
    pub(crate) id: String,
    /// The row's name in the table of test cards.
    pub(crate) test: String,
    pub(crate) exp_month: i64,
    pub(crate) exp_year: i64,
    pub(crate) cvc_given: bool,
    pub(crate) name: Option<String>,
    pub(crate) postal_code: Option<String>,
}

impl Card {
    /// Its row in the table of test cards; a row that was removed since falls back to the first one.
    pub(crate) fn test_card(&self) -> &'static TestCard {
        cards::by_name(&self.test).unwrap_or_else(cards::plain)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) card: Card,
    pub(crate) used: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Billing {
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) address: Metadata,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PaymentMethod {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) card: Card,
    pub(crate) billing: Billing,
    pub(crate) customer: Option<String>,
    pub(crate) metadata: Metadata,
    /// Made from a card of the older calls: shown as that card, not as a PaymentMethod.
    pub(crate) legacy: bool,
    /// It paid once without belonging to a customer; Stripe lets it pay no second time.
    pub(crate) spent: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ConfirmationToken {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) card: Card,
    pub(crate) billing: Billing,
    pub(crate) return_url: Option<String>,
    pub(crate) setup_future_usage: Option<String>,
    /// The PaymentIntent that it confirmed; it confirms only one.
    pub(crate) payment_intent: Option<String>,
}

/// <https://docs.stripe.com/payments/paymentintents/lifecycle>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    RequiresCapture,
    Succeeded,
    Canceled,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

/// Why the last confirmation failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PaymentError {
    /// `card_error` or `invalid_request_error`.
    pub(crate) kind: String,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) decline_code: Option<String>,
    pub(crate) advice_code: Option<String>,
    pub(crate) network_decline_code: Option<String>,
    pub(crate) charge: Option<String>,
    pub(crate) payment_method: Arc<PaymentMethod>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PaymentIntent {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) status: Status,
    pub(crate) client_secret: String,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) customer: Option<String>,
    pub(crate) payment_method: Option<String>,
    /// As given, if it was given.
    #[serde(default)]
    pub(crate) allowed_payment_method_types: Option<Vec<String>>,
    pub(crate) payment_method_types: Vec<String>,
    /// `allow_redirects`, when payment methods are chosen automatically.
    pub(crate) automatic: Option<String>,
    pub(crate) capture_method: String,
    pub(crate) confirmation_method: String,
    pub(crate) receipt_email: Option<String>,
    pub(crate) setup_future_usage: Option<String>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) statement_descriptor_suffix: Option<String>,
    pub(crate) shipping: Option<Value>,
    pub(crate) transfer_group: Option<String>,
    pub(crate) request_three_d_secure: String,
    /// Where a redirecting 3-D Secure challenge leads back to.
    pub(crate) return_url: Option<String>,
    pub(crate) latest_charge: Option<String>,
    pub(crate) last_error: Option<PaymentError>,
    pub(crate) amount_capturable: i64,
    pub(crate) amount_received: i64,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) cancellation_reason: Option<String>,
    /// The Checkout Session whose page made it; it is worked on under that Session's lock.
    #[serde(default)]
    pub(crate) checkout_session: Option<String>,
}

impl PaymentIntent {
    /// What is locked to work on it.
    pub(crate) fn lock(&self) -> String {
        self.checkout_session.as_ref().unwrap_or(&self.id).clone()
    }
}

/// How a charge ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ChargeResult {
    Succeeded {
        risk_level: String,
    },
    Failed {
        code: String,
        message: String,
        decline_code: String,
        advice: String,
        network_code: Option<String>,
        blocked: bool,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) amount: i64,
    pub(crate) amount_captured: i64,
    pub(crate) amount_refunded: i64,
    pub(crate) captured: bool,
    pub(crate) currency: String,
    pub(crate) result: ChargeResult,
    pub(crate) payment_intent: Option<String>,
    pub(crate) payment_method: Arc<PaymentMethod>,
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) receipt_email: Option<String>,
    pub(crate) shipping: Option<Value>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) statement_descriptor_suffix: Option<String>,
    pub(crate) transfer_group: Option<String>,
    /// The payer passed a 3-D Secure challenge.
    pub(crate) authenticated: bool,
    #[serde(default)]
    pub(crate) disputed: bool,
}

impl Charge {
    pub(crate) fn succeeded(&self) -> bool {
        matches!(self.result, ChargeResult::Succeeded { .. })
    }

    pub(crate) fn refunded(&self) -> bool {
        self.succeeded() && self.amount_captured > 0 && self.amount_refunded >= self.amount_captured
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) address: Metadata,
    pub(crate) metadata: Metadata,
    pub(crate) invoice_prefix: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) charge: String,
    pub(crate) payment_intent: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Metadata,
    /// `pending`, `succeeded` or `failed`.
    pub(crate) status: String,
    pub(crate) failure_reason: Option<String>,
    /// What becomes of it when it is settled, if that differs from what it is.
    pub(crate) settles_to: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) charge: String,
    pub(crate) payment_intent: Option<String>,
    /// `needs_response`, `won` or `lost`.
    pub(crate) status: String,
    pub(crate) brand: String,
}

/// Where a Checkout Session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionStatus {
    Open,
    Complete,
    Expired,
}

impl SessionStatus {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Expired => "expired",
        }
    }
}

/// What is bought on a Session's page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LineItem {
    pub(crate) id: String,
    pub(crate) price: String,
    pub(crate) product: String,
    pub(crate) name: String,
    pub(crate) unit_amount: i64,
    pub(crate) quantity: i64,
}

/// What a Session says of the PaymentIntent that its page will make.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct IntentData {
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) receipt_email: Option<String>,
    pub(crate) capture_method: Option<String>,
    pub(crate) setup_future_usage: Option<String>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) statement_descriptor_suffix: Option<String>,
    pub(crate) transfer_group: Option<String>,
}

/// <https://docs.stripe.com/api/checkout/sessions>
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CheckoutSession {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) expires_at: i64,
    pub(crate) status: SessionStatus,
    pub(crate) paid: bool,
    pub(crate) currency: String,
    pub(crate) line_items: Vec<LineItem>,
    pub(crate) client_reference_id: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) customer_email: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) intent: IntentData,
    /// Made when somebody first pays.
    pub(crate) payment_intent: Option<String>,
    pub(crate) allowed_payment_method_types: Option<Vec<String>>,
    pub(crate) adaptive_pricing: bool,
    pub(crate) request_three_d_secure: String,
    pub(crate) locale: Option<String>,
    pub(crate) submit_type: Option<String>,
    pub(crate) success_url: String,
    pub(crate) cancel_url: Option<String>,
    /// What the payer typed in.
    pub(crate) payer_email: Option<String>,
    pub(crate) payer_name: Option<String>,
}

impl CheckoutSession {
    pub(crate) fn amount(&self) -> i64 {
        self.line_items.iter().map(|item| item.unit_amount.saturating_mul(item.quantity)).sum()
    }

    /// Whether it can be paid at a time.
    pub(crate) fn is_open(&self, now: i64) -> bool {
        self.status == SessionStatus::Open && now < self.expires_at
    }

    /// The page on which it is paid.
    pub(crate) fn page(&self, base: &str) -> String {
        format!("{base}/c/pay/{}", self.id)
    }

    /// Where its page leads when it was paid.
    pub(crate) fn success(&self) -> String {
        self.success_url.replace("{CHECKOUT_SESSION_ID}", &self.id)
    }
}

/// What an event is about, as it was when the event happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Snapshot {
    PaymentIntent(Arc<PaymentIntent>),
    Charge(Arc<Charge>),
    Refund(Arc<Refund>),
    Customer(Arc<Customer>),
    Dispute(Arc<Dispute>),
    CheckoutSession(Arc<CheckoutSession>),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) kind: String,
    pub(crate) object: Snapshot,
    pub(crate) request: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    /// Endpoints that have not taken it yet.
    pub(crate) pending: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WebhookEndpoint {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) enabled_events: Vec<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) api_version: Option<String>,
}

impl WebhookEndpoint {
    /// Whether it asked for events of a type.
    pub(crate) fn wants(&self, kind: &str) -> bool {
        self.enabled_events.iter().any(|wanted| wanted == "*" || wanted == kind)
    }
}
