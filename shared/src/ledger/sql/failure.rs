//! What can go wrong with a transaction, and what is then to be done about it. No text here can hold a secret: the
//! databases name constraints and columns, never values of ours, and addresses are shown without their password.

use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};
use uuid::Uuid;

use crate::ledger::LedgerError;

/// Codes that speak of the world outside a transaction (next to PostgreSQL's class 08, connection exceptions).
///
/// PostgreSQL: shut down by an operator, crashed, not yet ready; serialization failure, deadlock, lock timeout.
/// SQLite: busy; busy with a snapshot that is no longer the newest.
const OUTSIDE: [&str; 8] = ["57P01", "57P02", "57P03", "40001", "40P01", "55P03", "5", "517"];

/// Why a transaction did not happen, or may not have.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database said no, or could not be reached.
    Db(DbErr),
    /// Fewer rows were written than the book had decided: somebody else was first, or the book was wrong.
    Guard(&'static str),
    /// A word in the database that this version does not know.
    Unreadable {
        /// Where it stands.
        column: &'static str,
        /// What stands there.
        text: String,
    },
    /// A decision broke off in the middle.
    Panicked,
    /// The answer to COMMIT was lost: it may have happened.
    Doubt(Receipt, DbErr),
}

/// By which a transaction is recognised afterwards. Transactions are whole, so one row of it proves all of it.
#[derive(Clone, Debug)]
pub(super) enum Receipt {
    /// A line of the audit trail, of an order or of a sale.
    Audit { order: Option<Uuid>, sale: String, id: Uuid },
    /// An event that was new.
    Event(String),
    /// Nothing of it can be recognised, and nothing has to be: doing it again changes nothing.
    None,
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        Self::Db(error)
    }
}

impl From<Failure> for LedgerError {
    fn from(failure: Failure) -> Self {
        Self(match failure {
            Failure::Db(error) => error.to_string(),
            Failure::Guard(guard) => format!("the guard {guard} refused what had been decided; nothing was written"),
            Failure::Unreadable { column, text } => format!("{column} holds {text:?}, which this version cannot read"),
            Failure::Panicked => "a decision broke off in the middle; nothing was written".to_owned(),
            Failure::Doubt(_, error) => {
                format!("whether the ledger has it is unknown, read before trying again: {error}")
            }
        })
    }
}

impl Failure {
    /// No member's fault, such as a connection that is gone, or another process in the way: none will fare better
    /// on its own.
    pub(super) fn is_everybodys(&self) -> bool {
        let error = match self {
            Self::Doubt(..) => return true,
            Self::Db(error) => error,
            _ => return false,
        };
        match error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
            DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => is_outside(error),
            _ => false,
        }
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Database(error) => error.code().map(std::borrow::Cow::into_owned),
        _ => None,
    }
}

fn is_outside(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        _ => code(error).is_some_and(|code| code.starts_with("08") || OUTSIDE.contains(&code.as_str())),
    }
}
