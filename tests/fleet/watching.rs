//! Every process of a shop can be asked how it is: the workers at a door of their own.

use std::time::Duration;

use http_body_util::Full;
use hyper::{Method, Request};
use tests::harness::client::{Reply, exchange};
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::postgres::fresh_database;
use tests::harness::process::READY_WITHIN;
use tests::harness::redis::Redis;

/// What the sandbox takes for a charge: long enough that a worker is seen at it, and while it finishes it.
const LATENCY: (&str, &str) = ("SANDBOX_LATENCY", "2500ms");
/// What a line of the log says before the address that was chosen.
const ADDRESS: &str = "this worker tells its metrics address=";

async fn ask(url: &str, method: Method, path: &str) -> Result<Reply, String> {
    let request = Request::builder().method(method).uri(format!("{url}{path}")).body(Full::default());
    exchange(request.expect("a request")).await
}

/// A figure at `/metrics`, by the text before it; `None` when it is not told.
async fn figure(url: &str, series: &str) -> Option<String> {
    let text = ask(url, Method::GET, "/metrics").await.expect("an answer").text();
    let told = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    told.map(ToOwned::to_owned)
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(READY_WITHIN, waiting).await.is_ok(), "not within {READY_WITHIN:?}: {what}");
}

async fn until_told(url: &str, series: &str, value: &str) {
    until(&format!("{series} is {value}"), async || figure(url, series).await.as_deref() == Some(value)).await;
}

/// Where the worker of a place says that it can be asked.
async fn door_of(fleet: &Fleet, place: usize) -> String {
    let address = || {
        let log = fleet.workers[place].as_ref().expect("a running worker").log();
        let rest = log.split_once(ADDRESS)?.1.split_whitespace().next()?.to_owned();
        Some(format!("http://{rest}"))
    };
    until("the worker says where it can be asked", async || address().is_some()).await;
    address().expect("an address")
}

const WAITING: &str = "queue_jobs{queue=\"create_charge\",state=\"waiting\"}";
const RUNNING: &str = "queue_jobs{queue=\"create_charge\",state=\"running\"}";

fn shelf(shelf: &str) -> String {
    format!("stock_units{{sale=\"night\",tier=\"std\",shelf=\"{shelf}\"}}")
}

#[tokio::test]
async fn a_worker_tells_queues_and_stock_and_that_it_is_draining_while_it_finishes_its_last_charge() {
    let ledger = Ledger::Fresh(fresh_database().await);
    let mut fleet = Fleet::start_on(ledger, Redis::start().await, 1, 0, &[LATENCY]).await;
    fleet.sale("night", 10, &[]).await;
    let client = fleet.customer(0).await;
    let mut room = client.room(&[]).await;

    // No worker lives, and the depth of the queue is told all the same.
    let (first, (status, _)) = client.buy("night", 2, "pm_card_visa").await;
    assert_eq!(status, 202);
    let web = fleet.url(0);
    until_told(&web, WAITING, "1").await;
    until_told(&web, &shelf("held"), "2").await;

    fleet.add_worker(&[("METRICS_BIND", "127.0.0.1:0")]);
    let worker = door_of(&fleet, 0).await;
    assert_eq!(ask(&worker, Method::GET, "/readyz").await.unwrap().status, 200);
    assert_eq!(ask(&worker, Method::GET, "/healthz").await.unwrap().text(), "ok\n");
    let refused = ask(&worker, Method::POST, "/metrics").await.unwrap();
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD"));
    until_told(&worker, RUNNING, "1").await;
    room.until(first, &["paid"]).await;
    until_told(&worker, &shelf("sold"), "2").await;
    assert_eq!(figure(&worker, &shelf("free")).await.as_deref(), Some("8"));
    assert_eq!(figure(&worker, &shelf("held")).await.as_deref(), Some("0"));
    assert_eq!(figure(&worker, "stock_capacity_units{sale=\"night\",tier=\"std\"}").await.as_deref(), Some("10"));
    assert_eq!(figure(&worker, "stock_conservation_broken{sale=\"night\"}").await.as_deref(), Some("0"));
    assert_eq!(figure(&worker, "queue_oldest_waiting_seconds{queue=\"create_charge\"}").await.as_deref(), Some("0"));
    assert_eq!(figure(&worker, "orders_settled_total{state=\"paid\"}").await.as_deref(), Some("1"));

    // It is told to end in the middle of a charge: it says so as long as it is at it, and then is gone.
    let (second, (status, _)) = client.buy("night", 1, "pm_card_visa").await;
    assert_eq!(status, 202);
    until_told(&worker, RUNNING, "1").await;
    fleet.workers[0].as_ref().unwrap().signal("-TERM").await;
    until("it says that it is going down", async || {
        let ready = ask(&worker, Method::GET, "/readyz").await.expect("it lives until the charge is settled");
        ready.status == 503 && ready.json()["going_down"] == true
    })
    .await;
    assert_eq!(ask(&worker, Method::GET, "/healthz").await.unwrap().status, 200);
    fleet.worker_ended(0).await;
    assert!(ask(&worker, Method::GET, "/healthz").await.is_err(), "the door is closed");
    room.until(second, &["paid"]).await;
    fleet.expect_single_charges(2).await;
}

#[tokio::test]
async fn units_that_do_not_add_up_are_told_and_without_redis_nobody_says_that_nothing_is_there() {
    let mut fleet = Fleet::start_on(Ledger::Sqlite, Redis::start().await, 1, 0, &[]).await;
    fleet.sale("night", 10, &[]).await;
    let (web, doubt) = (fleet.url(0), "stock_conservation_broken{sale=\"night\"}");
    until_told(&web, doubt, "0").await;
    // No worker sweeps, who would mend it.
    fleet.redis.ask(&["HINCRBY", "stampede:stock:{night}:sale", "free:std", "1"]).await;
    until_told(&web, doubt, "1").await;

    // A door that is taken is told with the name of the setting, before a job is.
    let taken = web.strip_prefix("http://").unwrap();
    fleet.add_worker(&[("METRICS_BIND", taken)]);
    fleet.worker_ended(0).await;
    assert!(fleet.logs().contains("set METRICS_BIND to another address"), "{}", fleet.logs());

    assert!(figure(&web, WAITING).await.is_some());
    fleet.redis.kill().await;
    let told = async |series: &str| figure(&web, series).await.is_some();
    until("what is not known is not told", async || !told(doubt).await && !told(WAITING).await).await;
    let ready = ask(&web, Method::GET, "/readyz").await.unwrap();
    assert_eq!((ready.status, &ready.json()["stock"]), (503, &"unreachable".into()));
}
