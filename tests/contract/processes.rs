//! Processes: settings that are wrong, directories that are taken, and the ledger in PostgreSQL.

use tests::harness::client::get;
use tests::harness::postgres::fresh_database;
use tests::harness::shop::{Shop, run, run_binary};

#[tokio::test]
async fn a_wrong_setting_names_itself_and_the_process_ends_before_it_binds_or_writes_anything() {
    let wrong = [
        ("BIND", "here"),
        ("SANDBOX_BIND", "127.0.0.1"),
        ("PUBLIC_URL", "tickets.example.com"),
        ("DATABASE_URL", "mysql://root:hunter2@127.0.0.1/shop"),
        ("SESSION_SECRET", "too-short-hunter2"),
        ("WORKER_CONCURRENCY", "0"),
        ("STRIPE_SECRET_KEY", "hunter2"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_test_hunter2"),
        ("STRIPE_RATE_PER_SECOND", "fast"),
        ("SANDBOX_LATENCY", "soon"),
        ("RETRY_SECONDS", "-1"),
        ("TRUSTED_PROXIES", "proxy"),
        ("LOG_FORMAT", "xml"),
        ("LOG", "web=nosuchlevel"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
    ];
    for (name, value) in wrong {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("data");
        let output = run(&[("DATA_DIR", path.to_str().unwrap()), (name, value)], &[]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(name), "{name}={value}: {said}");
        assert!(!said.contains("hunter2") && !said.contains("panicked"), "{name}: {said}");
        assert!(!path.join("ledger.sqlite").exists(), "{name}: it wrote before it looked");
    }
}

#[tokio::test]
async fn web_and_worker_alone_say_why_they_cannot_run() {
    for command in ["web", "worker"] {
        let output = run(&[], &[command]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("REDIS_URL"), "{command}: {said}");
    }
    for variable in ["STAMPEDE_WEB_BIN", "STAMPEDE_WORKER_BIN"] {
        let output = run_binary(variable, &[], &[]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("REDIS_URL"), "{variable}: {said}");
    }
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused() {
    let shop = Shop::start(&[]).await;
    let output = shop.cli(&[]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("in use by another stampede"), "{said}");
    let client = shop.customer().await;
    let (order, _) = client.buy("demo", 1, "pm_card_visa").await;
    client.room(&[]).await.until(order, &["paid"]).await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_its_setting() {
    let shop = Shop::start(&[]).await;
    for (name, url) in [("BIND", shop.url()), ("SANDBOX_BIND", shop.sandbox_url())] {
        let address = url.replace("http://", "");
        let data = tempfile::tempdir().unwrap();
        let mut settings = vec![("DATA_DIR", data.path().to_str().unwrap()), (name, address.as_str())];
        if name == "BIND" {
            settings.push(("SANDBOX_BIND", "127.0.0.1:0"));
        } else {
            settings.push(("BIND", "127.0.0.1:0"));
        }
        let output = run(&settings, &[]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(name) && said.contains(&address), "{name}: {said}");
    }
}

#[tokio::test]
async fn migrations_run_by_themselves_and_again_without_harm() {
    let data = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = run(&[("DATA_DIR", data.path().to_str().unwrap())], &["migrate"]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(data.path().join("ledger.sqlite").exists());
}

#[tokio::test]
async fn the_sandbox_runs_alone() {
    let mut shop = Shop::sandbox_alone().await;
    let (status, stats) = get(&format!("{}/_sandbox/stats", shop.sandbox_url())).await.unwrap();
    assert_eq!(
        (status, &stats["charges_succeeded"], &stats["orders_charged_more_than_once"]),
        (200, &0.into(), &0.into())
    );
    for count in ["charges_declined", "refunds", "payment_intents", "idempotent_replays", "throttled"] {
        assert!(stats[count].is_u64(), "{count}: {stats}");
    }
    assert_eq!(shop.stop().await.code(), Some(0));
}

#[tokio::test]
async fn the_ledger_in_postgresql_sells_survives_kill_9_and_adds_up() {
    let database = fresh_database().await;
    let mut shop = Shop::start(&[("DATABASE_URL", database.url())]).await;
    shop.sale("pg", 20, &[]).await;
    let client = shop.customer().await;
    let mut room = client.room(&["pg"]).await;
    let (order, (status, _)) = client.buy("pg", 3, "pm_card_visa").await;
    assert_eq!(status, 202);
    room.until(order, &["paid"]).await;
    let (declined, _) = client.buy("pg", 2, "pm_card_chargeDeclined").await;
    room.until(declined, &["declined"]).await;
    shop.kill().await;
    shop.start_again(&[]).await;

    let tier = shop.check("pg").await["tiers"][0].clone();
    assert_eq!((&tier["sold"], &tier["pinned"], &tier["free"]), (&3.into(), &2.into(), &15.into()), "{tier}");
    let again = client.purchase(declined, "pg", 2, "pm_card_visa");
    assert_eq!(client.post("/charges", &again).await.0, 202);
    client.room(&[]).await.until(declined, &["paid"]).await;
    shop.expect_single_charges(2).await;
    assert_eq!(shop.check("pg").await["tiers"][0]["sold"], 5);
}
