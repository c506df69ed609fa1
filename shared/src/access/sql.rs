//! Access in SQL, in the tables that the ledger's migrations make (`m0004_access`), over connections of its own: what an
//! operator asks waits for no crowd, and a crowd for no operator.
//!
//! There are few operators and they change seldom. So a change takes a lock that admits no other one, reads everybody,
//! has [`change::decide`] decide, and writes; no index or trigger has to know what an owner is.

mod entities;
mod open;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use self::entities::{keys, log, operators, sessions};
use super::change::{self, Change, Changed};
use super::session::{IDLE, LONGEST, Standing, is_worth_noting, standing};
use super::{Access, AccessError, By, Came, Deed, Digest, Key, Line, Login, Look, Name, Operator, PasswordHash};
use crate::env::{Env, Timestamp};
use crate::guards::Guard;

/// How long to wait for a connection's turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// PostgreSQL: one change at a time, while everybody may read. (SQLite: a transaction that writes is alone anyway.)
const ONE_AT_A_TIME: &str = "LOCK TABLE operators, access_keys IN SHARE ROW EXCLUSIVE MODE";

/// Access in SQL.
pub struct SqlAccess {
    env: Env,
    pool: DatabaseConnection,
    /// No more of them than connections, so that whoever has one has all the time that a connection takes.
    turns: Semaphore,
}

/// A connection for a few statements in a row; while it lasts, no other may be asked for by the same caller.
struct Turn<'a> {
    pool: &'a DatabaseConnection,
    _turn: SemaphorePermit<'a>,
}

impl From<DbErr> for AccessError {
    fn from(error: DbErr) -> Self {
        // Databases name constraints and columns, never values of ours.
        Self(error.to_string())
    }
}

impl SqlAccess {
    /// Access at the ledger's address. Connections are made when they are needed, by a runtime that must be running.
    ///
    /// # Errors
    /// When the address cannot be read; without quoting it, since it may hold a password.
    pub fn open(url: &str, env: Env) -> Result<Self, AccessError> {
        let turns = Semaphore::new(open::CONNECTIONS as usize);
        Ok(Self { env, pool: open::pool(url)?, turns })
    }

    /// Closes the connections.
    pub async fn close(&self) {
        if let Err(error) = self.pool.close_by_ref().await {
            tracing::warn!(%error, "a connection to the ledger was not closed in order");
        }
    }

    async fn turn(&self) -> Result<Turn<'_>, AccessError> {
        match self.env.timeout(TURN_WITHIN, self.turns.acquire()).await {
            Some(Ok(turn)) => Ok(Turn { pool: &self.pool, _turn: turn }),
            Some(Err(_)) => Err(AccessError("it is closed".to_owned())),
            None => Err(AccessError("too many ask at once".to_owned())),
        }
    }
}

impl Turn<'_> {
    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let immediate = Some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode: immediate, ..TransactionOptions::default() };
        self.pool.begin_with_options(options).await
    }

    /// Whose session this is, if it is good now, and whether it is time to write down that it is used.
    async fn holder(&self, session: &Digest, now: Timestamp) -> Result<Option<(Operator, bool)>, AccessError> {
        let Some(found) = sessions::Entity::find_by_id(session.to_hex()).one(self.pool).await? else { return Ok(None) };
        let standing = standing(Timestamp(found.created_at), Timestamp(found.seen_at), now);
        let Some(row) = operators::Entity::find_by_id(found.operator).one(self.pool).await? else { return Ok(None) };
        let good = standing != Standing::Over && row.version == found.version;
        Ok(if good { Some((operator(row)?.0, standing == Standing::Used)) } else { None })
    }
}

/// What stands in the tables was checked when it was written; what does not fit was written by another version.
fn unreadable(what: &str) -> impl FnOnce(String) -> AccessError + '_ {
    move |why| AccessError(format!("{what} cannot be read by this version: {why}"))
}

fn operator(row: operators::Model) -> Result<(Operator, PasswordHash), AccessError> {
    let operator = Operator {
        id: row.id,
        name: row.name.parse().map_err(unreadable("a name"))?,
        role: row.role.parse().map_err(unreadable("a role"))?,
        version: row.version,
        created_at: Timestamp(row.created_at),
        changed_at: Timestamp(row.changed_at),
    };
    Ok((operator, PasswordHash::kept(row.password)))
}

fn key(row: keys::Model) -> Result<Key, AccessError> {
    Ok(Key {
        id: row.id,
        name: row.name.parse().map_err(unreadable("a name"))?,
        scopes: row.scopes.parse().map_err(unreadable("a key's scopes"))?,
        created_at: Timestamp(row.created_at),
        last_used: row.last_used.map(Timestamp),
    })
}

fn line(row: log::Model) -> Line {
    let log::Model { sequence, at, what, who, whom, address, note, why, result } = row;
    Line { number: sequence, at: Timestamp(at), what, who, whom, address, note, why, result }
}

