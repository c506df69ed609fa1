//! The data directory of an embedded shop: one process at a time, and a secret that outlives it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::FlockOperation;
use shared::config::{Secret, Settings};
use shared::env::Env;

/// A data directory that this process alone uses; free again when dropped, or when the process dies.
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, and locks it.
    ///
    /// # Errors
    /// When another process has it, or it cannot be written.
    pub(crate) fn lock(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        fs::create_dir_all(path).with_context(|| format!("DATA_DIR {shown} cannot be made"))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = lock.with_context(|| format!("DATA_DIR {shown} cannot be written"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                anyhow::bail!("another stampede uses DATA_DIR {shown}; stop it, or give this one another DATA_DIR")
            }
            Err(error) => Err(error).with_context(|| format!("DATA_DIR {shown} cannot be locked")),
        }
    }

    /// A file in it.
    #[must_use]
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The secret that signs cookies: the setting, or one that is made once and kept.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(crate) fn session_secret(&self, settings: &Settings, env: &Env) -> anyhow::Result<Secret> {
        if let Some(secret) = &settings.session_secret {
            return Ok(secret.clone());
        }
        let path = self.file("session_secret");
        match fs::read_to_string(&path) {
            Ok(secret) if secret.len() >= 32 => return Ok(Secret::new(secret)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
        let secret: String = (0..4).map(|_| format!("{:016x}", env.random_u64())).collect();
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
        file.write_all(secret.as_bytes())?;
        file.sync_all()?;
        Ok(Secret::new(secret))
    }
}

/// Where the process that has a data directory listens for commands.
#[must_use]
pub(crate) fn control_socket(settings: &Settings) -> PathBuf {
    settings.data_dir.join("control.sock")
}

/// The ledger's address.
#[must_use]
pub(crate) fn ledger_url(settings: &Settings) -> Secret {
    settings.database_url.clone().unwrap_or_else(|| {
        Secret::new(format!("sqlite://{}?mode=rwc", settings.data_dir.join("ledger.sqlite").display()))
    })
}
