//! What can be typed, and the help that explains it.

use std::fmt::Write as _;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use shared::config::SETTINGS;
use shared::env::Timestamp;
use shared::ledger::RefundWhat;
use shared::sale::LatePolicy;

use crate::admin::{Admin, NewRefund, NewSale, NewTier};
use crate::forecast::Asked;
use crate::operators::{self, Keys, Operators};
use crate::sandbox;
use crate::simulate::Simulate;
use crate::steering::{SteerSale, TypedJobs, TypedReview};
use crate::top;
use crate::workers;

/// Sells a limited stock to a crowd that arrives in the same second.
///
/// Without a command it starts everything in one process: the shop, a worker, and a sandbox in place of Stripe, with
/// a demo sale that is open. No key, no database and no setting is needed.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, after_long_help = settings_help(), disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) typed: Option<Typed>,
}

const EXAMPLES: &str = "Examples:
  stampede                                      the whole shop, at http://127.0.0.1:3000
  stampede sale create --slug spring --name 'Spring concert' --currency usd \\
      --tier std:Standard:2500:500:4 --tier vip:'Front row':9900:50:2
  stampede sale show spring
  stampede sale add-stock spring std 100
  stampede sale pause spring --reason 'the hall is dark'
  stampede jobs --dead
  stampede stock check spring
  stampede top
  stampede forecast --sale spring
  stampede worker list
  stampede worker drain worker-3f9c0d2b71a4 --reason 'this machine goes down'
  stampede stripe reconcile --hours 6
  stampede sandbox webhooks drop 20
  stampede simulate --seeds 1000
  stampede operator add ann --role owner
  stampede key add nightly --scope see_orders,refund
  stampede order show 0198f2c0-7c1e-7d6a-8f7e-0d6f3c1b2a39
  stampede order refund 0198f2c0-7c1e-7d6a-8f7e-0d6f3c1b2a39 --amount 1000 --reason 'late start'

Settings are environment variables, or lines of a file `.env`; `stampede --help` lists them all.";

fn settings_help() -> String {
    let mut help = format!("{EXAMPLES}\n\nSettings (environment variables, or lines of a file `.env`):\n");
    for (name, default, meaning) in SETTINGS {
        let default = if default.is_empty() { String::new() } else { format!(" [default: {default}]") };
        let _ = writeln!(help, "  {name:<24} {meaning}{default}");
    }
    help
}

/// The commands, as they are typed.
#[derive(Debug, Subcommand)]
pub(crate) enum Typed {
    /// The shop alone; workers run in processes of their own (needs REDIS_URL)
    Web,
    /// A worker alone: as many of them as you like (needs REDIS_URL); with a command, looks at those that run and steers them
    Worker(workers::Worker),
    /// The Stripe sandbox alone; with a command, tells a sandbox that runs what should go wrong
    Sandbox(sandbox::Sandbox),
    /// Brings the ledger's tables up to date; safe to repeat
    Migrate,
    /// Makes and steers sales
    #[command(subcommand)]
    Sale(Sale),
    /// Looks at orders, and refunds them
    #[command(subcommand)]
    Order(Order),
    /// Compares payments with Stripe
    #[command(subcommand)]
    Stripe(Stripe),
    /// Looks at the stock
    #[command(subcommand)]
    Stock(Stock),
    /// Lists the orders that wait for a person, and decides what becomes of them
    #[command(subcommand)]
    Review(TypedReview),
    /// Shows how many jobs are where, and sees to those that wait for a person
    Jobs(TypedJobs),
    /// Adds, changes and removes the people who may steer the shop
    #[command(subcommand)]
    Operator(Operators),
    /// Makes and revokes keys for machines
    #[command(subcommand)]
    Key(Keys),
    /// Tells how long a sale takes at the budget that Stripe allows, and at larger ones
    Forecast {
        #[command(flatten)]
        asked: Asked,
        #[command(flatten)]
        output: Output,
    },
    /// Shows the shop live: sales, orders, queues, Stripe's budget, processes
    Top(top::Asked),
    /// Plays the whole flow in made-up worlds in which everything goes wrong, and exits with 1 if a promise is broken
    Simulate(Simulate),
}

/// Every command that prints data can print it as JSON.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Output {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `stampede sale …`
#[derive(Debug, Subcommand)]
pub(crate) enum Sale {
    /// Makes a sale; it is open at once unless --opens-at says otherwise
    Create(Create),
    /// Lists all sales, the newest first
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Shows one sale and its stock
    Show {
        /// The sale's slug
        sale: String,
        #[command(flatten)]
        output: Output,
    },
    #[command(flatten)]
    Steer(SteerSale),
}

