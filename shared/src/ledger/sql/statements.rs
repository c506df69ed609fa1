//! Statements over many rows, written once for both databases.
//!
//! SeaORM says most of what is needed; what it cannot say is an UPDATE of many rows with different values each, and
//! its builders allocate for every cell. Here a statement is text and a list of values. PostgreSQL is sent many rows at
//! once, in chunks of few sizes (a power of two, or half as much again), so that a connection sees few different texts and
//! keeps them all prepared. SQLite is called for one row after another, by one prepared statement.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sea_orm::{DbBackend, EntityTrait, IdenStatic, Iterable, ModelTrait, Statement, Value};

use super::database::{Reads as _, Transaction};
use super::failure::Failure;
use crate::guards::{Guard, in_text};

/// Rows of one statement at most. The widest row has 30 columns, and PostgreSQL binds 65,535 values to a statement.
const MOST_ROWS: usize = 512;
const MOST_VALUES: usize = 65_535;

/// What an INSERT does about a row that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// Fails.
    Refuses,
    /// Leaves it as it is, and does not count it.
    Keeps,
}

/// Inserts rows; answers how many were new.
pub(super) async fn insert<M>(tx: &Transaction<'_>, rows: &[M], existing: Existing) -> Result<u64, Failure>
where
    M: ModelTrait,
    <M::Entity as EntityTrait>::Column: Copy,
{
    if rows.is_empty() {
        return Ok(0);
    }
    let columns: Vec<<M::Entity as EntityTrait>::Column> = <M::Entity as EntityTrait>::Column::iter().collect();
    let names: Vec<&str> = columns.iter().map(IdenStatic::as_str).collect();
    let table = M::Entity::default();
    let into = format!("INSERT INTO {} ({}) VALUES ", table.as_str(), names.join(", "));
    let conflict = if existing == Existing::Keeps { " ON CONFLICT DO NOTHING" } else { "" };
    let values_of = |row: &M| columns.iter().map(|column| row.get(*column)).collect::<Vec<_>>();
    if let Transaction::Sqlite(begun) = tx {
        let sql = format!("{into}({}){conflict}", places(columns.len()));
        return Ok(begun.db.execute(&sql, rows.iter().map(values_of))?);
    }
    let mut written = 0;
    for chunk in chunks(rows, columns.len()) {
        let mut sql = into.clone();
        write_values(&mut sql, chunk.len(), columns.len());
        sql.push_str(conflict);
        written += execute(tx, sql, chunk.iter().flat_map(values_of).collect()).await?;
    }
    Ok(written)
}

/// Inserts rows, leaves those that are there already as they are, and answers the keys of the others.
pub(super) async fn insert_new<M>(
    tx: &Transaction<'_>,
    rows: &[M],
    key: <M::Entity as EntityTrait>::Column,
) -> Result<BTreeSet<String>, Failure>
where
    M: ModelTrait,
    <M::Entity as EntityTrait>::Column: Copy,
{
    let columns: Vec<<M::Entity as EntityTrait>::Column> = <M::Entity as EntityTrait>::Column::iter().collect();
    let names: Vec<&str> = columns.iter().map(IdenStatic::as_str).collect();
    let (table, row) = (M::Entity::default(), format!("({})", places(columns.len())));
    let mut new = BTreeSet::new();
    for chunk in chunks(rows, columns.len()) {
        let (names, all) = (names.join(", "), vec![&*row; chunk.len()].join(", "));
        let into = format!("INSERT INTO {} ({names}) VALUES {all}", table.as_str());
        let sql = format!("{into} ON CONFLICT DO NOTHING RETURNING {}", key.as_str());
        let values = chunk.iter().flat_map(|row| columns.iter().map(|column| row.get(*column))).collect();
        let keys = tx.rows::<(String,)>(statement(tx.backend(), &sql, values)).await?;
        new.extend(keys.into_iter().map(|(key,)| key));
    }
    Ok(new)
}

/// Which columns of a table an [`update`] compares, and which it sets.
pub(super) struct Update<'a, C> {
    /// Rows are found by these.
    pub(super) keys: &'a [C],
    /// And only if this column still has the value that goes with each row.
    pub(super) guard: Option<C>,
    /// What is written.
    pub(super) sets: &'a [C],
}

