//! Connections to the ledger's database, as the ledger has them: a commit is on disk when it is answered.

use std::time::Duration;

use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::{DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector};

use crate::access::AccessError;

/// Connections per process, made when they are needed.
pub(super) const CONNECTIONS: u32 = 2;
/// SQLite: how long to wait for whoever is writing.
const BUSY: Duration = Duration::from_secs(5);
/// How long to wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// A connection that nobody needs is closed after this.
const UNUSED: Duration = Duration::from_secs(60);
/// SQLite: pages that the write-ahead log may have before a COMMIT moves it into the database. The ledger moves it long
/// before, beside its work; a COMMIT here must not do that while everybody waits.
const CHECKPOINT_PAGES: &str = "100000";
/// PostgreSQL: as for the ledger's connections.
const PG_LIMITS: [(&str, &str); 4] = [
    ("statement_timeout", "15s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("synchronous_commit", "on"),
];

/// Connections to the database at `url`, none of which is made yet.
pub(super) fn pool(url: &str) -> Result<DatabaseConnection, AccessError> {
    // The parser's own message could quote the address, and with it a password.
    let unreadable = || AccessError("the ledger's address cannot be read".to_owned());
    if url.starts_with("sqlite:") {
        let options: SqliteConnectOptions = url.parse().map_err(|_| unreadable())?;
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).idle_timeout(UNUSED);
        let pool = pool.acquire_timeout(ACQUIRE + BUSY).test_before_acquire(false).connect_lazy_with(options);
        Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
    } else {
        let options: PgConnectOptions = url.parse().map_err(|_| unreadable())?;
        let options = options.options(PG_LIMITS).application_name("stampede").disable_statement_logging();
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).idle_timeout(UNUSED);
        Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool.acquire_timeout(ACQUIRE).connect_lazy_with(options)))
    }
}
