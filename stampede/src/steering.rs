//! What steers sales, jobs and orders in review: the commands, and their answers. What they do is done by the same
//! [`Helm`] that calls over HTTP ask.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::access::By;
use shared::jobs::Decision;
use shared::ledger::{Control, Controlled};
use shared::order::Order;
use shared::steer::{Decided, Helm, JobDone, Jobs, OrderRow, Orders};
use uuid::Uuid;

use crate::admin::{Admin, Desk};
use crate::cli::Output;
use crate::report::Reply;

/// `stampede sale open|close|pause|resume|add-stock`
#[derive(Debug, Subcommand)]
pub(crate) enum SteerSale {
    /// Opens a sale now, and ends a pause
    Open(Which),
    /// Ends a sale: nothing new can be held; what is held can still be paid
    Close(Which),
    /// Stops a sale for the moment: nothing new is held or paid, what was accepted is finished
    Pause(Which),
    /// Ends a pause
    Resume(Which),
    /// Adds units to a tier
    AddStock {
        /// The sale's slug
        sale: String,
        /// The tier's id
        tier: String,
        /// How many more
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        quantity: u32,
        /// A UUID that makes the command safe to repeat: the same one again adds nothing
        #[arg(long, value_name = "ID")]
        request: Option<Uuid>,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        output: Output,
    },
}

/// A sale.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The sale's slug
    sale: String,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    output: Output,
}

/// Why it is done.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// Why, for whoever reads the trail later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// `stampede jobs …`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct TypedJobs {
    #[command(subcommand)]
    deed: Option<JobDeed>,
    /// Show the jobs that wait for a person, too
    #[arg(long)]
    dead: bool,
    #[command(flatten)]
    output: Output,
}

/// `stampede review …`
#[derive(Debug, Subcommand)]
pub(crate) enum TypedReview {
    /// Lists the orders that wait for a person, the longest first
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Decides what becomes of one; no decision makes it paid, or its stock free, without Stripe's word
    #[command(after_help = DECISIONS)]
    Decide {
        /// The order's id
        order: Uuid,
        /// charge_again, look_again, cancel or refund
        decision: Decision,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        output: Output,
    },
}

const DECISIONS: &str = "Decisions:
  charge_again  send the charge as it was, under the same key: nothing is taken twice
  look_again    ask Stripe what became of the payment; if it is paid, so is the order
  cancel        end at Stripe what could still be paid, and then cancel the order and free its stock
  refund        give back what Stripe took if it is another sum than the order's, and cancel the order";

/// What to do about a job that waits for a person.
#[derive(Debug, Subcommand)]
pub(crate) enum JobDeed {
    /// Has a dead job tried again; an order that it sent to review is charged after all
    Retry(Job),
    /// Forgets a dead job; what it was about is found again, or waits in the ledger for a person
    Discard(Job),
}

/// A dead job.
#[derive(Debug, Args)]
pub(crate) struct Job {
    /// create_charge, process_response, webhook, authentication or review
    queue: String,
    /// Its name there, as `stampede jobs --dead` shows it
    key: String,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    output: Output,
}

impl SteerSale {
    /// What was asked, and how to print the answer.
    pub(crate) fn asked(self) -> (Admin, Output) {
        let steer = |which: Which, control: Control| {
            let Which { sale, why, output } = which;
            (Admin::Steer(Deed { sale, control, reason: why.reason }), output)
        };
        match self {
            Self::Open(which) => steer(which, Control::Open),
            Self::Close(which) => steer(which, Control::Close),
            Self::Pause(which) => steer(which, Control::Pause),
            Self::Resume(which) => steer(which, Control::Resume),
            Self::AddStock { sale, tier, quantity, request, why, output } => {
                // None yet: whoever carries it out makes one.
                let control = Control::AddStock { tier, quantity, request: request.unwrap_or_default() };
                steer(Which { sale, why, output }, control)
            }
        }
    }
}

impl TypedJobs {
    /// What was asked, and how to print the answer.
    pub(crate) fn asked(self) -> (Admin, Output) {
        let of = |job: Job, discard: bool| {
            let Job { queue, key, why, output } = job;
            (Admin::Job { queue, key, discard, reason: why.reason }, output)
        };
        match self.deed {
            None => (Admin::Jobs { dead: self.dead }, self.output),
            Some(JobDeed::Retry(job)) => of(job, false),
            Some(JobDeed::Discard(job)) => of(job, true),
        }
    }
}

impl TypedReview {
    /// What was asked, and how to print the answer.
    pub(crate) fn asked(self) -> (Admin, Output) {
        match self {
            Self::List { output } => (Admin::Reviews, output),
            Self::Decide { order, decision, why, output } => {
                (Admin::Decide { order, decision, reason: why.reason }, output)
            }
        }
    }
}

/// Something that is done to a sale.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deed {
    sale: String,
    control: Control,
    reason: Option<String>,
}

impl Desk {
    /// What steers.
    pub(crate) fn helm(&self) -> Helm {
        Helm {
            env: self.env.clone(),
            ledger: self.ledger.clone(),
            stock: self.stock.clone(),
            queue: self.queue.clone(),
            rooms: self.rooms.clone(),
            access: self.access.clone(),
        }
    }

