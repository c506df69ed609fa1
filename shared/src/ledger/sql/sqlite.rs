//! SQLite on the caller's own thread: a statement is a call, and not a message to another thread and back.
//!
//! SQLx gives each connection a thread, since a statement may block. The ledger's writer has a thread of its own anyway,
//! and a group is a few dozen statements, one after the other; on a busy machine each of them would have to wait until
//! the other thread has its turn, and then until this one has it again.

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Statement, ToSql};
use sea_orm::sea_query::ArrayType;
use sea_orm::{DbErr, EntityTrait, IdenStatic as _, Iterable as _, ModelTrait, RuntimeErr, Value};
use uuid::Uuid;

use super::open::{BUSY, CACHE_KIB, CHECKPOINT_PAGES, PREPARED};

/// A connection to a SQLite file.
pub(super) struct Sqlite(Mutex<Connection>);

impl Sqlite {
    /// Opens a file that is there, with all that makes a commit mean what it says.
    pub(super) fn open(file: &Path) -> Result<Self, DbErr> {
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(file, flags)?;
            connection.busy_timeout(BUSY)?;
            connection.set_prepared_statement_cache_capacity(PREPARED);
            for (name, value) in [
                ("journal_mode", "wal"),
                ("synchronous", "full"),
                ("foreign_keys", "on"),
                ("wal_autocheckpoint", CHECKPOINT_PAGES),
                ("cache_size", CACHE_KIB),
            ] {
                connection.execute_batch(&format!("PRAGMA {name} = {value}"))?;
            }
            Ok(connection)
        };
        open().map(|connection| Self(Mutex::new(connection))).map_err(failed)
    }

    /// Runs statements without values.
    pub(super) fn run(&self, sql: &str) -> Result<(), DbErr> {
        self.0.lock().execute_batch(sql).map_err(failed)
    }

    /// Runs one statement for one row of values after another; answers how many rows of the database it changed.
    pub(super) fn execute(&self, sql: &str, rows: impl Iterator<Item = Vec<Value>>) -> Result<u64, DbErr> {
        let connection = self.0.lock();
        let execute = || {
            let mut statement = connection.prepare_cached(sql)?;
            let mut changed = 0;
            for row in rows {
                bind(&mut statement, &row)?;
                changed += statement.raw_execute()?;
            }
            Ok(changed)
        };
        let changed = execute().map_err(failed)?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    /// Reads rows: by one statement, run for one list of values after another.
    pub(super) fn query<T>(
        &self,
        sql: &str,
        values: impl Iterator<Item = Vec<Value>>,
        mut read: impl FnMut(&Row<'_>) -> Result<T, DbErr>,
    ) -> Result<Vec<T>, DbErr> {
        let connection = self.0.lock();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        let mut found = Vec::new();
        for values in values {
            bind(&mut statement, &values).map_err(failed)?;
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next().map_err(failed)? {
                found.push(read(row)?);
            }
        }
        Ok(found)
    }

    /// Reads entities: by one statement, run for one list of values after another.
    pub(super) fn all<E: EntityTrait>(
        &self,
        sql: &str,
        values: impl Iterator<Item = Vec<Value>>,
    ) -> Result<Vec<E::Model>, DbErr>
    where
        E::Model: Default,
    {
        let columns: Vec<(E::Column, ArrayType)> =
            E::Column::iter().map(|column| (column, E::Model::get_value_type(column))).collect();
        let read = |row: &Row<'_>| {
            let mut model = E::Model::default();
            for (place, (column, kind)) in columns.iter().enumerate() {
                let found = row.get_ref(place).map_err(failed)?;
                let unreadable = || DbErr::Type(format!("{} cannot be read from SQLite", column.as_str()));
                model.try_set(*column, value(found, kind).ok_or_else(unreadable)?)?;
            }
            Ok(model)
        };
        self.query(sql, values, read)
    }
}

/// An error in SeaORM's terms. What another process is in the way of speaks of the world outside a transaction, as a
/// connection that is gone does.
pub(super) fn failed(error: rusqlite::Error) -> DbErr {
    let is_busy = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
    let text = RuntimeErr::Internal(error.to_string());
    if is_busy { DbErr::Conn(text) } else { DbErr::Exec(text) }
}

fn bind(statement: &mut Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    for (value, place) in values.iter().zip(1_usize..) {
        statement.raw_bind_parameter(place, Bound(value))?;
    }
    Ok(())
}

/// A value as SQLite keeps it, and as SQLx does, too.
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let integer = |number: i64| ToSqlOutput::Owned(number.into());
        Ok(match self.0 {
            Value::Bool(Some(is)) => integer(i64::from(*is)),
            Value::Int(Some(number)) => integer(i64::from(*number)),
            Value::BigInt(Some(number)) => integer(*number),
            // A limit, which SeaORM counts so.
            Value::BigUnsigned(Some(number)) => integer(i64::try_from(*number).unwrap_or(i64::MAX)),
            Value::String(Some(text)) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Uuid(Some(id)) => ToSqlOutput::Borrowed(ValueRef::Blob(id.as_bytes())),
            Value::Bool(None) | Value::Int(None) | Value::BigInt(None) | Value::String(None) | Value::Uuid(None) => {
                ToSqlOutput::Borrowed(ValueRef::Null)
            }
            _ => return Err(rusqlite::Error::ToSqlConversionFailure("the ledger keeps no such value".into())),
        })
    }
}

/// What was found, as a value of the type that is to be read: SQLite itself knows numbers, texts and bytes alone.
fn value(found: ValueRef<'_>, kind: &ArrayType) -> Option<Value> {
    Some(match (kind, found) {
        (ArrayType::Bool, ValueRef::Integer(number)) => Value::Bool(Some(number != 0)),
        (ArrayType::Int, ValueRef::Integer(number)) => Value::Int(Some(i32::try_from(number).ok()?)),
        (ArrayType::BigInt, ValueRef::Integer(number)) => Value::BigInt(Some(number)),
        (ArrayType::String, ValueRef::Text(text)) => Value::String(Some(str::from_utf8(text).ok()?.to_owned())),
        (ArrayType::Uuid, ValueRef::Blob(bytes)) => Value::Uuid(Some(Uuid::from_slice(bytes).ok()?)),
        (ArrayType::Bool, ValueRef::Null) => Value::Bool(None),
        (ArrayType::Int, ValueRef::Null) => Value::Int(None),
        (ArrayType::BigInt, ValueRef::Null) => Value::BigInt(None),
        (ArrayType::String, ValueRef::Null) => Value::String(None),
        (ArrayType::Uuid, ValueRef::Null) => Value::Uuid(None),
        _ => return None,
    })
}
