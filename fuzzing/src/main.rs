//! Feeds every target with so many inputs: `cargo xtask fuzz`. One process a core, since what an input allocates is
//! measured for a whole process.
#![allow(clippy::print_stdout, reason = "a table is what this program is for")]
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;
use fuzzing::{ALL, Fed, mutate};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// An input may take so many bytes of memory for each of its own,
const BYTES_PER_BYTE: usize = 128;
/// and so many beyond: a shop's tables double now and then.
const BYTES_BEYOND: usize = 4 * 1024 * 1024;

/// Feeds every target with inputs that are made of valid examples.
#[derive(Parser)]
struct Cli {
    /// Inputs of all targets together.
    #[arg(long, default_value_t = 10_000_000)]
    inputs: u64,
    /// Where the inputs follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// This target alone.
    #[arg(long)]
    only: Option<String>,
    /// The input of this number alone, of one target: to see a failure again.
    #[arg(long, requires = "only")]
    at: Option<u64>,
    /// This part of so many, as in 0/2; else as many parts as there are cores, each in a process.
    #[arg(long)]
    part: Option<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(at) = cli.at {
        return again(&cli, at);
    }
    let part = cli.part.as_deref().and_then(|part| part.split_once('/'));
    match part.and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?))) {
        Some((part, of)) => feed_all(&cli, part, of),
        None => feed_in_processes(&cli),
    }
}

fn wanted(cli: &Cli) -> Vec<&'static Fed> {
    let all: &'static [Fed] = &ALL;
    all.iter().filter(|fed| cli.only.as_ref().is_none_or(|only| *only == fed.name)).collect()
}

/// Says of each target: name, inputs, microseconds, largest allocation, or the failure.
fn feed_all(cli: &Cli, part: u64, of: u64) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let wanted = wanted(cli);
    let shares: u64 = wanted.iter().map(|fed| u64::from(fed.share)).sum();
    let mut good = true;
    for fed in wanted {
        let inputs = cli.inputs * u64::from(fed.share) / shares.max(1);
        let began = Instant::now();
        let (mut done, mut largest) = (0, 0);
        let corpus = (fed.corpus)();
        for number in (part..inputs).step_by(usize::try_from(of).unwrap_or(1)) {
            match feed(fed, &corpus, cli.seed, number) {
                Ok(bytes) => largest = largest.max(bytes),
                Err(failure) => {
                    good = false;
                    println!("FAILED {} --seed {} --at {number}: {failure}", fed.name, cli.seed);
                    break;
                }
            }
            done += 1;
        }
        println!("fed {} {done} {} {largest}", fed.name, began.elapsed().as_micros());
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the input allocated at most.
fn feed(fed: &Fed, corpus: &[Vec<u8>], seed: u64, number: u64) -> Result<usize, String> {
    let input = mutate::input(corpus, &mut mutate::generator(seed, fed.name, number));
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let done = catch_unwind(AssertUnwindSafe(|| (fed.target)(&input)));
    let taken = MEMORY.peak_usage().saturating_sub(before);
    if let Err(panic) = done {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        return Err(text.unwrap_or("a panic without words").to_owned());
    }
    if taken > input.len() * BYTES_PER_BYTE + BYTES_BEYOND {
        return Err(format!("{} bytes of input take {taken} bytes of memory", input.len()));
    }
    Ok(taken)
}

fn again(cli: &Cli, at: u64) -> ExitCode {
    for fed in wanted(cli) {
        let corpus = (fed.corpus)();
        let input = mutate::input(&corpus, &mut mutate::generator(cli.seed, fed.name, at));
        println!("{}", String::from_utf8_lossy(&input));
        match feed(fed, &corpus, cli.seed, at) {
            Ok(bytes) => println!("taken or refused as it should be, with {bytes} bytes of memory"),
            Err(failure) => {
                println!("FAILED: {failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// One line of a part's report.
#[derive(Default)]
struct Row {
    inputs: u64,
    micros: u64,
    largest: u64,
}

fn feed_in_processes(cli: &Cli) -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    let mut children = Vec::new();
    for part in 0..cores {
        let Ok(program) = std::env::current_exe() else { return ExitCode::FAILURE };
        let mut command = Command::new(program);
        command.args(["--inputs", &cli.inputs.to_string(), "--seed", &cli.seed.to_string()]);
        command.args(["--part", &format!("{part}/{cores}")]);
        command.args(cli.only.iter().flat_map(|only| ["--only", only]));
        match command.stdout(Stdio::piped()).spawn() {
            Ok(child) => children.push(child),
            Err(error) => println!("a part cannot be started: {error}"),
        }
    }
    let (mut rows, mut good) = (BTreeMap::<String, Row>::new(), children.len() == cores);
    for child in children {
        let Ok(output) = child.wait_with_output() else { return ExitCode::FAILURE };
        good &= output.status.success();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let ["fed", name, numbers @ ..] = words.as_slice() else {
                println!("{line}");
                continue;
            };
            let number = |at: usize| numbers.get(at).and_then(|number| number.parse().ok()).unwrap_or(0);
            let row = rows.entry((*name).to_owned()).or_default();
            row.inputs += number(0);
            row.micros = row.micros.max(number(1));
            row.largest = row.largest.max(number(2));
        }
    }
    println!("{:<20} {:>11} {:>11} {:>16}", "target", "inputs", "a second", "most memory, kB");
    for (name, row) in &rows {
        let rate = row.inputs.saturating_mul(1_000_000) / row.micros.max(1);
        println!("{name:<20} {:>11} {rate:>11} {:>16}", row.inputs, row.largest.div_ceil(1_000));
    }
    let inputs: u64 = rows.values().map(|row| row.inputs).sum();
    println!("{inputs} inputs of seed {} in {} s on {cores} cores", cli.seed, began.elapsed().as_secs());
    println!("a failure is seen again with: cargo xtask fuzz --only TARGET --seed SEED --at NUMBER");
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
