//! `cargo xtask mutants`: takes the guards away, one after another, and looks who notices.
//!
//! A mutant is noticed by the simulation when a seed breaks a promise, and by a test when that fails. Each that the table
//! (`mutants/table.rs`) names must notice; one that does not is as red here as a test that fails elsewhere.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xtask::mutants::{MUTANTS, Mutant, PAGE_BEGIN, PAGE_END, QUICK_SEEDS, sentences};

use crate::EVERYTHING;
use crate::steps::{cargo, root, run, target};
use crate::suite::Environment;

/// A mutant may also wait for ever, which is noticed, too.
const LIMIT: Duration = Duration::from_secs(150);
/// Characters of what somebody said.
const WORDS: usize = 110;
/// The page on which the table stands, and where the guards are listed.
const PAGE: &str = "docs/PROOF.md";
const GUARDS: &str = "shared/src/guards.rs";

/// What came of a mutant.
struct Noticed {
    mutant: &'static Mutant,
    /// After how many seeds, and what was broken.
    simulation: Option<(u64, String)>,
    /// Which test, and what it said.
    tests: Vec<(&'static str, String)>,
    /// Who should have noticed, and did not.
    missed: Vec<String>,
}

/// Hunts with these tools.
pub(crate) struct Hunt<'a> {
    environment: &'a Environment,
    /// The program that simulates.
    stampede: PathBuf,
    /// The programs that hold the tests, by crate.
    tests: HashMap<String, PathBuf>,
    folder: PathBuf,
}

impl<'a> Hunt<'a> {
    /// With the build that the tests use; or, for many seeds, with a fast one of its own.
    pub(crate) fn begin(environment: &'a Environment, is_quick: bool) -> Result<Self> {
        let folder = target().join("mutants");
        std::fs::create_dir_all(&folder)?;
        let stampede = if is_quick { target().join("debug/stampede") } else { build_fast(&folder)? };
        Ok(Self { environment, stampede, tests: test_programs()?, folder })
    }

    /// Those that every `cargo xtask test` looks for; how many there were.
    pub(crate) fn quick(&self) -> Result<usize> {
        let all: Vec<&Mutant> = MUTANTS.iter().collect();
        self.hunt(&all, QUICK_SEEDS).map(|noticed| noticed.len())
    }

    /// All, or those that take one of these guards away; how many there were. All together write the page's table.
    pub(crate) fn whole(&self, names: &[String]) -> Result<usize> {
        let is_asked = |mutant: &&Mutant| names.is_empty() || names.iter().any(|name| mutant.off.contains(&&**name));
        let asked: Vec<&Mutant> = MUTANTS.iter().filter(is_asked).collect();
        if asked.is_empty() {
            bail!("no guard is called so; {GUARDS} lists them");
        }
        let noticed = self.hunt(&asked, u64::MAX)?;
        let table = table(&noticed)?;
        eprintln!("\n{table}");
        if names.is_empty() {
            write_page(&table)?;
        }
        Ok(noticed.len())
    }

    fn hunt(&self, mutants: &[&'static Mutant], most_seeds: u64) -> Result<Vec<Noticed>> {
        let mut all = Vec::new();
        for mutant in mutants {
            let noticed = self.take_away(mutant, most_seeds)?;
            eprintln!("{}", told(&noticed));
            all.push(noticed);
        }
        let missed: Vec<String> = all
            .iter()
            .flat_map(|noticed| noticed.missed.iter().map(|who| format!("  {} by {who}", noticed.mutant.name())))
            .collect();
        if !missed.is_empty() {
            bail!("these mutants were not noticed:\n{}", missed.join("\n"));
        }
        Ok(all)
    }

    fn take_away(&self, mutant: &'static Mutant, most_seeds: u64) -> Result<Noticed> {
        let mut noticed = Noticed { mutant, simulation: None, tests: Vec::new(), missed: Vec::new() };
        for test in mutant.tests {
            match self.test(mutant, test)? {
                Some(said) => noticed.tests.push((test, said)),
                None => noticed.missed.push((*test).to_owned()),
            }
        }
        if let Some(seeds) = mutant.seeds.filter(|seeds| *seeds <= most_seeds) {
            noticed.simulation = self.simulate(mutant, seeds)?;
            if noticed.simulation.is_none() {
                noticed.missed.push(format!("the simulation, in {seeds} seeds"));
            }
        }
        Ok(noticed)
    }

    /// What a test says that fails; `None` when it passes.
    fn test(&self, mutant: &Mutant, test: &str) -> Result<Option<String>> {
        let (package, path) = test.split_once("::").with_context(|| format!("{test} names no crate"))?;
        let program = self.tests.get(package).with_context(|| format!("{package} has no tests"))?;
        let mut command = Command::new(program);
        command
            .current_dir(root().join(package))
            .args(["--exact", path, "--nocapture"])
            .envs(self.environment.variables());
        let (status, said) = self.run(mutant, &mut command)?;
        let status = status.map(|status| status.success());
        let words = || said.lines().skip_while(|line| !line.contains("panicked at")).nth(1).unwrap_or("it failed");
        Ok(match status {
            Some(true) => None,
            Some(false) => Some(shortened(words())),
            None => Some("it came to no end".to_owned()),
        })
    }

    /// After how many seeds a promise was broken, and which.
    fn simulate(&self, mutant: &Mutant, seeds: u64) -> Result<Option<(u64, String)>> {
        let mut command = Command::new(&self.stampede);
        command.args(["simulate", "--fail-fast", "--seed", "0", "--seeds", &seeds.to_string()]);
        let (status, said) = self.run(mutant, &mut command)?;
        if status.is_some_and(|status| status.success()) {
            return Ok(None);
        }
        let broken = |line: &str| {
            let (seed, what) = line.trim().strip_prefix("--seed ")?.split_once(": ")?;
            Some((seed.parse::<u64>().ok()? + 1, shortened(what)))
        };
        let found = said.lines().find_map(broken);
        Ok(Some(found.with_context(|| format!("the simulation broke off with {status:?}:\n{said}"))?))
    }

    /// Runs a command without the mutant's guards; how it ended, if it did, and what it said.
    fn run(&self, mutant: &Mutant, command: &mut Command) -> Result<(Option<ExitStatus>, String)> {
        let path = self.folder.join("said.txt");
        let file = std::fs::File::create(&path)?;
        command.env("STAMPEDE_MUTANT", mutant.name()).stdin(Stdio::null());
        command.stdout(file.try_clone()?).stderr(file);
        let mut child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
        let began = Instant::now();
        let ended = loop {
            match child.try_wait()? {
                None if began.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(10)),
                Some(status) => break Some(status),
                None => {
                    child.kill()?;
                    child.wait()?;
                    break None;
                }
            }
        };
        let said = std::fs::read(&path)?;
        Ok((ended, String::from_utf8_lossy(&said).into_owned()))
    }
}

