//! `expand[]`: an id in an answer replaced by its object. <https://docs.stripe.com/api/expanding_objects>

use serde_json::{Value, json};

use crate::{
    failure::Failure,
    render::Render,
    store::{Batch, Store},
};

/// Levels of one path, as at Stripe.
const DEPTH_MAX: usize = 4;
/// Paths of one request.
const PATHS_MAX: usize = 20;

/// Where objects are looked up: what the request itself changed goes before what was there.
pub(crate) struct Lookup<'a> {
    pub(crate) store: &'a Store,
    pub(crate) batch: &'a Batch,
    /// The sandbox's own origin, as the caller sees it.
    pub(crate) base: &'a str,
}

/// Expands every path in an answer.
pub(crate) fn expand(answer: &mut Value, paths: &[String], lookup: &Lookup<'_>) -> Result<(), Failure> {
    for path in paths.iter().take(PATHS_MAX) {
        let parts: Vec<&str> = path.split('.').collect();
        let deep = parts.len() > DEPTH_MAX + usize::from(parts.first() == Some(&"data"));
        if deep || !lookup.walk(answer, &parts) {
            return Err(Failure::invalid(format!("This property cannot be expanded ({path}).")).param("expand"));
        }
    }
    Ok(())
}

impl Lookup<'_> {
    /// Replaces what a path leads to; whether it leads somewhere.
    fn walk(&self, value: &mut Value, path: &[&str]) -> bool {
        let [head, rest @ ..] = path else { return true };
        if let Value::Array(items) = value {
            return items.iter_mut().all(|item| self.walk(item, path));
        }
        let Some(fields) = value.as_object_mut() else {
            return value.is_null();
        };
        if *head == "refunds" && fields.get("object") == Some(&json!("charge")) {
            let charge = fields.get("id").and_then(Value::as_str).unwrap_or_default();
            let list = self.refunds_of(charge);
            fields.entry("refunds").or_insert(list);
            return rest.is_empty();
        }
        if *head == "line_items" && fields.get("object") == Some(&json!("checkout.session")) {
            let id = fields.get("id").and_then(Value::as_str).unwrap_or_default();
            if let Some(list) = self.line_items(id) {
                fields.entry("line_items").or_insert(list);
            }
            return rest.is_empty();
        }
        let Some(field) = fields.get_mut(*head) else {
            return false;
        };
        if let Value::String(id) = field {
            let Some(object) = self.object(id) else {
                return false;
            };
            *field = object;
        }
        self.walk(field, rest)
    }

    fn refunds_of(&self, charge: &str) -> Value {
        let refunds = self.store.refunds.all();
        let data: Vec<Value> = refunds
            .iter()
            .rev()
            .filter(|refund| refund.charge == charge)
            .map(|refund| refund.render(self.base))
            .collect();
        json!({"object": "list", "data": data, "has_more": false, "url": format!("/v1/charges/{charge}/refunds")})
    }

    fn line_items(&self, session: &str) -> Option<Value> {
        self.store.checkout_sessions.get(session).map(|session| session.items())
    }

    fn object(&self, id: &str) -> Option<Value> {
        if let Some(fresh) = self.batch.fresh(id) {
            return Some(fresh.render(self.base));
        }
        let (prefix, _) = id.split_once('_')?;
        let (store, base) = (self.store, self.base);
        match prefix {
            "pi" => store.payment_intents.get(id).map(|row| row.render(base)),
            "ch" => store.charges.get(id).map(|row| row.render(base)),
            "pm" => store.payment_methods.get(id).map(|row| row.render(base)),
            "cus" => store.customers.get(id).map(|row| row.render(base)),
            "re" => store.refunds.get(id).map(|row| row.render(base)),
            "cs" => store.checkout_sessions.get(id).map(|row| row.render(base)),
            "txn" => self.balance_transaction(id),
            _ => None,
        }
    }

    /// What a charge or a refund did to the account's balance; it is derived, so it can only be seen by expanding.
    fn balance_transaction(&self, id: &str) -> Option<Value> {
        const DAYS_2: i64 = 2 * 24 * 60 * 60;
        let suffix = id.strip_prefix("txn_")?;
        let (kind, source) = match self.object(&format!("ch_{suffix}")) {
            Some(charge) => ("charge", charge),
            None => ("refund", self.object(&format!("re_{suffix}"))?),
        };
        let (created, currency) = (source["created"].as_i64()?, &source["currency"]);
        // 2.9 % and 0.30 on charges, nothing on refunds.
        let (amount, fee) = match source["amount_captured"].as_i64() {
            Some(captured) => (captured, (captured * 29 + 999) / 1_000 + 30),
            None => (-source["amount"].as_i64()?, 0),
        };
        let details = match fee {
            0 => json!([]),
            _ => {
                json!([{"amount": fee, "application": null, "currency": currency, "description": "Stripe processing fees", "type": "stripe_fee"}])
            }
        };
        Some(json!({
            "id": id, "object": "balance_transaction", "amount": amount, "available_on": created + DAYS_2,
            "balance_type": "payments", "created": created, "currency": currency, "description": null,
            "exchange_rate": null, "fee": fee, "fee_details": details, "net": amount - fee,
            "reporting_category": kind, "source": source["id"], "status": "pending", "type": kind,
        }))
    }
}
