//! Objects as Stripe answers them: every field of API version [`API_VERSION`], the unused ones null.
//!
//! Strict clients refuse an object that lacks a field, and typed ones refuse one that invents it, so these lists are
//! checked against Stripe's own types (`tests/sdk/types`). Optional fields that Stripe omits are omitted here too.

mod session;

use serde_json::{Map, Value, json};

use crate::{
    failure::doc_url,
    model::{
        Billing, Card, Charge, ChargeResult, ConfirmationToken, Customer, Event, Metadata, PaymentError, PaymentIntent,
        PaymentMethod, Refund, Snapshot, Status, Token, WebhookEndpoint,
    },
};

/// The API version that every answer follows, whatever version a request names.
pub(crate) const API_VERSION: &str = "2026-09-30.endive";

/// Something that can be answered. `base` is the sandbox's own origin, for the links in an answer.
pub(crate) trait Render {
    fn render(&self, base: &str) -> Value;
}

fn address(address: &Metadata) -> Value {
    let field = |name: &str| address.get(name);
    json!({
        "city": field("city"), "country": field("country"), "line1": field("line1"), "line2": field("line2"),
        "postal_code": field("postal_code"), "state": field("state"),
    })
}

fn billing_details(billing: &Billing) -> Value {
    json!({
        "address": address(&billing.address), "email": billing.email, "name": billing.name,
        "phone": billing.phone, "tax_id": null,
    })
}

fn checks(card: &Card) -> Value {
    let cvc = match (card.cvc_given, card.test.as_str()) {
        (false, _) => Value::Null,
        (true, "cvcCheckFail" | "chargeDeclinedIncorrectCvc") => json!("fail"),
        (true, _) => json!("pass"),
    };
    json!({
        "address_line1_check": null,
        "address_postal_code_check": card.postal_code.as_ref().map(|_| "pass"),
        "cvc_check": cvc,
    })
}

/// The `card` of a PaymentMethod.
fn method_card(card: &Card) -> Value {
    let test = card.test_card();
    json!({
        "brand": test.brand, "checks": checks(card), "country": "US", "display_brand": test.brand,
        "exp_month": card.exp_month, "exp_year": card.exp_year, "fingerprint": test.fingerprint(),
        "funding": test.funding, "generated_from": null, "last4": test.last4(),
        "networks": {"available": [test.network()], "preferred": null}, "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": true}, "wallet": null,
    })
}

/// The card itself, as the older calls show it.
fn legacy_card(card: &Card) -> Value {
    let test = card.test_card();
    let checks = checks(card);
    json!({
        "id": card.id, "object": "card", "address_city": null, "address_country": null, "address_line1": null,
        "address_line1_check": null, "address_line2": null, "address_state": null, "address_zip": card.postal_code,
        "address_zip_check": checks["address_postal_code_check"], "brand": legacy_brand(test.brand), "country": "US",
        "cvc_check": checks["cvc_check"], "dynamic_last4": null, "exp_month": card.exp_month,
        "exp_year": card.exp_year, "fingerprint": test.fingerprint(), "funding": test.funding,
        "last4": test.last4(), "metadata": {}, "name": card.name, "regulated_status": "unregulated",
        "tokenization_method": null,
    })
}

/// The older calls write brands as people do.
fn legacy_brand(brand: &str) -> &str {
    match brand {
        "visa" => "Visa",
        "mastercard" => "MasterCard",
        "amex" => "American Express",
        "discover" => "Discover",
        "diners" => "Diners Club",
        "jcb" => "JCB",
        "unionpay" => "UnionPay",
        other => other,
    }
}

impl Render for Token {
    fn render(&self, _: &str) -> Value {
        let mut card = legacy_card(&self.card);
        if let Some(fields) = card.as_object_mut() {
            fields.insert("networks".into(), json!({"preferred": null}));
        }
        json!({
            "id": self.id, "object": "token", "card": card, "client_ip": "127.0.0.1", "created": self.created,
            "livemode": false, "type": "card", "used": self.used,
        })
    }
}

