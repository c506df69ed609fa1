//! Dead jobs and orders in review, by HTTP and by command, with workers that do what was decided.

use std::time::Duration;

use serde_json::json;
use shared::env::Env;
use shared::jobs::Webhook;
use shared::queue::redis::RedisQueue;
use shared::queue::{NewJob, Queue as _, QueueOptions};
use shared::redis_server::RedisServer;
use tests::harness::desk::binary;
use tests::harness::fleet::Fleet;
use tests::harness::process::READY_WITHIN;
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::*;

/// Dead jobs, as the list tells them.
async fn dead(machine: &Machine) -> Vec<Value> {
    machine.get("/ops/api/jobs").await["dead"].as_array().expect("a list").clone()
}

async fn until_dead(machine: &Machine, many: usize) -> Vec<Value> {
    let waiting = async {
        loop {
            let found = dead(machine).await;
            if found.len() == many {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, waiting).await.expect("the job has been given up")
}

/// A job about an event that nobody has.
async fn push_nonsense(fleet: &Fleet) {
    let server = RedisServer::connect(&fleet.redis.url()).await.expect("a server that is fit");
    let queue = RedisQueue::new(server, Env::system(), QueueOptions::shared());
    queue.push(vec![NewJob::of(&Webhook::of("evt_nothing")).expect("a job")]).await.expect("a queue");
}

#[tokio::test]
async fn a_job_that_makes_no_sense_is_listed_retried_and_discarded() {
    let fleet = Fleet::start(&[]).await;
    let ann = Machine::with(&fleet, &fleet.url(0), "ann", "see,steer").await;
    push_nonsense(&fleet).await;

    let found = until_dead(&ann, 1).await;
    assert_eq!((&found[0]["queue"], &found[0]["key"]), (&"webhook".into(), &"evt_nothing".into()));
    assert_eq!((&found[0]["reason"], &found[0]["deliveries"]), (&"the inbox has no such event".into(), &1.into()));
    let shown = fleet.cli_json(&["jobs", "--dead"]).await;
    assert_eq!(shown["dead"].as_array().map(Vec::len), Some(1), "{shown}");
    let names: Vec<&str> = shown["queues"].as_array().unwrap().iter().filter_map(|row| row["queue"].as_str()).collect();
    assert_eq!(names, ["create_charge", "process_response", "webhook", "authentication", "review"]);
    assert_eq!(fleet.cli_json(&["jobs"]).await["dead"], json!([]), "how many, and no more, unless they are asked for");

    let job = json!({"queue": "webhook", "key": "evt_nothing", "reason": "perhaps now"});
    ann.post("/ops/api/jobs/retry", &job).await;
    until_dead(&ann, 1).await;
    fleet.cli_json(&["jobs", "discard", "webhook", "evt_nothing", "--reason", "it never was"]).await;
    until_dead(&ann, 0).await;
    for path in ["/ops/api/jobs/retry", "/ops/api/jobs/discard"] {
        assert_eq!(ann.refused(path, &job).await, (404, "not_found".into()));
    }
    let told: Vec<[String; 5]> = deeds(&ann).await;
    let line = |what: &str, by: &str, why: &str, result: &str| {
        [what, by, "job:webhook/evt_nothing", why, result].map(String::from)
    };
    let expected = [
        line("job_retried", "key:ann", "perhaps now", "asked"),
        line("job_retried", "key:ann", "perhaps now", "done"),
        line("job_discarded", "cli", "it never was", "asked"),
        line("job_discarded", "cli", "it never was", "done"),
        line("job_retried", "key:ann", "perhaps now", "asked"),
        line("job_retried", "key:ann", "perhaps now", "unknown_job"),
        line("job_discarded", "key:ann", "perhaps now", "asked"),
        line("job_discarded", "key:ann", "perhaps now", "unknown_job"),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn who_dies_when_a_job_is_discarded_has_said_in_the_trail_who_wanted_that() {
    let fleet = Fleet::start(&[]).await;
    let ann = Machine::with(&fleet, &fleet.url(0), "ann", "see,steer").await;
    push_nonsense(&fleet).await;
    until_dead(&ann, 1).await;
    let mut command = fleet.command(&binary("STAMPEDE_BIN"));
    command.args(["jobs", "discard", "webhook", "evt_nothing", "--reason", "it never was"]);
    let died = command.env("STAMPEDE_CRASH_AT", "after_discard").output().await.expect("a command");
    assert_eq!(died.status.code(), None, "{}", String::from_utf8_lossy(&died.stderr));
    assert_eq!(dead(&ann).await, [Value::Null; 0]);
    let line = ["job_discarded", "cli", "job:webhook/evt_nothing", "it never was", "asked"];
    assert_eq!(deeds(&ann).await, [line.map(String::from)]);
}

#[tokio::test]
async fn an_order_in_review_is_listed_and_decided_by_whom_the_decision_belongs_to() {
    let shop = Shop::start(&[]).await;
    shop.sale("night", 5, &[]).await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let (order, (status, answer)) = client.buy("night", 1, "pm_card_chargeDeclined").await;
    assert_eq!(status, 202, "{answer}");
    room.until(order, &["declined"]).await;
    // Stripe takes another sum than the order's: a person has to look.
    shop.pay_elsewhere(&order.to_string(), 2_501).await;
    room.until(order, &["review"]).await;
    let ann = Machine::with(&shop, &shop.url(), "ann", "see,see_orders,steer").await;
    let bob = Machine::with(&shop, &shop.url(), "bob", "steer,refund").await;
    let listed = ann.get("/ops/api/reviews").await;
    assert_eq!((&listed["orders"][0]["id"], &listed["orders"][0]["state"]), (&json!(order), &"review".into()));
    assert_eq!(shop.cli_json(&["review", "list"]).await["orders"][0]["id"], json!(order));

    let path = format!("/ops/api/orders/{order}/review");
    let decide = |decision: &str| json!({"decision": decision, "reason": "looked into"});
    assert_eq!(ann.refused(&path, &decide("refund")).await, (403, "not_allowed".into()), "money is not hers to move");
    assert_eq!(ann.refused(&path, &decide("pay")).await, (422, "invalid".into()), "nobody makes an order paid");
    assert_eq!(ann.refused(&path, &decide("charge_again")).await, (409, "money_taken".into()));
    let nobodys = format!("/ops/api/orders/{}/review", Uuid::new_v4());
    assert_eq!(ann.refused(&nobodys, &decide("cancel")).await, (404, "not_found".into()));
    let decided = bob.post(&path, &decide("refund")).await;
    assert_eq!((&decided["queued"], &decided["order"]["state"]), (&true.into(), &"review".into()));
    room.until(order, &["canceled"]).await;
    assert_eq!(bob.refused(&path, &decide("refund")).await, (409, "not_in_review".into()));
    let refunded = async {
        loop {
            let story = ann.get(&format!("/ops/api/orders/{order}")).await;
            if story["refunds"][0]["state"] == "succeeded" {
                return story;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let story = tokio::time::timeout(READY_WITHIN, refunded).await.expect("the money has gone back");
    assert_eq!(
        (&story["refunds"][0]["amount"], &story["refunds"][0]["reason"]),
        (&2_501.into(), &"amount_differs".into())
    );
    let lines = story["timeline"].as_array().expect("a timeline").iter();
    let decided = lines.filter(|line| line["by"] == "key:bob").collect::<Vec<_>>();
    assert_eq!((&decided[0]["what"], &decided[0]["why"]), (&"canceled".into(), &"looked into".into()));
    let told: Vec<[String; 5]> = deeds(&ann).await;
    let results: Vec<(&str, &str)> = told.iter().map(|line| (line[1].as_str(), line[4].as_str())).collect();
    let expected =
        [("key:ann", "money_taken"), ("key:ann", "unknown_order"), ("key:bob", "queued"), ("key:bob", "not_in_review")];
    assert_eq!(results, expected);
    assert_eq!(shop.check("night").await["tiers"][0]["free"], 5);
}