/// `stampede sale create …`
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name in addresses: lower-case letters, digits, hyphens
    #[arg(long)]
    slug: String,
    /// Name for people
    #[arg(long)]
    name: String,
    /// Three-letter currency code
    #[arg(long)]
    currency: String,
    /// A price category; AMOUNT is in minor units (2500 is $25.00), MAX is the most that one customer may have
    #[arg(long = "tier", required = true, value_name = "ID:NAME:AMOUNT:CAPACITY[:MAX]")]
    tiers: Vec<NewTier>,
    /// How long an unpaid hold lasts
    #[arg(long, default_value_t = 600)]
    hold_seconds: u32,
    /// What becomes of money that comes when its order has ended: fulfil (if the units are free) or refund
    #[arg(long, default_value = "fulfil", value_name = "fulfil|refund")]
    late: LatePolicy,
    /// When it opens, as 2026-12-01T10:00:00Z
    #[arg(long, value_parser = Timestamp::parse_rfc3339)]
    opens_at: Option<Timestamp>,
    /// When it closes
    #[arg(long, value_parser = Timestamp::parse_rfc3339)]
    closes_at: Option<Timestamp>,
    #[command(flatten)]
    output: Output,
}

/// `stampede order …`
#[derive(Debug, Subcommand)]
pub(crate) enum Order {
    /// Shows an order and everything that happened to it
    Show {
        /// The order's id
        order: uuid::Uuid,
        #[command(flatten)]
        output: Output,
    },
    /// Gives money back: all that is left, unless a sum or tickets are named
    Refund(Refund),
}

/// `stampede order refund …`
#[derive(Debug, Args)]
pub(crate) struct Refund {
    /// The order's id
    order: uuid::Uuid,
    /// A sum in minor units (1000 is $10.00); the tickets stay valid, unless it is all that is left
    #[arg(long, value_name = "MINOR", conflicts_with = "tickets", allow_negative_numbers = true)]
    amount: Option<i64>,
    /// The price of these tickets, which lose their validity at once
    #[arg(long, value_name = "ID,ID", value_delimiter = ',')]
    tickets: Option<Vec<uuid::Uuid>>,
    /// Why, for whoever looks at the order later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// A UUID that makes the command safe to repeat: the same one again is the same refund
    #[arg(long, value_name = "ID")]
    request: Option<uuid::Uuid>,
    /// Let the units of the tickets be sold again once the money has gone
    #[arg(long)]
    restock: bool,
    #[command(flatten)]
    output: Output,
}

/// `stampede stock …`
#[derive(Debug, Subcommand)]
pub(crate) enum Stock {
    /// Exits with 1 unless conservation holds and stock and ledger agree
    Check {
        /// The sale's slug
        sale: String,
        #[command(flatten)]
        output: Output,
    },
}

/// `stampede stripe …`
#[derive(Debug, Subcommand)]
pub(crate) enum Stripe {
    /// Settles what Stripe has and the ledger lacks, and exits with 1 if anything is left that they disagree about
    #[command(after_help = REASONS)]
    Reconcile {
        /// How far to look back; the sweep does the last hour by itself every five minutes
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=720))]
        hours: u32,
        #[command(flatten)]
        output: Output,
    },
    /// Says that you have seen to a payment that was raised (given it back in Stripe's dashboard, say)
    Dismiss {
        /// Its id, as `stampede stripe reconcile` shows it
        payment_intent: String,
        #[command(flatten)]
        output: Output,
    },
}

const REASONS: &str = "What is raised:
  unknown_order       Stripe took money for an order that the ledger does not know
  not_settled         Stripe took money, and the order could not be settled by it
  not_paid_at_stripe  the order is paid, and Stripe does not say so of its payment
  another_order       the order is paid, and its payment is of another order
  without_payment     the order is paid, and has no payment";

impl FromStr for NewTier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The id comes first and the numbers last, so that a name may have colons of its own.
        let parts: Vec<&str> = text.split(':').collect();
        let shape = || "a tier is ID:NAME:AMOUNT:CAPACITY[:MAX_PER_CUSTOMER]".to_owned();
        let numbers = parts.iter().rev().take(3).take_while(|part| part.parse::<i64>().is_ok()).count();
        let numbers = numbers.min(parts.len().saturating_sub(2));
        if numbers < 2 {
            return Err(shape());
        }
        let first = parts.len() - numbers;
        let number = |place: usize| parts.get(first + place).copied();
        let parse = |place: usize| number(place).and_then(|text| text.parse().ok());
        Ok(Self {
            id: parts[0].to_owned(),
            name: parts[1..first].join(":"),
            amount: number(0).and_then(|text| text.parse().ok()).ok_or_else(shape)?,
            capacity: parse(1).ok_or_else(|| "a capacity is a whole number".to_owned())?,
            max_per_customer: match number(2) {
                Some(text) => Some(text.parse().map_err(|_| "a limit per customer is a whole number".to_owned())?),
                None => None,
            },
        })
    }
}

