//! Access in PostgreSQL, and at several doors of one shop.

use std::sync::Arc;

use sea_orm::{ConnectionTrait as _, Database};
use shared::access::conformance::{World, stories};
use shared::access::sql::SqlAccess;
use shared::env::Seeded;
use shared::ledger::sql::SqlLedger;
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::postgres::fresh_database;
use tests::harness::redis::Redis;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn access_in_postgresql_does_what_it_must() {
    for (name, story) in stories() {
        eprintln!("story: {name}");
        let (database, clock) = (fresh_database().await, Seeded::new(16));
        SqlLedger::migrate(database.url()).await.unwrap();
        let access = Arc::new(SqlAccess::open(database.url(), clock.env()).unwrap());
        story(World { access: access.clone(), clock }).await;
        access.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_refuses_to_rewrite_the_trail_and_to_keep_a_plain_password() {
    let database = fresh_database().await;
    let desk = Desk::new(&[("DATABASE_URL", database.url())]);
    refused_before_it_is_migrated(&desk).await;
    assert!(desk.cli(&["migrate"]).await.status.success());
    add(&desk, "ann", "owner").await;
    desk.cli_json(&["key", "add", "till", "--scope", "refund"]).await;
    let db = Database::connect(database.url()).await.unwrap();
    for (sql, because) in [
        ("UPDATE access_audit SET who = 'nobody'", "append-only"),
        ("DELETE FROM access_audit", "append-only"),
        ("TRUNCATE access_audit", "append-only"),
        ("UPDATE operators SET password = 'open sesame'", "operators_password_is_hashed"),
        ("UPDATE operators SET role = 'god'", "operators_role_is_known"),
        ("UPDATE access_keys SET scopes = 'refund,manage'", "access_keys_never_manage"),
        ("UPDATE access_keys SET digest = 'stk_1'", "access_keys_are_hashed"),
    ] {
        let refused = db.execute_unprepared(sql).await.unwrap_err().to_string();
        assert!(refused.contains(because), "{sql}: {refused}");
    }
    db.close().await.unwrap();
}

async fn refused_before_it_is_migrated(desk: &Desk) {
    let (code, text) = said(&desk.cli(&["operator", "list"]).await);
    assert!(code == Some(1) && text.contains("stampede migrate"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_at_one_door_is_known_at_the_other_until_a_command_ends_it() {
    let database = fresh_database().await;
    for ledger in [Ledger::Fresh(database), Ledger::Sqlite] {
        let fleet = Fleet::start_on(ledger, Redis::start().await, 2, 0, &[]).await;
        let doors = [fleet.url(0), fleet.url(1)];
        add(&fleet, "ann", "owner").await;
        add(&fleet, "bob", "support").await;
        let (ann, bob) = (log_in(&doors[0], "ann").await, log_in(&doors[1], "bob").await);
        for door in &doors {
            is_known(door, &ann, "ann").await;
            is_known(door, &bob, "bob").await;
        }
        assert_eq!(log_out(&doors[1], &ann).await.status, 204);
        fleet.cli_json(&["operator", "remove", "bob"]).await;
        for door in &doors {
            is_nobody(door, &ann).await;
            is_nobody(door, &bob).await;
        }
    }
}
