//! The database as the writer has it, and a transaction there: SQLite by itself, PostgreSQL by a connection of SQLx.

use std::collections::BTreeSet;
use std::iter::once;

use async_trait::async_trait;
use rusqlite::Row;
use rusqlite::types::FromSql;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    QueryFilter as _, QueryResult, QuerySelect as _, QueryTrait as _, Select, Statement, TransactionTrait as _,
    TryGetable, Value,
};

use super::sqlite::{Sqlite, failed};
use super::statements::padded;

/// The writer's database.
pub(super) enum Database {
    Sqlite(Sqlite),
    Postgres(DatabaseConnection),
}

/// A transaction, which is rolled back unless it is committed.
pub(super) enum Transaction<'a> {
    Sqlite(Begun<'a>),
    Postgres(DatabaseTransaction),
}

/// A transaction that SQLite has begun.
pub(super) struct Begun<'a> {
    pub(super) db: &'a Sqlite,
    ended: bool,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.ended
            && let Err(error) = self.db.run("ROLLBACK")
        {
            tracing::debug!(%error, "a failed transaction of the ledger could not be rolled back in order");
        }
    }
}

impl Database {
    /// Begins a transaction that will write.
    pub(super) async fn begin(&self) -> Result<Transaction<'_>, DbErr> {
        match self {
            Self::Sqlite(db) => {
                db.run("BEGIN IMMEDIATE")?;
                Ok(Transaction::Sqlite(Begun { db, ended: false }))
            }
            Self::Postgres(db) => Ok(Transaction::Postgres(db.begin().await?)),
        }
    }
}

/// Begins a transaction of SQLite's that only reads.
pub(super) fn reading(db: &Sqlite) -> Result<Transaction<'_>, DbErr> {
    db.run("BEGIN")?;
    Ok(Transaction::Sqlite(Begun { db, ended: false }))
}

#[cfg(test)]
impl Database {
    /// Runs a statement in SQLite, past everything that guards it.
    pub(super) fn run(&self, sql: &str) -> Result<(), DbErr> {
        match self {
            Self::Sqlite(db) => db.run(sql),
            Self::Postgres(_) => Err(DbErr::Custom("it is not in SQLite".into())),
        }
    }
}

impl Transaction<'_> {
    /// Makes it durable.
    pub(super) async fn commit(self) -> Result<(), DbErr> {
        match self {
            Self::Sqlite(mut begun) => {
                begun.db.run("COMMIT")?;
                begun.ended = true;
                Ok(())
            }
            Self::Postgres(tx) => tx.commit().await,
        }
    }

    /// Undoes it.
    pub(super) async fn rollback(self) -> Result<(), DbErr> {
        match self {
            Self::Sqlite(mut begun) => {
                begun.ended = true;
                begun.db.run("ROLLBACK")
            }
            Self::Postgres(tx) => tx.rollback().await,
        }
    }

    /// Runs a statement; answers how many rows it changed.
    pub(super) async fn execute(&self, statement: Statement) -> Result<u64, DbErr> {
        match self {
            Self::Sqlite(begun) => {
                let (sql, values) = parts(statement);
                begun.db.execute(&sql, once(values))
            }
            Self::Postgres(tx) => Ok(tx.execute_raw(statement).await?.rows_affected()),
        }
    }
}

/// Whoever can be asked for rows: a connection, or a transaction.
#[async_trait]
pub(super) trait Reads: Sync {
    /// Which database it is.
    fn backend(&self) -> DbBackend;

    /// The entities that are selected.
    async fn all<E>(&self, select: Select<E>) -> Result<Vec<E::Model>, DbErr>
    where
        E: EntityTrait,
        E::Model: Default;

    /// The entities that are selected and have one of these values in a column. Nothing else that was bound to the
    /// selection may come after its conditions, such as a limit.
    async fn all_of<E, V>(&self, select: Select<E>, column: E::Column, values: Vec<V>) -> Result<Vec<E::Model>, DbErr>
    where
        E: EntityTrait,
        E::Model: Default,
        V: Into<Value> + Ord + Clone + Send,
    {
        self.all(select.filter(column.is_in(padded(values)))).await
    }

