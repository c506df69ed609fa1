//! Processes at one SQLite file: their turns to write, and the locks that keep them apart.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::poll;
use tempfile::TempDir;

use super::super::turns::Turns;
use super::*;

/// How long anything may take that is sure to happen.
const SURELY: Duration = Duration::from_secs(20);
/// Names the file to a process of [`a_turn_is_held_until_its_process_is_killed`].
const HELD: &str = "STAMPEDE_TEST_HOLDS_TURN_AT";

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("ledger.db")
}

fn turns(file: &Path) -> Turns {
    Turns::at(file, Env::system()).unwrap()
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SURELY, "it never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn who_has_just_written_gets_behind_who_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second, third) = (turns(&file(&folder)), turns(&file(&folder)), turns(&file(&folder)));
    let turn = first.next().await.unwrap();
    let mut waiting = Box::pin(second.next());
    assert!(poll!(&mut waiting).is_pending());
    until(|| third.somebody_waits()).await;
    drop(turn);
    let mut again = Box::pin(first.next());
    assert!(poll!(&mut again).is_pending(), "the other came first");
    let turn = waiting.await.unwrap();
    assert!(poll!(&mut again).is_pending(), "and has its turn");
    drop(turn);
    assert!(again.await.is_some());
}

#[tokio::test]
async fn who_has_no_patience_leaves_no_turn_taken() {
    let (folder, seeded) = (tempfile::tempdir().unwrap(), Seeded::new(11));
    let (standing, hasty) = (turns(&file(&folder)), Turns::at(&file(&folder), seeded.env()).unwrap());
    let turn = standing.next().await.unwrap();
    let mut waiting = Box::pin(hasty.next());
    assert!(poll!(&mut waiting).is_pending());
    seeded.advance(SURELY);
    assert!(waiting.await.is_none(), "it writes all the same: SQLite's lock decides");
    drop(turn);
    // The turn that came too late is the next one, and is given back like any other.
    drop(hasty.next().await.unwrap());
    assert!(standing.next().await.is_some());
}

/// Not a story of its own: what the next one starts as another process.
#[test]
fn a_turn_is_held_until_its_process_is_killed() {
    let Some(file) = std::env::var_os(HELD) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let turns = turns(Path::new(&file));
        let _turn = turns.next().await.unwrap();
        std::fs::write(Path::new(&file).with_extension("held"), "").unwrap();
        std::future::pending::<()>().await;
    });
}

#[tokio::test]
async fn a_process_that_is_killed_in_its_turn_leaves_it_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(&folder);
    let name = "ledger::sql::tests::turns::a_turn_is_held_until_its_process_is_killed";
    let mut holder = Command::new(std::env::current_exe().unwrap());
    let mut holder = holder.args(["--exact", name]).env(HELD, &file).stdout(Stdio::null()).spawn().unwrap();
    until(|| file.with_extension("held").exists()).await;
    let turns = turns(&file);
    let mut waiting = Box::pin(turns.next());
    assert!(poll!(&mut waiting).is_pending());
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(waiting.await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_ledgers_at_one_file_under_load_both_get_on() {
    let files = Files::new();
    let (url, env) = (files.next(), Env::system());
    let ledgers = [Arc::new(connect(&url, &env).await), Arc::new(connect(&url, &env).await)];
    selling(&ledgers[0], 10_000).await;
    let written = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    let all = |written: &[AtomicU32; 2]| written.each_ref().map(|n| n.load(Ordering::Relaxed));
    let callers = ledgers.iter().enumerate().flat_map(|(which, ledger)| {
        (0..4).map({
            let (written, env) = (written.clone(), env.clone());
            move |_| {
                let (ledger, written, env) = (ledger.clone(), written.clone(), env.clone());
                tokio::spawn(async move {
                    while all(&written).iter().sum::<u32>() < 400 {
                        assert!(matches!(ledger.accept(purchase(&env)).await, Ok(Accepted::New(_))));
                        written[which].fetch_add(1, Ordering::Relaxed);
                    }
                })
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let each = all(&written);
    assert!(each.iter().all(|n| *n >= 100), "{each:?}");
    assert_eq!(ledgers[1].image("demo").await.unwrap().unwrap().pins.len() as u32, each.iter().sum::<u32>());
}

#[tokio::test]
async fn the_log_is_moved_beside_the_work_and_begins_anew() {
    let (files, env) = (Files::new(), Env::system());
    let url = files.next();
    // Two of them: each may meet the other at it.
    let ledgers = [connect(&url, &env).await, connect(&url, &env).await];
    selling(&ledgers[0], 10_000).await;
    for _ in 0..200 {
        for ledger in &ledgers {
            assert!(matches!(ledger.accept(purchase(&env)).await, Ok(Accepted::New(_))));
        }
    }
    let log = files.folder.path().join("0.db-wal");
    let pages = std::fs::metadata(log).unwrap().len() / 4_096;
    // Each purchase changes a dozen pages, and no COMMIT has moved any.
    assert!(pages < 2_000, "{pages} pages");
    assert_eq!(ledgers[1].image("demo").await.unwrap().unwrap().pins.len(), 400);
}

/// Without them two processes write over each other, and the file is lost.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn sqlite_keeps_its_locks_on_the_index_whatever_is_written_and_read() {
    use std::os::unix::fs::MetadataExt as _;
    let (files, env) = (Files::new(), Env::system());
    let ledger = connect(&files.next(), &env).await;
    selling(&ledger, 20).await;
    for _ in 0..10 {
        assert!(matches!(ledger.accept(purchase(&env)).await, Ok(Accepted::New(_))));
        ledger.sales().await.unwrap();
    }
    let index = std::fs::metadata(files.folder.path().join("0.db-shm")).unwrap().ino();
    let (process, file) = (std::process::id().to_string(), format!(":{index}"));
    let is_ours = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.contains(&"POSIX") && words.contains(&&*process) && words.iter().any(|word| word.ends_with(&file))
    };
    // As long as the database is open there is one, at its byte 128. The list is told in pieces, from which a line is
    // missing now and then while others lock and unlock; a lock that was let go stays away.
    until(|| std::fs::read_to_string("/proc/locks").unwrap().lines().any(is_ours)).await;
}
