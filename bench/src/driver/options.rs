//! What the driver can be told.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::shopper::PURCHASES_MAX;
use crate::measure::processes::Group;

/// Shoppers with a websocket each who buy, timed from their purchase to what their socket says of it.
#[derive(Clone, Debug, Parser)]
#[command(name = "flashbench", disable_help_subcommand = true, args_override_self = true)]
pub struct Options {
    /// How to speak to the system (bench/adapters)
    #[arg(long, value_name = "FILE")]
    pub adapter: PathBuf,
    /// Shoppers of each wave
    #[arg(long, default_value_t = 500)]
    pub shoppers: u32,
    /// Waves, one after the other; sockets are closed between them
    #[arg(long, default_value_t = 1)]
    pub waves: u32,
    /// Purchases of each shopper (4,096 at most), in rate mode one after another due time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(PURCHASES_MAX)))]
    pub purchases: u32,
    /// All at once, or at a steady rate whatever the system does
    #[arg(long, value_enum, default_value_t = Kind::Stampede)]
    mode: Kind,
    /// Purchases per second in rate mode
    #[arg(long, default_value_t = 200.0, value_name = "PER_SECOND")]
    rate: f64,
    /// A purchase without a final answer in so many seconds is lost
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    timeout: f64,
    /// Shoppers who open their sockets at the same time
    #[arg(long, default_value_t = 100)]
    pub connect: u16,
    /// Buy over so many kept connections, as through a proxy; 0: each purchase over a connection of its own
    #[arg(long, default_value_t = 0)]
    pub pool: u16,
    /// Who is told to come again (429 or 503 with Retry-After) does so, as the page does
    #[arg(long)]
    pub again: bool,
    /// Wait between the last socket and the first purchase
    #[arg(long, default_value_t = 1_000, value_name = "MS")]
    settle: u64,
    /// Wait for second messages after the last outcome
    #[arg(long, default_value_t = 500, value_name = "MS")]
    linger: u64,
    /// Share of the shoppers who pay with --decline-token
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    pub decline: u32,
    /// What shoppers pay with
    #[arg(long, default_value = "tok_visa")]
    pub token: String,
    /// What the others pay with
    #[arg(long, default_value = "tok_chargeDeclined")]
    pub decline_token: String,
    /// Threads of the driver
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// A variable of the adapter; given more than once, shoppers take its values in turn
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// Addresses to connect from, in turn: each has as many ports of its own
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub from: Vec<Ipv4Addr>,
    /// Measure CPU and memory of these processes and of their children; a NAME that begins with ~ is kept out of the sums
    #[arg(long = "proc", value_name = "NAME=PIDS")]
    pub parts: Vec<Group>,
    /// Open the sockets and buy nothing
    #[arg(long)]
    pub connect_only: bool,
    /// With --connect-only: run this by the shell, and time the frame that each socket gets
    #[arg(long, value_name = "COMMAND")]
    pub broadcast: Option<String>,
    /// With --connect-only: the same, while another driver runs the command
    #[arg(long)]
    pub await_broadcast: bool,
    /// Print `joined` once all sockets are open, and go on when a line comes in
    #[arg(long)]
    pub barrier: bool,
    /// Kept in the report
    #[arg(long, default_value = "")]
    pub label: String,
    /// Write the report there; - is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Stampede,
    Rate,
}

/// When purchases are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// All at once.
    Stampede,
    /// So many per second, whatever the system does.
    Rate(f64),
}

impl Options {
    /// When purchases are made.
    #[must_use]
    pub fn mode(&self) -> Mode {
        if self.mode == Kind::Rate { Mode::Rate(self.rate.max(0.001)) } else { Mode::Stampede }
    }

    /// The mode in words.
    #[must_use]
    pub fn spoken(&self) -> String {
        let many = if self.purchases > 1 { format!(", {} purchases each", self.purchases) } else { String::new() };
        match self.mode() {
            _ if self.connect_only => "sockets only".to_owned(),
            Mode::Stampede => format!("stampede{many}"),
            Mode::Rate(rate) => format!("{rate} a second{many}"),
        }
    }

    /// Nanoseconds after which a purchase is lost.
    #[must_use]
    pub fn timeout_ns(&self) -> u64 {
        u64::try_from(Duration::from_secs_f64(self.timeout.max(0.0)).as_nanos()).unwrap_or(u64::MAX)
    }

    /// See `--settle`.
    #[must_use]
    pub fn settle(&self) -> Duration {
        Duration::from_millis(self.settle)
    }

    /// See `--linger`.
    #[must_use]
    pub fn linger(&self) -> Duration {
        Duration::from_millis(self.linger)
    }

    /// The value that a shopper takes of a variable that was set.
    pub fn chosen(&self, shopper: u32) -> impl Iterator<Item = (&str, &str)> {
        self.set.iter().enumerate().filter_map(move |(at, (name, value))| {
            let of_name = || self.set.iter().enumerate().filter(|(_, (other, _))| other == name);
            let turn = of_name().nth(shopper as usize % of_name().count())?;
            (turn.0 == at).then_some((name.as_str(), value.as_str()))
        })
    }

    /// Whether a shopper pays with a card that is declined: spread evenly over the crowd.
    #[must_use]
    pub fn declines(&self, shopper: u32) -> bool {
        let so_far = |shoppers: u64| shoppers * u64::from(self.decline.min(100)) / 100;
        so_far(u64::from(shopper) + 1) > so_far(u64::from(shopper))
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("should be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(more: &[&str]) -> Options {
        Options::parse_from([&["flashbench", "--adapter", "a.toml"], more].concat())
    }

    #[test]
    fn a_variable_that_is_set_twice_is_taken_in_turn() {
        let options = options(&["--set", "host=a", "--set", "sale=s", "--set", "host=b"]);
        let of = |shopper: u32| options.chosen(shopper).collect::<Vec<_>>();
        assert_eq!(of(0), [("host", "a"), ("sale", "s")]);
        assert_eq!(of(1), [("sale", "s"), ("host", "b")]);
        assert_eq!(of(2), of(0));
    }

    #[test]
    fn the_share_that_is_declined_is_met() {
        let options = options(&["--decline", "15"]);
        assert_eq!((0..200).filter(|shopper| options.declines(*shopper)).count(), 30);
    }
}
