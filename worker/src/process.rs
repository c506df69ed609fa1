//! The worker process of a shop that is spread over several processes: as many of them as the operator likes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use shared::backing::Backing;
use shared::budget::SharedBudget;
use shared::config::{Provider, Settings};
use shared::env::Env;
use shared::lease::{Alone, SharedLease};
use shared::ledger::SharedLedger;
use shared::queue::Queue;
use shared::queue::worker::JOB_TIMEOUT;
use shared::rooms::SharedRooms;
use shared::stock::SharedStock;
use shared::stripe::HttpStripe;
use shared::telemetry::door::Door;
use shared::telemetry::names;
use shared::telemetry::watch::Watch;
use tokio_util::sync::CancellationToken;

use crate::create_charge::TURN_PATIENCE;
use crate::run::Options;
use crate::{Context, Patience};

/// How long one request to Stripe may take; less than a job may.
const STRIPE_TIMEOUT: Duration = Duration::from_secs(10);
/// What is left of a job's time beside the wait for its turn and the request.
const MARGIN: Duration = Duration::from_secs(1);

// A job that waits for its turn and then for Stripe ends by itself, before it is cut off.
const _: () =
    assert!(TURN_PATIENCE.as_millis() + STRIPE_TIMEOUT.as_millis() + MARGIN.as_millis() <= JOB_TIMEOUT.as_millis());
const _: () = assert!(JOB_TIMEOUT.as_millis() < DRAIN.as_millis());
/// How long running charges may go on after the process was told to stop; longer than a job may take.
const DRAIN: Duration = Duration::from_secs(25);

/// The services that a worker uses, wherever they are.
pub struct Services {
    /// The truth.
    pub ledger: SharedLedger,
    /// The fast gate.
    pub stock: SharedStock,
    /// Jobs.
    pub queue: Arc<dyn Queue>,
    /// Results on their way to pages.
    pub rooms: SharedRooms,
    /// How often Stripe may be asked.
    pub budget: SharedBudget,
}

/// Works until told to stop.
///
/// # Errors
/// A sentence about what is missing; nothing was charged then.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let env = Env::system();
    // Nobody counts what nobody can ask for.
    let counted = settings.metrics_bind.map(|_| names::record()).transpose()?;
    let backing = Backing::connect(&settings, &env).await?;
    let services = Services {
        ledger: backing.ledger.clone(),
        stock: backing.stock.clone(),
        queue: backing.queue.clone(),
        rooms: backing.rooms.clone(),
        budget: backing.budget.clone(),
    };
    let ctx = context(&env, services, &settings.provider())?;
    let options = Options { lease: backing.lease.clone(), ..options(&settings, "worker", &env) };
    let door = match settings.metrics_bind.zip(counted) {
        Some((address, counted)) => {
            let (ledger, stock, queue) = (backing.ledger.clone(), backing.stock.clone(), backing.queue.clone());
            let watch = Watch::new(env.clone(), ledger, stock, queue, counted, shutdown.clone());
            Some(open(address, watch, env).await?)
        }
        None => None,
    };
    tracing::info!(name = options.name, concurrency = options.concurrency, "this worker takes jobs");
    let worked = crate::run::run(ctx, options, shutdown).await;
    // Only now: as long as it finishes jobs it can be asked, and says that it goes down.
    if let Some(door) = door {
        door.close().await;
    }
    backing.ledger.close().await;
    worked
}

async fn open(address: SocketAddr, watch: Watch, env: Env) -> anyhow::Result<Door> {
    let opened = Door::open(address, watch, env).await;
    let door = opened.with_context(|| {
        format!("operators cannot be answered at {address}; set METRICS_BIND to another address for this worker")
    })?;
    tracing::info!(address = %door.address(), "this worker tells its metrics");
    Ok(door)
}

/// What the handlers work with.
///
/// # Errors
/// When the provider's address makes no sense.
pub fn context(env: &Env, services: Services, provider: &Provider) -> anyhow::Result<Context> {
    let key = provider.keys.secret.expose();
    let stripe = HttpStripe::new(&provider.api_base, key, STRIPE_TIMEOUT, env.clone())?;
    Ok(Context {
        env: env.clone(),
        ledger: services.ledger,
        stock: services.stock,
        queue: services.queue,
        rooms: services.rooms,
        stripe: Arc::new(stripe.paced(services.budget.clone())),
        budget: services.budget,
        patience: Patience::default(),
    })
}

/// How a worker that is alone runs under these settings, by a name that no other process has.
#[must_use]
pub fn options(settings: &Settings, kind: &str, env: &Env) -> Options {
    let name = format!("{kind}-{}", env.uuid_v4().simple());
    let lease: SharedLease = Arc::new(Alone);
    Options { name, concurrency: settings.worker_concurrency, drain: DRAIN, lease }
}