async fn all_operators<C: ConnectionTrait>(db: &C) -> Result<Vec<Operator>, AccessError> {
    let rows = operators::Entity::find().order_by_asc(operators::Column::Name).all(db).await?;
    rows.into_iter().map(|row| operator(row).map(|(operator, _)| operator)).collect()
}

async fn all_keys<C: ConnectionTrait>(db: &C) -> Result<Vec<Key>, AccessError> {
    let rows = keys::Entity::find().order_by_asc(keys::Column::Name).all(db).await?;
    rows.into_iter().map(key).collect()
}

async fn tell<C: ConnectionTrait>(db: &C, line: Line) -> Result<(), DbErr> {
    let Line { number: _, at, what, who, whom, address, note, why, result } = line;
    let row = log::ActiveModel {
        sequence: NotSet,
        at: Set(at.0),
        what: Set(what),
        who: Set(who),
        whom: Set(whom),
        address: Set(address),
        note: Set(note),
        why: Set(why),
        result: Set(result),
    };
    log::Entity::insert(row).exec_without_returning(db).await.map(drop)
}

async fn end_sessions<C: ConnectionTrait>(db: &C, which: Condition) -> Result<(), DbErr> {
    sessions::Entity::delete_many().filter(which).exec(db).await.map(drop)
}

/// Sets one column of an operator; their sessions are of an earlier version from now on.
async fn alter<C: ConnectionTrait>(
    db: &C,
    name: &Name,
    (column, value): (operators::Column, String),
    now: Timestamp,
) -> Result<(), AccessError> {
    let called = operators::Column::Name.eq(name.as_str());
    let next = sea_orm::ExprTrait::add(Expr::col(operators::Column::Version), 1);
    let altered = operators::Entity::update_many()
        .col_expr(column, Expr::value(value))
        .col_expr(operators::Column::Version, next)
        .col_expr(operators::Column::ChangedAt, Expr::value(now.0))
        .filter(called.clone());
    altered.exec(db).await?;
    if let Some(row) = operators::Entity::find().filter(called).one(db).await? {
        end_sessions(db, Condition::all().add(sessions::Column::Operator.eq(row.id))).await?;
    }
    Ok(())
}

async fn write<C: ConnectionTrait>(db: &C, change: Change, id: Uuid, now: Timestamp) -> Result<(), AccessError> {
    match change {
        Change::AddOperator { name, role, password } => {
            let row = operators::Model {
                id,
                name: name.to_string(),
                role: role.to_string(),
                password: password.as_str().to_owned(),
                version: 1,
                created_at: now.0,
                changed_at: now.0,
            };
            operators::Entity::insert(row.into_active_model()).exec_without_returning(db).await?;
        }
        Change::SetRole { name, role } => {
            alter(db, &name, (operators::Column::Role, role.to_string()), now).await?;
        }
        Change::SetPassword { name, password } => {
            alter(db, &name, (operators::Column::Password, password.as_str().to_owned()), now).await?;
        }
        Change::RemoveOperator { name } => {
            // Their sessions go with them, by the table's own rule.
            let called = operators::Column::Name.eq(name.as_str());
            operators::Entity::delete_many().filter(called).exec(db).await?;
        }
        Change::AddKey { name, scopes, key } => {
            let row = keys::Model {
                id,
                name: name.to_string(),
                digest: key.to_hex(),
                scopes: scopes.to_string(),
                created_at: now.0,
                last_used: None,
            };
            keys::Entity::insert(row.into_active_model()).exec_without_returning(db).await?;
        }
        Change::RevokeKey { name } => {
            keys::Entity::delete_many().filter(keys::Column::Name.eq(name.as_str())).exec(db).await?;
        }
    }
    Ok(())
}

/// A use that could not be written down is no reason to refuse whoever uses it.
fn noted<T>(written: Result<T, DbErr>) {
    if let Err(error) = written {
        tracing::warn!(%error, "it could not be written down that a session or key is used");
    }
}

#[async_trait]
impl Access for SqlAccess {
    async fn operators(&self) -> Result<Vec<Operator>, AccessError> {
        all_operators(self.turn().await?.pool).await
    }

    async fn operator(&self, name: &Name) -> Result<Option<(Operator, PasswordHash)>, AccessError> {
        let called = operators::Column::Name.eq(name.as_str());
        let found = operators::Entity::find().filter(called).one(self.turn().await?.pool).await?;
        found.map(operator).transpose()
    }

    async fn keys(&self) -> Result<Vec<Key>, AccessError> {
        all_keys(self.turn().await?.pool).await
    }

