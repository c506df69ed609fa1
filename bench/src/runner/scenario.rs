//! The scenarios: who plays them, with how many shoppers, and what the drivers are told.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};

use super::cli::Series;
use super::drivers::Drive;
use super::median::{Cells, of};
use super::overload::Overload;
use super::record::Record;
use super::stack::Stack;
use super::system::{Stage, System};
use super::{Places, run};

/// Sockets of one process, ours or a driver's: it may hold 20,000 files on small machines.
pub(super) const SOCKETS_PER_PROCESS: u32 = 15_000;
/// The same when each purchase has a connection of its own.
const BUYERS_PER_PROCESS: u32 = 9_000;
/// Shoppers that connect from one address, over all waves: each address has 50,000 ports.
const SHOPPERS_PER_ADDRESS: u32 = 10_000;
/// Tickets beyond those that the measured purchases need: for the warm-up, and whatever is tried by hand.
const SPARE_UNITS: u64 = 100_000;

/// What is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scenario {
    /// Everybody buys at once, at every system.
    #[default]
    Compare,
    /// A steady rate for a minute over sockets that stay open.
    Minute,
    /// A steady rate at half of the most.
    Latency,
    /// Far more shoppers than tickets.
    Soldout,
    /// Sockets and nothing else.
    Idle,
    /// From few shoppers to many.
    Growth,
    /// Several times the capacity.
    Overload,
}

/// One run to come.
pub(super) struct Plan {
    /// What is known of its record already.
    pub(super) record: Record,
    pub(super) stage: Stage,
    pub(super) drive: Drive,
    pub(super) warmup: u32,
    pub(super) patience: Duration,
    pub(super) broadcasts: bool,
}

impl Scenario {
    /// All of them, in the order of the report.
    pub(super) const ALL: [Self; 7] =
        [Self::Compare, Self::Minute, Self::Latency, Self::Overload, Self::Soldout, Self::Idle, Self::Growth];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Compare => "compare",
            Self::Minute => "minute",
            Self::Latency => "latency",
            Self::Soldout => "soldout",
            Self::Idle => "idle",
            Self::Growth => "growth",
            Self::Overload => "overload",
        }
    }

    fn systems(self) -> Vec<System> {
        match self {
            Self::Compare | Self::Latency => System::value_variants().to_vec(),
            Self::Minute => vec![System::StampedeEmbedded, System::StampedeSqlite, System::StampedePostgres],
            Self::Overload => vec![System::StampedeEmbedded, System::StampedeSqlite],
            Self::Soldout => vec![System::StampedeSqlite, System::StampedePostgres],
            Self::Idle => vec![System::StampedeEmbedded, System::StampedeSqlite, System::Bullmq],
            Self::Growth => vec![System::StampedeSqlite, System::StampedePostgres, System::Bullmq],
        }
    }

    fn shoppers(self) -> &'static [u32] {
        match self {
            Self::Compare => &[500, 2_000, 5_000],
            Self::Minute => &[10_000],
            // As many as the rate and the time make.
            Self::Latency => &[0],
            // Each buys again and again; what is kept open for purchases takes most files.
            Self::Overload => &[4_000],
            Self::Soldout => &[20_000],
            Self::Idle => &[15_000, 45_000],
            Self::Growth => &[1_000, 3_000, 10_000, 30_000, 100_000],
        }
    }

    fn latencies(self) -> &'static [u64] {
        if self == Self::Compare { &[0, 100] } else { &[0] }
    }

    fn pool(self) -> u16 {
        match self {
            // An overload has its own.
            Self::Compare | Self::Idle | Self::Overload => 0,
            Self::Minute | Self::Latency => 64,
            Self::Soldout | Self::Growth => 256,
        }
    }

    /// Processes on either side. As many as the sockets take; but small crowds meet what large ones do, wherever they are
    /// set side by side: what a full wave takes.
    fn processes(self, system: System, series: &Series, size: &Size) -> u32 {
        let full = if self == Self::Growth && system.has_web_processes() { series.wave } else { 0 };
        size.processes.max(full.div_ceil(SOCKETS_PER_PROCESS))
    }

    /// Why a system cannot play this with sockets for so many processes; `None` if it can.
    fn unfit(self, system: System, processes: u32) -> Option<&'static str> {
        if matches!(self, Self::Minute | Self::Soldout | Self::Overload) && !system.is_stampede() {
            return Some("it has no stock, and no purchases apart from its shoppers");
        }
        (processes > 1 && !system.has_web_processes()).then_some("one process cannot hold as many files")
    }
}

