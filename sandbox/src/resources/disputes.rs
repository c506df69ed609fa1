//! Disputes: a payer who asks their bank for the money back. Opened and closed by hand (`control`).
//! <https://docs.stripe.com/api/disputes/object>

use std::sync::Arc;

use serde_json::{Value, json};

use super::lists;
use crate::{
    failure::Failure,
    model::{Charge, Dispute, Snapshot},
    render::Render,
    work::{Call, Request, Work, new_id},
};

/// How long there is to answer.
const DUE_SECONDS: i64 = 9 * 24 * 3600;

/// Everything that could be said against a dispute; nothing was.
const EVIDENCE: [&str; 27] = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

/// Opens a dispute about all that is left of a charge.
pub(crate) fn open(work: &mut Work<'_>, charge: &Charge) -> Result<(), String> {
    let left = charge.amount_captured - charge.amount_refunded;
    if !charge.succeeded() || left <= 0 {
        return Err(format!("nothing of {} is left to dispute", charge.id));
    }
    if charge.disputed {
        return Err(format!("{} is disputed already", charge.id));
    }
    let dispute = work.put(Dispute {
        id: new_id("du_1"),
        created: work.now,
        amount: left,
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        status: "needs_response".to_owned(),
        brand: charge.payment_method.card.test_card().brand.to_owned(),
    });
    work.put(Charge { disputed: true, ..charge.clone() });
    work.event("charge.dispute.created", Snapshot::Dispute(Arc::clone(&dispute)));
    work.event("charge.dispute.funds_withdrawn", Snapshot::Dispute(dispute));
    Ok(())
}

/// The bank's word on the dispute of a charge.
pub(crate) fn close(work: &mut Work<'_>, charge: &Charge, won: bool) -> Result<(), String> {
    let all = work.store.disputes.all();
    let open = all.iter().find(|dispute| dispute.charge == charge.id && dispute.status == "needs_response");
    let open = open.ok_or_else(|| format!("no dispute of {} is open", charge.id))?;
    let status = if won { "won" } else { "lost" };
    let dispute = work.put(Dispute { status: status.to_owned(), ..(**open).clone() });
    if won {
        work.event("charge.dispute.funds_reinstated", Snapshot::Dispute(Arc::clone(&dispute)));
    }
    work.event("charge.dispute.closed", Snapshot::Dispute(dispute));
    Ok(())
}

pub(super) fn retrieve(request: Request<'_>) -> Result<Call, Failure> {
    Call::new(request.params, move |work| {
        let dispute = work.find::<Dispute>("dispute", &request.id, "id")?;
        Ok(work.render(&*dispute))
    })
}

pub(super) fn list(mut request: Request<'_>) -> Result<Call, Failure> {
    let charge = request.params.text("charge")?;
    let intent = request.params.text("payment_intent")?;
    lists::call(
        request.params,
        "/v1/disputes",
        "dispute",
        |dispute: &Dispute| dispute.created,
        move |dispute| {
            charge.as_ref().is_none_or(|id| *id == dispute.charge)
                && (intent.is_none() || dispute.payment_intent == intent)
        },
    )
}

impl Render for Dispute {
    fn render(&self, _: &str) -> Value {
        let mut evidence: serde_json::Map<String, Value> =
            EVIDENCE.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        evidence.insert("enhanced_evidence".to_owned(), json!({}));
        json!({
            "id": self.id, "object": "dispute", "amount": self.amount, "balance_transactions": [],
            "charge": self.charge, "created": self.created, "currency": self.currency,
            "enhanced_eligibility_types": [], "evidence": evidence,
            "evidence_details": {
                "due_by": self.created + DUE_SECONDS, "enhanced_eligibility": {}, "has_evidence": false,
                "past_due": false, "submission_count": 0,
            },
            "is_charge_refundable": false, "livemode": false, "metadata": {}, "network_reason_code": "10.4",
            "payment_intent": self.payment_intent,
            "payment_method_details": {
                "card": {"brand": self.brand, "case_type": "chargeback", "network": self.brand, "network_reason_code": "10.4"},
                "type": "card",
            },
            "reason": "fraudulent", "status": self.status,
        })
    }
}
