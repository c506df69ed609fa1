//! The data directory: one embedded shop at a time, or several processes of one host that share its ledger; and
//! secrets that outlive them.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::config::{Secret, Settings};
use crate::env::Env;

/// Why the directory cannot be used, in a sentence for whoever started the process.
#[derive(Debug, thiserror::Error)]
#[error("DATA_DIR {} {what}", .path.display())]
pub struct DataDirError {
    path: PathBuf,
    what: String,
}

/// A data directory that this process uses; free again when dropped, or when the process dies.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, and locks it against every other process: what is sold is counted in
    /// this one's memory.
    ///
    /// # Errors
    /// When another process has it, or it cannot be written.
    pub fn lock(path: &Path) -> Result<Self, DataDirError> {
        Self::take(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// The same for a process that counts in Redis, as all others that may have the directory at the same time do.
    ///
    /// # Errors
    /// When a process that counts in its own memory has it, or it cannot be written.
    pub fn share(path: &Path) -> Result<Self, DataDirError> {
        Self::take(path, FlockOperation::NonBlockingLockShared)
    }

    fn take(path: &Path, how: FlockOperation) -> Result<Self, DataDirError> {
        let wrong = |what: String| DataDirError { path: path.to_owned(), what };
        fs::create_dir_all(path).map_err(|error| wrong(format!("cannot be made: {error}")))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = lock.map_err(|error| wrong(format!("cannot be written: {error}")))?;
        match rustix::fs::flock(&lock, how) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(wrong("is in use by another stampede; stop it, or give this one another DATA_DIR".into()))
            }
            Err(error) => Err(wrong(format!("cannot be locked: {error}"))),
        }
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The secret that signs cookies: the setting, or one that is made once and kept.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn session_secret(&self, settings: &Settings, env: &Env) -> Result<Secret, DataDirError> {
        if let Some(secret) = &settings.session_secret {
            return Ok(secret.clone());
        }
        self.kept_secret("session_secret", env)
    }

    /// What the built-in sandbox signs its webhook events with; made once and kept.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn webhook_secret(&self, env: &Env) -> Result<Secret, DataDirError> {
        self.kept_secret("webhook_secret", env)
    }

    fn kept_secret(&self, name: &str, env: &Env) -> Result<Secret, DataDirError> {
        let kept = read_or_make(&self.file(name), env);
        kept.map_err(|error| DataDirError { path: self.path.clone(), what: format!("cannot keep {name}: {error}") })
    }
}

fn read_or_make(path: &Path, env: &Env) -> std::io::Result<Secret> {
    match fs::read_to_string(path) {
        Ok(secret) if secret.len() >= 32 => return Ok(Secret::new(secret)),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let secret: String = (0..4).map(|_| format!("{:016x}", env.random_u64())).collect();
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    Ok(Secret::new(secret))
}

/// Where the process that has a data directory listens for commands.
#[must_use]
pub fn control_socket(settings: &Settings) -> PathBuf {
    settings.data_dir.join("control.sock")
}
