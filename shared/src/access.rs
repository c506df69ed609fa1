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
pub mod trail;

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
pub use trail::{Came, Deed, Line, Look};

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

    /// Writes down what somebody has done to the shop, or tried to do, and what came of it.
    async fn did(&self, by: &By, deed: Deed, came: Came) -> Result<(), AccessError>;

    /// Writes down what somebody has done to the shop.
    async fn trail(&self, by: &By, deed: Deed) -> Result<(), AccessError> {
        self.did(by, deed, Came::default()).await
    }

    /// Lines of the trail, the newest first.
    async fn log(&self, look: Look) -> Result<Vec<Line>, AccessError>;
}
