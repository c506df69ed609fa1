//! What is answered to a charge.

use bytes::Bytes;

use super::form::{Form, quoted};
use super::ids::{Ids, seconds_now};

const CARD: &str = r#"{"brand": "visa", "checks": {"address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass"}, "country": "US", "exp_month": 12, "exp_year": 2030, "fingerprint": "Xt5EWLLDS7FJjR1c", "funding": "credit", "last4": "4242"}"#;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Charge,
    Intent,
    /// Of this PaymentIntent.
    Confirm(String),
}

/// An answer, and what it did.
pub(super) struct Made {
    pub(super) status: u16,
    pub(super) body: Bytes,
    pub(super) effect: Effect,
    /// The PaymentIntent that whoever asks for it finds from now on, and its id.
    pub(super) intent: Option<(String, Bytes)>,
}

/// What an answer did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    Declined,
    /// Money was taken, for this order or shopper if the request names one.
    Charged(Option<String>),
}

/// Stripe's form of an error.
pub(super) fn error(kind: &str, code: Option<&str>, message: &str, more: &str) -> Bytes {
    let code = code.map(|code| format!("\"code\": {}, ", quoted(code))).unwrap_or_default();
    let (kind, message) = (quoted(kind), quoted(message));
    Bytes::from(format!("{{\"error\": {{{code}{more}\"message\": {message}, \"type\": {kind}}}}}\n"))
}

fn refused(code: Option<&str>, parameter: &str, message: &str) -> Made {
    let more = format!("\"param\": {}, ", quoted(parameter));
    let body = error("invalid_request_error", code, message, &more);
    Made { status: 400, body, effect: Effect::Nothing, intent: None }
}

/// Answers a request.
pub(super) fn make(ids: &Ids, asked: &Asked, form: &Form) -> Made {
    if let Some(refused) = missing(asked, form) {
        return refused;
    }
    let method = match asked {
        Asked::Charge => form.first(&["source", "customer", "card"]),
        _ => form.first(&["payment_method", "payment_method_data[card][token]"]),
    };
    let confirmed = *asked != Asked::Intent || form.get("confirm") == Some("true");
    if *asked == Asked::Charge && method.is_none() {
        return refused(None, "source", "Must provide source or customer.");
    }
    let charge = ids.make("ch_");
    let id = match asked {
        Asked::Charge => None,
        Asked::Intent => Some(ids.make("pi_")),
        Asked::Confirm(id) => Some(id.clone()),
    };
    if confirmed && method.is_some_and(|method| method.contains("chargeDeclined")) {
        // As at Stripe, a PaymentIntent that was declined has lost its payment method, and comes with the refusal.
        let intent = id.map(|id| (intent_body(ids, form, &id, None, None), id));
        let with_it = intent.as_ref().map(|(body, _)| format!("\"payment_intent\": {body}, ")).unwrap_or_default();
        let more = format!("\"charge\": \"{charge}\", \"decline_code\": \"generic_decline\", {with_it}");
        let body = error("card_error", Some("card_declined"), "Your card was declined.", &more);
        let intent = intent.map(|(body, id)| (id, Bytes::from(body)));
        return Made { status: 402, body, effect: Effect::Declined, intent };
    }
    let body = Bytes::from(match &id {
        None => charge_body(ids, form, &charge),
        Some(id) => intent_body(ids, form, id, method, confirmed.then_some(charge.as_str())),
    });
    let of = form.first(&["metadata[uuid]", "metadata[order_id]", "metadata[order]"]).map(str::to_owned);
    let effect = if confirmed { Effect::Charged(of) } else { Effect::Nothing };
    Made { status: 200, intent: id.map(|id| (id, body.clone())), body, effect }
}

fn missing(asked: &Asked, form: &Form) -> Option<Made> {
    if matches!(asked, Asked::Confirm(_)) {
        return None;
    }
    let missing = |name: &str| refused(Some("parameter_missing"), name, &format!("Missing required param: {name}."));
    match form.get("amount").map(str::parse::<u64>) {
        Some(Ok(0)) => Some(refused(None, "amount", "This value must be greater than or equal to 1.")),
        Some(Ok(_)) => form.get("currency").is_none().then(|| missing("currency")),
        _ => Some(missing("amount")),
    }
}

