//! What an operator can see of the processes, and tell a worker, by HTTP and at the command line.

use futures::future::join_all;
use serde_json::json;
use tests::harness::client::{Client, Room};
use tests::harness::crowd::{all_paid, gather};
use tests::harness::fleet::Ledger;
use tests::harness::redis::Redis;
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::*;

/// So many orders that wait or run, and their rooms.
async fn buyers(fleet: &Fleet, number: usize) -> Vec<(Client, Room, Uuid)> {
    let bought = gather(&[fleet.url(0)], number).await.into_iter().map(|shopper| async move {
        let (order, (status, body)) = shopper.client.buy("night", 1, "pm_card_visa").await;
        assert_eq!(status, 202, "{body}");
        (shopper.client, shopper.room, order)
    });
    join_all(bought).await
}

async fn until_paid(buyers: &mut [(Client, Room, Uuid)]) {
    join_all(buyers.iter_mut().map(|(_, room, order)| room.until(*order, &["paid"]))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_is_listed_with_what_it_does_and_how_it_fares() {
    let mut fleet = Fleet::start(&[("STRIPE_RATE_PER_SECOND", "200"), ("SANDBOX_LATENCY", "50ms")]).await;
    fleet.sale("night", 50, &[]).await;
    let key = key(&fleet).await;
    let names = workers(&fleet, &key, 2).await;
    let mut buyers = buyers(&fleet, 20).await;
    until_paid(&mut buyers).await;
    // A beat may be older than the first push: what is waited for is one that has seen it all.
    let body = until("all twenty are counted, with their times", async || {
        let body = listed(&fleet, &key).await;
        let loads = |kind: &str| -> Vec<Value> {
            let all = body["processes"].as_array().expect("a list").iter();
            all.map(|process| process["load"][kind].clone()).filter(Value::is_object).collect()
        };
        let (webs, workers) = (loads("web"), loads("worker"));
        let sum = |loads: &[Value], figure: &str| loads.iter().filter_map(|load| load[figure].as_u64()).sum::<u64>();
        let counted = sum(&workers, "charged_total") == 20 && sum(&webs, "accepted_total") == 20;
        let timed = webs.iter().any(|web| !web["accept"].is_null() && !web["push"].is_null());
        (counted && timed).then_some(body)
    })
    .await;
    let mut kinds: Vec<&str> = Vec::new();
    for process in body["processes"].as_array().unwrap() {
        kinds.push(process["kind"].as_str().unwrap());
        assert_eq!((&process["state"], &process["wish"]["drain"]), (&"running".into(), &false.into()), "{process}");
        assert!(process["pid"].is_u64() && process["load"]["resident_bytes"].as_u64() > Some(1 << 20), "{process}");
        for field in ["name", "version", "host", "started_at", "beat_at"] {
            assert!(process[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {process}");
        }
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["web", "web", "worker", "worker"]);
    let all = body["processes"].as_array().unwrap();
    let web = all.iter().find(|process| process["load"]["web"]["sockets"] == 20).expect("the door they came by");
    assert_eq!(web["load"]["web"]["rooms"], 20);
    for figure in ["accept", "push"] {
        assert!(web["load"]["web"][figure]["p99_ms"].as_f64() > Some(0.0), "{figure}: {web}");
    }
    let busy = all.iter().find(|process| process["load"]["worker"]["charged_total"].as_u64() > Some(0)).unwrap();
    let load = &busy["load"]["worker"];
    for figure in ["queue_wait", "stripe", "settle"] {
        assert!(load[figure]["p50_ms"].as_f64() <= load[figure]["p99_ms"].as_f64(), "{figure}: {load}");
    }
    assert!(load["stripe"]["p50_ms"].as_f64() >= Some(50.0), "the sandbox takes so long: {load}");
    let recommended = &body["recommended_workers"];
    assert_eq!((&recommended["workers"], &recommended["budget_per_second"]), (&1.into(), &200.0.into()));
    assert!(recommended["why"].as_str().unwrap().contains("under way are enough"), "{recommended}");

    // The same at the command line, for people and for programs.
    let told = fleet.cli_json(&["worker", "list"]).await;
    assert_eq!(told["processes"].as_array().unwrap().len(), 4);
    let text = String::from_utf8_lossy(&fleet.cli(&["worker", "list"]).await.stdout).into_owned();
    assert!(
        names.iter().all(|name| text.contains(name.as_str())) && text.contains("Workers that are enough: 1."),
        "{text}"
    );

    fleet.kill_worker(0).await;
    workers(&fleet, &key, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrency_is_changed_while_a_worker_works_and_never_more_are_under_way_than_was_said() {
    let settings = [("SANDBOX_LATENCY", "400ms"), ("WORKER_CONCURRENCY", "12"), ("LOG", "warn")];
    let ledger = Ledger::Fresh(tests::harness::postgres::fresh_database().await);
    let fleet = Fleet::start_on(ledger, Redis::start().await, 1, 1, &settings).await;
    fleet.sale("night", 200, &[]).await;
    let key = key(&fleet).await;
    let name = workers(&fleet, &key, 1).await.remove(0);
    let at_most = async |most: u64| {
        until("it has heard", async || {
            let all = of_kind(&fleet, &key, "worker").await;
            (all[0]["load"]["worker"]["concurrency"] == most).then_some(())
        })
        .await;
    };
    let mut first = buyers(&fleet, 40).await;
    until("twelve are under way", async || (stat(&fleet, "most_at_the_bank").await == 12).then_some(())).await;

    // Fewer: those that run go on, and nobody begins until there are fewer.
    assert_eq!(tell(&fleet, &key, &name, "concurrency", concurrency(2)).await.0, 200);
    at_most(2).await;
    until("two are under way", async || (stat(&fleet, "at_the_bank").await <= 2).then_some(())).await;
    fleet.control_sandbox(json!({"forget_most": true})).await;
    until_paid(&mut first).await;
    assert_eq!(stat(&fleet, "most_at_the_bank").await, 2, "never more than was said");

    // More than its settings say; and back to them.
    let told = fleet.cli_json(&["worker", "concurrency", &name, "30"]).await;
    assert_eq!(told, json!({"worker": name, "asked": {"concurrency": 30}}));
    at_most(30).await;
    let mut second = buyers(&fleet, 80).await;
    until("thirty are under way", async || (stat(&fleet, "most_at_the_bank").await == 30).then_some(())).await;
    until_paid(&mut second).await;
    assert_eq!(stat(&fleet, "most_at_the_bank").await, 30);
    fleet.cli_json(&["worker", "concurrency", &name, "auto"]).await;
    at_most(12).await;
    fleet.expect_single_charges(120).await;

    let lines = trail(&fleet).await;
    let told: Vec<_> = lines.iter().filter(|line| line["whom"] == format!("worker:{name}")).collect();
    let brief = |at: usize| (told[at]["what"].clone(), told[at]["who"].clone(), told[at]["why"].clone());
    assert_eq!(brief(0), ("worker_concurrency".into(), "cli".into(), "auto".into()));
    assert_eq!(brief(1), ("worker_concurrency".into(), "cli".into(), "30".into()));
    assert_eq!(brief(2), ("worker_concurrency".into(), "key:night-watch".into(), "2: the sale begins".into()));
    assert_eq!((told.len(), &told[2]["address"]), (3, &"127.0.0.1".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_worker_finishes_what_it_has_and_ends_with_0_while_the_others_go_on() {
    let settings = [("SANDBOX_LATENCY", "300ms"), ("WORKER_CONCURRENCY", "6"), ("LOG", "info")];
    let mut fleet = Fleet::start(&settings).await;
    fleet.sale("night", 60, &[]).await;
    let key = key(&fleet).await;
    workers(&fleet, &key, 2).await;
    let drained = worker_of(&fleet, &key, fleet.workers[0].as_ref().unwrap().pid()).await;
    let mut buyers = buyers(&fleet, 60).await;
    until("both work", async || (stat(&fleet, "at_the_bank").await > 6).then_some(())).await;
    let (status, told) = tell(&fleet, &key, &drained, "drain", json!({"reason": "its machine goes down"})).await;
    assert_eq!((status, told), (200, json!({"worker": drained, "asked": {"drain": true}})));
    let mut process = fleet.workers[0].take().unwrap();
    let ended = async {
        loop {
            if let Some(status) = process.ending() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(30), ended).await.expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", fleet.logs());
    assert!(fleet.logs().contains("an operator has this worker drained"));
    until_paid(&mut buyers).await;
    assert_eq!(workers(&fleet, &key, 1).await.len(), 1, "it has struck itself out");
    fleet.expect_single_charges(60).await;
    assert_eq!(fleet.check("night").await["tiers"][0]["sold"], 60);
    let line = trail(&fleet).await.into_iter().find(|line| line["what"] == "worker_drained").expect("a line");
    assert_eq!((&line["who"], &line["why"]), (&"key:night-watch".into(), &"its machine goes down".into()));
}

#[tokio::test]
async fn who_may_not_steer_cannot_and_what_makes_no_sense_is_refused() {
    let fleet = Fleet::start(&[]).await;
    let key = key(&fleet).await;
    let name = workers(&fleet, &key, 2).await.remove(0);
    let web = of_kind(&fleet, &key, "web").await[0]["name"].as_str().unwrap().to_owned();
    let looks = fleet.cli_json(&["key", "add", "screen", "--scope", "see"]).await["key"].as_str().unwrap().to_owned();
    let none = fleet.cli_json(&["key", "add", "till", "--scope", "refund"]).await["key"].as_str().unwrap().to_owned();
    for (who, code) in [(&looks, "not_allowed"), (&none, "not_allowed"), (&"stk_x".to_owned(), "no_operator")] {
        for (what, body) in [("concurrency", concurrency(1)), ("drain", json!({}))] {
            let (status, refusal) = tell(&fleet, who, &name, what, body).await;
            assert_eq!((status, &refusal["code"]), (if code == "no_operator" { 401 } else { 403 }, &code.into()));
        }
    }
    listed(&fleet, &looks).await;
    let url = format!("{}/ops/api/processes", fleet.url(0));
    assert_eq!(get(&url).await.unwrap().0, 401);
    for (whom, what, body, code) in [
        ("worker-nobody", "drain", json!({}), "not_found"),
        ("worker-nobody", "concurrency", concurrency(1), "not_found"),
        (web.as_str(), "drain", json!({}), "not_found"),
        (name.as_str(), "concurrency", concurrency(0), "invalid"),
        (name.as_str(), "concurrency", concurrency(10_001), "invalid"),
        (name.as_str(), "concurrency", json!({}), "invalid"),
        (name.as_str(), "concurrency", json!({"concurrency": "many"}), "invalid"),
        (name.as_str(), "drain", json!({"reason": "two\nlines"}), "invalid"),
        (name.as_str(), "drain", json!({"reason": "x".repeat(501)}), "invalid"),
        (name.as_str(), "drain", json!({"when": "now"}), "invalid"),
    ] {
        let (status, refusal) = tell(&fleet, &key, whom, what, body.clone()).await;
        assert_eq!((status, &refusal["code"]), (if code == "not_found" { 404 } else { 422 }, &code.into()), "{body}");
    }
    for wrong in [&["worker", "drain", "worker-nobody"] as &[&str], &["worker", "concurrency", &name, "0"]] {
        assert!(!fleet.cli(wrong).await.status.success(), "{wrong:?}");
    }
    let told = trail(&fleet).await;
    assert!(
        !told.iter().any(|line| line["what"].as_str().unwrap().starts_with("worker_")),
        "nothing was done: {told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_in_one_process_is_one_process_and_its_worker_can_be_slowed_down() {
    let shop = Shop::start(&[("SANDBOX_LATENCY", "100ms")]).await;
    shop.sale("night", 30, &[]).await;
    let told = shop.cli_json(&["worker", "list"]).await;
    let all = told["processes"].as_array().unwrap();
    assert_eq!((all.len(), &all[0]["kind"]), (1, &"shop".into()), "{told}");
    assert!(all[0]["load"]["web"].is_object() && all[0]["load"]["worker"].is_object(), "{told}");
    let name = all[0]["name"].as_str().unwrap();
    let refused = shop.cli(&["worker", "drain", name]).await;
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stdout).contains("the whole shop"));
    shop.cli_json(&["worker", "concurrency", name, "1", "--reason", "it is tried out"]).await;
    until("it has heard", async || {
        let told = shop.cli_json(&["worker", "list"]).await;
        (told["processes"][0]["load"]["worker"]["bound"] == 1).then_some(())
    })
    .await;
    let mut accepted = Vec::new();
    for shopper in gather(&[shop.url()], 10).await {
        let (order, (status, _)) = shopper.client.buy("night", 1, "pm_card_visa").await;
        assert_eq!(status, 202);
        accepted.push((shopper, order));
    }
    all_paid(&mut accepted).await;
    assert_eq!(shop.stats().await["most_at_the_bank"], 1);
    shop.expect_single_charges(10).await;
}