impl Render for PaymentMethod {
    fn render(&self, _: &str) -> Value {
        json!({
            "id": self.id, "object": "payment_method", "allow_redisplay": "unspecified",
            "billing_details": billing_details(&self.billing), "card": method_card(&self.card),
            "created": self.created, "customer": self.customer, "customer_account": null, "livemode": false,
            "metadata": self.metadata, "type": "card",
        })
    }
}

impl Render for ConfirmationToken {
    fn render(&self, _: &str) -> Value {
        const HOURS_12: i64 = 12 * 60 * 60;
        json!({
            "id": self.id, "object": "confirmation_token", "created": self.created,
            "expires_at": self.created + HOURS_12, "livemode": false, "mandate_data": null, "metadata": null,
            "payment_intent": self.payment_intent, "payment_method_options": {"card": {"cvc_token": null}},
            "payment_method_preview": {
                "allow_redisplay": "unspecified", "billing_details": billing_details(&self.billing),
                "card": method_card(&self.card), "customer": null, "customer_account": null, "type": "card",
            },
            "return_url": self.return_url, "setup_future_usage": self.setup_future_usage, "setup_intent": null,
            "shipping": null, "use_stripe_sdk": true,
        })
    }
}

impl Render for PaymentError {
    fn render(&self, base: &str) -> Value {
        let mut fields = Map::new();
        let optional = [
            ("advice_code", &self.advice_code),
            ("charge", &self.charge),
            ("decline_code", &self.decline_code),
            ("network_decline_code", &self.network_decline_code),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                fields.insert(name.into(), json!(value));
            }
        }
        fields.insert("code".into(), json!(self.code));
        fields.insert("doc_url".into(), json!(doc_url(&self.code)));
        fields.insert("message".into(), json!(self.message));
        fields.insert("payment_method".into(), self.payment_method.render(base));
        fields.insert("type".into(), json!(self.kind));
        Value::Object(fields)
    }
}

impl PaymentIntent {
    /// Where the payer passes or fails the 3-D Secure challenge.
    pub(crate) fn challenge_url(&self, base: &str) -> String {
        // With its card, so that a challenge is over as soon as another card is tried.
        let card = self.payment_method.as_deref().unwrap_or_default();
        format!("{base}/_sandbox/3ds/{}?client_secret={}&card={card}", self.id, self.client_secret)
    }

    fn next_action(&self, base: &str) -> Value {
        if self.status != Status::RequiresAction {
            return Value::Null;
        }
        let challenge = self.challenge_url(base);
        match &self.return_url {
            Some(url) => json!({
                "type": "redirect_to_url", "redirect_to_url": {"url": challenge, "return_url": url},
            }),
            None => json!({
                "type": "use_stripe_sdk",
                "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": challenge, "source": self.id.replacen("pi_", "src_", 1)},
            }),
        }
    }
}

impl Render for PaymentIntent {
    fn render(&self, base: &str) -> Value {
        let automatic = self.automatic.as_ref().map(|redirects| json!({"allow_redirects": redirects, "enabled": true}));
        json!({
            "id": self.id, "object": "payment_intent", "allowed_payment_method_types": self.allowed_payment_method_types, "amount": self.amount,
            "amount_capturable": self.amount_capturable, "amount_details": {"tip": {}},
            "amount_received": self.amount_received, "application": null, "application_fee_amount": null,
            "automatic_payment_methods": automatic, "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason, "capture_method": self.capture_method,
            "client_secret": self.client_secret, "confirmation_method": self.confirmation_method,
            "created": self.created, "currency": self.currency, "customer": self.customer,
            "customer_account": null, "description": self.description, "excluded_payment_method_types": null,
            "last_payment_error": self.last_error.as_ref().map(|error| error.render(base)),
            "latest_charge": self.latest_charge, "livemode": false, "managed_payments": null, "metadata": self.metadata,
            "next_action": self.next_action(base), "on_behalf_of": null, "payment_method": self.payment_method,
            "payment_method_configuration_details": null,
            "payment_method_options": {"card": {
                "installments": null, "mandate_options": null, "network": null,
                "request_three_d_secure": self.request_three_d_secure,
            }},
            "payment_method_types": self.payment_method_types, "payment_record": null, "processing": null,
            "receipt_email": self.receipt_email, "review": null, "setup_future_usage": self.setup_future_usage,
            "shipping": self.shipping, "source": null, "statement_descriptor": self.statement_descriptor,
            "statement_descriptor_suffix": self.statement_descriptor_suffix, "status": self.status.word(),
            "transfer_data": null, "transfer_group": self.transfer_group,
        })
    }
}

