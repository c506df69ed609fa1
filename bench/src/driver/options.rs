//! What the driver can be told.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::load::{self, Stretch};
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
    /// Purchases per second, each for so many seconds, one stretch after the other; instead of --mode, --rate, --purchases
    #[arg(long, value_name = "RATExSECONDS", value_delimiter = ',')]
    load: Vec<Stretch>,
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
    /// With --again: nobody comes again later than so many seconds after the first purchase
    #[arg(long, value_name = "SECONDS")]
    leave: Option<f64>,
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

impl Options {
    /// Sees to it that each shopper makes as many purchases as the load takes.
    pub(super) fn settle_load(&mut self) -> Result<(), String> {
        if self.load.is_empty() {
            return Ok(());
        }
        let each = load::count(&self.load).div_ceil(u64::from(self.shoppers.max(1)));
        self.purchases =
            u32::try_from(each).ok().filter(|each| (1..=PURCHASES_MAX).contains(each)).ok_or_else(|| {
                format!("--load makes {each} purchases of each shopper, who can tell {PURCHASES_MAX} apart")
            })?;
        Ok(())
    }

    /// Purchases of so many shoppers.
    pub(super) fn count(&self, shoppers: usize) -> u64 {
        let most = shoppers as u64 * u64::from(self.purchases);
        if self.load.is_empty() { most } else { most.min(load::count(&self.load)) }
    }

    /// How long after the first purchase the one at this place is due, whatever the system does; `None`: all at once.
    pub(super) fn due(&self, place: u64) -> Option<Duration> {
        match self.mode {
            _ if !self.load.is_empty() => Some(load::due(&self.load, place)),
            Kind::Stampede => None,
            Kind::Rate => Some(Duration::from_secs_f64(place as f64 / self.rate())),
        }
    }

    fn rate(&self) -> f64 {
        self.rate.max(0.001)
    }

    /// The mode in words.
    #[must_use]
    pub fn spoken(&self) -> String {
        let many = if self.purchases > 1 { format!(", {} purchases each", self.purchases) } else { String::new() };
        match self.mode {
            _ if self.connect_only => "sockets only".to_owned(),
            _ if !self.load.is_empty() => format!("by stretches{many}"),
            Kind::Stampede => format!("stampede{many}"),
            Kind::Rate => format!("{} a second{many}", self.rate()),
        }
    }

    /// Nanoseconds after the first purchase at which nobody comes again.
    #[must_use]
    pub fn leave_ns(&self) -> u64 {
        self.leave.map_or(u64::MAX, nanoseconds)
    }

    /// Nanoseconds after which a purchase is lost.
    #[must_use]
    pub fn timeout_ns(&self) -> u64 {
        nanoseconds(self.timeout)
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

fn nanoseconds(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds.max(0.0)).as_nanos()).unwrap_or(u64::MAX)
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
    fn a_load_says_how_often_each_shopper_buys_and_the_last_round_is_not_full() {
        let mut options = options(&["--shoppers", "40", "--load", "10x2,100x1"]);
        options.settle_load().unwrap();
        assert_eq!((options.purchases, options.count(40), options.count(10)), (3, 120, 30));
        assert_eq!(options.due(20), Some(Duration::from_secs(2)));
        let mut too_few = super::tests::options(&["--shoppers", "1", "--load", "5000x1"]);
        assert!(too_few.settle_load().is_err());
    }

    #[test]
    fn the_share_that_is_declined_is_met() {
        let options = options(&["--decline", "15"]);
        assert_eq!((0..200).filter(|shopper| options.declines(*shopper)).count(), 30);
    }
}