/// Plays a series: rounds over everything, so that a noisy spell of the machine meets all alike.
pub(super) async fn measure(places: &Places, scenario: Scenario, series: &Series) -> Result<()> {
    let systems = series.systems.clone().unwrap_or_else(|| scenario.systems());
    let shoppers = series.shoppers.clone().unwrap_or_else(|| scenario.shoppers().to_vec());
    let latencies = series.latency.clone().unwrap_or_else(|| scenario.latencies().to_vec());
    for round in 1..=series.runs {
        for &latency in &latencies {
            for (&shoppers, &system) in shoppers.iter().flat_map(|n| systems.iter().map(move |system| (n, system))) {
                let plan = match plan(places, scenario, series, system, shoppers, latency, round)? {
                    Ok(plan) => plan,
                    Err(why) => {
                        eprintln!("{} does not play {} with {shoppers}: {why}", system.name(), scenario.name());
                        continue;
                    }
                };
                let path = plan.record.path(&places.out);
                if path.exists() {
                    eprintln!("{} is there already", path.display());
                    continue;
                }
                tell(&run::carry_out(places, &plan).await?);
            }
        }
    }
    Ok(())
}

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    shoppers: u32,
    purchases: u32,
    waves: u32,
    /// Open at the same time.
    sockets: u32,
    /// Kept connections for purchases.
    pool: u16,
    /// Processes that it takes to hold so many sockets, on either side.
    processes: u32,
}

impl Size {
    fn of(scenario: Scenario, series: &Series, shoppers: u32, rate: Option<f64>) -> Self {
        let seconds = series.seconds.unwrap_or(if scenario == Scenario::Minute { 60 } else { 20 });
        let most = rate.map_or(0, |rate| (rate * f64::from(seconds)).ceil() as u32);
        let shoppers = if shoppers == 0 { most.clamp(1, SOCKETS_PER_PROCESS) } else { shoppers };
        let waves = if scenario == Scenario::Growth { shoppers.div_ceil(series.wave) } else { 1 };
        let sockets = shoppers.div_ceil(waves);
        let pool = series.pool.unwrap_or_else(|| scenario.pool());
        let own_connections = pool == 0 && rate.is_none() && !matches!(scenario, Scenario::Idle | Scenario::Overload);
        let per_process = if own_connections { BUYERS_PER_PROCESS } else { SOCKETS_PER_PROCESS };
        Self {
            shoppers,
            purchases: if scenario == Scenario::Minute { most.div_ceil(shoppers).max(1) } else { 1 },
            waves,
            sockets,
            pool,
            processes: sockets.div_ceil(per_process),
        }
    }
}

/// The plan of a run, or why there is none.
fn plan(
    places: &Places,
    scenario: Scenario,
    series: &Series,
    system: System,
    shoppers: u32,
    latency_ms: u64,
    round: u32,
) -> Result<Result<Plan, &'static str>> {
    let rate = rate(places, scenario, series, system, latency_ms)?;
    let size = Size::of(scenario, series, shoppers, rate);
    if let Some(why) = scenario.unfit(system, size.processes) {
        return Ok(Err(why));
    }
    let processes = scenario.processes(system, series, &size);
    let webs = if system.has_web_processes() { series.webs.unwrap_or(processes.min(50) as u16).max(1) } else { 1 };
    let drivers = series.drivers.unwrap_or(processes).min(size.sockets);
    let overload = (scenario == Scenario::Overload).then(|| Overload::of(series));
    let stage = Stage {
        apart: overload.is_some(),
        counts: scenario == Scenario::Latency,
        ports: series.ports,
        webs,
        latency_ms,
        concurrency: series.concurrency,
        units: SPARE_UNITS
            + overload.map_or(u64::from(size.shoppers) * u64::from(size.purchases), |overload| overload.units()),
        tickets: (scenario == Scenario::Soldout).then_some(series.tickets),
    };
    let own = if overload.is_some() { Vec::new() } else { arguments(scenario, system, size) };
    let drive = Drive {
        program: places.programs.join("flashbench"),
        adapter: places.root.join("bench/adapters").join(system.adapter()),
        hosts: system.hosts(&stage),
        drivers,
        shoppers: size.sockets,
        waves: size.waves,
        from: own_addresses(drivers * size.shoppers.div_ceil(drivers).div_ceil(SHOPPERS_PER_ADDRESS)),
        rate,
        broadcast: None,
        apart: overload.is_some(),
        arguments: own.into_iter().chain(series.driver.iter().cloned()).collect(),
    };
    let shoppers = size.shoppers;
    let (run, waves) = (round, size.waves);
    let record = Record {
        scenario,
        system,
        shoppers,
        latency_ms,
        run,
        webs,
        waves,
        rate,
        drivers,
        overload,
        ..Record::default()
    };
    // What the warm-up leaves behind would be taken for memory that sockets do not need.
    let warmup = if scenario == Scenario::Idle { 0 } else { series.warmup };
    let patience = Duration::from_secs(series.patience);
    let broadcasts = scenario == Scenario::Idle && system.is_stampede();
    Ok(Ok(Plan { record, stage, drive, warmup, patience, broadcasts }))
}

