//! Carries out a schedule: begins each fault when its time has come, ends it, and measures what it has met.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::harness::proxy::Flow;

use super::schedule::Fault;
use super::servers;
use super::stage::{Role, Stage};

/// How often the keeper looks after the processes.
const LOOKS: Duration = Duration::from_millis(100);

/// How much longer than planned a fault may wait for somebody whom it meets.
const LINGERS: Duration = Duration::from_secs(6);

/// What the faults have met, by kind: connections, requests, processes.
pub(super) type Met = BTreeMap<&'static str, u64>;

/// A fault that has begun.
struct UnderWay {
    fault: Fault,
    /// When it was to be over.
    planned: Duration,
    /// What its measure showed before.
    before: u64,
    /// The process that was stopped.
    stopped: Option<u32>,
    /// The server that will take over.
    replica: Option<servers::Replica>,
    /// It has met this much at its beginning.
    met: u64,
}

impl UnderWay {
    /// A fault that waits for requests or events of Stripe's goes on for a little until it has met one: another fault
    /// may keep everybody from Stripe.
    fn lingers(&self) -> bool {
        let waits = stripe_fault(self.fault.kind).is_some() || self.fault.kind.starts_with("webhooks_");
        waits && self.fault.until < self.planned + LINGERS
    }
}

/// Carries out faults until all of them are over.
pub(super) async fn carry_out(stage: &mut Stage, faults: &[Fault], since: Instant) -> Met {
    let mut met: Met = faults.iter().map(|fault| (fault.kind, 0)).collect();
    let mut waiting = faults.iter().copied().collect::<std::collections::VecDeque<_>>();
    let mut under_way: Vec<UnderWay> = Vec::new();
    while !(waiting.is_empty() && under_way.is_empty()) {
        // In their order, also when the one before took long: a server is there again before it is flushed.
        let next = waiting.front().map(|fault| fault.at);
        let ending = (0..under_way.len()).min_by_key(|place| under_way[*place].fault.until);
        let over = ending.map(|place| under_way[place].fault.until);
        match (ending, over, next) {
            (Some(place), Some(over), next) if over <= since.elapsed() && next.is_none_or(|next| over <= next) => {
                let mut one = under_way.swap_remove(place);
                let kind = one.fault.kind;
                if one.lingers() && measure(stage, &one.fault).await <= one.before {
                    one.fault.until = since.elapsed() + LOOKS;
                    under_way.push(one);
                    stage.keep();
                    tokio::time::sleep(LOOKS).await;
                    continue;
                }
                *met.entry(kind).or_default() += end(stage, one).await;
                continue;
            }
            (_, _, Some(next)) if next <= since.elapsed() => {
                let fault = waiting.pop_front().expect("there is one");
                under_way.push(begin(stage, fault).await);
                continue;
            }
            _ => {}
        }
        stage.keep();
        tokio::time::sleep(LOOKS).await;
    }
    met
}

/// What is counted of a kind whose faults do not count for themselves.
async fn measure(stage: &Stage, fault: &Fault) -> u64 {
    let of = |stats: &serde_json::Value, name: &str| stats[name].as_u64().unwrap_or(0);
    match fault.kind {
        "redis_refused" | "redis_slowed" | "redis_silent" => stage.redis_wire.met(),
        "postgres_refused" | "postgres_slowed" | "postgres_silent" => stage.postgres_wire.met(),
        "redis_full" => servers::refused_for_memory(stage).await,
        "stripe_slow" => of(&stage.stripe("stats").await, "requests"),
        "stripe_hangs" => of(&stage.stripe("stats").await, "answers_held"),
        "webhooks_lost" | "webhooks_doubled" | "webhooks_out_of_order" => {
            of(&stage.stripe("stats").await, "webhooks_astray")
        }
        kind => match stripe_fault(kind) {
            Some((word, _)) => {
                let log = stage.stripe("log?limit=10000").await;
                let lines = log["requests"]
                    .as_array()
                    .map_or(0, |lines| lines.iter().filter(|line| line["fault"] == word).count());
                lines as u64
            }
            None => 0,
        },
    }
}

/// The sandbox's word for a fault, and how many requests it is to meet.
fn stripe_fault(kind: &str) -> Option<(&'static str, u32)> {
    Some(match kind {
        "stripe_429" => ("http_429", 150),
        "stripe_500_before" => ("http_500", 25),
        "stripe_500_after" => ("http_500_after_commit", 25),
        "stripe_503_html" => ("http_503_html", 60),
        "stripe_cut_before" => ("answer_lost_before", 60),
        "stripe_cut_after" => ("answer_lost_after_commit", 60),
        "stripe_lock_timeout" => ("lock_timeout", 60),
        "stripe_key_in_use" => ("key_in_use", 60),
        "stripe_hangs" => ("hang", 40),
        _ => return None,
    })
}

/// Tells the sandbox something; it may be gone at the moment, and then its faults are, too.
async fn tell_stripe(stage: &Stage, what: serde_json::Value) {
    let url = format!("{}/_sandbox/control", stage.fleet.sandbox_url());
    let answer = tests::harness::client::post(&url, None, &what).await;
    assert!(!answer.as_ref().is_ok_and(|(status, _)| *status != 200), "{what}: {answer:?}");
}

