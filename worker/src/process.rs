//! The worker process of a shop that is spread over several processes: as many of them as the operator likes.

use std::sync::Arc;
use std::time::Duration;

use shared::backing::Backing;
use shared::config::{Provider, Settings};
use shared::env::Env;
use shared::lease::{Alone, SharedLease};
use shared::ledger::SharedLedger;
use shared::queue::Queue;
use shared::rooms::SharedRooms;
use shared::stock::SharedStock;
use shared::stripe::HttpStripe;
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::run::Options;
use crate::{Context, Patience};

/// How long one request to Stripe may take; less than a job may.
const STRIPE_TIMEOUT: Duration = Duration::from_secs(10);
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
}

/// Works until told to stop.
///
/// # Errors
/// A sentence about what is missing; nothing was charged then.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let env = Env::system();
    let backing = Backing::connect(&settings, &env).await?;
    let services = Services {
        ledger: backing.ledger.clone(),
        stock: backing.stock.clone(),
        queue: backing.queue.clone(),
        rooms: backing.rooms.clone(),
    };
    let ctx = context(&settings, &env, services, &settings.provider())?;
    let options = Options { lease: backing.lease.clone(), ..options(&settings, "worker", &env) };
    tracing::info!(name = options.name, concurrency = options.concurrency, "this worker takes jobs");
    let worked = crate::run::run(ctx, options, shutdown).await;
    backing.ledger.close().await;
    worked
}

/// What the handlers work with.
///
/// # Errors
/// When the provider's address makes no sense.
pub fn context(settings: &Settings, env: &Env, services: Services, provider: &Provider) -> anyhow::Result<Context> {
    let key = provider.keys.secret.expose();
    Ok(Context {
        env: env.clone(),
        ledger: services.ledger,
        stock: services.stock,
        queue: services.queue,
        rooms: services.rooms,
        stripe: Arc::new(HttpStripe::new(&provider.api_base, key, STRIPE_TIMEOUT, env.clone())?),
        budget: Arc::new(Budget::new(env.clone(), settings.stripe_rate)),
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