    /// Rows of a few columns.
    async fn rows<T: Cells>(&self, statement: Statement) -> Result<Vec<T>, DbErr>;

    /// The entity that is selected, if it is there.
    async fn one<E>(&self, select: Select<E>) -> Result<Option<E::Model>, DbErr>
    where
        E: EntityTrait,
        E::Model: Default,
    {
        Ok(self.all(select.limit(1)).await?.pop())
    }
}

#[async_trait]
impl<C: ConnectionTrait> Reads for C {
    fn backend(&self) -> DbBackend {
        self.get_database_backend()
    }

    async fn all<E>(&self, select: Select<E>) -> Result<Vec<E::Model>, DbErr>
    where
        E: EntityTrait,
        E::Model: Default,
    {
        select.all(self).await
    }

    async fn rows<T: Cells>(&self, statement: Statement) -> Result<Vec<T>, DbErr> {
        self.query_all_raw(statement).await?.iter().map(T::pooled).collect()
    }
}

#[async_trait]
impl Reads for Transaction<'_> {
    fn backend(&self) -> DbBackend {
        match self {
            Self::Sqlite(_) => DbBackend::Sqlite,
            Self::Postgres(_) => DbBackend::Postgres,
        }
    }

    async fn all<E>(&self, select: Select<E>) -> Result<Vec<E::Model>, DbErr>
    where
        E: EntityTrait,
        E::Model: Default,
    {
        match self {
            Self::Sqlite(begun) => {
                let (sql, values) = parts(select.build(DbBackend::Sqlite));
                begun.db.all::<E>(&sql, once(values))
            }
            Self::Postgres(tx) => select.all(tx).await,
        }
    }

    async fn all_of<E, V>(&self, select: Select<E>, column: E::Column, values: Vec<V>) -> Result<Vec<E::Model>, DbErr>
    where
        E: EntityTrait,
        E::Model: Default,
        V: Into<Value> + Ord + Clone + Send,
    {
        match self {
            // A list of values would be put into a table first, which is made and thrown away.
            Self::Sqlite(begun) => {
                let mut values: BTreeSet<V> = values.into_iter().collect();
                let Some(first) = values.pop_first() else { return Ok(Vec::new()) };
                let (sql, first) = parts(select.filter(column.eq(first)).build(DbBackend::Sqlite));
                let mut bound = first.clone();
                let others = values.into_iter().map(|value| {
                    if let Some(last) = bound.last_mut() {
                        *last = value.into();
                    }
                    bound.clone()
                });
                begun.db.all::<E>(&sql, once(first).chain(others))
            }
            Self::Postgres(tx) => tx.all_of(select, column, values).await,
        }
    }

    async fn rows<T: Cells>(&self, statement: Statement) -> Result<Vec<T>, DbErr> {
        match self {
            Self::Sqlite(begun) => {
                let (sql, values) = parts(statement);
                begun.db.query(&sql, once(values), T::direct)
            }
            Self::Postgres(tx) => tx.rows(statement).await,
        }
    }
}

/// A statement's text and its values.
fn parts(statement: Statement) -> (String, Vec<Value>) {
    (statement.sql, statement.values.map(|values| values.0).unwrap_or_default())
}

/// A row of a few columns, in their order.
pub(super) trait Cells: Sized + Send {
    fn pooled(row: &QueryResult) -> Result<Self, DbErr>;
    fn direct(row: &Row<'_>) -> Result<Self, DbErr>;
}

macro_rules! cells {
    ($($cell:ident $place:literal),+) => {
        impl<$($cell: TryGetable + FromSql + Send),+> Cells for ($($cell,)+) {
            fn pooled(row: &QueryResult) -> Result<Self, DbErr> {
                Ok(($(row.try_get_by_index::<$cell>($place)?,)+))
            }

            fn direct(row: &Row<'_>) -> Result<Self, DbErr> {
                Ok(($(row.get::<_, $cell>($place).map_err(failed)?,)+))
            }
        }
    };
}

cells!(A 0);
cells!(A 0, B 1);
cells!(A 0, B 1, C 2);
