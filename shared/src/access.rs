//! Who may steer the shop: operators with roles, the sessions of their browsers, keys for machines, and a trail of all
//! that was changed about them, and of what they have done to the shop.
//!
//! [`Permission`] is what can be permitted, [`Role`] has the one table of who may do what, and nothing else compares
//! roles. What may be changed is decided by [`change::decide`], purely and for every implementation alike; which session
//! is still good, by [`session`]. [`memory`] and [`sql`] only keep it, and run the same suite ([`conformance`]).
//!
//! **No secret can be read from what is kept.** Passwords are kept as argon2id hashes; cookies and keys have 256 random
//! bits, so that their plain SHA-256 tells nothing of them.

pub mod change;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod memory;
pub mod name;
pub mod password;
pub mod permission;
pub mod session;
pub mod sql;
pub mod token;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::env::Timestamp;

pub use change::{Change, Changed};
pub use name::Name;
pub use password::{Password, PasswordHash};
pub use permission::{Permission, Permissions, Role, Scopes};
pub use token::{Digest, Token};

/// What cannot be kept or read, in a sentence for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("who may do what: {0}")]
pub struct AccessError(pub String);

/// Access as the process holds it.
pub type SharedAccess = Arc<dyn Access>;

/// A person who may steer the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Never used again, unlike the name.
    pub id: Uuid,
    /// By which they log in.
    pub name: Name,
    /// What they may do.
    pub role: Role,
    /// Grows with each change of password or role. A session is good for one version.
    pub version: i64,
    /// When they were added.
    pub created_at: Timestamp,
    /// When password or role were last changed.
    pub changed_at: Timestamp,
}

/// A key for a machine, without the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Never used again, unlike the name.
    pub id: Uuid,
    /// What it is called in lists and trails.
    pub name: Name,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, [`session::NOTED_EVERY`] at most before it really was.
    pub last_used: Option<Timestamp>,
}

/// Who does something, and from where: for the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// `cli`, or [`by_operator`].
    pub who: String,
    /// The address it came from; none for whoever typed a command.
    pub address: Option<IpAddr>,
}

impl By {
    /// Somebody at the shop's own command line.
    #[must_use]
    pub fn cli() -> Self {
        Self { who: "cli".to_owned(), address: None }
    }

    /// An operator, from an address.
    #[must_use]
    pub fn operator(name: &Name, address: IpAddr) -> Self {
        Self { who: by_operator(name), address: Some(address) }
    }
}

/// How an operator is called in trails. A name has no colon, so that none can pass for something else.
#[must_use]
pub fn by_operator(name: &Name) -> String {
    format!("operator:{name}")
}

/// How a key is called in trails.
#[must_use]
pub fn by_key(name: &Name) -> String {
    format!("key:{name}")
}

/// A line of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// What happened, as a machine word: `logged_in`, `key_revoked`.
    pub what: String,
    /// Who did it.
    pub who: String,
    /// The operator or key that it was done to.
    pub whom: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// What else there is to know: a role, scopes, a number.
    pub note: Option<String>,
}

impl Line {
    fn new(at: Timestamp, what: &str, by: &By, whom: Option<String>, note: Option<String>) -> Self {
        let address = by.address.map(|address| address.to_string());
        Self { at, what: what.to_owned(), who: by.who.clone(), whom, address, note }
    }

    /// Something was changed about operators or keys.
    fn changed(at: Timestamp, by: &By, change: &Change) -> Self {
        let (what, whom, note) = change.told();
        Self::new(at, what, by, Some(whom), note)
    }

    /// Something was done to the shop.
    fn done(at: Timestamp, by: &By, deed: Deed) -> Self {
        Self::new(at, deed.what, by, deed.whom, deed.why)
    }

    /// Somebody has logged in.
    fn logged_in(at: Timestamp, by: &By) -> Self {
        Self::new(at, "logged_in", by, None, None)
    }

    /// Somebody has logged out.
    fn logged_out(at: Timestamp, by: &By) -> Self {
        Self::new(at, "logged_out", by, None, None)
    }

    /// Somebody could not log in. A name that nobody has is not kept: people type passwords into the wrong field.
    fn login_failed(at: Timestamp, address: IpAddr, known: Option<&Name>, others: u64) -> Self {
        let by = By { who: "unknown".to_owned(), address: Some(address) };
        let note = (others > 0).then(|| format!("{others} more were not written down"));
        Self::new(at, "login_failed", &by, known.map(by_operator), note)
    }
}

/// Something that was done to the shop itself: to a sale, a worker, a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// What, as a machine word: `sale_paused`, `worker_drained`.
    pub what: &'static str,
    /// To whom or to what, as `sale:spring` or `worker:worker-1f`.
    pub whom: Option<String>,
    /// Why, in the words of whoever did it, and what came of it if that is not plain.
    pub why: Option<String>,
}

/// A login that has come about.
#[derive(Clone, Debug)]
pub struct Login {
    /// Who, as they were when their password was verified.
    pub operator: Operator,
    /// The new session.
    pub session: Digest,
    /// The session that the browser had before: it ends.
    pub replaces: Option<Digest>,
    /// From where.
    pub address: IpAddr,
}

/// Where operators, sessions, keys and their trail are kept.
///
/// Times are its own. Whatever changes something writes its line of the trail with it, or neither.
///
/// # Errors
/// Every method fails when the store cannot be reached; refusals are values.
#[async_trait]
pub trait Access: Send + Sync + 'static {
    /// All operators, by name.
    async fn operators(&self) -> Result<Vec<Operator>, AccessError>;

    /// An operator, and what a password is verified with.
    async fn operator(&self, name: &Name) -> Result<Option<(Operator, PasswordHash)>, AccessError>;

    /// All keys, by name.
    async fn keys(&self) -> Result<Vec<Key>, AccessError>;

    /// Changes operators or keys, if that may be. Sessions of an operator who is changed or removed end with it.
    async fn change(&self, change: Change, by: &By) -> Result<Changed, AccessError>;

    /// Begins a session; `false` when the operator is not any more who they were.
    async fn log_in(&self, login: Login) -> Result<bool, AccessError>;

    /// Writes down that somebody could not log in: the operator whose name it was, if there is one, and how many
    /// failures before this one were not written down.
    async fn login_failed(&self, known: Option<&Name>, others: u64, address: IpAddr) -> Result<(), AccessError>;

    /// Whose session this is, if it is good; it stays so for another while.
    async fn session(&self, session: &Digest) -> Result<Option<Operator>, AccessError>;

    /// The same, without a use of the session: it idles on. For a page that stays open while nobody may be there.
    async fn who_has(&self, session: &Digest) -> Result<Option<Operator>, AccessError>;

    /// Ends a session; whose it was, if it was good.
    async fn log_out(&self, session: &Digest, address: IpAddr) -> Result<Option<Operator>, AccessError>;

    /// The key of this digest, if there is one, as it was before; it counts as used now.
    async fn key(&self, key: &Digest) -> Result<Option<Key>, AccessError>;

    /// Writes down what somebody has done to the shop.
    async fn trail(&self, by: &By, deed: Deed) -> Result<(), AccessError>;

    /// The trail's last lines, the newest first.
    async fn log(&self, most: u32) -> Result<Vec<Line>, AccessError>;
}
