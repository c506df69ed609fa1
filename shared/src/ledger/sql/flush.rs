//! What is written to a SQLite file is made durable here, and not by COMMIT.
//!
//! A commit would wait for the disk with the file locked, and with it everybody who wants to write. So it only adds its
//! pages to the write-ahead log (`synchronous=NORMAL`); the log is flushed afterwards, for all who wait for that at the
//! same time, while the next transaction is at work already. **Nothing that a transaction wrote is told to anybody before
//! a flush that began after its COMMIT**: neither to who asked for it, nor to who read it.
//!
//! That is enough: a flushed log holds all transactions up to the last one in it, whichever process wrote them; and what
//! leaves the log for the database was flushed before by SQLite itself (<https://www.sqlite.org/wal.html>, "Checkpointing"
//! and "Performance Considerations").
//!
//! While the log was last written when it was before the last flush, there is nothing to flush. Its index, which would tell
//! more, must not be looked into: whoever closes a file lets go of all the locks that its process has on it, SQLite's among
//! them (<https://www.sqlite.org/howtocorrupt.html>, 2.2). On the log itself there are none.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::env::Env;
use crate::gather::Gather;
use crate::ledger::LedgerError;

/// Callers of one flush at most.
const MOST_TOGETHER: usize = 10_000;
/// Systems note with less precision than this when a file was written, in ms: two writes within it may look like one.
const PRECISION_MS: i64 = 100;

/// Makes what was written durable; clones are the same.
#[derive(Clone)]
pub(super) struct Flush(Option<Arc<Log>>);

/// The write-ahead log of a database.
struct Log {
    log: PathBuf,
    env: Env,
    flushed: Mutex<State>,
    /// How often it was flushed.
    #[cfg(test)]
    flushes: std::sync::atomic::AtomicU32,
    together: Gather<(), Result<(), LedgerError>>,
}

enum State {
    Unknown,
    /// Nothing of what was written until then is left to flush.
    Flushed(Written),
    /// A flush failed. What the system has forgotten then, no later flush brings back.
    Broken(LedgerError),
}

/// When the log was written last, in seconds and nanoseconds, and how long it is in bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Written {
    at: (i64, i64),
    bytes: u64,
}

impl Written {
    fn ms(self) -> i64 {
        self.at.0.saturating_mul(1_000).saturating_add(self.at.1 / 1_000_000)
    }
}

impl Flush {
    /// Of a database that flushes by itself, as PostgreSQL does.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Of a SQLite file.
    pub(super) fn of(database: &Path, env: Env) -> Self {
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        Self(Some(Arc::new(Log {
            log: PathBuf::from(log),
            env,
            flushed: Mutex::new(State::Unknown),
            #[cfg(test)]
            flushes: std::sync::atomic::AtomicU32::new(0),
            together: Gather::new(MOST_TOGETHER),
        })))
    }

    /// Returns when all that was committed before this call, by whichever process, is on disk.
    ///
    /// # Errors
    /// When the disk failed. From then on it always does, until the process is started again: what it has of the last
    /// transactions nobody can tell.
    pub(super) async fn through(&self) -> Result<(), LedgerError> {
        let Some(log) = &self.0 else { return Ok(()) };
        if log.is_flushed()? {
            return Ok(());
        }
        let one = log.clone();
        let flush = move |callers: Vec<()>| {
            let log = one.clone();
            async move {
                let flushed = tokio::task::spawn_blocking(move || log.flush()).await;
                let flushed = flushed.unwrap_or_else(|error| Err(failed(&error)));
                vec![flushed; callers.len()]
            }
        };
        let flushed = log.together.ask((), flush).await;
        flushed.unwrap_or_else(|| Err(failed(&"it was given up")))
    }
}

#[cfg(test)]
impl Flush {
    /// How often the log was flushed by this one.
    pub(super) fn flushes(&self) -> u32 {
        self.0.as_ref().map_or(0, |log| log.flushes.load(std::sync::atomic::Ordering::Relaxed))
    }

    /// Whether there is nothing to flush, as far as this process knows.
    pub(super) fn has_all(&self) -> Result<bool, LedgerError> {
        self.0.as_ref().map_or(Ok(true), |log| log.is_flushed())
    }

    /// Makes this one fail if another one has.
    pub(super) fn is_like(&self, other: &Self) {
        if let (Some(log), Some(other)) = (&self.0, &other.0)
            && let State::Broken(error) = &*other.flushed.lock()
        {
            *log.flushed.lock() = State::Broken(error.clone());
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> LedgerError {
    LedgerError(format!("what was written last could not be made durable, and may be lost: {error}"))
}

impl Log {
    fn is_flushed(&self) -> Result<bool, LedgerError> {
        match &*self.flushed.lock() {
            State::Unknown => Ok(false),
            State::Flushed(before) => Ok(self.written().is_some_and(|now| now == *before)),
            State::Broken(error) => Err(error.clone()),
        }
    }

    fn written(&self) -> Option<Written> {
        let log = std::fs::metadata(&self.log).ok()?;
        Some(Written { at: (log.mtime(), log.mtime_nsec()), bytes: log.len() })
    }

    fn flush(&self) -> Result<(), LedgerError> {
        #[cfg(test)]
        self.flushes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (written, now) = (self.written(), self.env.now());
        // Whatever is written from now on will be seen to be later.
        let written = written.filter(|written| now.0 > written.ms().saturating_add(PRECISION_MS));
        let result = self.flush_file().map_err(|error| failed(&error));
        let mut flushed = self.flushed.lock();
        if let State::Broken(error) = &*flushed {
            return Err(error.clone());
        }
        *flushed = match (&result, written) {
            (Ok(()), Some(written)) => State::Flushed(written),
            (Ok(()), None) => State::Unknown,
            (Err(error), _) => State::Broken(error.clone()),
        };
        result
    }

    /// The file is looked up each time: it is made again after everybody had closed the database.
    fn flush_file(&self) -> io::Result<()> {
        match File::open(&self.log) {
            Ok(log) => log.sync_data(),
            // It is taken away when all of it is in the database.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}