/// Loopback addresses from which nobody has connected in the last minute: a connection that was closed keeps its port
/// for so long, and in a series of runs there would soon be none left.
fn own_addresses(count: u32) -> Vec<Ipv4Addr> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    /// Of four millions each run of this program takes others.
    const FIRST: u32 = u32::from_be_bytes([127, 64, 0, 0]);
    const ALL: u32 = 1 << 22;
    let start = std::process::id().wrapping_mul(1_009).wrapping_add(GIVEN.fetch_add(count, Ordering::Relaxed));
    (0..count).map(|more| Ipv4Addr::from(FIRST + start.wrapping_add(more) % ALL)).collect()
}

/// What all drivers of a run are told.
fn arguments(scenario: Scenario, system: System, size: Size) -> Vec<String> {
    let (pool, purchases) = (size.pool.to_string(), size.purchases.to_string());
    let mut words = vec!["--pool", &pool, "--purchases", &purchases];
    if scenario == Scenario::Idle {
        words.push("--connect-only");
    }
    match (system.is_stampede(), scenario) {
        (true, Scenario::Soldout) => words.extend(["--set", "sale=rush"]),
        // As the page is: told how much is left.
        (true, Scenario::Idle) => words.extend(["--set", "query=?sale=demo"]),
        // Of so many some are told to come again, and do.
        (true, Scenario::Growth) => words.push("--again"),
        _ => {}
    }
    words.into_iter().map(str::to_owned).collect()
}

/// Purchases per second of scenarios that have a steady rate.
fn rate(places: &Places, scenario: Scenario, series: &Series, system: System, latency_ms: u64) -> Result<Option<f64>> {
    match scenario {
        Scenario::Minute => Ok(Some(series.rate.unwrap_or(2_300.0))),
        Scenario::Latency if series.rate.is_some() => Ok(series.rate),
        Scenario::Latency => {
            let cells = Cells::sort(Record::read_all(&places.out, Scenario::Compare)?, 0.05);
            let mut same = cells.of.iter().filter(|(key, _)| (key.system, key.latency_ms) == (system, latency_ms));
            // Of the largest crowd.
            let most = same.next_back().and_then(|(_, runs)| of(runs, |run| Some(run.figures()?.completed_per_s)));
            match most {
                Some(most) => Ok(Some((most / 2.0).round().max(1.0))),
                None => {
                    bail!("half of what? Run `compare` for {} at {latency_ms} ms first, or give --rate", system.name())
                }
            }
        }
        _ => Ok(None),
    }
}

/// Starts one system, prints what a driver needs, and waits for ever.
#[allow(clippy::print_stdout, reason = "it is for a shell to use")]
pub(super) async fn up(places: &Places, system: System, series: &Series) -> Result<()> {
    super::peers::install(places, system)?;
    let latency = series.latency.as_ref().and_then(|all| all.first().copied()).unwrap_or(0);
    let shoppers = series.shoppers.as_ref().and_then(|all| all.first().copied()).unwrap_or(1_000);
    let plan = plan(places, Scenario::Compare, series, system, shoppers, latency, 1)?.map_err(anyhow::Error::msg)?;
    let stack = Stack::start(places, system, &plan.stage, &places.out.join("up").join(system.name())).await?;
    let ids = |roots: &[u32]| roots.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let parts = stack.groups().into_iter().map(|group| format!("--proc {}={}", group.name, ids(&group.roots)));
    let parts: Vec<String> = parts.collect();
    println!("{} {}", plan.drive.arguments_of(0).join(" "), parts.join(" "));
    std::future::pending::<()>().await;
    drop(stack);
    Ok(())
}