    /// Steers a sale.
    pub(crate) async fn steer(&self, deed: Deed) -> anyhow::Result<Reply> {
        let Deed { sale: slug, control, reason } = deed;
        let orders = match Orders::new(By::cli(), reason) {
            Ok(orders) => orders,
            Err(sentence) => return Ok(Reply::refused(sentence)),
        };
        let (control, done) = match control {
            Control::AddStock { tier, quantity, request } => {
                let request = if request.is_nil() { self.env.uuid_v4() } else { request };
                (Control::AddStock { tier, quantity, request }, "has more stock")
            }
            Control::Open => (control, "is open"),
            Control::Close => (control, "is closed"),
            Control::Pause => (control, "is paused"),
            Control::Resume => (control, "goes on"),
        };
        let refused = match self.helm().sale(&slug, control, &orders).await? {
            Controlled::Yes => return Ok(self.show(&slug).await?.headed(format!("{slug} {done}."))),
            Controlled::Again => {
                return Ok(self.show(&slug).await?.headed(format!("{slug} {done}, since the first time.")));
            }
            Controlled::Conflict => "this request was made before, for something else".to_owned(),
            Controlled::UnknownSale => format!("there is no sale {slug:?}"),
            Controlled::UnknownTier => format!("{slug} has no such tier"),
            Controlled::TooMuch => "that is more than a tier may have".to_owned(),
        };
        Ok(Reply::refused(refused))
    }

    /// Shows how many jobs are where.
    pub(crate) async fn jobs(&self, dead: bool) -> anyhow::Result<Reply> {
        if self.queue.is_none() {
            return Ok(Reply::refused(NO_QUEUE.to_owned()));
        }
        let mut jobs = self.helm().jobs().await?;
        if !dead {
            jobs.dead.clear();
        }
        Ok(Reply::made(words(&jobs), json!(jobs)))
    }

    /// Has a dead job tried again, or forgets it.
    pub(crate) async fn job(
        &self,
        (queue, key): (&str, &str),
        discard: bool,
        reason: Option<String>,
    ) -> anyhow::Result<Reply> {
        let orders = match Orders::new(By::cli(), reason) {
            Ok(orders) => orders,
            Err(sentence) => return Ok(Reply::refused(sentence)),
        };
        let helm = self.helm();
        let (done, deed) = if discard {
            (helm.discard_job(queue, key, &orders).await?, "is forgotten")
        } else {
            (helm.retry_job(queue, key, &orders).await?, "is tried again")
        };
        Ok(match done {
            JobDone::Yes => Reply::made(format!("{queue} {key} {deed}.\n"), json!({ "queue": queue, "key": key })),
            JobDone::Unknown => Reply::refused(format!("{queue} has no dead job {key:?}")),
            JobDone::NoQueue => Reply::refused(NO_QUEUE.to_owned()),
        })
    }
}

impl Desk {
    /// Lists the orders that wait for a person.
    pub(crate) async fn reviews(&self) -> anyhow::Result<Reply> {
        let waiting = json!({ "orders": self.helm().reviews().await? });
        let mut text = String::new();
        for order in waiting["orders"].as_array().into_iter().flatten() {
            let word = |name: &str| order[name].as_str().unwrap_or_default();
            let _ = writeln!(text, "{}  {}  {}: {}", word("updated_at"), word("id"), word("sale"), word("review"));
        }
        if text.is_empty() {
            text = "No order waits for a person.\n".into();
        }
        Ok(Reply::made(text, waiting))
    }

    /// Does what a person has decided about an order in review.
    pub(crate) async fn decide(&self, id: Uuid, decision: Decision, reason: Option<String>) -> anyhow::Result<Reply> {
        let orders = match Orders::new(By::cli(), reason) {
            Ok(orders) => orders,
            Err(sentence) => return Ok(Reply::refused(sentence)),
        };
        let made = |order: &Order, queued: bool, done: &str| {
            let data = json!({ "order": OrderRow::new(order), "decision": decision, "queued": queued });
            Reply::made(format!("order {id}: {done}.\n"), data)
        };
        Ok(match self.helm().decide(id, decision, &orders).await? {
            Decided::Done(order) => made(&order, false, "it waits for its charge again"),
            Decided::Queued(order) => {
                made(&order, true, "a worker asks Stripe; `stampede order show` tells what comes of it")
            }
            Decided::NotInReview(order) => Reply::refused(format!("the order is {}; it waits for nobody", order.state)),
            Decided::MoneyTaken(_) => Reply::refused(
                "Stripe has taken another sum than the order's; decide `refund`, and it goes back".to_owned(),
            ),
            Decided::Unknown => Reply::refused(format!("there is no order {id}")),
            Decided::NoQueue => {
                Reply::refused("no process sells at the moment, and a worker has to ask Stripe".to_owned())
            }
        })
    }
}

const NO_QUEUE: &str =
    "no process sells at the moment, and jobs are in its memory; what is owed is queued when it starts";

fn words(jobs: &Jobs) -> String {
    let mut text =
        format!("{:<18} {:>8} {:>8} {:>8} {:>8}  oldest waits\n", "queue", "waiting", "running", "delayed", "dead");
    for row in &jobs.queues {
        let oldest = match row.oldest_age_ms {
            0 => "-".to_owned(),
            ms => format!("{:?}", Duration::from_millis(ms)),
        };
        let _ = writeln!(
            text,
            "{:<18} {:>8} {:>8} {:>8} {:>8}  {oldest}",
            row.queue, row.waiting, row.running, row.delayed, row.dead
        );
    }
    for dead in &jobs.dead {
        let _ = writeln!(text, "{}  {} {}: {}", dead.died_at, dead.queue, dead.key, dead.reason);
    }
    text
}