fn outcome(result: &ChargeResult) -> Value {
    match result {
        ChargeResult::Succeeded { risk_level } => json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": "approved_by_network",
            "reason": if risk_level == "normal" { Value::Null } else { json!("elevated_risk_level") },
            "risk_level": risk_level, "risk_score": if risk_level == "normal" { 12 } else { 68 },
            "seller_message": "Payment complete.", "type": "authorized",
        }),
        ChargeResult::Failed { decline_code, advice, network_code, blocked, .. } => json!({
            "advice_code": advice, "network_advice_code": null, "network_decline_code": network_code,
            "network_status": if *blocked { "not_sent_to_network" } else { "declined_by_network" },
            "reason": if *blocked { "highest_risk_level" } else { decline_code.as_str() },
            "risk_level": if *blocked { "highest" } else { "normal" }, "risk_score": if *blocked { 92 } else { 23 },
            "seller_message": if *blocked { "Stripe blocked this payment as too risky." } else { "The bank declined the payment." },
            "type": if *blocked { "blocked" } else { "issuer_declined" },
        }),
    }
}

impl Charge {
    /// The `payment_method_details` of a card charge.
    fn card_details(&self) -> Value {
        let card = &self.payment_method.card;
        let test = card.test_card();
        let authentication = self.authenticated.then(|| {
            json!({
                "authentication_flow": "challenge", "electronic_commerce_indicator": "05", "exemption_indicator": null,
                "result": "authenticated", "result_reason": null, "transaction_id": self.id.replacen("ch_", "3ds_", 1),
                "version": "2.2.0",
            })
        });
        json!({
            "card": {
                "amount_authorized": self.succeeded().then_some(self.amount),
                "authorization_code": self.succeeded().then_some("123456"), "brand": test.brand,
                "checks": checks(card), "country": "US",
                "electronic_commerce_indicator": self.authenticated.then_some("05"),
                "exp_month": card.exp_month, "exp_year": card.exp_year,
                "extended_authorization": {"status": "disabled"}, "fingerprint": test.fingerprint(),
                "funding": test.funding, "incremental_authorization": {"status": "unavailable"},
                "installments": null, "last4": test.last4(), "mandate": null,
                "multicapture": {"status": "unavailable"}, "network": test.network(),
                "network_token": {"used": false}, "network_transaction_id": null,
                "overcapture": {"maximum_amount_capturable": self.amount, "status": "unavailable"},
                "regulated_status": "unregulated", "three_d_secure": authentication, "transaction_link_id": null,
                "wallet": null,
            },
            "type": "card",
        })
    }
}

