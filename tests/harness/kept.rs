//! What is kept of a test: the logs of its processes, and what else is looked through for secrets when all tests have run.
//!
//! `cargo xtask test` names the folder in [`FOLDER`] and does the looking; without it nothing is kept.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use xtask::secrets::KNOWN;

/// The environment variable with the folder.
pub const FOLDER: &str = "STAMPEDE_TEST_KEPT";
/// Settings that are secrets.
const SECRET_SETTINGS: [&str; 4] = ["SESSION_SECRET", "OPERATOR_KEY", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"];

static NEXT: AtomicU32 = AtomicU32::new(1);

fn place(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Some(folder.join(format!("{}-{number}-{name}", std::process::id())))
}

/// The file for a process's log: it is kept, and seen at `path` as well.
#[must_use]
pub fn log(path: &Path) -> std::fs::File {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // One that is there already belongs to the process before.
    if !path.exists()
        && let Some(kept) = place(&name)
    {
        std::fs::File::create(&kept).expect("a file for a log");
        symlink(&kept, path).expect("a link to a log");
    }
    std::fs::File::options().create(true).append(true).open(path).expect("a log file")
}

/// Keeps a text.
pub fn text(name: &str, text: &str) {
    if let Some(kept) = place(name).filter(|_| !text.is_empty()) {
        std::fs::write(kept, text).expect("a file to keep");
    }
}

/// Keeps what is asked for again and again, as it was last.
pub fn latest(name: &str, text: &str) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let path = PathBuf::from(folder).join(format!("{}-{name}", std::process::id()));
        std::fs::write(path, text).expect("a file to keep");
    }
}

/// Nobody makes a secret that is shorter: such a text is the name of something, and stands in logs by right.
const SHORTEST: usize = 12;

/// A secret was handed out: it must stand nowhere.
pub fn secret(secret: &str) {
    if secret.len() < SHORTEST {
        return;
    }
    if let Some(folder) = std::env::var_os(FOLDER) {
        let path = PathBuf::from(folder).join(KNOWN);
        let mut file = std::fs::File::options().create(true).append(true).open(path).expect("the list of secrets");
        // In one piece: other tests write to it as well.
        file.write_all(format!("{secret}\n").as_bytes()).expect("a line");
    }
}

/// A setting was made, which may be a secret.
pub fn setting(name: &str, value: &str) {
    if SECRET_SETTINGS.contains(&name) {
        value.split(',').for_each(secret);
    }
}
