//! Opening the database: one connection that writes, some that read, and settings that make a commit mean what it
//! says.

use std::path::PathBuf;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, SqlxPostgresConnector, SqlxSqliteConnector, Statement,
};
use sea_orm_migration::{MigrationStatus, MigratorTrait};

use super::database::Database;
use super::migrations::Migrations;
use super::sqlite::Sqlite;
use crate::ledger::LedgerError;

/// Connections that read, per process.
pub(super) const READERS: u32 = 4;
/// SQLite: how long a process waits for another one of the same host that is writing.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// How long to wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// SQLite: pages (of 4 KiB) that the write-ahead log may have before a COMMIT moves it into the database. By then
/// [`super::moving`] has done so long ago.
pub(super) const CHECKPOINT_PAGES: &str = "100000";
/// SQLite: page cache of the writer, in KiB (negative by its convention).
pub(super) const CACHE_KIB: &str = "-65536";
/// Statements that a connection keeps prepared: every shape of [`super::statements`] fits in.
pub(super) const PREPARED: usize = 1_024;
/// PostgreSQL: a statement, and the wait for a lock, end after this; so does a transaction of a process that hangs.
const PG_LIMITS: [(&str, &str); 4] = [
    ("statement_timeout", "15s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "30s"),
    // A commit that is answered is on disk, whatever the server's default.
    ("synchronous_commit", "on"),
];
/// PostgreSQL: the writer finds every row by a key. On a table that grew since its statistics were taken, or since a
/// statement was prepared, the planner believes otherwise and reads all of it, a thousand times a minute.
const PG_BY_KEY: [(&str, &str); 5] = [
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("random_page_cost", "1.1"),
    // A plan against the planner's will looks expensive, and would be compiled each time.
    ("jit", "off"),
];
/// PostgreSQL: taken while migrating, so that processes which start together do not migrate together.
const MIGRATION_LOCK: i64 = 0x5354_414d_5045_4445;

/// An open database.
pub(super) struct Opened {
    /// The one connection that writes.
    pub(super) writer: Database,
    /// Connections that read.
    pub(super) readers: DatabaseConnection,
    /// A connection that reads rows by their keys, for one who asks all the time.
    pub(super) looker: Database,
    /// A connection that moves SQLite's log.
    pub(super) mover: Option<DatabaseConnection>,
    /// The file, if it is SQLite's.
    pub(super) file: Option<PathBuf>,
}

enum Kind {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

/// Opens the database at `url`. A SQLite file is brought up to date; a PostgreSQL database must be already.
pub(super) async fn open(url: &str) -> Result<Opened, LedgerError> {
    let kind = kind(url)?;
    let place = place(&kind);
    let said = |e: &dyn std::fmt::Display| LedgerError(format!("cannot open {place}: {e}"));
    let Pools { first, readers, rest } = pools(kind).await.map_err(|e| said(&e))?;
    let file = match rest {
        Rest::File(file) => file,
        Rest::Looker(looker) => {
            if pending(&readers).await.map_err(|e| said(&e))? > 0 {
                return Err(LedgerError(format!("{place} is not up to date: run `stampede migrate` first")));
            }
            let (writer, looker) = (Database::Postgres(first), Database::Postgres(looker));
            return Ok(Opened { writer, readers, looker, mover: None, file: None });
        }
    };
    migrate_with(&first).await.map_err(|e| said(&e))?;
    let writer = Database::Sqlite(Sqlite::open(&file).map_err(|e| said(&e))?);
    let looker = Sqlite::open(&file).map_err(|e| said(&e))?;
    looker.run("PRAGMA query_only = on").map_err(|e| said(&e))?;
    Ok(Opened { writer, readers, looker: Database::Sqlite(looker), mover: Some(first), file: Some(file) })
}

/// Brings the schema up to date.
pub(super) async fn migrate(url: &str) -> Result<(), LedgerError> {
    let kind = kind(url)?;
    let place = place(&kind);
    let opened = pools(kind).await.map_err(|e| LedgerError(format!("cannot open {place}: {e}")))?;
    let migrated = migrate_with(&opened.first).await.map_err(|e| LedgerError(format!("{place}: {e}")));
    for pool in [opened.readers, opened.first] {
        if let Err(error) = pool.close().await {
            tracing::warn!(%error, "a connection to the ledger was not closed in order");
        }
    }
    migrated
}

fn kind(url: &str) -> Result<Kind, LedgerError> {
    // The parser's own message could quote the address, and with it a password.
    let unreadable = |_| {
        LedgerError("the ledger's address cannot be read; it looks like sqlite://path?mode=rwc or postgres://user:password@host:port/database".to_owned())
    };
    if url.starts_with("sqlite:") {
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(LedgerError(
                "SQLite in memory forgets everything and cannot be shared: name a file, as in sqlite://path?mode=rwc"
                    .to_owned(),
            ));
        }
        Ok(Kind::Sqlite(url.parse().map_err(unreadable)?))
    } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        Ok(Kind::Postgres(url.parse().map_err(unreadable)?))
    } else {
        Err(LedgerError("the ledger's address begins with sqlite:// or postgres://".to_owned()))
    }
}