async fn begin(stage: &mut Stage, fault: Fault) -> UnderWay {
    let before = measure(stage, &fault).await;
    let planned = fault.until;
    let mut begun = UnderWay { fault, planned, before, stopped: None, replica: None, met: 0 };
    let lasts = fault.until.saturating_sub(fault.at);
    let slow = Flow::Slow(Duration::from_millis(10 + fault.pick % 40));
    match fault.kind {
        "web_killed" => begun.met = u64::from(stage.kill(Role::Web, fault.place, lasts).await),
        "worker_killed" => begun.met = u64::from(stage.kill(Role::Worker, fault.place, lasts).await),
        "web_killed_at_a_point" => stage.arm(Role::Web, fault.place, fault.point().expect("a point")).await,
        "worker_killed_at_a_point" => stage.arm(Role::Worker, fault.place, fault.point().expect("a point")).await,
        "web_stopped" | "worker_stopped" => {
            begun.stopped = stop(stage, role(fault.kind), fault.place).await;
            begun.met = u64::from(begun.stopped.is_some());
        }
        "redis_cut" => begun.met = stage.redis_wire.cut() as u64,
        "redis_refused" => refuse(&stage.redis_wire),
        "redis_slowed" => stage.redis_wire.set(slow),
        "redis_silent" => stage.redis_wire.set(Flow::Silent),
        "postgres_cut" => begun.met = stage.postgres_wire.cut() as u64,
        "postgres_refused" => refuse(&stage.postgres_wire),
        "postgres_slowed" => stage.postgres_wire.set(slow),
        "postgres_silent" => stage.postgres_wire.set(Flow::Silent),
        "stripe_slow" => tell_stripe(stage, json!({"latency": "uniform:1000ms-4000ms"})).await,
        "stripe_gone" => stage.fleet.kill_sandbox().await,
        "webhooks_lost" => tell_stripe(stage, json!({"webhooks": {"drop": 1_000_000}})).await,
        "webhooks_doubled" => tell_stripe(stage, json!({"webhooks": {"duplicate": 1_000_000}})).await,
        "webhooks_out_of_order" => tell_stripe(stage, json!({"webhooks": {"hold": true}})).await,
        kind if kind.starts_with("redis_") || kind.starts_with("postgres_") => {
            begun.replica = servers::begin(stage, &fault).await;
        }
        kind => {
            let (word, count) = stripe_fault(kind).expect("a fault of the sandbox");
            let reasons =
                ["endpoint-rate", "endpoint-concurrency", "global-rate", "global-concurrency", "resource-specific"];
            // Each reason in turn, and one kind of fault at a time.
            let each = |reason: &&str| json!({"fault": word, "count": count / 5, "path": "/v1/payment_intents", "reason": reason});
            let faults: Vec<_> = reasons.iter().map(each).collect();
            tell_stripe(stage, json!({"faults": faults})).await;
        }
    }
    begun
}

/// Ends a fault; how much it has met.
async fn end(stage: &mut Stage, one: UnderWay) -> u64 {
    let UnderWay { fault, before, stopped, replica, met, .. } = one;
    match fault.kind {
        // Counted by whoever starts it again.
        "web_killed_at_a_point" | "worker_killed_at_a_point" => return 0,
        "web_stopped" | "worker_stopped" => {
            go_on(stage, role(fault.kind), fault.place, stopped).await;
            return met;
        }
        "redis_refused" | "redis_slowed" | "redis_silent" => stage.redis_wire.set(Flow::Free),
        "postgres_refused" | "postgres_slowed" | "postgres_silent" => stage.postgres_wire.set(Flow::Free),
        "stripe_slow" => tell_stripe(stage, json!({"latency": "uniform:50ms-400ms"})).await,
        "stripe_gone" => {
            stage.fleet.start_sandbox().await;
            return 1;
        }
        "webhooks_lost" => tell_stripe(stage, json!({"webhooks": {"drop": 0}})).await,
        "webhooks_doubled" => tell_stripe(stage, json!({"webhooks": {"duplicate": 0}})).await,
        "webhooks_out_of_order" => tell_stripe(stage, json!({"webhooks": {"hold": false}})).await,
        "stripe_hangs" => {
            let held = measure(stage, &fault).await.saturating_sub(before);
            tell_stripe(stage, json!({"clear_faults": true, "release": true})).await;
            return held;
        }
        kind if stripe_fault(kind).is_some() => {
            let met = measure(stage, &fault).await.saturating_sub(before);
            tell_stripe(stage, json!({"clear_faults": true})).await;
            return met;
        }
        kind if kind.starts_with("redis_") || kind.starts_with("postgres_") => {
            return met + servers::end(stage, &fault, before, replica).await;
        }
        _ => {}
    }
    met + measure(stage, &fault).await.saturating_sub(before)
}

/// Who is connected is thrown out, and nobody is let in.
fn refuse(wire: &tests::harness::proxy::Proxy) {
    wire.set(Flow::Refusing);
    wire.cut();
}

fn role(kind: &str) -> Role {
    if kind.starts_with("web") { Role::Web } else { Role::Worker }
}

/// Stops a process, which keeps its sockets; its id, once it stands still.
async fn stop(stage: &mut Stage, role: Role, place: usize) -> Option<u32> {
    let process = stage.process(role, place).as_mut()?;
    if !process.runs() {
        return None;
    }
    process.signal("-STOP").await;
    for _ in 0..100 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap_or_default();
        if stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')) {
            return Some(process.pid());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

/// Lets a process go on, unless another fault has killed it meanwhile.
async fn go_on(stage: &mut Stage, role: Role, place: usize, stopped: Option<u32>) {
    let Some(process) = stage.process(role, place) else { return };
    if process.runs() && Some(process.pid()) == stopped {
        process.signal("-CONT").await;
    }
}