/// Updates many rows with values of their own; answers how many were found. `rows` are the new rows, each with the
/// value that the guard's column must still have.
pub(super) async fn update<M>(
    tx: &Transaction<'_>,
    rows: &[(M, Option<Value>)],
    update: Update<'_, <M::Entity as EntityTrait>::Column>,
) -> Result<u64, Failure>
where
    M: ModelTrait,
    <M::Entity as EntityTrait>::Column: Copy,
{
    if rows.is_empty() {
        return Ok(0);
    }
    let table = M::Entity::default();
    let table = table.as_str();
    if let Transaction::Sqlite(begun) = tx {
        let sets: Vec<String> = update.sets.iter().map(|c| format!("{} = ?", c.as_str())).collect();
        let mut finds: Vec<String> = update.keys.iter().map(|c| format!("{} = ?", c.as_str())).collect();
        let is = in_text("= ?", &[(Guard::OrderVersion, "= ?", "= ? OR TRUE")]);
        finds.extend(update.guard.map(|guard| format!("({} {is})", guard.as_str())));
        let sql = format!("UPDATE {table} SET {} WHERE {}", sets.join(", "), finds.join(" AND "));
        let values_of = |(row, was): &(M, Option<Value>)| {
            let columns = update.sets.iter().chain(update.keys);
            columns.map(|column| row.get(*column)).chain(was.clone()).collect::<Vec<_>>()
        };
        return Ok(begun.db.execute(&sql, rows.iter().map(values_of))?);
    }
    let columns: Vec<_> = update.keys.iter().chain(update.sets).copied().collect();
    let mut names: Vec<&str> = columns.iter().map(IdenStatic::as_str).collect();
    let sets: Vec<String> = update.sets.iter().map(|c| format!("{0} = v.{0}", c.as_str())).collect();
    let mut finds: Vec<String> = update.keys.iter().map(|c| format!("{table}.{0} = v.{0}", c.as_str())).collect();
    if let Some(guard) = update.guard {
        let is = in_text("= v.was", &[(Guard::OrderVersion, "= v.was", "= v.was OR v.was > 0")]);
        finds.push(format!("({table}.{} {is})", guard.as_str()));
        names.push("was");
    }
    let mut written = 0;
    for chunk in chunks(rows, names.len()) {
        let mut sql = format!("WITH v ({}) AS (VALUES ", names.join(", "));
        write_values(&mut sql, chunk.len(), names.len());
        let _ = write!(sql, ") UPDATE {table} SET {} FROM v WHERE {}", sets.join(", "), finds.join(" AND "));
        let mut values = Vec::with_capacity(chunk.len() * names.len());
        for (row, was) in chunk {
            values.extend(columns.iter().map(|column| row.get(*column)));
            values.extend(was.clone());
        }
        written += execute(tx, sql, values).await?;
    }
    Ok(written)
}

/// Runs a statement whose places for values are written as `?`; answers how many rows it changed.
pub(super) async fn execute_with(tx: &Transaction<'_>, sql: &str, values: Vec<Value>) -> Result<u64, Failure> {
    execute(tx, placed(tx.backend(), sql), values).await
}

/// A statement whose places for values are written as `?`, for a database.
pub(super) fn statement(backend: DbBackend, sql: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(backend, placed(backend, sql), values)
}

/// `?, ?, ?`: a list of `n` places.
pub(super) fn places(n: usize) -> String {
    let mut list = "?, ".repeat(n);
    list.truncate(list.len().saturating_sub(2));
    list
}

/// Repeats the last value until their number is a power of two: a list `IN (…)` then has few different lengths.
pub(super) fn padded<T: Clone>(mut values: Vec<T>) -> Vec<T> {
    if let Some(last) = values.last().cloned() {
        values.resize(values.len().next_power_of_two(), last);
    }
    values
}

async fn execute(tx: &Transaction<'_>, sql: String, values: Vec<Value>) -> Result<u64, Failure> {
    let statement = Statement::from_sql_and_values(tx.backend(), sql, values);
    Ok(tx.execute(statement).await?)
}

/// `?` stays for SQLite (which finds numbered places slowly) and becomes `$1`, `$2` for PostgreSQL.
fn placed(backend: DbBackend, sql: &str) -> String {
    if backend != DbBackend::Postgres {
        return sql.to_owned();
    }
    let mut parts = sql.split('?');
    let mut placed = parts.next().unwrap_or_default().to_owned();
    for (part, n) in parts.zip(1..) {
        let _ = write!(placed, "${n}{part}");
    }
    placed
}

fn write_values(sql: &mut String, rows: usize, columns: usize) {
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let _ = write!(sql, "{}${}", if column == 0 { "" } else { ", " }, row * columns + column + 1);
        }
        sql.push(')');
    }
}

/// Chunks with a power of two of rows each, or half as many again, the largest first: 100 rows are 96 and 4.
fn chunks<T>(rows: &[T], columns: usize) -> impl Iterator<Item = &[T]> {
    let most = MOST_ROWS.min(MOST_VALUES / columns.max(1)).max(1);
    let mut rest = rows;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut size = rest.len().min(most);
        if !size.is_power_of_two() {
            let below = size.next_power_of_two() / 2;
            size = if below > 1 && size >= below + below / 2 { below + below / 2 } else { below };
        }
        let (chunk, after) = rest.split_at(size);
        rest = after;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_few_sizes_and_lose_no_row() {
        let rows: Vec<u32> = (0..1_000).collect();
        for columns in [1, 26, 100, 40_000] {
            let sizes: Vec<usize> = chunks(&rows, columns).map(<[u32]>::len).collect();
            assert_eq!(sizes.iter().sum::<usize>(), rows.len());
            let is_allowed =
                |size: &usize| size.is_power_of_two() || (size.is_multiple_of(3) && (size / 3).is_power_of_two());
            assert!(sizes.iter().all(|size| is_allowed(size) && (size * columns <= MOST_VALUES || *size == 1)));
        }
        assert_eq!(chunks(&rows[..7], 3).map(<[u32]>::len).collect::<Vec<_>>(), [6, 1]);
        assert_eq!(chunks(&rows[..100], 3).map(<[u32]>::len).collect::<Vec<_>>(), [96, 4]);
    }

    #[test]
    fn places_are_numbered_for_postgresql_alone() {
        assert_eq!(placed(DbBackend::Sqlite, "a = ? AND b IN (?, ?)"), "a = ? AND b IN (?, ?)");
        assert_eq!(placed(DbBackend::Postgres, "a = ? AND b IN (?, ?)"), "a = $1 AND b IN ($2, $3)");
        let mut sql = String::new();
        write_values(&mut sql, 2, 2);
        assert_eq!(sql, "($1, $2), ($3, $4)");
    }
}
