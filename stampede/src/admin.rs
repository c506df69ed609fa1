//! What an operator asks for, and what the answer is made of. It runs inside the process that sells, so that stock
//! and pages know at once; beside several that do; or, when none runs, on the ledger alone.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::access::SharedAccess;
use shared::env::{Env, Timestamp};
use shared::jobs::Decision;
use shared::ledger::records::is_note;
use shared::ledger::{Created, Image, Ledger, RefundAsked, RefundRequest, RefundWhat};
use shared::message::Message;
use shared::order::Order;
use shared::queue::Queue;
use shared::rooms::{Envelope, SharedRooms};
use shared::sale::{LatePolicy, Sale, Tier};
use shared::steer::expected;
use shared::stock::{Levels, Stock, keeper};
use uuid::Uuid;
use worker::sweep::payments::{Comparison, MOST_RAISED};

use crate::forecast::{Asked, Pace};
use crate::report::Reply;
use crate::steering::Deed;
use crate::workers::{self, Workers};

/// How long stock and ledger may take to agree while purchases are under way.
const AGREE_WITHIN: Duration = Duration::from_secs(3);
/// How often in a row Stripe may fail to answer before a comparison is given up, and the pause in between.
const SILENCES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// What an operator asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Admin {
    CreateSale(NewSale),
    ListSales,
    ShowSale { sale: String },
    Steer(Deed),
    Jobs { dead: bool },
    Reviews,
    Decide { order: Uuid, decision: Decision, reason: Option<String> },
    Job { queue: String, key: String, discard: bool, reason: Option<String> },
    ShowOrder { order: Uuid },
    Refund(NewRefund),
    CheckStock { sale: String },
    Reconcile { hours: u32 },
    Dismiss { payment_intent: String },
    Forecast(Asked),
    Overview,
    Worker(workers::Asked),
}

/// A sale, as it was typed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewSale {
    pub slug: String,
    pub name: String,
    pub currency: String,
    pub tiers: Vec<NewTier>,
    pub hold_seconds: u32,
    #[serde(default)]
    pub late: LatePolicy,
    pub opens_at: Option<Timestamp>,
    pub closes_at: Option<Timestamp>,
}

/// A tier, as it was typed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewTier {
    pub id: String,
    pub name: String,
    pub amount: i64,
    pub capacity: u32,
    pub max_per_customer: Option<u32>,
}

/// A refund, as it was typed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewRefund {
    pub order: Uuid,
    pub what: RefundWhat,
    pub reason: Option<String>,
    pub request: Option<Uuid>,
    pub restock: bool,
}

/// What an answer is made from.
#[derive(Clone)]
pub(crate) struct Desk {
    pub env: Env,
    pub ledger: Arc<dyn Ledger>,
    /// The stock; `None` when no process sells and it would be in one's memory.
    pub stock: Option<Arc<dyn Stock>>,
    /// The jobs; `None` likewise.
    pub queue: Option<Arc<dyn Queue>>,
    /// Where pages are told of orders; `None` when no process sells.
    pub rooms: Option<SharedRooms>,
    /// Who may steer, and the trail of who did.
    pub access: SharedAccess,
    /// The shop whose pages should know at once.
    pub shop: Option<web::App>,
    /// What asks Stripe; `None` when no process sells.
    pub worker: Option<worker::Context>,
    /// What the settings say of Stripe's budget, and of a worker's charges under way.
    pub pace: Pace,
    /// The books of all processes; `None` when none runs.
    pub workers: Option<Workers>,
}

impl Desk {
    /// Does what was asked.
    ///
    /// # Errors
    /// When ledger or stock cannot be reached.
    pub(crate) async fn carry_out(&self, asked: Admin) -> anyhow::Result<Reply> {
        let reply = match asked {
            Admin::CreateSale(new) => self.create(new).await?,
            Admin::ListSales => self.list().await?,
            Admin::ShowSale { sale } => self.show(&sale).await?,
            Admin::Steer(deed) => self.steer(deed).await?,
            Admin::Jobs { dead } => self.jobs(dead).await?,
            Admin::Reviews => self.reviews().await?,
            Admin::Decide { order, decision, reason } => self.decide(order, decision, reason).await?,
            Admin::Job { queue, key, discard, reason } => self.job((&queue, &key), discard, reason).await?,
            Admin::ShowOrder { order } => self.order(order).await?,
            Admin::Refund(refund) => self.refund(refund).await?,
            Admin::CheckStock { sale } => self.check(&sale).await?,
            Admin::Reconcile { hours } => self.reconcile(hours).await?,
            Admin::Dismiss { payment_intent } => self.dismiss(&payment_intent).await?,
            Admin::Forecast(asked) => self.forecast(asked).await?,
            // It changes nothing that pages should know.
            Admin::Overview => return self.overview().await,
            Admin::Worker(asked) => self.workers(asked).await?,
        };
        if let Some(shop) = &self.shop {
            shop.catalogue.refresh(&*self.ledger).await?;
            shop.losers.doubt();
        }
        Ok(reply)
    }

