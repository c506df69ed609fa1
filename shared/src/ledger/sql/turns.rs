//! Turns at a SQLite file: processes of one host write one after the other, each as soon as it can.
//!
//! SQLite itself lets a process that finds the file locked sleep, longer from try to try (up to 100 ms); whoever has just
//! written and writes again is quicker every time. Here they wait in the kernel, which wakes the next one at once.
//!
//! There are two locks (`flock`), each on a file of its own next to the database: whoever wants to write takes the *door*,
//! then the *desk*, and then lets go of the door. Thus the one that waits for the desk holds the door, and who has just
//! left the desk has to get behind it. A process that dies lets go of both.
//!
//! This is about time, and about nothing else: what keeps two transactions apart is SQLite's own lock. So a turn that
//! does not come in [`PATIENCE`] is done without.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::FlockOperation::{LockExclusive, NonBlockingLockExclusive, Unlock};
use rustix::fs::flock;
use rustix::io::Errno;
use tokio::task::JoinHandle;

use crate::env::Env;

/// How long a turn is waited for, and what it is waited for: that a process which stands still goes on.
const PATIENCE: Duration = Duration::from_secs(5);

/// The two locks.
struct Locks {
    door: File,
    desk: File,
}

/// The turns of one writer; nobody else may use these.
pub(super) struct Turns {
    locks: Arc<Locks>,
    env: Env,
    /// A thread that still waits for a turn which somebody had no patience for.
    waiting: Mutex<Option<JoinHandle<Result<Turn, Errno>>>>,
}

/// A writer's turn, until it is dropped.
pub(super) struct Turn(Arc<Locks>);

impl Drop for Turn {
    fn drop(&mut self) {
        // It fails only for what is no open file.
        let _ = flock(&self.0.desk, Unlock);
    }
}

impl Turns {
    /// Turns at a database's file.
    ///
    /// # Errors
    /// The system's, when the files next to it cannot be made.
    pub(super) fn at(database: &Path, env: Env) -> io::Result<Self> {
        let open = |suffix: &str| {
            let mut name = database.as_os_str().to_owned();
            name.push(suffix);
            OpenOptions::new().create(true).truncate(false).write(true).open(name)
        };
        let locks = Arc::new(Locks { door: open("-door")?, desk: open("-desk")? });
        Ok(Self { locks, env, waiting: Mutex::default() })
    }

    /// Waits for a turn; `None` when it did not come in time, or cannot come.
    pub(super) async fn next(&self) -> Option<Turn> {
        let kept = self.waiting.lock().take();
        let mut waiting = match kept {
            Some(waiting) => waiting,
            None => match self.locks.at_once() {
                Ok(Some(turn)) => return Some(turn),
                Ok(None) => {
                    let locks = self.locks.clone();
                    tokio::task::spawn_blocking(move || locks.in_line())
                }
                Err(error) => return refused(error),
            },
        };
        match self.env.timeout(PATIENCE, &mut waiting).await {
            Some(Ok(Ok(turn))) => Some(turn),
            Some(Ok(Err(error))) => refused(error),
            // The runtime ends.
            Some(Err(_)) => None,
            None => {
                tracing::warn!("another process has the ledger's file and does not let go of it");
                *self.waiting.lock() = Some(waiting);
                None
            }
        }
    }
}

#[cfg(test)]
impl Turns {
    /// Whether anybody stands at the door.
    pub(super) fn somebody_waits(&self) -> bool {
        let free = is_free(&self.locks.door).unwrap();
        if free {
            flock(&self.locks.door, Unlock).unwrap();
        }
        !free
    }
}

fn refused(error: Errno) -> Option<Turn> {
    tracing::warn!(%error, "writers of the ledger's file cannot take turns");
    None
}

impl Locks {
    /// A turn, if it can be had without waiting.
    fn at_once(self: &Arc<Self>) -> Result<Option<Turn>, Errno> {
        if !is_free(&self.door)? {
            return Ok(None);
        }
        let turn = is_free(&self.desk).map(|free| free.then(|| Turn(self.clone())));
        flock(&self.door, Unlock)?;
        turn
    }

    /// A turn, after those who came before.
    fn in_line(self: &Arc<Self>) -> Result<Turn, Errno> {
        patiently(|| flock(&self.door, LockExclusive))?;
        let turn = patiently(|| flock(&self.desk, LockExclusive)).map(|()| Turn(self.clone()));
        flock(&self.door, Unlock)?;
        turn
    }
}

fn is_free(file: &File) -> Result<bool, Errno> {
    match patiently(|| flock(file, NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A signal ends no wait.
fn patiently(mut wait: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    loop {
        match wait() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