/// The commands, as they are carried out.
#[derive(Debug)]
pub(crate) enum Command {
    /// Everything in one process.
    All,
    /// The shop alone.
    Web,
    /// A worker alone.
    Worker,
    /// The sandbox alone.
    Sandbox,
    /// Something for a sandbox that runs.
    Control(sandbox::Request),
    /// Worlds from seeds.
    Simulate(Simulate),
    /// The shop, live.
    Top(top::Asked),
    /// Migrations.
    Migrate,
    /// Something about operators or keys.
    Access {
        /// What.
        asked: operators::Asked,
        /// Whether to print JSON.
        json: bool,
    },
    /// Something for the running process, or for the ledger.
    Admin {
        /// What.
        command: Admin,
        /// Whether to print JSON.
        json: bool,
    },
}

impl Cli {
    /// What is to be carried out.
    #[must_use]
    pub(crate) fn command(self) -> Command {
        let Some(typed) = self.typed else { return Command::All };
        let access = |(asked, output): (operators::Asked, Output)| Command::Access { asked, json: output.json };
        let steered = |(command, output): (Admin, Output)| Command::Admin { command, json: output.json };
        let admin = |command: Admin, output: Output| Command::Admin { command, json: output.json };
        match typed {
            Typed::Web => Command::Web,
            Typed::Worker(typed) => match typed.asked() {
                None => Command::Worker,
                Some((asked, output)) => admin(Admin::Worker(asked), output),
            },
            Typed::Sandbox(asked) => asked.request().map_or(Command::Sandbox, Command::Control),
            Typed::Stripe(Stripe::Reconcile { hours, output }) => admin(Admin::Reconcile { hours }, output),
            Typed::Stripe(Stripe::Dismiss { payment_intent, output }) => {
                admin(Admin::Dismiss { payment_intent }, output)
            }
            Typed::Operator(typed) => access(typed.asked()),
            Typed::Key(typed) => access(typed.asked()),
            Typed::Simulate(asked) => Command::Simulate(asked),
            Typed::Top(asked) => Command::Top(asked),
            Typed::Migrate => Command::Migrate,
            Typed::Sale(Sale::Create(new)) => {
                let output = new.output;
                let sale = NewSale {
                    slug: new.slug,
                    name: new.name,
                    currency: new.currency,
                    tiers: new.tiers,
                    hold_seconds: new.hold_seconds,
                    late: new.late,
                    opens_at: new.opens_at,
                    closes_at: new.closes_at,
                };
                admin(Admin::CreateSale(sale), output)
            }
            Typed::Sale(Sale::List { output }) => admin(Admin::ListSales, output),
            Typed::Sale(Sale::Show { sale, output }) => admin(Admin::ShowSale { sale }, output),
            Typed::Sale(Sale::Steer(typed)) => steered(typed.asked()),
            Typed::Jobs(typed) => steered(typed.asked()),
            Typed::Review(typed) => steered(typed.asked()),
            Typed::Order(Order::Show { order, output }) => admin(Admin::ShowOrder { order }, output),
            Typed::Order(Order::Refund(refund)) => {
                let output = refund.output;
                let what = match (refund.amount, refund.tickets) {
                    (Some(amount), _) => RefundWhat::Amount(amount),
                    (None, Some(tickets)) => RefundWhat::Tickets(tickets),
                    (None, None) => RefundWhat::All,
                };
                let refund = NewRefund {
                    order: refund.order,
                    what,
                    reason: refund.reason,
                    request: refund.request,
                    restock: refund.restock,
                };
                admin(Admin::Refund(refund), output)
            }
            Typed::Forecast { asked, output } => admin(Admin::Forecast(asked), output),
            Typed::Stock(Stock::Check { sale, output }) => admin(Admin::CheckStock { sale }, output),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        <Cli as CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_tier_is_read_with_and_without_a_limit_and_with_colons_in_its_name() {
        let tier: NewTier = "std:Standard:2500:100".parse().unwrap();
        assert_eq!(
            (tier.name.as_str(), tier.amount, tier.capacity, tier.max_per_customer),
            ("Standard", 2500, 100, None)
        );
        let tier: NewTier = "vip:Front: row A:9900:50:2".parse().unwrap();
        assert_eq!((tier.name.as_str(), tier.max_per_customer), ("Front: row A", Some(2)));
        for bad in ["", "std", "std:Standard", "std:Standard:2500", "std:Standard:x:100", "std:Standard:2500:-1"] {
            assert!(bad.parse::<NewTier>().is_err(), "{bad}");
        }
    }
}