    async fn overview(&self) -> anyhow::Result<Reply> {
        let Some(shop) = &self.shop else {
            return Ok(Reply::refused("no process sells at the moment: there is nothing to see".to_owned()));
        };
        Ok(Reply::made(String::new(), serde_json::to_value(&*shop.board.look().await)?))
    }

    async fn create(&self, new: NewSale) -> anyhow::Result<Reply> {
        let currency = match new.currency.parse() {
            Ok(currency) => currency,
            Err(error) => return Ok(Reply::refused(format!("{error}"))),
        };
        let tier = |tier: NewTier| Tier {
            id: tier.id,
            name: tier.name,
            amount: tier.amount,
            capacity: tier.capacity,
            max_per_customer: tier.max_per_customer,
            opens_at: None,
            closes_at: None,
        };
        let sale = Sale {
            slug: new.slug,
            name: new.name,
            currency,
            opens_at: new.opens_at.unwrap_or_else(|| self.ledger.now()),
            closes_at: new.closes_at,
            hold_ms: i64::from(new.hold_seconds) * 1_000,
            late: new.late,
            paused: false,
            epoch: 0,
            tiers: new.tiers.into_iter().map(tier).collect(),
        };
        if let Err(sentence) = sale.check() {
            return Ok(Reply::refused(sentence));
        }
        let slug = sale.slug.clone();
        match self.ledger.create_sale(sale).await? {
            Created::SlugTaken => Ok(Reply::refused(format!("there is a sale {slug:?} already"))),
            Created::Yes => {
                self.restore(Some(&slug)).await?;
                self.show(&slug).await
            }
        }
    }

    /// Rebuilds one sale, or every sale, if the stock does not know it.
    ///
    /// # Errors
    /// When ledger or stock cannot be reached.
    pub(crate) async fn restore(&self, only: Option<&str>) -> anyhow::Result<()> {
        let Some(stock) = &self.stock else { return Ok(()) };
        let wanted = self.ledger.sales().await?.into_iter().filter(|sale| only.is_none_or(|slug| slug == sale.slug));
        let sales: Vec<(String, u64)> = wanted.map(|sale| (sale.slug, sale.epoch)).collect();
        keeper::restore(&*self.ledger, &**stock, &sales).await?;
        Ok(())
    }

    pub(crate) async fn sale(&self, slug: &str) -> anyhow::Result<Option<Sale>> {
        Ok(self.ledger.sales().await?.into_iter().find(|sale| sale.slug == slug))
    }

    async fn list(&self) -> anyhow::Result<Reply> {
        let rows = self.helm().rows().await?;
        Ok(Reply::sales(rows.iter().map(|row| json!(row)).collect()))
    }

    pub(crate) async fn show(&self, slug: &str) -> anyhow::Result<Reply> {
        Ok(match self.helm().row(slug).await? {
            Some(row) => Reply::sale(json!(row)),
            None => Reply::refused(format!("there is no sale {slug:?}")),
        })
    }

    async fn order(&self, id: Uuid) -> anyhow::Result<Reply> {
        let Some(order) = self.ledger.order(id).await? else {
            return Ok(Reply::refused(format!("there is no order {id}")));
        };
        let (audit, refunds) = (self.ledger.audit(id).await?, self.ledger.refunds_of(id).await?);
        Ok(Reply::order(&order, &audit, &refunds))
    }

    async fn refund(&self, new: NewRefund) -> anyhow::Result<Reply> {
        if new.reason.as_deref().is_some_and(|reason| !is_note(reason)) {
            return Ok(Reply::refused("a reason is one line of 500 characters at most".to_owned()));
        }
        let asked = RefundRequest {
            request: new.request.unwrap_or_else(|| self.env.uuid_v4()),
            order: new.order,
            what: new.what,
            note: new.reason.filter(|reason| !reason.is_empty()),
            restock: new.restock,
            by: "cli".to_owned(),
        };
        let sentence = match self.ledger.request_refund(asked).await? {
            RefundAsked::New { order, refund } => {
                self.tell_room(&order).await;
                return Ok(Reply::refund(&order, &refund));
            }
            RefundAsked::Replay { order, refund } => return Ok(Reply::refund(&order, &refund)),
            RefundAsked::Conflict => "this request was made before, for something else".to_owned(),
            RefundAsked::Unknown => format!("there is no order {}", new.order),
            RefundAsked::NotPaid(order) => format!("the order is {}: there is nothing to give back", order.state),
            RefundAsked::NotPositive => "a refund is of one minor unit at least".to_owned(),
            RefundAsked::TooMuch { left } => format!("of what was paid, {left} (in minor units) can be given back"),
            RefundAsked::UnknownTicket(id) => format!("the order has no ticket {id}"),
            RefundAsked::VoidTicket(id) => format!("the ticket {id} was refunded before"),
        };
        Ok(Reply::refused(sentence))
    }