/// Which database, for a sentence: never with a password.
fn place(kind: &Kind) -> String {
    match kind {
        Kind::Sqlite(options) => format!("the SQLite ledger {}", options.get_filename().display()),
        Kind::Postgres(options) => format!(
            "the PostgreSQL ledger {:?} at {}:{} as {:?}",
            options.get_database().unwrap_or_default(),
            options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string()),
            options.get_port(),
            options.get_username(),
        ),
    }
}

/// Connections by SQLx.
struct Pools {
    /// One connection, which migrates first.
    first: DatabaseConnection,
    readers: DatabaseConnection,
    rest: Rest,
}

/// What else there is, by the kind of the database.
enum Rest {
    /// SQLite's file.
    File(PathBuf),
    /// A connection to PostgreSQL, made when it is first used: one that finds every row by a key.
    Looker(DatabaseConnection),
}

async fn pools(kind: Kind) -> Result<Pools, sqlx::Error> {
    match kind {
        Kind::Sqlite(options) => {
            let file = options.get_filename().to_owned();
            let options = options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(BUSY)
                .statement_cache_capacity(PREPARED)
                .row_buffer_size(512)
                .disable_statement_logging();
            let reads = options.clone().pragma("query_only", "on");
            let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE + BUSY).test_before_acquire(false);
            // The one that writes first: it makes the file, and turns it to WAL.
            let first = pool().max_connections(1).connect_with(options).await?;
            let readers = pool().max_connections(READERS).connect_with(reads).await?;
            Ok(Pools {
                first: SqlxSqliteConnector::from_sqlx_sqlite_pool(first),
                readers: SqlxSqliteConnector::from_sqlx_sqlite_pool(readers),
                rest: Rest::File(file),
            })
        }
        Kind::Postgres(options) => {
            let options = options
                .options(PG_LIMITS)
                .application_name("stampede")
                .statement_cache_capacity(PREPARED)
                .disable_statement_logging();
            // A pool would try again and again, and then only say that it took too long.
            let first = tokio::time::timeout(ACQUIRE, options.connect());
            first.await.map_err(|_| sqlx::Error::PoolTimedOut)??.close().await?;
            let pool = |most| PgPoolOptions::new().max_connections(most).acquire_timeout(ACQUIRE);
            let first = pool(1).connect_with(options.clone().options(PG_BY_KEY)).await?;
            let looker = pool(1).connect_lazy_with(options.clone().options(PG_BY_KEY));
            let readers = pool(READERS).connect_with(options).await?;
            Ok(Pools {
                first: SqlxPostgresConnector::from_sqlx_postgres_pool(first),
                readers: SqlxPostgresConnector::from_sqlx_postgres_pool(readers),
                rest: Rest::Looker(SqlxPostgresConnector::from_sqlx_postgres_pool(looker)),
            })
        }
    }
}

async fn migrate_with(writer: &DatabaseConnection) -> Result<(), DbErr> {
    let backend = writer.get_database_backend();
    // The pool has one connection, so the lock and the migration share a session.
    let locks = backend == DbBackend::Postgres;
    let lock = |verb: &str| Statement::from_string(backend, format!("SELECT {verb}({MIGRATION_LOCK})"));
    if locks {
        writer.execute_raw(lock("pg_advisory_lock")).await?;
    }
    let mut migrated = Migrations::up(writer, None).await;
    if migrated.is_err() && !locks && pending(writer).await == Ok(0) {
        // Another process of this host was faster.
        migrated = Ok(());
    }
    if locks {
        writer.execute_raw(lock("pg_advisory_unlock")).await?;
    }
    migrated
}

/// How many steps are missing.
async fn pending(db: &DatabaseConnection) -> Result<usize, DbErr> {
    let steps = Migrations::get_migration_with_status_read_only(db).await?;
    Ok(steps.iter().filter(|step| step.status() == MigrationStatus::Pending).count())
}
