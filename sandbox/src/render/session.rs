//! A Checkout Session as Stripe answers it.

use serde_json::{Value, json};

use super::Render;
use crate::model::{CheckoutSession, LineItem, SessionStatus};

impl CheckoutSession {
    /// Its items, as the list that is answered when they are asked for.
    pub(crate) fn items(&self) -> Value {
        let data: Vec<Value> = self.line_items.iter().map(|item| self.item(item)).collect();
        let url = format!("/v1/checkout/sessions/{}/line_items", self.id);
        json!({"object": "list", "data": data, "has_more": false, "url": url})
    }

    fn item(&self, item: &LineItem) -> Value {
        let total = item.unit_amount.saturating_mul(item.quantity);
        json!({
            "id": item.id, "object": "item", "adjustable_quantity": null, "amount_discount": 0,
            "amount_subtotal": total, "amount_tax": 0, "amount_total": total, "currency": self.currency,
            "description": item.name, "metadata": {},
            "price": {
                "id": item.price, "object": "price", "active": false, "billing_scheme": "per_unit",
                "created": self.created, "currency": self.currency, "custom_unit_amount": null, "livemode": false,
                "lookup_key": null, "metadata": {}, "nickname": null, "product": item.product, "recurring": null,
                "tax_behavior": "unspecified", "tiers_mode": null, "transform_quantity": null, "type": "one_time",
                "unit_amount": item.unit_amount, "unit_amount_decimal": item.unit_amount.to_string(),
            },
            "quantity": item.quantity,
        })
    }

    fn payer(&self) -> Value {
        if self.payer_email.is_none() && self.customer_email.is_none() {
            return Value::Null;
        }
        json!({
            "address": null, "business_name": null, "email": self.payer_email.as_ref().or(self.customer_email.as_ref()),
            "individual_name": null, "name": self.payer_name, "phone": null,
            "tax_exempt": if self.payer_name.is_some() { json!("none") } else { Value::Null },
            "tax_ids": if self.payer_name.is_some() { json!([]) } else { Value::Null },
        })
    }
}

impl Render for CheckoutSession {
    /// Its address is shown while it can be paid there.
    fn render(&self, base: &str) -> Value {
        let amount = self.amount();
        json!({
            "id": self.id, "object": "checkout.session", "adaptive_pricing": {"enabled": self.adaptive_pricing},
            "after_expiration": null, "allow_promotion_codes": null,
            "allowed_payment_method_types": self.allowed_payment_method_types, "amount_subtotal": amount,
            "amount_total": amount, "automatic_tax": {"enabled": false, "liability": null, "provider": null, "status": null},
            "billing_address_collection": null, "cancel_url": self.cancel_url,
            "client_reference_id": self.client_reference_id, "client_secret": null,
            "collected_information": {"business_name": null, "individual_name": null, "shipping_details": null},
            "consent": null, "consent_collection": null, "created": self.created, "currency": self.currency,
            "currency_conversion": null, "custom_fields": [],
            "custom_text": {
                "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null,
            },
            "customer": self.customer, "customer_account": null,
            "customer_creation": if self.customer.is_some() { Value::Null } else { json!("if_required") },
            "customer_details": self.payer(), "customer_email": self.customer_email, "discounts": [],
            "expires_at": self.expires_at, "integration_identifier": null, "invoice": null,
            "invoice_creation": {
                "enabled": false,
                "invoice_data": {
                    "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null,
                    "issuer": null, "metadata": {}, "rendering_options": null,
                },
            },
            "livemode": false, "locale": self.locale, "managed_payments": null, "metadata": self.metadata,
            "mode": "payment", "origin_context": null, "payment_intent": self.payment_intent, "payment_link": null,
            "payment_method_collection": "if_required", "payment_method_configuration_details": null,
            "payment_method_options": {"card": {"request_three_d_secure": self.request_three_d_secure}},
            "payment_method_types": ["card"], "payment_status": if self.paid { "paid" } else { "unpaid" },
            "permissions": null, "phone_number_collection": {"enabled": false}, "recovered_from": null,
            "saved_payment_method_options": null, "setup_intent": null, "shipping_address_collection": null,
            "shipping_cost": null, "shipping_options": [], "status": self.status.word(),
            "submit_type": self.submit_type, "subscription": null, "success_url": self.success_url,
            "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
            "ui_mode": "hosted_page", "url": (self.status == SessionStatus::Open).then(|| self.page(base)),
            "wallet_options": null,
        })
    }
}