fn tell(record: &Record) {
    let Some(figures) = record.figures() else { return };
    let parts = figures.parts.iter().map(|part| format!("{} {}", part.name, part.cpu_s));
    let latency = figures.result_ms.map_or(String::new(), |ms| format!(", p50 {} p99 {} ms", ms.p50, ms.p99));
    eprintln!(
        "{}/{}: {}completed {} ({}/s){latency}, all answered after {} s; cpu {} s ({}); charged twice {}; others {:.0} %",
        record.scenario.name(),
        record.name(),
        if figures.whole { "" } else { "NOT WHOLE, " },
        figures.completed,
        figures.completed_per_s,
        figures.answering_s,
        figures.cpu_s,
        parts.collect::<Vec<_>>().join(", "),
        record.stub["shoppers_charged_more_than_once"],
        record.share_of_others() * 100.0,
    );
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::cli::{Cli, Task};
    use super::*;

    fn series(options: &[&str]) -> Series {
        let Task::Measure(_, series) = Cli::parse_from([&["bench"], options].concat()).task() else {
            panic!("it measures")
        };
        series
    }

    fn size(scenario: Scenario, shoppers: u32, rate: Option<f64>, options: &[&str]) -> Size {
        Size::of(scenario, &series(options), shoppers, rate)
    }

    #[test]
    fn a_minute_is_shared_out_over_the_shoppers_sockets() {
        let size = size(Scenario::Minute, 10_000, Some(2_300.0), &[]);
        assert_eq!((size.purchases, size.sockets, size.processes), (14, 10_000, 1));
    }

    #[test]
    fn a_hundred_thousand_come_in_waves_and_a_large_crowd_takes_several_processes() {
        let grown = size(Scenario::Growth, 100_000, None, &[]);
        assert_eq!((grown.waves, grown.sockets, grown.processes), (3, 33_334, 3));
        let grown = size(Scenario::Growth, 100_000, None, &["--wave", "10000"]);
        assert_eq!((grown.waves, grown.sockets, grown.processes), (10, 10_000, 1));
        assert_eq!(size(Scenario::Idle, 45_000, None, &[]).processes, 3);
        assert_eq!(size(Scenario::Soldout, 20_000, None, &[]).processes, 2);
        assert_eq!(size(Scenario::Compare, 10_000, None, &[]).processes, 2, "each purchase is one more file");
        assert_eq!(size(Scenario::Compare, 10_000, None, &["--pool", "10"]).processes, 1);
        assert_eq!(Scenario::Compare.unfit(System::Bullmq, 1), None);
        assert!(Scenario::Compare.unfit(System::Bullmq, 2).is_some());
    }

    #[test]
    fn a_small_crowd_meets_as_many_processes_as_a_large_one_where_they_are_compared() {
        let of = |scenario: Scenario, system, shoppers, options: &[&str]| {
            scenario.processes(system, &series(options), &size(scenario, shoppers, None, options))
        };
        for shoppers in [1_000, 100_000] {
            assert_eq!(of(Scenario::Growth, System::StampedeSqlite, shoppers, &[]), 3);
        }
        assert_eq!(of(Scenario::Growth, System::StampedeSqlite, 1_000, &["--wave", "10000"]), 1);
        assert_eq!(of(Scenario::Growth, System::Bullmq, 1_000, &[]), 1, "it cannot be several");
        assert_eq!(of(Scenario::Idle, System::StampedeSqlite, 1_000, &[]), 1);
    }

    #[test]
    fn every_run_connects_from_addresses_of_its_own() {
        let (one, other) = (own_addresses(5), own_addresses(5));
        assert!(one.iter().chain(&other).all(Ipv4Addr::is_loopback) && one.iter().all(|own| !other.contains(own)));
    }

    #[test]
    fn half_of_the_most_makes_as_many_shoppers_as_the_time_takes() {
        let size = size(Scenario::Latency, 0, Some(100.0), &["--seconds", "3"]);
        assert_eq!((size.shoppers, size.purchases), (300, 1));
    }
}
