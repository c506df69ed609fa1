//! The worker process of a shop that is spread over several processes: as many of them as the operator likes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use shared::backing::Backing;
use shared::budget::SharedBudget;
use shared::config::{Provider, Settings};
use shared::env::Env;
use shared::fleet::{Identity, Kind, Outlook, Reporter, Seen, State, Wish};
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
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::create_charge::TURN_PATIENCE;
use crate::pace::Pace;
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
    // Nobody counts for a scraper what no scraper can ask for.
    let (counted, lately) = match settings.metrics_bind {
        Some(address) => names::record().map(|(counted, lately)| (Some((address, counted)), lately))?,
        None => (None, names::keep()?),
    };
    let backing = Backing::connect(&settings, &env).await?;
    let services = Services {
        ledger: backing.ledger.clone(),
        stock: backing.stock.clone(),
        queue: backing.queue.clone(),
        rooms: backing.rooms.clone(),
        budget: backing.budget.clone(),
    };
    let ctx = context(&env, services, &settings.provider())?;
    let identity = Identity::new(Kind::Worker, &env);
    let (heard, wishes) = watch::channel(Wish::default());
    let options = Options { lease: backing.lease.clone(), ..options(&settings, &identity, wishes.clone()) };
    // An operator who has it drained ends it as its supervisor does, from within.
    let ending = shutdown.child_token();
    let look = look(options.pace.clone(), wishes.clone(), shutdown.clone());
    let (fleet, told) = (backing.fleet.clone(), identity.clone());
    let reporter = Reporter { env: env.clone(), fleet, identity: told, lately, look, heard };
    let gone = CancellationToken::new();
    let reporting = tokio::spawn(reporter.run(gone.clone()));
    let draining = tokio::spawn(ending.clone().run_until_cancelled_owned(drain(wishes, ending.clone())));
    let door = match counted {
        Some((address, counted)) => {
            let (ledger, stock, queue) = (backing.ledger.clone(), backing.stock.clone(), backing.queue.clone());
            let outlook = Outlook { fleet: backing.fleet.clone(), budget: backing.budget.clone() };
            let watch = Watch::new(env.clone(), ledger, stock, queue, outlook, counted, ending.clone());
            Some(open(address, watch, env).await?)
        }
        None => None,
    };
    tracing::info!(name = options.name, concurrency = options.pace.standing().bound, "this worker takes jobs");
    let worked = crate::run::run(ctx, options, ending.clone()).await;
    ending.cancel();
    draining.await?;
    gone.cancel();
    reporting.await?;
    // Only now: as long as it finishes jobs it can be asked, and says that it goes down.
    if let Some(door) = door {
        door.close().await;
    }
    backing.ledger.close().await;
    worked
}

/// How a worker stands, for whoever reports it.
fn look(pace: Pace, wishes: watch::Receiver<Wish>, shutdown: CancellationToken) -> Arc<dyn Fn() -> Seen + Send + Sync> {
    Arc::new(move || {
        let state = match (shutdown.is_cancelled(), wishes.borrow().drain) {
            (true, _) => State::Stopping,
            (false, true) => State::Draining,
            (false, false) => State::Running,
        };
        Seen { state, web: None, worker: Some(figures(&pace)) }
    })
}

/// How a worker stands: charges under way at most, what bounds them if anything does, and how many are.
#[must_use]
pub fn figures(pace: &Pace) -> (u32, Option<u32>, u32) {
    let whole = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
    let standing = pace.standing();
    (whole(standing.concurrency), standing.bound.map(whole), whole(standing.in_hand))
}

/// Waits until an operator wants this worker drained, and has it end then.
async fn drain(mut wishes: watch::Receiver<Wish>, ending: CancellationToken) {
    // An error means that nobody can wish anything any more.
    if wishes.wait_for(|wish| wish.drain).await.is_ok() {
        tracing::info!("an operator has this worker drained: it finishes what it has, and ends");
        ending.cancel();
    }
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

/// How a worker that is alone runs under these settings.
#[must_use]
pub fn options(settings: &Settings, identity: &Identity, wishes: watch::Receiver<Wish>) -> Options {
    let lease: SharedLease = Arc::new(Alone);
    let pace = Pace::new(settings.worker_concurrency, wishes);
    Options { name: identity.name.clone(), pace, drain: DRAIN, lease }
}
