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
//! Which transaction was the last one stands at the beginning of the log's index, a file that all processes share
//! (<https://www.sqlite.org/walformat.html>, "The WAL-Index Header"). While that is what it was before the last flush, there
//! is nothing to flush.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::gather::Gather;
use crate::ledger::LedgerError;

/// Callers of one flush at most.
const MOST_TOGETHER: usize = 10_000;
/// The header of the log's index, in bytes.
const HEADER: usize = 48;

/// Makes what was written durable; clones are the same.
#[derive(Clone)]
pub(super) struct Flush(Option<Arc<Log>>);

/// The write-ahead log of a database.
struct Log {
    log: PathBuf,
    index: PathBuf,
    /// How the index began before the last flush.
    flushed: Mutex<State>,
    together: Gather<(), Result<(), LedgerError>>,
}

enum State {
    Unknown,
    Flushed([u8; HEADER]),
    /// A flush failed. What the system has forgotten then, no later flush brings back.
    Broken(LedgerError),
}

impl Flush {
    /// Of a database that flushes by itself, as PostgreSQL does.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Of a SQLite file.
    pub(super) fn of(database: &Path) -> Self {
        let beside = |suffix: &str| {
            let mut name = database.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let together = Gather::new(MOST_TOGETHER);
        let flushed = Mutex::new(State::Unknown);
        Self(Some(Arc::new(Log { log: beside("-wal"), index: beside("-shm"), flushed, together })))
    }

    /// How many pages the log has.
    pub(super) fn pages(&self) -> Option<u32> {
        // The header's field mxFrame, in the machine's own byte order.
        let header = self.0.as_ref()?.header()?;
        header.get(16..20)?.try_into().ok().map(u32::from_ne_bytes)
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
            State::Flushed(before) => Ok(self.header().is_some_and(|now| now == *before)),
            State::Broken(error) => Err(error.clone()),
        }
    }

    fn header(&self) -> Option<[u8; HEADER]> {
        let mut header = [0; HEADER];
        File::open(&self.index).and_then(|index| index.read_exact_at(&mut header, 0)).ok().map(|()| header)
    }

    fn flush(&self) -> Result<(), LedgerError> {
        let header = self.header();
        let result = self.flush_file().map_err(|error| failed(&error));
        let mut flushed = self.flushed.lock();
        if let State::Broken(error) = &*flushed {
            return Err(error.clone());
        }
        *flushed = match (&result, header) {
            (Ok(()), Some(header)) => State::Flushed(header),
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
