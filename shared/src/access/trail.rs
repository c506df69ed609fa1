//! The trail: who logged in, who changed what about operators and keys, and who did what to the shop, for which reason and
//! with which result. It only grows.

use std::net::IpAddr;

use super::{By, Change, Name, by_operator};
use crate::env::Timestamp;

/// A line of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number: a later line has a greater one.
    pub number: i64,
    /// When.
    pub at: Timestamp,
    /// What happened, as a machine word: `logged_in`, `key_revoked`, `sale_paused`.
    pub what: String,
    /// Who did it.
    pub who: String,
    /// What it was done to: `operator:ann`, `key:nightly`, `sale:spring`, `order:…`, `job:…`, `worker:…`.
    pub whom: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// What else there is to know: a role, scopes, a number.
    pub note: Option<String>,
    /// The reason that was given.
    pub why: Option<String>,
    /// Of a deed, what came of it: `done`, or the machine word of what was in its way; `asked`, where another line says
    /// that. Other lines tell of what is done.
    pub result: Option<String>,
}

/// Something that was done to the shop itself, or tried: to a sale, a worker, a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// What, as a machine word: `sale_paused`, `worker_drained`.
    pub what: &'static str,
    /// To whom or to what, as `sale:spring` or `worker:worker-1f`.
    pub whom: Option<String>,
    /// Why, in the words of whoever did it.
    pub why: Option<String>,
}

/// What came of a deed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    /// Particulars: `50 × std`.
    pub note: Option<String>,
    /// [`ASKED`], [`DONE`], [`FAILED`], or the machine word of what was in its way.
    pub result: &'static str,
}

impl Default for Came {
    /// It is done.
    fn default() -> Self {
        Self { note: None, result: DONE }
    }
}

/// The result of a deed before it is done, where what it changes could not be read afterwards. Without a line after it,
/// whoever was to do it died in between.
pub const ASKED: &str = "asked";
/// The result of a deed that came about.
pub const DONE: &str = "done";
/// The result of a deed of which nobody knows whether it came about: a part could not be reached.
pub const FAILED: &str = "failed";

/// Which lines to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// So many at most.
    pub most: u32,
    /// Those before the line of this number; all, if there is none.
    pub before: Option<i64>,
    /// Deeds alone, and nothing of who came and went.
    pub deeds_only: bool,
}

impl Look {
    /// The last lines.
    #[must_use]
    pub fn newest(most: u32) -> Self {
        Self { most, before: None, deeds_only: false }
    }
}

impl Line {
    fn new(at: Timestamp, what: &str, by: &By, whom: Option<String>, note: Option<String>) -> Self {
        let address = by.address.map(|address| address.to_string());
        let (what, who) = (what.to_owned(), by.who.clone());
        Self { number: 0, at, what, who, whom, address, note, why: None, result: None }
    }

    /// Something was changed about operators or keys.
    pub(super) fn changed(at: Timestamp, by: &By, change: &Change) -> Self {
        let (what, whom, note) = change.told();
        Self::new(at, what, by, Some(whom), note)
    }

    /// Somebody has logged in.
    pub(super) fn logged_in(at: Timestamp, by: &By) -> Self {
        Self::new(at, "logged_in", by, None, None)
    }

    /// Somebody has logged out.
    pub(super) fn logged_out(at: Timestamp, by: &By) -> Self {
        Self::new(at, "logged_out", by, None, None)
    }

    /// Somebody could not log in. A name that nobody has is not kept: people type passwords into the wrong field.
    pub(super) fn login_failed(at: Timestamp, address: IpAddr, known: Option<&Name>, others: u64) -> Self {
        let by = By { who: "unknown".to_owned(), address: Some(address) };
        let note = (others > 0).then(|| format!("{others} more were not written down"));
        Self::new(at, "login_failed", &by, known.map(by_operator), note)
    }

    /// Something was done to the shop, or tried.
    pub(super) fn did(at: Timestamp, by: &By, deed: Deed, came: Came) -> Self {
        let Deed { what, whom, why } = deed;
        Self { why, result: Some(came.result.to_owned()), ..Self::new(at, what, by, whom, came.note) }
    }
}