impl Render for Charge {
    fn render(&self, base: &str) -> Value {
        let (failure_code, failure_message) = match &self.result {
            ChargeResult::Succeeded { .. } => (None, None),
            ChargeResult::Failed { code, message, .. } => (Some(code), Some(message)),
        };
        let method = &self.payment_method;
        json!({
            "id": self.id, "object": "charge", "amount": self.amount, "amount_captured": self.amount_captured,
            "amount_refunded": self.amount_refunded, "application": null, "application_fee": null,
            "application_fee_amount": null,
            "balance_transaction": self.captured.then(|| self.id.replacen("ch_", "txn_", 1)),
            "billing_details": billing_details(&method.billing),
            "calculated_statement_descriptor": self.succeeded().then_some("STAMPEDE SANDBOX"),
            "captured": self.captured, "created": self.created, "currency": self.currency, "customer": self.customer,
            "description": self.description, "disputed": self.disputed, "failure_balance_transaction": null,
            "failure_code": failure_code, "failure_message": failure_message, "fraud_details": {}, "livemode": false,
            "metadata": self.metadata, "on_behalf_of": null, "outcome": outcome(&self.result),
            "paid": self.succeeded(), "payment_intent": self.payment_intent,
            "payment_method": if method.legacy { &method.card.id } else { &method.id },
            "payment_method_details": self.card_details(), "radar_options": {}, "receipt_email": self.receipt_email,
            "receipt_number": null,
            "receipt_url": self.succeeded().then(|| format!("{base}/_sandbox/receipts/{}", self.id)),
            "refunded": self.refunded(), "review": null, "shipping": self.shipping,
            "source": method.legacy.then(|| legacy_card(&method.card)), "source_transfer": null,
            "statement_descriptor": self.statement_descriptor,
            "statement_descriptor_suffix": self.statement_descriptor_suffix,
            "status": if self.succeeded() { "succeeded" } else { "failed" }, "transfer_data": null,
            "transfer_group": self.transfer_group,
        })
    }
}

impl Render for Customer {
    fn render(&self, _: &str) -> Value {
        json!({
            "id": self.id, "object": "customer",
            "address": if self.address.is_empty() { Value::Null } else { address(&self.address) },
            "balance": 0, "created": self.created, "currency": null, "customer_account": null,
            "default_source": null, "delinquent": false, "description": self.description, "discount": null,
            "email": self.email, "invoice_prefix": self.invoice_prefix,
            "invoice_settings": {
                "custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null,
            },
            "livemode": false, "metadata": self.metadata, "name": self.name, "next_invoice_sequence": 1,
            "phone": self.phone, "preferred_locales": [], "shipping": null, "tax_exempt": "none", "test_clock": null,
        })
    }
}

impl Render for Refund {
    fn render(&self, _: &str) -> Value {
        let mut refund = json!({
            "id": self.id, "object": "refund", "amount": self.amount,
            "balance_transaction": (self.status == "succeeded").then(|| self.id.replacen("re_", "txn_", 1)),
            "charge": self.charge, "created": self.created, "currency": self.currency, "customer": null,
            "customer_account": null,
            "destination_details": {
                "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
                "type": "card",
            },
            "metadata": self.metadata, "payment_intent": self.payment_intent, "payment_method": null,
            "reason": self.reason, "receipt_number": null, "source_transfer_reversal": null, "status": self.status,
            "transfer_reversal": null,
        });
        let extra = [
            ("failure_reason", self.failure_reason.as_deref()),
            ("pending_reason", (self.status == "pending").then_some("processing")),
        ];
        if let Some(fields) = refund.as_object_mut() {
            for (name, value) in extra {
                if let Some(value) = value {
                    fields.insert(name.into(), json!(value));
                }
            }
        }
        refund
    }
}

impl Render for Snapshot {
    fn render(&self, base: &str) -> Value {
        match self {
            Self::PaymentIntent(intent) => intent.render(base),
            Self::Charge(charge) => charge.render(base),
            Self::Refund(refund) => refund.render(base),
            Self::Customer(customer) => customer.render(base),
            Self::Dispute(dispute) => dispute.render(base),
            Self::CheckoutSession(session) => session.render(base),
        }
    }
}

impl Render for Event {
    fn render(&self, base: &str) -> Value {
        json!({
            "id": self.id, "object": "event", "api_version": API_VERSION, "created": self.created,
            "data": {"object": self.object.render(base)}, "livemode": false, "pending_webhooks": self.pending,
            "request": {"id": self.request, "idempotency_key": self.idempotency_key}, "type": self.kind,
        })
    }
}

impl Render for WebhookEndpoint {
    /// Without its secret, which Stripe shows once, in the answer that creates the endpoint.
    fn render(&self, _: &str) -> Value {
        json!({
            "id": self.id, "object": "webhook_endpoint", "api_version": self.api_version, "application": null,
            "created": self.created, "description": self.description, "enabled_events": self.enabled_events,
            "livemode": false, "metadata": self.metadata, "status": "enabled", "url": self.url,
        })
    }
}