    async fn change(&self, change: Change, by: &By) -> Result<Changed, AccessError> {
        let turn = self.turn().await?;
        let tx = turn.begin().await?;
        if tx.get_database_backend() == DbBackend::Postgres {
            tx.execute_unprepared(ONE_AT_A_TIME).await?;
        }
        let changed = change::decide(&all_operators(&tx).await?, &all_keys(&tx).await?, &change);
        if changed == Changed::Yes {
            let now = self.env.now();
            tell(&tx, Line::changed(now, by, &change)).await?;
            write(&tx, change, self.env.uuid_v7(), now).await?;
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        Ok(changed)
    }

    async fn log_in(&self, login: Login) -> Result<bool, AccessError> {
        let Login { operator, session, replaces, address } = login;
        let (turn, now) = (self.turn().await?, self.env.now());
        let tx = turn.begin().await?;
        let over = Condition::any()
            .add(sessions::Column::CreatedAt.lte(now.minus(LONGEST).0))
            .add(sessions::Column::SeenAt.lte(now.minus(IDLE).0))
            .add_option(replaces.map(|replaced| sessions::Column::Digest.eq(replaced.to_hex())));
        end_sessions(&tx, over).await?;
        let row = operators::Entity::find_by_id(operator.id).one(&tx).await?;
        let is_still = Guard::SessionOfNow.holds(row.is_some_and(|row| row.version == operator.version));
        if is_still {
            let row = sessions::Model {
                digest: session.to_hex(),
                operator: operator.id,
                version: operator.version,
                created_at: now.0,
                seen_at: now.0,
            };
            sessions::Entity::insert(row.into_active_model()).exec_without_returning(&tx).await?;
            tell(&tx, Line::logged_in(now, &By::operator(&operator.name, address))).await?;
        }
        tx.commit().await?;
        Ok(is_still)
    }

    async fn login_failed(&self, known: Option<&Name>, others: u64, address: IpAddr) -> Result<(), AccessError> {
        let line = Line::login_failed(self.env.now(), address, known, others);
        Ok(tell(self.turn().await?.pool, line).await?)
    }

    async fn session(&self, session: &Digest) -> Result<Option<Operator>, AccessError> {
        let (turn, now) = (self.turn().await?, self.env.now());
        let Some((operator, is_to_be_noted)) = turn.holder(session, now).await? else { return Ok(None) };
        if is_to_be_noted {
            let seen = sessions::Entity::update_many()
                .col_expr(sessions::Column::SeenAt, Expr::value(now.0))
                .filter(sessions::Column::Digest.eq(session.to_hex()))
                .filter(sessions::Column::SeenAt.lt(now.0));
            noted(seen.exec(turn.pool).await);
        }
        Ok(Some(operator))
    }

    async fn who_has(&self, session: &Digest) -> Result<Option<Operator>, AccessError> {
        let (turn, now) = (self.turn().await?, self.env.now());
        Ok(turn.holder(session, now).await?.map(|(operator, _)| operator))
    }

    async fn log_out(&self, session: &Digest, address: IpAddr) -> Result<Option<Operator>, AccessError> {
        let (turn, now) = (self.turn().await?, self.env.now());
        let Some((operator, _)) = turn.holder(session, now).await? else { return Ok(None) };
        let tx = turn.begin().await?;
        let ended = sessions::Entity::delete_by_id(session.to_hex()).exec(&tx).await?;
        if ended.rows_affected == 0 {
            tx.rollback().await?;
            return Ok(None);
        }
        tell(&tx, Line::logged_out(now, &By::operator(&operator.name, address))).await?;
        tx.commit().await?;
        Ok(Some(operator))
    }

    async fn key(&self, digest: &Digest) -> Result<Option<Key>, AccessError> {
        let (turn, now) = (self.turn().await?, self.env.now());
        let known = keys::Column::Digest.eq(digest.to_hex());
        let Some(found) = keys::Entity::find().filter(known).one(turn.pool).await?.map(key).transpose()? else {
            return Ok(None);
        };
        if is_worth_noting(found.last_used, now) {
            let used = keys::Entity::update_many()
                .col_expr(keys::Column::LastUsed, Expr::value(now.0))
                .filter(keys::Column::Id.eq(found.id));
            noted(used.exec(turn.pool).await);
        }
        Ok(Some(found))
    }

    async fn did(&self, by: &By, deed: Deed, came: Came) -> Result<(), AccessError> {
        let line = Line::did(self.env.now(), by, deed, came);
        Ok(tell(self.turn().await?.pool, line).await?)
    }

    async fn log(&self, look: Look) -> Result<Vec<Line>, AccessError> {
        let meant = Condition::all()
            .add_option(look.before.map(|before| log::Column::Sequence.lt(before)))
            .add_option(look.deeds_only.then(|| log::Column::Result.is_not_null()));
        let newest = log::Entity::find().filter(meant).order_by_desc(log::Column::Sequence);
        let select = newest.limit(u64::from(look.most));
        Ok(select.all(self.turn().await?.pool).await?.into_iter().map(line).collect())
    }
}
