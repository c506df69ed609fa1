//! `payments`: compares the payments that Stripe has with the orders that the ledger has, in both directions.
//!
//! First Stripe's list: money whose order is not paid is settled by the one path there is; money whose order nobody
//! knows is raised. Then the ledger's paid orders of the same time: those whose payment was not on the list are asked
//! about one by one, and raised unless Stripe says that they were paid. What was raised before is looked at again.
//!
//! What is raised is a row in the ledger (`stampede stripe reconcile` shows it) until both sides agree.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use shared::env::Timestamp;
use shared::ledger::{Applied, Change, Unmatched};
use shared::order::{Order, State};
use shared::stripe::{Answer, ListedPayment, Payment, Refusal};
use uuid::Uuid;

use super::Came;
use crate::decide::succeeded;
use crate::{Context, settle};

const BOOKMARK: &str = "stripe_payments";
/// Pages of one round.
const PAGES: u32 = 5;
/// Payments that Stripe is asked about one by one in one round.
const QUESTIONS: u32 = 20;
/// Orders that the ledger is asked for at once.
const BATCH: u32 = 500;
/// Every pass looks back at least so far; and so far behind where the last one ended.
const WINDOW: Duration = Duration::from_secs(3600);
/// The first pass looks back so far.
const FIRST: Duration = Duration::from_secs(24 * 3600);
/// No pass looks back farther: whoever was away for longer asks by `stampede stripe reconcile`.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// Payments of a pass that are remembered as seen; those beyond are asked about one by one.
const REMEMBERED: usize = 1_000_000;
/// Rows that are shown, and looked at again.
pub const MOST_RAISED: u32 = 1_000;

/// A comparison that is under way.
#[derive(Debug)]
pub struct Comparison {
    /// It is about the time since then,
    from: Timestamp,
    /// and until then.
    until: Timestamp,
    /// Payments that Stripe has as succeeded, by their hash.
    seen: HashSet<u64>,
    /// What this comparison has raised.
    raised: HashSet<String>,
    stage: Stage,
    /// The next one begins where this one ends.
    in_turn: bool,
}

#[derive(Debug)]
enum Stage {
    /// Reads Stripe's list, from this place on.
    Listing { after: Option<String> },
    /// Reads the ledger's paid orders, from this place on.
    Paid { after: (Timestamp, Uuid) },
    /// Looks at what was raised before.
    Raised { rows: Vec<Unmatched> },
}