/// An optimised build with the mutants in it, away from where releases are built: nobody shall ship it by mistake.
fn build_fast(folder: &Path) -> Result<PathBuf> {
    let arguments = ["build", "--release", "--locked", "--package", "stampede", "--features", "stampede/mutants"];
    run(cargo().args(arguments))?;
    let program = folder.join("stampede");
    std::fs::rename(target().join("release/stampede"), &program)?;
    Ok(program)
}

/// Where cargo has put the tests of each crate.
fn test_programs() -> Result<HashMap<String, PathBuf>> {
    let output = cargo().arg("test").args(EVERYTHING).args(["--all-targets", "--no-run"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("the tests cannot be built:\n{said}");
    }
    Ok(said.lines().filter_map(test_program).collect())
}

/// Reads `Executable unittests src/lib.rs (target/debug/deps/shared-0123)`, and `Executable main.rs (…/suite-0123)`.
fn test_program(line: &str) -> Option<(String, PathBuf)> {
    let (target, path) = line.trim().strip_prefix("Executable ")?.strip_suffix(')')?.split_once(" (")?;
    let (name, _) = path.rsplit_once('/')?.1.rsplit_once('-')?;
    let package = match target {
        "unittests src/lib.rs" => name,
        "main.rs" => "tests",
        _ => return None,
    };
    Some((package.to_owned(), root().join(path)))
}

fn shortened(words: &str) -> String {
    let words = words.trim().replace('|', "/").replace('<', "(").replace('>', ")");
    if words.chars().count() <= WORDS {
        words
    } else {
        format!("{} …", words.chars().take(WORDS).collect::<String>())
    }
}

fn told(noticed: &Noticed) -> String {
    let mut text = noticed.mutant.name();
    if let Some((seeds, what)) = &noticed.simulation {
        let _ = write!(text, "\n    after {seeds} seeds: {what}");
    }
    for (test, said) in &noticed.tests {
        let _ = write!(text, "\n    {test}: {said}");
    }
    for who in &noticed.missed {
        let _ = write!(text, "\n    NOT NOTICED by {who}");
    }
    text
}

/// The table of the page: who noticed what, and what they said.
fn table(all: &[Noticed]) -> Result<String> {
    let sentences: HashMap<String, String> =
        sentences(&std::fs::read_to_string(root().join(GUARDS))?).into_iter().collect();
    let mut text = "| guard | what it protects | the simulation | tests |\n| --- | --- | --- | --- |\n".to_owned();
    for Noticed { mutant, simulation, tests, .. } in all {
        let names: Vec<String> = mutant.off.iter().map(|name| format!("`{name}`")).collect();
        let protects = match mutant.off {
            [name] => sentences.get(*name).cloned().with_context(|| format!("{GUARDS} does not list {name}"))?,
            _ => "(together)".to_owned(),
        };
        let plural = |seeds: u64| if seeds == 1 { "" } else { "s" };
        let simulation = match simulation {
            Some((seeds, what)) => format!("{seeds} seed{}: {what}", plural(*seeds)),
            None => "–".to_owned(),
        };
        let last = |test: &str| format!("`{}`", test.rsplit("::").next().unwrap_or(test));
        // One story, told of several implementations, has one name.
        let mut tests: Vec<String> = tests.iter().map(|(test, _)| last(test)).collect();
        tests.dedup();
        let tests = tests.join(", ");
        let tests = if tests.is_empty() { "–".to_owned() } else { tests };
        let _ = writeln!(text, "| {} | {protects} | {simulation} | {tests} |", names.join(", "));
    }
    Ok(text)
}

fn write_page(table: &str) -> Result<()> {
    let path = root().join(PAGE);
    let page = std::fs::read_to_string(&path)?;
    let parts = page.split_once(PAGE_BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(PAGE_END)?.1)));
    let (before, after) = parts.with_context(|| format!("{PAGE} has no place for the table"))?;
    Ok(std::fs::write(path, format!("{before}{PAGE_BEGIN}\n\n{table}\n{PAGE_END}{after}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_of_the_tests_are_found() {
        let found = |line: &str| test_program(line).map(|(package, path)| (package, path.ends_with("deps/x-0a1")));
        assert_eq!(found("  Executable unittests src/lib.rs (target/debug/deps/x-0a1)"), Some(("x".into(), true)));
        assert_eq!(found("  Executable main.rs (target/debug/deps/x-0a1)"), Some(("tests".into(), true)));
        assert_eq!(found("  Executable tests/suite/main.rs (target/debug/deps/suite-0a1)"), None);
        assert_eq!(found("   Compiling shared v0.1.0"), None);
    }
}
