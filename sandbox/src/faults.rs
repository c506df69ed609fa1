//! Faults that a test asks for, for the next requests that match.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Faults that wait at the same time.
const FAULTS_MAX: usize = 100;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The connection is cut before anything happens.
    AnswerLostBefore,
    /// The connection is cut once the effect is durable.
    AnswerLostAfterCommit,
    /// 500, nothing happens; the key remembers the 500.
    #[serde(rename = "http_500")]
    Http500,
    /// 500 although it happened; the key remembers the 500.
    #[serde(rename = "http_500_after_commit")]
    Http500AfterCommit,
    /// 503 with an HTML page, as a proxy in front of Stripe would answer; nothing happens.
    #[serde(rename = "http_503_html")]
    Http503Html,
    /// 429 by `reason`; nothing happens.
    #[serde(rename = "http_429")]
    Http429,
    /// 429 `lock_timeout`; nothing happens.
    LockTimeout,
    /// 409 `idempotency_key_in_use`; nothing happens.
    KeyInUse,
    /// It happens, and the answer is held until it is released.
    Hang,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::AnswerLostBefore => "answer_lost_before",
            Self::AnswerLostAfterCommit => "answer_lost_after_commit",
            Self::Http500 => "http_500",
            Self::Http500AfterCommit => "http_500_after_commit",
            Self::Http503Html => "http_503_html",
            Self::Http429 => "http_429",
            Self::LockTimeout => "lock_timeout",
            Self::KeyInUse => "key_in_use",
            Self::Hang => "hang",
        }
    }
}

/// Why Stripe throttles: the values of `Stripe-Rate-Limited-Reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    #[default]
    EndpointRate,
    EndpointConcurrency,
    GlobalRate,
    GlobalConcurrency,
    ResourceSpecific,
}

impl Reason {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::EndpointRate => "endpoint-rate",
            Self::EndpointConcurrency => "endpoint-concurrency",
            Self::GlobalRate => "global-rate",
            Self::GlobalConcurrency => "global-concurrency",
            Self::ResourceSpecific => "resource-specific",
        }
    }
}

/// One fault and the requests that it is meant for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    #[serde(rename = "fault")]
    pub(crate) kind: Kind,
    /// How many requests it meets.
    #[serde(default = "one")]
    pub(crate) count: u32,
    /// Only requests of this method.
    #[serde(default)]
    pub(crate) method: Option<String>,
    /// Only paths that begin like this.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// For `http_429`.
    #[serde(default)]
    pub(crate) reason: Reason,
}

fn one() -> u32 {
    1
}

impl Fault {
    fn meets(&self, method: &str, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_ref().is_none_or(|prefix| path.starts_with(prefix.as_str()))
    }
}

/// The faults that wait for a request, and the answers that are held.
#[derive(Debug)]
pub(crate) struct Faults {
    waiting: Mutex<Vec<Fault>>,
    releases: watch::Sender<u64>,
    held: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        Self { waiting: Mutex::default(), releases: watch::Sender::new(0), held: AtomicU64::new(0) }
    }
}

impl Faults {
    /// Adds a fault; `false` when too many wait already.
    pub(crate) fn add(&self, fault: Fault) -> bool {
        let mut waiting = self.waiting.lock();
        let room = waiting.len() < FAULTS_MAX;
        if room && fault.count > 0 {
            waiting.push(fault);
        }
        room
    }

    /// The fault that meets a request, if one does.
    pub(crate) fn meet(&self, method: &str, path: &str) -> Option<(Kind, Reason)> {
        let mut waiting = self.waiting.lock();
        let at = waiting.iter().position(|fault| fault.meets(method, path))?;
        let fault = waiting.get_mut(at)?;
        fault.count -= 1;
        let met = (fault.kind, fault.reason);
        if fault.count == 0 {
            waiting.remove(at);
        }
        Some(met)
    }

    pub(crate) fn waiting(&self) -> Vec<Fault> {
        self.waiting.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.waiting.lock().clear();
        self.release();
    }

    /// Lets every held answer go.
    pub(crate) fn release(&self) {
        self.releases.send_modify(|count| *count += 1);
    }

    /// Answers that are held right now.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Holds an answer until the next release.
    pub(crate) async fn hold(&self) {
        let mut releases = self.releases.subscribe();
        self.held.fetch_add(1, Ordering::Relaxed);
        // The sender is our own: it cannot be gone.
        let _released = releases.changed().await;
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}
