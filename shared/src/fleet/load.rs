//! How a process fares: read from what it counts for its metrics anyway, and from the kernel's books of it. Nothing is
//! counted for this alone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::budget::MilliHertz;

/// Ticks of a CPU's clock in a second, as Linux tells them to programs (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: u64 = 100;

/// How a process fares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// CPU time since it began, in ms.
    pub cpu_ms: u64,
    /// Memory, in bytes.
    pub resident_bytes: u64,
    /// Of a process that serves.
    pub web: Option<WebLoad>,
    /// Of a process that charges.
    pub worker: Option<WorkerLoad>,
}

/// Times of the last minute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of them were no longer, in ms.
    pub p50_ms: f64,
    /// Ninety-nine of a hundred were no longer, in ms.
    pub p99_ms: f64,
}

/// How a process fares that serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WebLoad {
    /// Open sockets and event streams.
    pub sockets: u64,
    /// Customers who have one.
    pub rooms: u64,
    /// Orders accepted since it began.
    pub accepted_total: u64,
    /// Orders accepted in a second lately, in thousandths.
    pub accepted_rate: MilliHertz,
    /// From a purchase's head to its 202.
    pub accept: Option<Quantiles>,
    /// How long a socket took to take news of an order.
    pub push: Option<Quantiles>,
}

/// How a process fares that charges.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerLoad {
    /// Charges under way at the same time, at most, at the moment.
    pub concurrency: u32,
    /// What an operator or its settings allow, if they say.
    pub bound: Option<u32>,
    /// Charges under way.
    pub in_hand: u32,
    /// Orders paid by its hand since it began.
    pub charged_total: u64,
    /// From the push of a charge to its start.
    pub queue_wait: Option<Quantiles>,
    /// How long Stripe took for charges that succeeded.
    pub stripe: Option<Quantiles>,
    /// From what Stripe said until the room was told.
    pub settle: Option<Quantiles>,
    /// Declines since it began, by class.
    pub declines: BTreeMap<String, u64>,
    /// Requests that Stripe refused for their number since it began, by Stripe's reason.
    #[serde(default)]
    pub throttled: BTreeMap<String, u64>,
}

impl Load {
    /// For people's programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut told = json!({
            "cpu_seconds": Duration::from_millis(self.cpu_ms).as_secs_f64(), "resident_bytes": self.resident_bytes,
        });
        if let Some(web) = &self.web {
            told["web"] = json!({
                "sockets": web.sockets, "rooms": web.rooms, "accepted_total": web.accepted_total,
                "accepted_per_second": Duration::from_millis(web.accepted_rate).as_secs_f64(),
                "accept": web.accept, "push": web.push,
            });
        }
        if let Some(worker) = &self.worker {
            told["worker"] = json!(worker);
        }
        told
    }
}

impl Quantiles {
    /// Of half of them, and of ninety-nine of a hundred, to the microsecond.
    pub(super) fn of((p50, p99): (Duration, Duration)) -> Self {
        // A thousand times as long, in seconds, is the same number in milliseconds.
        let in_ms = |time: Duration| time.saturating_mul(1_000).as_secs_f64();
        Self { p50_ms: in_ms(p50), p99_ms: in_ms(p99) }
    }
}

/// CPU time in ms and memory in bytes of this process, as Linux knows them; 0 elsewhere.
pub(super) fn of_the_kernel() -> (u64, u64) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    (cpu_ms(&read("stat")), resident_bytes(&read("status")))
}

/// The name of the process stands in brackets and may have spaces; the user's and the system's ticks are the 12th and the
/// 13th behind it (proc_pid_stat(5)).
fn cpu_ms(stat: &str) -> u64 {
    let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = behind.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    ticks.sum::<u64>() * 1_000 / TICKS_PER_SECOND
}

fn resident_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_milliseconds() {
        let times = Quantiles::of((Duration::from_micros(1_500), Duration::from_secs(2)));
        assert_eq!(json!(times), json!({"p50_ms": 1.5, "p99_ms": 2_000.0}));
    }

    #[test]
    fn what_the_kernel_says_is_read_whatever_the_process_is_called() {
        let stat = "42 (a) name (b)) S 1 2 3 4 5 6 7 8 9 10 1500 250 7 7";
        assert_eq!(cpu_ms(stat), 17_500);
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   2048 kB\n"), 2 << 20);
        assert_eq!((cpu_ms(""), resident_bytes("")), (0, 0));
        let (_, resident) = of_the_kernel();
        assert!(resident > 0, "this very process has memory");
    }
}
