//! Programs of the system: where they are, and what they say.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Runs a command whose output matters only when it fails; returns its standard output.
///
/// # Errors
/// What it printed, if it failed.
pub fn quietly(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{} cannot be started", spelled(command)))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("`{}` ended with {}:\n{out}{err}", spelled(command), output.status);
    }
    Ok(out.into_owned())
}

/// A command as one would type it, without the folder of its program.
#[must_use]
pub fn spelled(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Where a program lies on PATH.
#[must_use]
pub fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file: &PathBuf| Path::is_file(file))
}
