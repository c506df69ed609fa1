//! Answers, for people and for programs.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::ledger::{AuditEntry, Refund, Unmatched};
use shared::message::RefundView;
use shared::money::{Currency, Money};
use shared::order::{Order, displayed_state};
use shared::stock::Levels;

/// An answer: the same in words and as data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    good: bool,
    text: String,
    data: Value,
}

impl Reply {
    /// It cannot be done, and why.
    #[must_use]
    pub(crate) fn refused(sentence: String) -> Self {
        let data = json!({ "error": sentence });
        Self { good: false, text: format!("{sentence}\n"), data }
    }

    /// Something that was made elsewhere, in words and as data.
    #[must_use]
    pub(crate) fn made(text: String, data: Value) -> Self {
        Self { good: true, text, data }
    }

    /// A list of sales.
    #[must_use]
    pub(crate) fn sales(rows: Vec<Value>) -> Self {
        let mut text = String::new();
        for row in &rows {
            let _ = writeln!(text, "{:<20} {:<10} {}", word(row, "sale"), word(row, "status"), word(row, "name"));
        }
        if rows.is_empty() {
            text = "There is no sale yet; `stampede sale create --help` tells how to make one.\n".into();
        }
        Self { good: true, text, data: json!({ "sales": rows }) }
    }

    /// One sale with its stock.
    #[must_use]
    pub(crate) fn sale(row: Value) -> Self {
        let mut text = format!("{} ({}), {}\n", word(&row, "name"), word(&row, "sale"), word(&row, "status"));
        let _ = writeln!(text, "opens {}; money that comes late: {}", word(&row, "opens_at"), word(&row, "late"));
        let _ = writeln!(
            text,
            "{:<16} {:>14} {:>9} {:>9} {:>9} {:>9}  limit",
            "tier", "price", "capacity", "free", "held", "sold"
        );
        for tier in row["tiers"].as_array().into_iter().flatten() {
            let limit = tier["max_per_customer"].as_u64().map_or_else(|| "none".into(), |limit| limit.to_string());
            let _ = writeln!(
                text,
                "{:<16} {:>14} {:>9} {:>9} {:>9} {:>9}  {limit}",
                word(tier, "id"),
                price(tier),
                units(tier, "capacity"),
                units(tier, "free"),
                units(tier, "held"),
                units(tier, "sold"),
            );
        }
        Self { good: true, text, data: row }
    }

    /// An order and its story.
    #[must_use]
    pub(crate) fn order(order: &Order, audit: &[AuditEntry], refunds: &[Refund]) -> Self {
        let money = Money { amount: order.amount, currency: order.currency };
        let mut text = format!("order {}: {}, {money}, sale {}\n", order.id, displayed_state(order), order.sale);
        for item in &order.items {
            let _ = writeln!(text, "  {} × {}", item.quantity, item.tier);
        }
        if let Some(charge) = &order.charge {
            let _ = writeln!(text, "  charge {charge}");
        }
        if let Some(review) = &order.review {
            let _ = writeln!(text, "  to be looked at: {review}");
        }
        for refund in refunds {
            let _ = writeln!(text, "  {}", refund_line(refund));
        }
        for line in audit {
            let attempt = line.attempt.map(|number| format!(" (attempt {number})")).unwrap_or_default();
            let note = line.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
            let _ = writeln!(text, "{}  {}{attempt} by {}{note}", line.at, line.what, line.by);
        }
        // No mail address and no name: this ends up in chats and tickets.
        let data = json!({
            "id": order.id, "state": displayed_state(order), "version": order.version, "sale": order.sale, "hold": order.hold,
            "customer": order.customer, "items": order.items, "amount": order.amount, "currency": order.currency,
            "attempt": order.attempt, "session": order.session, "payment_intent": order.payment_intent, "charge": order.charge,
            "review": order.review, "tickets": order.tickets, "refunded": order.refunded, "refunding": order.refunding,
            "refunds": refunds.iter().map(RefundView::new).collect::<Vec<_>>(), "accepted_at": order.accepted_at.to_rfc3339(),
            "updated_at": order.updated_at.to_rfc3339(),
            "audit": audit.iter().map(audit_row).collect::<Vec<_>>(),
        });
        Self { good: true, text, data }
    }

    /// A refund that is owed, or was before.
    #[must_use]
    pub(crate) fn refund(order: &Order, refund: &Refund) -> Self {
        let void = order.tickets.iter().filter(|ticket| ticket.voided_by == Some(refund.id)).count();
        let text = format!("order {}: {}; {void} tickets void\n", order.id, refund_line(refund));
        let data = json!({
            "refund": RefundView::new(refund),
            "order": {
                "id": order.id, "state": displayed_state(order), "version": order.version, "refunded": order.refunded,
                "refunding": order.refunding, "tickets": order.tickets,
            },
        });
        Self { good: true, text, data }
    }

