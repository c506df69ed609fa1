//! Processes that come and go in the middle of a sale because an operator wants them to: nothing breaks, and hardly
//! anybody notices. The crowd and the checker are those of the faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::harness::process::READY_WITHIN;
use tests::harness::proxy::Proxy;

use super::checker::{Verdict, judge};
use super::crowd::{Crowd, Lives, capacity};
use super::stage::{PLACES, Role, SharedCluster, Stage};
use super::*;

/// The seed of the crowd, where it is not another one.
const CROWD: u64 = 20_261;
/// Calls that may be cut off by a server that closes a connection which is kept and idle: HTTP cannot exclude it (RFC 9112,
/// 9.6), and the page sends them again.
const CUT: u64 = 2;
/// Web processes look for a process that is ready this often.
const LOOKS: Duration = Duration::from_millis(50);

async fn cluster() -> SharedCluster {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start().unwrap()).await.unwrap();
    Arc::new(Mutex::new(cluster))
}

fn seed() -> u64 {
    let seed = number(SEED).unwrap_or(CROWD);
    eprintln!("the crowd of seed {seed}");
    seed
}

/// Lets the sale go on until so many ms after its first shopper.
async fn until(stage: &mut Stage, since: Instant, ms: u64) {
    while since.elapsed() < Duration::from_millis(ms) {
        stage.keep();
        tokio::time::sleep(LOOKS).await;
    }
}

/// What the checker says when all has ended.
async fn verdict(stage: &mut Stage, crowd: &Arc<Crowd>, lives: &Lives) -> Verdict {
    let ready = stage.until_ready().await;
    let mut verdict = judge(stage, crowd, lives).await;
    verdict.broken.extend(ready.err());
    eprintln!("  {:?}, unanswered {}, cut {}", verdict.counts, crowd.unanswered(), crowd.cut());
    if !verdict.broken.is_empty() {
        eprintln!("  logs are in {}", stage.keep_logs(crowd.seed).display());
    }
    verdict
}

/// The name of the worker whose process has this id, as `stampede worker list` shows it.
async fn name_of(stage: &Stage, pid: u32) -> String {
    let since = Instant::now();
    loop {
        let told = stage.fleet.cli_json(&["worker", "list"]).await;
        let mut all = told["processes"].as_array().expect("a list").iter();
        if let Some(found) = all.find(|process| process["pid"] == pid) {
            return found["name"].as_str().expect("a name").to_owned();
        }
        assert!(since.elapsed() < READY_WITHIN, "worker {pid} is not listed: {told}");
        tokio::time::sleep(LOOKS).await;
    }
}

/// Ends the worker of a place: has it drained, or sends it SIGTERM. Either way it ends with 0.
async fn take_away(stage: &mut Stage, place: usize, drained: bool) {
    let process = stage.fleet.workers[place].take().expect("a running worker");
    if !drained {
        return assert_eq!(process.stop().await.code(), Some(0));
    }
    let name = name_of(stage, process.pid()).await;
    stage.fleet.cli_json(&["worker", "drain", &name, "--reason", "the crowd has gone"]).await;
    let mut process = process;
    let since = Instant::now();
    loop {
        if let Some(status) = process.ending() {
            return assert_eq!(status.code(), Some(0), "{}", process.log());
        }
        assert!(since.elapsed() < READY_WITHIN, "{name} does not end:\n{}", process.log());
        tokio::time::sleep(LOOKS).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_becomes_four_and_one_again_twice_in_the_middle_of_a_sale_and_nothing_breaks() {
    let (cluster, seed) = (cluster().await, seed());
    let mut stage = Stage::start(&cluster, capacity()).await;
    assert_eq!(stage.retire(Role::Worker, 1).await.code(), Some(0), "one worker is left");
    let doors = (0..PLACES).map(|place| stage.fleet.url(place)).collect();
    let crowd = Crowd::new(seed, doors, stage.fleet.sandbox_url());
    let (lives, since) = (Lives::begin(&crowd), Instant::now());
    for (place, (come, throttled, go)) in [(1_500, 3_000, 6_000), (9_000, 11_000, 14_000)].into_iter().enumerate() {
        until(&mut stage, since, come).await;
        let first = stage.fleet.workers.len();
        for _ in 0..3 {
            stage.fleet.add_worker(&[]);
        }
        until(&mut stage, since, throttled).await;
        let fault = |reason| json!({"fault": "http_429", "count": 40, "path": "/v1/payment_intents", "reason": reason});
        let faults: Vec<_> = ["endpoint-rate", "endpoint-concurrency"].map(fault).into();
        stage.fleet.control_sandbox(json!({"faults": faults})).await;
        until(&mut stage, since, go).await;
        for worker in first..first + 3 {
            take_away(&mut stage, worker, (worker + place) % 2 == 0).await;
        }
    }
    let log = stage.stripe("log?limit=10000").await;
    let throttled =
        log["requests"].as_array().map_or(0, |all| all.iter().filter(|one| one["fault"] == "http_429").count());
    let found = verdict(&mut stage, &crowd, &lives).await;
    assert!(throttled > 0, "Stripe refused some for their number");
    assert!(found.counts["declined"] > 0 && found.counts["paid"] > 0, "{:?}", found.counts);
    assert_eq!(found.broken, Vec::<String>::new());
    assert_eq!(stage.fell, 0, "nobody ended who was not told to");
    lives.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_is_restarted_in_turn_in_the_middle_of_a_sale_and_shoppers_notice_a_reconnect_at_most() {
    let (cluster, seed) = (cluster().await, seed());
    let mut stage = Stage::start(&cluster, capacity()).await;
    let port = |url: &str| url.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).expect("a port");
    let webs: Vec<u16> = (0..PLACES).map(|place| port(&stage.fleet.url(place))).collect();
    // What a balancer is: who comes is led to a process that goes on, and who is connected stays so.
    let balanced = [Proxy::start(webs[0]).await, Proxy::start(webs[1]).await];
    let doors = balanced.iter().map(|door| format!("http://127.0.0.1:{}", door.port())).collect();
    let crowd = Crowd::new(seed, doors, stage.fleet.sandbox_url());
    let (lives, since) = (Lives::begin(&crowd), Instant::now());
    until(&mut stage, since, 2_000).await;
    for place in 0..PLACES {
        let other = webs[(place + 1) % PLACES];
        balanced.iter().for_each(|door| door.lead(other));
        assert_eq!(stage.retire(Role::Web, place).await.code(), Some(0), "web {place}");
        stage.bring_back(Role::Web, place);
        let ready = format!("{}/readyz", stage.fleet.url(place));
        stage.process(Role::Web, place).as_mut().expect("a process").until_answers(&ready).await;
        assert_eq!(stage.retire(Role::Worker, place).await.code(), Some(0), "worker {place}");
        stage.bring_back(Role::Worker, place);
        let now = u64::try_from(since.elapsed().as_millis()).expect("a short time");
        until(&mut stage, since, now + 1_500).await;
    }
    balanced.iter().zip(&webs).for_each(|(door, web)| door.lead(*web));
    let noticed = (crowd.cut(), lives.shoppers.iter().map(|shopper| shopper.ear.reconnects()).max());
    let found = verdict(&mut stage, &crowd, &lives).await;
    assert_eq!(found.broken, Vec::<String>::new());
    assert_eq!(stage.fell, 0, "nobody ended who was not told to");
    let (cut, most) = noticed;
    assert!(cut <= CUT, "{cut} calls were cut off, of all that were made");
    assert!(most <= Some(PLACES as u64), "a socket connects again once for each web process that goes: {most:?}");
    lives.end().await;
}
