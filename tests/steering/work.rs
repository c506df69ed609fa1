//! Dead jobs, by HTTP and by command, with workers that do what was decided.

use std::time::Duration;

use serde_json::json;
use shared::env::Env;
use shared::jobs::Webhook;
use shared::queue::redis::RedisQueue;
use shared::queue::{NewJob, Queue as _, QueueOptions};
use shared::redis_server::RedisServer;
use tests::harness::fleet::Fleet;
use tests::harness::process::READY_WITHIN;

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

#[tokio::test]
async fn a_job_that_makes_no_sense_is_listed_retried_and_discarded() {
    let fleet = Fleet::start(&[]).await;
    let ann = Machine::with(&fleet, &fleet.url(0), "ann", "see,steer").await;
    let server = RedisServer::connect(&fleet.redis.url()).await.expect("a server that is fit");
    let queue = RedisQueue::new(server, Env::system(), QueueOptions::shared());
    queue.push(vec![NewJob::of(&Webhook::of("evt_nothing")).expect("a job")]).await.expect("a queue");

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
        line("job_retried", "key:ann", "perhaps now", "done"),
        line("job_discarded", "cli", "it never was", "done"),
        line("job_retried", "key:ann", "perhaps now", "unknown_job"),
        line("job_discarded", "key:ann", "perhaps now", "unknown_job"),
    ];
    assert_eq!(told, expected);
}
