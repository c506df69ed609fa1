//! The databases that the harness hands out.

use sea_orm::{ConnectionTrait, Database, DbErr};
use tests::harness::postgres::fresh_database;

#[tokio::test]
async fn a_database_is_empty_apart_from_others_and_gone_afterwards() -> Result<(), DbErr> {
    let (one, other) = (fresh_database().await, fresh_database().await);
    let url = one.url().to_owned();
    let here = Database::connect(one.url()).await?;
    here.execute_unprepared("CREATE TABLE seats (id int PRIMARY KEY)").await?;
    let there = Database::connect(other.url()).await?;
    assert!(there.execute_unprepared("SELECT * FROM seats").await.is_err(), "the other database has the table too");

    // Still connected: the end of the test must not wait for it.
    drop(one);
    assert!(Database::connect(url).await.is_err(), "the database outlived its test");
    Ok(())
}

#[tokio::test]
async fn a_commit_is_flushed_to_disk() -> Result<(), DbErr> {
    let database = fresh_database().await;
    let connection = Database::connect(database.url()).await?;
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let row = connection
            .query_one_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, format!("SHOW {setting}")));
        let value: String = row.await?.expect("one row").try_get_by_index(0)?;
        assert_eq!(value, "on", "{setting}");
    }
    Ok(())
}
