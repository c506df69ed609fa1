//! The schema, step by step: plain SQL with its reasons beside each column, one text for both databases.
//!
//! A step runs in one transaction together with the note that it ran, in SQLite too, so that a process which dies
//! in the middle leaves nothing half made.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::prelude::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait};

use crate::guards::{Guard, in_text};

const LEDGER: &str = include_str!("migrations/m0001_ledger.sql");
const SWEEPS: &str = include_str!("migrations/m0002_sweeps.sql");
const CHECKOUT: &str = include_str!("migrations/m0003_checkout.sql");
const ACCESS: &str = include_str!("migrations/m0004_access.sql");
const STEERING: &str = include_str!("migrations/m0005_steering.sql");
const APPEND_ONLY_SQLITE: &str = include_str!("migrations/m0001_append_only.sqlite.sql");
const APPEND_ONLY_POSTGRES: &str = include_str!("migrations/m0001_append_only.postgres.sql");
const ACCESS_APPEND_ONLY_SQLITE: &str = include_str!("migrations/m0004_append_only.sqlite.sql");
const ACCESS_APPEND_ONLY_POSTGRES: &str = include_str!("migrations/m0004_append_only.postgres.sql");
/// The number of a line, in PostgreSQL and in SQLite.
const SEQUENCE_POSTGRES: &str = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY";
const SEQUENCE_SQLITE: &str = "INTEGER PRIMARY KEY";

/// Guards that the tables have of their own.
const GUARDED: [(Guard, &str, &str); 8] = [
    (Guard::TableUnits, "CHECK (committed BETWEEN 0 AND capacity)", "CHECK (1 = 1)"),
    (Guard::TableHold, "CONSTRAINT orders_one_per_hold UNIQUE", ""),
    (Guard::TableToken, "UNIQUE (order_id, token)", "CHECK (1 = 1)"),
    (Guard::TableRefundSum, "CHECK (refunded >= 0 AND refunding >= 0", "CHECK (1 = 1 OR refunded >= 0"),
    (Guard::TableRefundRequest, "CONSTRAINT refunds_one_per_request UNIQUE", ""),
    (Guard::TableRefundAtStripe, "CONSTRAINT refunds_one_per_refund_at_stripe UNIQUE", ""),
    (
        Guard::TableMistakeOnce,
        "CREATE UNIQUE INDEX refunds_of_mistakes_go_once",
        "CREATE INDEX refunds_of_mistakes_go_once",
    ),
    (Guard::TableTickets, "UNIQUE (order_id, position)", "CHECK (1 = 1)"),
];

/// All steps, the oldest first.
pub(super) struct Migrations;

impl MigratorTrait for Migrations {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(Ledger), Box::new(Sweeps), Box::new(Checkout), Box::new(Access), Box::new(Steering)]
    }
}

struct Ledger;

impl MigrationName for Ledger {
    fn name(&self) -> &str {
        "m0001_ledger"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait leaves this lifetime out, and the macro wants it alike")]
#[async_trait::async_trait]
impl MigrationTrait for Ledger {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite would keep small rows twice: by their key, and by a number of its own.
        let (sequence, by_key, append_only) = match manager.get_database_backend() {
            DbBackend::Postgres => (SEQUENCE_POSTGRES, "", APPEND_ONLY_POSTGRES),
            _ => (SEQUENCE_SQLITE, " WITHOUT ROWID", APPEND_ONLY_SQLITE),
        };
        let db = manager.get_connection();
        let tables = in_text(LEDGER, &GUARDED).replace("{sequence}", sequence).replace("{by_key}", by_key);
        db.execute_unprepared(&tables).await?;
        db.execute_unprepared(append_only).await?;
        Ok(())
    }
}

struct Sweeps;

impl MigrationName for Sweeps {
    fn name(&self) -> &str {
        "m0002_sweeps"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait leaves this lifetime out, and the macro wants it alike")]
#[async_trait::async_trait]
impl MigrationTrait for Sweeps {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(SWEEPS).await?;
        Ok(())
    }
}

struct Checkout;

impl MigrationName for Checkout {
    fn name(&self) -> &str {
        "m0003_checkout"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait leaves this lifetime out, and the macro wants it alike")]
#[async_trait::async_trait]
impl MigrationTrait for Checkout {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(CHECKOUT).await?;
        Ok(())
    }
}

struct Access;

impl MigrationName for Access {
    fn name(&self) -> &str {
        "m0004_access"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait leaves this lifetime out, and the macro wants it alike")]
#[async_trait::async_trait]
impl MigrationTrait for Access {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (sequence, append_only) = match manager.get_database_backend() {
            DbBackend::Postgres => (SEQUENCE_POSTGRES, ACCESS_APPEND_ONLY_POSTGRES),
            _ => (SEQUENCE_SQLITE, ACCESS_APPEND_ONLY_SQLITE),
        };
        let db = manager.get_connection();
        db.execute_unprepared(&ACCESS.replace("{sequence}", sequence)).await?;
        db.execute_unprepared(append_only).await?;
        Ok(())
    }
}

struct Steering;

impl MigrationName for Steering {
    fn name(&self) -> &str {
        "m0005_steering"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait leaves this lifetime out, and the macro wants it alike")]
#[async_trait::async_trait]
impl MigrationTrait for Steering {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(STEERING).await?;
        Ok(())
    }
}
