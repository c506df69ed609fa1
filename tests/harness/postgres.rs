//! Databases in the PostgreSQL cluster of the test run.
//!
//! `cargo xtask test` starts one cluster and hands its address over in [`CLUSTER`]. A test takes a database of its own
//! in it, so that tests which run at the same time never see each other's rows.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database as Connection, DatabaseConnection, DbBackend, Statement};
use tokio::runtime::{Handle, RuntimeFlavor};
use uuid::Uuid;

/// The environment variable with the cluster's address: `postgres://user:password@127.0.0.1:port`.
pub const CLUSTER: &str = "STAMPEDE_TEST_POSTGRES";

/// An empty database; dropped with this value, whoever is still connected.
#[derive(Debug)]
pub struct Database {
    name: String,
    url: String,
    cluster: String,
}

impl Database {
    /// Its address, for `DATABASE_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How often two of its transactions have waited for each other, as PostgreSQL counts when whoever used it has gone.
    pub async fn deadlocks(&self) -> i64 {
        let cluster = Connection::connect(format!("{}/postgres", self.cluster)).await.expect("the cluster");
        let number = async |sql: &str| {
            let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [self.name.as_str().into()]);
            let row = cluster.query_one_raw(statement).await.expect("an answer").expect("a row");
            row.try_get_by_index::<i64>(0).expect("a number")
        };
        while number("SELECT count(*) FROM pg_stat_activity WHERE datname = $1").await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let deadlocks = number("SELECT deadlocks FROM pg_stat_database WHERE datname = $1").await;
        cluster.close().await.expect("it is closed");
        deadlocks
    }
}

/// Makes an empty database.
pub async fn fresh_database() -> Database {
    let cluster = std::env::var(CLUSTER).unwrap_or_else(|_| {
        panic!("{CLUSTER} is not set: run the tests with `cargo xtask test`, which starts a PostgreSQL for them")
    });
    fresh_database_in(&cluster).await
}

/// Makes an empty database in a cluster of the test's own.
pub async fn fresh_database_in(cluster: &str) -> Database {
    let cluster = cluster.trim_end_matches('/').to_owned();
    let name = format!("test_{}", Uuid::new_v4().simple());
    run(&cluster, &format!("CREATE DATABASE {name}")).await.expect("the cluster makes a database");
    Database { url: format!("{cluster}/{name}"), name, cluster }
}

impl Drop for Database {
    /// On a thread and a runtime of its own: the test's runtime may be the one that is ending. Its worker must not be
    /// blocked meanwhile: PostgreSQL waits with the `DROP` for every connection that is being made, and those may be
    /// this runtime's.
    fn drop(&mut self) {
        let (cluster, drop) = (self.cluster.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(run(&cluster, &drop))
        });
        let outcome = match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| dropped.join()),
            _ => dropped.join(),
        };
        // A panic while another unwinds would hide the test's own message; the cluster goes with the run anyway.
        if !std::thread::panicking() {
            outcome.expect("the thread ends").expect("the database is dropped");
        }
    }
}

async fn run(cluster: &str, statement: &str) -> Result<(), sea_orm::DbErr> {
    let connection: DatabaseConnection = Connection::connect(format!("{cluster}/postgres")).await?;
    connection.execute_unprepared(statement).await?;
    connection.close().await
}
