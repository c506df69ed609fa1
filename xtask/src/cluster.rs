//! A PostgreSQL cluster: one for the whole run, in which each test makes a database of its own, and one for a test that
//! takes its server away.
//!
//! The server's life hangs on a pipe: a small shell waits for the end of its standard input, which comes when this
//! program drops the cluster, fails, panics or is killed, and then stops the server and deletes its files.
//!
//! PostgreSQL refuses to run as root; then it runs as `postgres` or `nobody`.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::program::{find_on_path, quietly};

/// Arguments: the server's program, its folder, its port. A line `crash` ends the server at once, as a lost machine
/// would; a line `start` starts it again; after the word `full` come processes whose files may not grow any more.
const KEEPER: &str = r#"
start() {
    "$1" -D "$2/data" -k "$2" -p "$3" -c listen_addresses=127.0.0.1 -c max_connections=300 -c fsync=on \
        -c shared_buffers=64MB >>"$2/log" 2>&1 &
    server=$!
}
start "$@"
while read -r word processes; do
    case "$word" in
        crash) kill -QUIT "$server"; wait "$server"; rm -f "$2/data/postmaster.pid" ;;
        start) start "$@" ;;
        full) for process in $processes; do prlimit --pid "$process" --fsize=8192:; done ;;
    esac
done
kill -INT "$server"
wait "$server"
rm -rf "$2"
"#;

/// How long the server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running cluster; stopped and deleted when dropped.
pub struct Cluster {
    keeper: Child,
    folder: PathBuf,
    url: String,
}

impl Cluster {
    /// Makes a cluster in the system's folder for temporary files and starts its server.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self> {
        let initdb = postgres_program("initdb").context("initdb is not installed")?;
        let postgres = postgres_program("postgres").context("postgres is not installed")?;
        let account = Account::fit_for_postgres()?;
        let folder = std::env::temp_dir().join(format!("stampede-postgres-{}", random_word()?));
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let outcome = Self::start_in(&folder, &account, &initdb, &postgres);
        if outcome.is_err() {
            // The keeper may have been quicker.
            let _ = std::fs::remove_dir_all(&folder);
        }
        outcome
    }

    fn start_in(folder: &Path, account: &Account, initdb: &Path, postgres: &Path) -> Result<Self> {
        let password = random_word()?;
        std::fs::write(folder.join("password"), &password)?;
        account.own(folder)?;
        account.own(&folder.join("password"))?;
        let mut make = account.command(initdb, folder);
        make.args(["-U", "stampede", "-A", "scram-sha-256", "-E", "UTF8", "--locale", "C", "--no-sync"]);
        quietly(make.arg("--pwfile").arg(folder.join("password")).arg("-D").arg(folder.join("data")))?;

        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut keeper = account.command(Path::new("/bin/sh"), folder);
        keeper.args(["-c", KEEPER, "postgres-keeper"]).arg(postgres).arg(folder).arg(port.to_string());
        // In a group of its own: an interrupt from the keyboard reaches it through the pipe, in order.
        keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let url = format!("postgres://stampede:{password}@127.0.0.1:{port}");
        let keeper = keeper.spawn().context("the shell that keeps PostgreSQL cannot start")?;
        let cluster = Self { keeper, folder: folder.to_owned(), url };
        cluster.wait_until_ready()?;
        eprintln!("{} listens on 127.0.0.1:{port}, with files in {}", postgres.display(), folder.display());
        Ok(cluster)
    }

    /// `postgres://user:password@127.0.0.1:port`, without a database.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's own process, if it runs.
    #[must_use]
    pub fn server(&self) -> Option<u32> {
        std::fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    /// From now on the server finds its disk full: what it writes to files beyond their first 8 KiB fails (`EFBIG`, which
    /// it treats as `ENOSPC`). A limit of its processes and not of a disk, since that takes no rights and works on every
    /// Linux. It ends when its log of changes cannot be written, and is well again once it was started anew.
    ///
    /// # Errors
    /// When nobody keeps the server.
    pub fn fill(&mut self) -> Result<()> {
        let Some(server) = self.server() else { return Ok(()) };
        let processes: Vec<String> =
            children(server).into_iter().chain([server]).map(|process| process.to_string()).collect();
        self.tell(&format!("full {}", processes.join(" ")))
    }

    /// Ends the server at once; what it had not written is lost, as when a machine loses its power.
    ///
    /// # Errors
    /// When it does not end.
    pub fn crash(&mut self) -> Result<()> {
        self.tell("crash")?;
        let pid_file = self.folder.join("data/postmaster.pid");
        wait_for("PostgreSQL's end", || !pid_file.exists())
    }

    /// Starts the server again, on the same port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self) -> Result<()> {
        self.tell("start")?;
        self.wait_until_ready()
    }

    fn tell(&mut self, word: &str) -> Result<()> {
        let pipe = self.keeper.stdin.as_mut().context("the shell that keeps PostgreSQL has no pipe")?;
        Ok(writeln!(pipe, "{word}")?)
    }

    /// The server writes `ready` into the last line of its pid file once it takes connections.
    fn wait_until_ready(&self) -> Result<()> {
        let ready = || {
            let state = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
            state.lines().nth(7).is_some_and(|line| line.trim() == "ready")
        };
        wait_for("PostgreSQL", ready).map_err(|error| {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            error.context(format!("its log:\n{log}"))
        })
    }
}

/// The processes that a process has started.
fn children(parent: u32) -> Vec<u32> {
    let is_child = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let of = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        of == Some(parent)
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(is_child).collect()
}

fn wait_for(what: &str, there: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !there() {
        if began.elapsed() > START_LIMIT {
            bail!("{what} did not come within {START_LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// One of PostgreSQL's programs: on PATH, or where Debian (one folder per version; the newest wins), Red Hat, a source
/// build or Homebrew put them.
#[must_use]
pub fn postgres_program(name: &str) -> Option<PathBuf> {
    if let Some(path) = find_on_path(name) {
        return Some(path);
    }
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .map(|version: u32| (version, PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))))
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let others = ["/usr/local/bin", "/usr/local/pgsql/bin", "/usr/pgsql/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    versions.into_iter().map(|(_, folder)| folder).chain(others).map(|folder| folder.join(name)).find(|p| p.is_file())
}

/// Who runs PostgreSQL: ourselves, or somebody with fewer rights when we are root.
struct Account(Option<(u32, u32)>);

impl Account {
    fn fit_for_postgres() -> Result<Self> {
        let id = |flag: &str, user: &str| quietly(Command::new("id").args([flag, user]));
        if quietly(Command::new("id").arg("-u"))?.trim() != "0" {
            return Ok(Self(None));
        }
        for user in ["postgres", "nobody"] {
            if let (Ok(uid), Ok(gid)) = (id("-u", user), id("-g", user)) {
                return Ok(Self(Some((uid.trim().parse()?, gid.trim().parse()?))));
            }
        }
        bail!("PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody` to run it as");
    }

    fn own(&self, path: &Path) -> Result<()> {
        if let Some((uid, gid)) = self.0 {
            chown(path, Some(uid), Some(gid))?;
        }
        Ok(())
    }

    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env("HOME", folder).stdin(Stdio::null());
        if let Some((uid, gid)) = self.0 {
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// A password for the run: others on this machine can reach the port too.
fn random_word() -> Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut word = String::new();
    bytes.iter().try_for_each(|byte| write!(word, "{byte:02x}"))?;
    Ok(word)
}