    /// Whether stock and ledger agree.
    #[must_use]
    pub(crate) fn check(slug: &str, levels: &Levels, wrong: Vec<String>, live: bool) -> Self {
        let good = wrong.is_empty();
        let what = if live { "stock and ledger agree" } else { "nothing sells at the moment; the ledger adds up" };
        let mut text =
            if good { format!("{slug}: conservation holds, {what}.\n") } else { format!("{slug}: wrong!\n") };
        let mut tiers = Vec::new();
        for tier in &levels.tiers {
            let _ = writeln!(
                text,
                "  {}: capacity {} = {} free + {} held + {} sold",
                tier.id, tier.capacity, tier.free, tier.held, tier.sold
            );
            tiers.push(json!({
                "id": tier.id, "capacity": tier.capacity, "free": tier.free, "held": tier.held,
                "pinned": tier.pinned, "sold": tier.sold,
            }));
        }
        for sentence in &wrong {
            let _ = writeln!(text, "  {sentence}");
        }
        let data =
            json!({ "sale": slug, "ok": good, "live": live, "epoch": levels.epoch, "tiers": tiers, "wrong": wrong });
        Self { good, text, data }
    }

    /// Payments that ledger and Stripe disagree about.
    #[must_use]
    pub(crate) fn reconciled(hours: u32, settled: u64, rows: &[Unmatched]) -> Self {
        let good = rows.is_empty();
        let agree = if good { "ledger and Stripe agree".to_owned() } else { format!("{} disagree!", rows.len()) };
        let mut text = format!("The last {hours} h are compared ({settled} settled by it): {agree}\n");
        for row in rows {
            let Unmatched { payment_intent, order, reason, amount, currency, .. } = row;
            let _ = writeln!(text, "  {payment_intent}  {reason:<20} {amount} {currency:<3}  order {order}");
        }
        let row = |row: &Unmatched| {
            json!({
                "payment_intent": row.payment_intent, "order": row.order, "reason": row.reason, "amount": row.amount,
                "currency": row.currency, "noticed_at": row.noticed_at.to_rfc3339(),
            })
        };
        let rows: Vec<Value> = rows.iter().map(row).collect();
        Self { good, text, data: json!({ "hours": hours, "ok": good, "settled": settled, "unmatched": rows }) }
    }

    /// A payment that a person has seen to.
    #[must_use]
    pub(crate) fn dismissed(payment_intent: &str, left: usize) -> Self {
        let text = format!("{payment_intent} is seen to; {left} left.\n");
        Self { good: true, text, data: json!({ "dismissed": payment_intent, "left": left }) }
    }

    /// The same with a sentence before it.
    #[must_use]
    pub(crate) fn headed(mut self, sentence: String) -> Self {
        self.text = format!("{sentence}\n{}", self.text);
        self
    }

    /// For a person.
    #[must_use]
    pub(crate) fn as_text(&self) -> &str {
        &self.text
    }

    /// For a program.
    #[must_use]
    pub(crate) fn as_json(&self) -> String {
        format!("{:#}\n", self.data)
    }

    /// As data.
    #[must_use]
    pub(crate) fn data(&self) -> &Value {
        &self.data
    }

    /// Whether it was done, and all was well.
    #[must_use]
    pub(crate) fn is_good(&self) -> bool {
        self.good
    }
}

fn refund_line(refund: &Refund) -> String {
    let money = Money { amount: refund.amount, currency: refund.currency };
    let request = refund.request.map(|request| format!(", request {request}")).unwrap_or_default();
    let cause = if refund.request.is_some() { String::new() } else { format!(", {}", refund.reason) };
    format!("refund {} of {money}, {}{cause}{request}", refund.id, refund.state.as_str())
}

fn audit_row(line: &AuditEntry) -> Value {
    json!({
        "at": line.at.to_rfc3339(), "what": line.what, "attempt": line.attempt, "version": line.version,
        "note": line.note, "by": line.by,
    })
}

fn word<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

/// As text, since a [`Value`] takes no notice of a column's width.
fn units(tier: &Value, shelf: &str) -> String {
    tier[shelf].to_string()
}

fn price(tier: &Value) -> String {
    let currency: Option<Currency> = tier["currency"].as_str().and_then(|code| code.parse().ok());
    match (currency, tier["amount"].as_i64()) {
        (Some(currency), Some(amount)) => Money { amount, currency }.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sales_figures_stand_below_their_headings() {
        let tier = json!({"id": "std", "amount": 2_500, "currency": "usd", "capacity": 10_000, "free": 9_990, "held": 3,
            "sold": 7, "max_per_customer": 4});
        let reply = Reply::sale(json!({"sale": "rush", "name": "Rush", "status": "open", "tiers": [tier]}));
        let lines: Vec<&str> = reply.as_text().lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "tier                      price  capacity      free      held      sold  limit",
                "std                   25.00 USD     10000      9990         3         7  4",
            ]
        );
    }
}