/// What is wrong with a payment: nothing, or a word and the sum.
type Verdict = Result<(), (&'static str, i64, String)>;

impl Comparison {
    /// Begins one that is about so much of the past.
    #[must_use]
    pub fn over(ctx: &Context, span: Duration) -> Self {
        let until = ctx.ledger.now();
        let stage = Stage::Listing { after: None };
        Self { from: until.minus(span), until, seen: HashSet::new(), raised: HashSet::new(), stage, in_turn: false }
    }

    /// Begins the one whose turn it is: about what has happened since the last one, and an hour before.
    ///
    /// # Errors
    /// A reason, when the ledger could not be reached.
    pub async fn next(ctx: &Context) -> Result<Self, String> {
        let last = ctx.ledger.bookmark(BOOKMARK).await.map_err(|error| error.to_string())?;
        let last = last.and_then(|at| at.parse().ok()).map(Timestamp);
        let span = last.map_or(FIRST, |last| ctx.ledger.now().since(last) + WINDOW);
        Ok(Self { in_turn: true, ..Self::over(ctx, span.min(LONGEST)) })
    }

    /// Does a bounded piece of it.
    ///
    /// # Errors
    /// A reason, when something could not be reached; the next call goes on from there.
    pub async fn go_on(&mut self, ctx: &Context) -> Result<Came, String> {
        let items = match &self.stage {
            Stage::Listing { .. } => self.list(ctx).await?,
            Stage::Paid { after } => self.check_paid(ctx, *after).await?,
            Stage::Raised { rows } => return self.look_again(ctx, rows.clone()).await,
        };
        Ok(Came { items, to_an_end: false })
    }

    async fn list(&mut self, ctx: &Context) -> Result<u64, String> {
        let mut settled = 0;
        for _ in 0..PAGES {
            let Stage::Listing { after } = &self.stage else { break };
            let page = ctx.stripe.payments(self.from, after.as_deref()).await.map_err(|not| not.reason)?;
            settled += self.compare(ctx, page.items).await?;
            self.stage = match page.next {
                None => Stage::Paid { after: (self.from, Uuid::nil()) },
                after => Stage::Listing { after },
            };
        }
        Ok(settled)
    }

    /// Compares a page of Stripe's list with the ledger; how many orders were settled by it.
    async fn compare(&mut self, ctx: &Context, listed: Vec<ListedPayment>) -> Result<u64, String> {
        let ids: Vec<Uuid> = listed.iter().filter_map(|payment| payment.order).collect();
        let orders = ctx.ledger.orders(&ids).await.map_err(|error| error.to_string())?;
        let mut settled = 0;
        for ListedPayment { payment_intent, order, answer } in listed {
            // Without our metadata it is somebody else's business on the same account.
            let (Some(id), Answer::Succeeded(payment)) = (order, answer) else { continue };
            if self.seen.len() < REMEMBERED {
                self.seen.insert(hash(&payment_intent));
            }
            let order = orders.iter().find(|order| order.id == id);
            if order.is_some_and(|order| is_paid_by(order, &payment_intent) || is_young(ctx, order)) {
                continue;
            }
            let verdict = judge(ctx, order, &payment).await?;
            settled += u64::from(verdict.is_ok());
            self.note(ctx, &payment_intent, id, verdict).await?;
        }
        Ok(settled)
    }

    async fn check_paid(&mut self, ctx: &Context, mut after: (Timestamp, Uuid)) -> Result<u64, String> {
        let paid = ctx.ledger.paid(after, self.until, BATCH).await.map_err(|error| error.to_string())?;
        let (last, mut asked) = (paid.len() < BATCH as usize, 0);
        for order in paid {
            let known = order.payment_intent.as_ref().is_some_and(|id| self.seen.contains(&hash(id)));
            if !known {
                if asked == QUESTIONS {
                    return Ok(0);
                }
                asked += 1;
                let (id, verdict) = ask_about(ctx, &order).await?;
                self.note(ctx, &id, order.id, verdict).await?;
            }
            after = (order.updated_at, order.id);
            self.stage = Stage::Paid { after };
        }
        if last {
            let mut rows = ctx.ledger.unmatched(MOST_RAISED).await.map_err(|error| error.to_string())?;
            rows.retain(|row| !self.raised.contains(&row.payment_intent));
            self.stage = Stage::Raised { rows };
        }
        Ok(0)
    }

    /// Takes back what was raised before and is in order by now, and comes to an end.
    async fn look_again(&mut self, ctx: &Context, mut rows: Vec<Unmatched>) -> Result<Came, String> {
        let mut agreed = 0;
        for _ in 0..QUESTIONS {
            let Some(row) = rows.pop() else {
                if self.in_turn {
                    let until = self.until.0.to_string();
                    ctx.ledger.set_bookmark(BOOKMARK, &until).await.map_err(|error| error.to_string())?;
                }
                let open = ctx.ledger.unmatched(MOST_RAISED).await.map_err(|error| error.to_string())?.len();
                metrics::gauge!("stripe_unmatched_payments").set(u32::try_from(open).unwrap_or(u32::MAX));
                return Ok(Came { items: agreed, to_an_end: true });
            };
            let order = ctx.ledger.order(row.order).await.map_err(|error| error.to_string())?;
            let verdict = match &order {
                Some(order) if order.state == State::Paid => ask_about(ctx, order).await?.1,
                order => match known(ctx.stripe.retrieve(&row.payment_intent).await)? {
                    Answer::Succeeded(payment) => judge(ctx, order.as_ref(), &payment).await?,
                    // No money, and no order that would claim to be paid.
                    _ => Ok(()),
                },
            };
            agreed += u64::from(verdict.is_ok());
            self.note(ctx, &row.payment_intent, row.order, verdict).await?;
            self.stage = Stage::Raised { rows: rows.clone() };
        }
        Ok(Came { items: agreed, to_an_end: false })
    }

    async fn note(&mut self, ctx: &Context, id: &str, order: Uuid, verdict: Verdict) -> Result<(), String> {
        let (reason, amount, currency) = match verdict {
            Ok(()) => return ctx.ledger.matched(id).await.map_err(|error| error.to_string()),
            Err(wrong) => wrong,
        };
        tracing::error!(payment_intent = id, %order, reason, amount, currency, "ledger and Stripe disagree");
        metrics::counter!("stripe_unmatched_total", "reason" => reason).increment(1);
        self.raised.insert(id.to_owned());
        let noticed_at = ctx.ledger.now();
        let (payment_intent, reason) = (id.to_owned(), reason.to_owned());
        let row = Unmatched { payment_intent, order, reason, amount, currency, noticed_at };
        ctx.ledger.note_unmatched(row).await.map_err(|error| error.to_string())
    }
}

fn is_paid_by(order: &Order, payment_intent: &str) -> bool {
    order.state == State::Paid && order.payment_intent.as_deref() == Some(payment_intent)
}

/// Something has just become of it: whoever did that goes on, and the next comparison sees to what that left.
fn is_young(ctx: &Context, order: &Order) -> bool {
    order.state.is_in_queue() && ctx.ledger.now().since(order.updated_at) < ctx.patience.owed
}

/// Money that Stripe has: settled as any success is, or nobody knows what for.
async fn judge(ctx: &Context, order: Option<&Order>, payment: &Payment) -> Result<Verdict, String> {
    let wrong = |reason| Err((reason, payment.amount, payment.currency.clone()));
    let Some(order) = order else { return Ok(wrong("unknown_order")) };
    let payment = Payment { order: Some(order.id), ..payment.clone() };
    let change = Change::Observed { attempt: order.attempt, outcome: succeeded(order, payment) };
    Ok(match settle::settle(ctx, order.id, change).await? {
        // Paid; or given back; or before a person already.
        Applied::Order { order, .. } if order.state.is_final() || order.state == State::Review => Ok(()),
        Applied::Order { .. } | Applied::Refused(_) => wrong("not_settled"),
        Applied::Unknown => wrong("unknown_order"),
    })
}

/// An order that says that it is paid: whether Stripe says so, too; and the name under which that is noted.
async fn ask_about(ctx: &Context, order: &Order) -> Result<(String, Verdict), String> {
    let Some(payment_intent) = &order.payment_intent else {
        let nothing_to_pay = order.amount == 0;
        let verdict = if nothing_to_pay { Ok(()) } else { Err(("without_payment", 0, String::new())) };
        return Ok((format!("order_{}", order.id), verdict));
    };
    let verdict = match known(ctx.stripe.retrieve(payment_intent).await)? {
        Answer::Succeeded(payment) if payment.order.is_none_or(|id| id == order.id) => Ok(()),
        Answer::Succeeded(payment) => Err(("another_order", payment.amount, payment.currency)),
        _ => Err(("not_paid_at_stripe", 0, String::new())),
    };
    Ok((payment_intent.clone(), verdict))
}

/// An answer that says something; else the reason why none does.
fn known(answer: Answer) -> Result<Answer, String> {
    match answer {
        Answer::Throttled { reason, .. }
        | Answer::Unknown { reason, .. }
        | Answer::Refused { reason, kind: Refusal::Configuration | Refusal::Idempotency } => Err(reason),
        answer => Ok(answer),
    }
}

fn hash(payment_intent: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    payment_intent.hash(&mut hasher);
    hasher.finish()
}
