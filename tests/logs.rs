//! Logs as JSON: every line of a request has its id, every line about an order the order's, in whichever process.

use http_body_util::Full;
use hyper::Request;
use serde_json::Value;
use tests::harness::client::{Reply, exchange};
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::redis::Redis;
use tests::harness::shop::Shop;
use uuid::Uuid;

const DEBUG: (&str, &str) = ("LOG", "info,web=debug,worker=debug,shared=debug");
const JSON: (&str, &str) = ("LOG_FORMAT", "json");
const NAME: &str = "edge-0123456789";

/// Lines of the log that are within a span of this name, with the span.
fn within(log: &str, name: &str) -> Vec<(Value, Value)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let span = |line: &Value| line["spans"].as_array()?.iter().find(|span| span["name"] == name).cloned();
    lines.filter_map(|line| Some((line.clone(), span(&line)?))).collect()
}

async fn post(url: &str, path: &str, token: &str, id: Option<&str>, body: &Value) -> Reply {
    let mut request = Request::post(format!("{url}{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    if let Some(id) = id {
        request = request.header("x-request-id", id);
    }
    exchange(request.body(Full::from(body.to_string())).expect("a request")).await.expect("the shop")
}

#[tokio::test]
async fn a_purchase_is_found_in_the_logs_of_web_and_worker_by_its_request_and_its_order() {
    let fleet = Fleet::start_on(Ledger::Sqlite, Redis::start().await, 1, 1, &[DEBUG, JSON]).await;
    fleet.sale("night", 10, &[]).await;
    let client = fleet.customer(0).await;
    let mut room = client.room(&[]).await;
    let order = Uuid::new_v4();
    let purchase = client.purchase(order, "night", 1, "pm_card_visa");
    let reply = post(&fleet.url(0), "/charges", &client.token, Some(NAME), &purchase).await;
    assert_eq!((reply.status, reply.header("x-request-id")), (202, NAME), "{}", reply.text());
    room.until(order, &["paid"]).await;

    let logs = fleet.logs();
    let of_request: Vec<_> = within(&logs, "request").into_iter().filter(|(_, span)| span["id"] == NAME).collect();
    let answered = of_request.iter().find(|(line, _)| line["message"] == "answered");
    let (line, span) = answered.unwrap_or_else(|| panic!("no line of {NAME}:\n{logs}"));
    assert_eq!((&line["status"], &line["level"]), (&202.into(), &"DEBUG".into()), "{line}");
    assert_eq!((&span["order"], &span["route"]), (&order.to_string().into(), &"/charges".into()), "{line}");

    let of_job = within(&logs, "job");
    let settled = of_job.iter().find(|(line, _)| line["message"] == "settled" && line["state"] == "paid");
    let (line, span) = settled.unwrap_or_else(|| panic!("nothing is settled:\n{logs}"));
    assert_eq!((&span["order"], &span["queue"]), (&order.to_string().into(), &"create_charge".into()), "{line}");
    let asked = of_job.iter().find(|(line, _)| line["message"] == "asked Stripe");
    assert_eq!(asked.map(|(_, span)| &span["order"]), Some(&order.to_string().into()));
}

#[tokio::test]
async fn whoever_is_refused_or_meets_a_bug_is_told_the_requests_id() {
    let shop = Shop::start(&[DEBUG, JSON, ("STAMPEDE_PANIC_AT", "after_pin")]).await;
    let client = shop.customer().await;
    let refused = post(&shop.url(), "/charges", &client.token, Some(NAME), &Value::Null).await;
    assert!((400..500).contains(&refused.status), "{}", refused.text());
    assert_eq!((refused.header("x-request-id"), &refused.json()["request_id"]), (NAME, &NAME.into()));

    let purchase = client.purchase(Uuid::new_v4(), "demo", 1, "pm_card_visa");
    let bad = post(&shop.url(), "/charges", &client.token, Some("not well-formed"), &purchase).await;
    assert_eq!((bad.status, &bad.json()["code"]), (500, &"internal".into()), "{}", bad.text());
    let made = bad.header("x-request-id").to_owned();
    assert!(Uuid::parse_str(&made).is_ok(), "{made} was made here");
    assert_eq!(bad.json()["request_id"], made.as_str());
    let log = shop.log();
    let told = within(&log, "request");
    let told = told.iter().find(|(line, span)| line["message"] == "a handler panicked" && span["id"] == made.as_str());
    assert!(told.is_some(), "{log}");
    assert_ne!(bad.header("content-security-policy"), "", "as every answer has it");
}
