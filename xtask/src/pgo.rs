//! `cargo xtask pgo`: profile-guided optimisation. A program that counts where it goes plays whole sales, and the program
//! that is used is compiled with these counts: what is often done lies together, and branches are laid out for the way
//! that is mostly taken. (The rustc book, "Profile-guided Optimization".)
//!
//! SQLite is C, and is counted too when clang compiles it. Clang, `llvm-profdata` and rustc have to understand each
//! other's files: the first two are taken of one LLVM, not newer than that of rustc.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use xtask::program::quietly;

use crate::steps::{Steps, cargo, run, target};
use crate::tools;

/// The folder of cargo's in which the programs lie, and thereby the name of this profile.
pub(crate) const PROFILE: &str = "dist-pgo";

/// The oldest LLVM that writes counts as today's rustc reads them.
const OLDEST_LLVM: u32 = 19;

/// What rustc says of itself.
struct Rustc {
    host: String,
    llvm: u32,
}

impl Rustc {
    fn here() -> Result<Self> {
        Self::read(&quietly(Command::new("rustc").arg("-vV"))?).context("rustc -vV does not say host and LLVM")
    }

    fn read(told: &str) -> Option<Self> {
        let after = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let llvm = after("LLVM version:")?.split('.').next()?.parse().ok()?;
        Some(Self { host: after("host:")?.to_owned(), llvm })
    }
}

/// Where counts and programs lie.
struct Folders {
    /// Cargo's, for the program that counts.
    counting: PathBuf,
    /// Cargo's, for the program that is used.
    guided: PathBuf,
    /// The program that counts, and those that lead it through a sale.
    training: PathBuf,
    /// What was counted.
    counts: PathBuf,
    /// The same, put together.
    merged: PathBuf,
    /// What the sales measured; of no use, since counting costs.
    records: PathBuf,
    /// The programs that are used.
    programs: PathBuf,
}

impl Folders {
    fn of(target: &Path) -> Self {
        let inside = |name: &str| target.join("pgo").join(name);
        Self {
            counting: inside("counting"),
            guided: inside("guided"),
            training: inside("training"),
            counts: inside("counts"),
            merged: inside("stampede.profdata"),
            records: inside("records"),
            programs: target.join(PROFILE),
        }
    }
}

/// Builds the programs, and answers where they lie.
pub(crate) fn build(steps: &mut Steps) -> Result<PathBuf> {
    let rustc = Rustc::here()?;
    let llvm = steps.step("clang and llvm-profdata", || tools::llvm(OLDEST_LLVM..=rustc.llvm))?;
    let folders = Folders::of(&std::path::absolute(target())?);
    let counts = folders.counts.display();
    let flags = [format!("-Cprofile-generate={counts}"), format!("-fprofile-generate={counts}")];
    let counting = steps.step("a program that counts", || compile(&folders.counting, &rustc, llvm, &flags))?;
    steps.step("those that measure", || {
        run(cargo().args(["build", "--locked", "--bins", "--package", "bench", "--profile", "dist"]))?;
        for folder in [&folders.training, &folders.programs] {
            fs::create_dir_all(folder)?;
            for program in ["bench", "flashbench", "stripe_stub", "null_system"] {
                put(&target().join("dist").join(program), folder)?;
            }
        }
        put(&counting, &folders.training)
    })?;
    steps.step("sales that are counted", || play(&folders))?;
    steps.step("counts", || {
        let mut merge = Command::new(format!("llvm-profdata-{llvm}"));
        run(merge.arg("merge").arg("--output").arg(&folders.merged).arg(&folders.counts))
    })?;
    let merged = folders.merged.display();
    let unknown = "-Wno-profile-instr-unprofiled";
    let flags = [format!("-Cprofile-use={merged}"), format!("-fprofile-use={merged} {unknown}")];
    let guided = steps.step("the program", || compile(&folders.guided, &rustc, llvm, &flags))?;
    put(&guided, &folders.programs)?;
    Ok(folders.programs)
}

/// Builds the program with flags for rustc and for clang; answers where it lies. The target is named so that build
/// scripts and macros, which run while it is compiled, go without the flags.
fn compile(folder: &Path, rustc: &Rustc, llvm: u32, [rust, c]: &[String; 2]) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--locked", "--package", "stampede", "--profile", "dist", "--target", &rustc.host]);
    build.env("CARGO_TARGET_DIR", folder).env("RUSTFLAGS", rust);
    run(build.env("CC", format!("clang-{llvm}")).env("CFLAGS", c))?;
    Ok(folder.join(&rustc.host).join("dist").join("stampede"))
}

/// Everybody at once, with web and worker apart and as one process. What was counted before is forgotten.
fn play(folders: &Folders) -> Result<()> {
    for folder in [&folders.counts, &folders.records] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
        }
    }
    let mut bench = Command::new(folders.training.join("bench"));
    bench.args(["compare", "--systems", "stampede-sqlite,stampede-embedded", "--shoppers", "5000", "--latency", "0"]);
    run(bench.args(["--runs", "2", "--out"]).arg(&folders.records))
}

/// Copies a program into a folder; one that is running there goes on with what it has.
fn put(program: &Path, folder: &Path) -> Result<()> {
    let name = program.file_name().context("a program has a name")?;
    let (beside, place) = (folder.join("new").with_extension("program"), folder.join(name));
    fs::copy(program, &beside).with_context(|| format!("{} cannot be copied", program.display()))?;
    fs::rename(beside, place).with_context(|| format!("{} cannot be put in its place", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustc_tells_its_host_and_its_llvm() {
        let told = "rustc 1.95.0 (5980 2026-04-14)\nbinary: rustc\nhost: aarch64-apple-darwin\nLLVM version: 22.1.2\n";
        let read = |told: &str| Rustc::read(told).map(|rustc| (rustc.host, rustc.llvm));
        assert_eq!(read(told), Some(("aarch64-apple-darwin".to_owned(), 22)));
        assert_eq!(read("rustc 1.95.0\nhost: x\n"), None, "no LLVM");
    }
}