fn charge_body(ids: &Ids, form: &Form, charge: &str) -> String {
    let (amount, created) = (form.get("amount").unwrap_or("0"), seconds_now());
    let currency = quoted(&form.get("currency").unwrap_or("usd").to_ascii_lowercase());
    let description = form.get("description").map_or_else(|| "null".to_owned(), quoted);
    let (metadata, transaction, card) = (form.metadata(), ids.make("txn_"), ids.make("card_"));
    format!(
        r#"{{"id": "{charge}", "object": "charge", "amount": {amount}, "amount_captured": {amount}, "amount_refunded": 0, "application": null, "balance_transaction": "{transaction}", "billing_details": {{"address": {{"city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null}}, "email": null, "name": null, "phone": null}}, "captured": true, "created": {created}, "currency": {currency}, "customer": null, "description": {description}, "disputed": false, "failure_code": null, "failure_message": null, "fraud_details": {{}}, "livemode": false, "metadata": {metadata}, "outcome": {{"network_status": "approved_by_network", "reason": null, "risk_level": "normal", "risk_score": 14, "seller_message": "Payment complete.", "type": "authorized"}}, "paid": true, "payment_intent": null, "payment_method": "{card}", "payment_method_details": {{"card": {CARD}, "type": "card"}}, "receipt_email": null, "refunded": false, "source": {{"id": "{card}", "object": "card", "brand": "Visa", "country": "US", "exp_month": 12, "exp_year": 2030, "funding": "credit", "last4": "4242"}}, "statement_descriptor": null, "status": "succeeded"}}
"#
    )
}

fn intent_body(ids: &Ids, form: &Form, id: &str, method: Option<&str>, charge: Option<&str>) -> String {
    let (amount, created) = (form.get("amount").unwrap_or("0"), seconds_now());
    let currency = quoted(&form.get("currency").unwrap_or("usd").to_ascii_lowercase());
    let description = form.get("description").map_or_else(|| "null".to_owned(), quoted);
    let (metadata, secret) = (form.metadata(), ids.make("_secret_"));
    let status = match (charge, method) {
        (Some(_), _) => "succeeded",
        (None, Some(_)) => "requires_confirmation",
        (None, None) => "requires_payment_method",
    };
    let received = if charge.is_some() { amount } else { "0" };
    let charge = charge.map_or_else(|| "null".to_owned(), quoted);
    let method = method.map_or_else(|| "null".to_owned(), quoted);
    format!(
        r#"{{"id": "{id}", "object": "payment_intent", "amount": {amount}, "amount_capturable": 0, "amount_received": {received}, "automatic_payment_methods": null, "canceled_at": null, "capture_method": "automatic", "client_secret": "{id}{secret}", "confirmation_method": "automatic", "created": {created}, "currency": {currency}, "customer": null, "description": {description}, "last_payment_error": null, "latest_charge": {charge}, "livemode": false, "metadata": {metadata}, "next_action": null, "payment_method": {method}, "payment_method_types": ["card"], "receipt_email": null, "setup_future_usage": null, "status": "{status}"}}
"#
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn made(asked: &Asked, form: &str) -> (u16, Value, Effect) {
        let made = make(&Ids::new(), asked, &Form::parse(form.as_bytes()));
        (made.status, serde_json::from_slice(&made.body).unwrap(), made.effect)
    }

    #[test]
    fn a_charge_and_a_confirmed_intent_take_money_once() {
        let (status, body, effect) = made(&Asked::Charge, "amount=999&currency=usd&source=tok_visa&metadata[uuid]=u");
        assert_eq!((status, effect), (200, Effect::Charged(Some("u".to_owned()))));
        assert_eq!(
            (&body["status"], &body["amount"], &body["metadata"]["uuid"]),
            (&"succeeded".into(), &999.into(), &"u".into())
        );
        let form = "amount=1&currency=USD&confirm=true&payment_method=pm_card_visa&metadata[order]=o";
        let (_, body, effect) = made(&Asked::Intent, form);
        assert_eq!((&body["status"], &body["currency"]), (&"succeeded".into(), &"usd".into()));
        assert!(body["latest_charge"].as_str().unwrap().starts_with("ch_"));
        assert_eq!(effect, Effect::Charged(Some("o".to_owned())));
        let (_, body, effect) = made(&Asked::Intent, "amount=1&currency=usd");
        assert_eq!((&body["status"], effect), (&"requires_payment_method".into(), Effect::Nothing));
        assert_eq!(made(&Asked::Confirm("pi_1".to_owned()), "payment_method=pm_x").1["id"], "pi_1");
    }

    #[test]
    fn what_is_declined_or_incomplete_takes_none() {
        let (status, body, effect) = made(&Asked::Charge, "amount=1&currency=usd&source=tok_chargeDeclined");
        assert_eq!((status, &body["error"]["code"], effect), (402, &"card_declined".into(), Effect::Declined));
        let (_, body, _) = made(&Asked::Intent, "amount=1&currency=usd&confirm=true&payment_method=pm_chargeDeclined");
        let intent = &body["error"]["payment_intent"];
        assert_eq!((&intent["status"], intent["id"].is_string()), (&"requires_payment_method".into(), true));
        for form in
            ["currency=usd&source=t", "amount=0&currency=usd&source=t", "amount=1&source=t", "amount=1&currency=usd"]
        {
            let (status, _, effect) = made(&Asked::Charge, form);
            assert_eq!((status, effect), (400, Effect::Nothing), "{form}");
        }
    }
}