    /// Its pages show at once that tickets are void. If that fails, they are told when the money has gone.
    async fn tell_room(&self, order: &Order) {
        let Some(rooms) = &self.rooms else { return };
        let frame = Message::order(order, self.ledger.now(), None).to_json().into();
        if let Err(error) = rooms.publish(vec![Envelope { room: order.customer, frame }]).await {
            tracing::warn!(order = %order.id, %error, "the room was not told of a refund");
        }
    }

    /// Compares Stripe's payments with the ledger's orders, all of the time that was asked for.
    async fn reconcile(&self, hours: u32) -> anyhow::Result<Reply> {
        let Some(ctx) = &self.worker else {
            let sentence = "no process sells at the moment, and one is needed to settle what is found: start it first";
            return Ok(Reply::refused(sentence.to_owned()));
        };
        let mut comparison = Comparison::over(ctx, Duration::from_secs(u64::from(hours) * 3_600));
        let (mut settled, mut silences) = (0, 0);
        loop {
            match comparison.go_on(ctx).await {
                Ok(came) => {
                    (settled, silences) = (settled + came.items, 0);
                    if came.to_an_end {
                        break;
                    }
                }
                Err(reason) if silences == SILENCES => {
                    return Ok(Reply::refused(format!("payments could not be compared: {reason}")));
                }
                Err(_) => {
                    silences += 1;
                    self.env.sleep(PAUSE).await;
                }
            }
        }
        Ok(Reply::reconciled(hours, settled, &self.ledger.unmatched(MOST_RAISED).await?))
    }

    /// A person has seen to a payment that was raised.
    async fn dismiss(&self, payment_intent: &str) -> anyhow::Result<Reply> {
        let known = self.ledger.unmatched(MOST_RAISED).await?;
        if !known.iter().any(|row| row.payment_intent == payment_intent) {
            return Ok(Reply::refused(format!("{payment_intent} is not among the payments that disagree")));
        }
        self.ledger.matched(payment_intent).await?;
        let left = self.ledger.unmatched(MOST_RAISED).await?;
        Ok(Reply::dismissed(payment_intent, left.len()))
    }

    /// Compares stock and ledger until they agree, since purchases under way are in the one before the other.
    async fn check(&self, slug: &str) -> anyhow::Result<Reply> {
        let started = self.env.monotonic();
        loop {
            let Some(image) = self.ledger.image(slug).await? else {
                return Ok(Reply::refused(format!("there is no sale {slug:?}")));
            };
            let shown = match &self.stock {
                Some(stock) => stock.levels(slug).await?,
                None => Some(expected(&image)),
            };
            let wrong = differences(&image, shown.as_ref());
            if wrong.is_empty() || self.env.monotonic().saturating_sub(started) > AGREE_WITHIN {
                return Ok(Reply::check(slug, &shown.unwrap_or_default(), wrong, self.stock.is_some()));
            }
            self.env.sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Every sentence about what does not add up.
fn differences(image: &Image, shown: Option<&Levels>) -> Vec<String> {
    let Some(shown) = shown else { return vec!["the stock does not know this sale".into()] };
    let mut wrong = Vec::new();
    if shown.epoch != image.epoch {
        wrong.push(format!("the stock is of epoch {}, the ledger of epoch {}", shown.epoch, image.epoch));
    }
    for due in expected(image).tiers {
        let id = &due.id;
        if due.sold + due.pinned > due.capacity {
            wrong.push(format!(
                "{id}: oversold: {} of {} are committed in the ledger",
                due.sold + due.pinned,
                due.capacity
            ));
        }
        let Some(tier) = shown.tiers.iter().find(|tier| tier.id == *id) else {
            wrong.push(format!("{id}: the stock does not know it"));
            continue;
        };
        if tier.free + tier.held + tier.sold != tier.capacity {
            let (free, held, sold) = (tier.free, tier.held, tier.sold);
            wrong.push(format!("{id}: {free} free + {held} held + {sold} sold is not the capacity {}", tier.capacity));
        }
        for (what, stock, ledger) in [
            ("capacity", tier.capacity, due.capacity),
            ("sold", tier.sold, due.sold),
            ("pinned", tier.pinned, due.pinned),
        ] {
            if stock != ledger {
                wrong.push(format!("{id}: {what} is {stock} in the stock and {ledger} in the ledger"));
            }
        }
    }
    wrong
}
