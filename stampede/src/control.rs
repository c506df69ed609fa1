//! Commands reach the process that sells through a local socket in its data directory: one line of JSON each way.
//! Where several processes sell, there is nobody to ask: a command goes to ledger and stock itself.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use shared::access::sql::SqlAccess;
use shared::backing::Backing;
use shared::config::Settings;
use shared::data_dir::{DataDir, control_socket};
use shared::env::Env;
use shared::fleet::Outlook;
use shared::ledger::sql::SqlLedger;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use worker::process::Services;

use crate::admin::{Admin, Desk};
use crate::forecast::Pace;
use crate::report::Reply;
use crate::workers::Workers;

/// The longest command that is read, in bytes.
const LINE_BYTES_MAX: u64 = 256 * 1024;
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a comparison with Stripe may take.
const COMPARISON_PATIENCE: Duration = Duration::from_secs(3_600);

/// Listens for commands until told to stop.
///
/// # Errors
/// When the socket cannot be made.
pub(crate) async fn listen(path: PathBuf, desk: Desk, shutdown: CancellationToken) -> anyhow::Result<()> {
    // The data directory is locked: a socket that is there was left by a dead process.
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("{} cannot be replaced", path.display()));
    }
    let listener = UnixListener::bind(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let desk = desk.clone();
        match accepted {
            Ok((stream, _)) => drop(tokio::spawn(async move {
                if let Err(error) = answer(stream, &desk).await {
                    tracing::warn!(%error, "a command could not be answered");
                }
            })),
            Err(error) => tracing::warn!(%error, "the control socket failed"),
        }
    }
    let _ = std::fs::remove_file(&path);
    Ok(())
}

async fn answer(stream: UnixStream, desk: &Desk) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
    let reply = match serde_json::from_str::<Admin>(&line) {
        Ok(asked) => match desk.carry_out(asked).await {
            Ok(reply) => reply,
            Err(error) => Reply::refused(format!("{error:#}")),
        },
        Err(_) => Reply::refused("the running stampede does not know this command; is it of another version?".into()),
    };
    write.write_all(format!("{}\n", serde_json::to_string(&reply)?).as_bytes()).await?;
    Ok(())
}

/// Has a command carried out: by the process that sells, or here when several sell, or none.
///
/// # Errors
/// When neither can be reached.
pub(crate) async fn ask(settings: &Settings, command: Admin) -> anyhow::Result<Reply> {
    if settings.redis_url.is_some() {
        return beside(settings, command).await;
    }
    let path = control_socket(settings);
    match UnixStream::connect(&path).await {
        Ok(stream) => {
            let compares = matches!(command, Admin::Reconcile { .. });
            let patience = if compares { COMPARISON_PATIENCE } else { PATIENCE };
            let reply = tokio::time::timeout(patience, exchange(stream, &command)).await;
            reply.context("the running stampede did not answer in time")?
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            alone(settings, command).await
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be reached", path.display())),
    }
}

async fn exchange(stream: UnixStream, command: &Admin) -> anyhow::Result<Reply> {
    let (read, mut write) = stream.into_split();
    write.write_all(format!("{}\n", serde_json::to_string(command)?).as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(read).read_line(&mut line).await?;
    serde_json::from_str(&line).context("the running stampede gave an answer that cannot be read")
}

/// Several processes sell: what they share is asked, and they see for themselves what has changed.
async fn beside(settings: &Settings, command: Admin) -> anyhow::Result<Reply> {
    let env = Env::system();
    let backing = Backing::connect(settings, &env).await?;
    let services = Services {
        ledger: backing.ledger.clone(),
        stock: backing.stock.clone(),
        queue: backing.queue.clone(),
        rooms: backing.rooms.clone(),
        budget: backing.budget.clone(),
    };
    // A command that asks nothing of Stripe needs no provider that makes sense.
    let worker = worker::process::context(&env, services, &settings.provider()).ok();
    let access = Arc::new(SqlAccess::open(settings.ledger_url().expose(), env.clone())?);
    let outlook = Outlook { fleet: backing.fleet.clone(), budget: backing.budget.clone() };
    let desk = Desk {
        env,
        ledger: backing.ledger.clone(),
        stock: Some(backing.stock.clone()),
        queue: Some(backing.queue.clone()),
        rooms: Some(backing.rooms.clone()),
        access: access.clone(),
        shop: None,
        worker,
        pace: Pace::of(settings),
        workers: Some(Workers { outlook, queue: backing.queue.clone(), access: access.clone() }),
    };
    let reply = desk.carry_out(command).await;
    access.close().await;
    backing.ledger.close().await;
    reply
}

/// No process sells: the ledger alone is asked, under the lock that a selling process would have.
async fn alone(settings: &Settings, command: Admin) -> anyhow::Result<Reply> {
    let data_dir = DataDir::lock(&settings.data_dir)?;
    let env = Env::system();
    let url = settings.ledger_url();
    SqlLedger::migrate(url.expose()).await?;
    let ledger = Arc::new(SqlLedger::connect(url.expose(), env.clone(), settings.terms()).await?);
    let pace = Pace::of(settings);
    let access = Arc::new(SqlAccess::open(url.expose(), env.clone())?);
    let desk = Desk {
        env,
        ledger: ledger.clone(),
        stock: None,
        queue: None,
        rooms: None,
        access: access.clone(),
        shop: None,
        worker: None,
        pace,
        workers: None,
    };
    let reply = desk.carry_out(command).await;
    access.close().await;
    ledger.close().await;
    drop(data_dir);
    reply
}
