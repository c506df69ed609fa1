//! The whole shop in one process: ledger on disk; stock, queue and rooms in memory; the sandbox in place of Stripe.
//!
//! A restart begins like this, in this order: lock the data directory, open the ledger, begin a new epoch of every
//! sale and rebuild its stock, queue what is owed, and only then listen.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ::sandbox::Latency;
use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use shared::access::SharedAccess;
use shared::access::sql::SqlAccess;
use shared::budget::Budget;
use shared::config::{Provider, Secret, Settings};
use shared::data_dir::{DataDir, control_socket};
use shared::env::Env;
use shared::fleet::memory::MemoryFleet;
use shared::fleet::{Identity, Kind, Reporter, Seen, SharedFleet, State, Wish};
use shared::ledger::sql::SqlLedger;
use shared::queue::QueueOptions;
use shared::queue::memory::Memory;
use shared::rooms::memory::MemoryRooms;
use shared::sale::LatePolicy;
use shared::stock::memory::MemoryStock;
use shared::stripe::webhook::EVENT_TYPES;
use shared::telemetry::names;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use web::app::Parts;
use web::limits::Limits;
use web::webhooks::Door;
use worker::Context;

use crate::admin::{Admin, Desk, NewSale, NewTier};
use crate::control;
use crate::forecast::Pace;
use crate::workers::Workers;

/// Runs everything until told to stop.
///
/// # Errors
/// When something that is needed cannot be had; nothing was sold then.
pub(crate) async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    anyhow::ensure!(
        settings.redis_url.is_none(),
        "REDIS_URL is set, and `stampede` alone keeps stock, queue and rooms in its own process: run `stampede web` and \
         `stampede worker` (and `stampede sandbox`, without Stripe's keys), or unset REDIS_URL"
    );
    let env = Env::system();
    let data_dir = DataDir::lock(&settings.data_dir)?;
    let secret = data_dir.session_secret(&settings, &env)?;
    // The sandbox outlives the workers, who may still be talking to it.
    let sandbox_end = CancellationToken::new();
    let (provider, sandbox) = start_provider(&settings, &data_dir, sandbox_end.clone()).await?;
    let ledger = open_ledger(&settings, &env).await?;
    let services = worker::process::Services {
        ledger: ledger.clone(),
        stock: Arc::new(MemoryStock::new(env.clone())),
        queue: Arc::new(Memory::new(env.clone(), QueueOptions::default())),
        rooms: Arc::new(MemoryRooms::default()),
        budget: Arc::new(Budget::alone(env.clone(), settings.limits())),
    };
    let ctx = worker::process::context(&env, services, &provider)?;
    let sandbox_signs_with = data_dir.webhook_secret(&env)?;
    let mut believed = settings.webhook_secrets.clone();
    believed.extend(sandbox.is_some().then(|| sandbox_signs_with.clone()));
    let access = Arc::new(SqlAccess::open(settings.ledger_url().expose(), env.clone())?);
    let door = Door::new(believed, provider.keys.live());
    let identity = Identity::new(Kind::Shop, &env);
    let (counted, lately) = names::record()?;
    let fleet: SharedFleet = Arc::new(MemoryFleet::new(env.clone()));
    let app = shop(&settings, &ctx, (access.clone(), fleet.clone()), &secret, &provider, door, counted)?;
    let (heard, wishes) = watch::channel(Wish::default());
    let options = worker::process::options(&settings, &identity, wishes);
    let look = look(app.clone(), options.pace.clone());
    let reporter = Reporter { env: env.clone(), fleet, identity, lately, look, heard };
    let worker = Some(ctx.clone());
    let desk = Desk {
        env,
        ledger: ledger.clone(),
        stock: Some(ctx.stock.clone()),
        queue: Some(ctx.queue.clone()),
        rooms: Some(ctx.rooms.clone()),
        access: access.clone(),
        shop: Some(app.clone()),
        worker,
        pace: Pace::of(&settings),
        workers: Some(Workers { outlook: app.outlook.clone(), queue: app.queue.clone(), access: access.clone() }),
    };
    recover(&settings, &desk, &ctx).await?;
    let listener = web::process::bind(&settings)?;
    if let Some(sandbox) = &sandbox {
        let url = format!("http://{}/webhooks/stripe", from_here(listener.local_addr()?));
        sandbox.send_webhooks_to(&url, sandbox_signs_with.expose(), &EVENT_TYPES).await?;
    }
    announce(&settings, listener.local_addr()?, &provider);

    let mut tasks = JoinSet::new();
    tasks.spawn(control::listen(control_socket(&settings), desk, shutdown.clone()));
    let reporting = tokio::spawn(reporter.run(shutdown.clone()));
    tasks.spawn(worker::run::run(ctx, options, shutdown.clone()));
    tasks.spawn(web::serve::serve(app, listener, shutdown.clone()));
    let ended = until_all_end(tasks, &shutdown).await;
    reporting.await?;
    access.close().await;
    ledger.close().await;
    sandbox_end.cancel();
    if let Some(sandbox) = sandbox {
        sandbox.stopped().await?;
    }
    ended
}

/// How a listener's address is reached from its own host.
fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Waits for every task. The first one that ends, told or not, takes the others with it.
async fn until_all_end(mut tasks: JoinSet<anyhow::Result<()>>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut first_error = Ok(());
    while let Some(ended) = tasks.join_next().await {
        shutdown.cancel();
        let ended = ended.unwrap_or_else(|error| Err(error.into()));
        first_error = first_error.and(ended);
    }
    first_error
}

/// Runs the sandbox alone until told to stop.
///
/// # Errors
/// When it cannot be started.
pub(crate) async fn sandbox_alone(settings: &Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    std::fs::create_dir_all(&settings.data_dir)?;
    let config = sandbox_config(settings, settings.data_dir.join("sandbox.sqlite"))?;
    let running = ::sandbox::start(config, shutdown).await?;
    println!("The Stripe sandbox listens at http://{}. Stop it with Ctrl+C.", running.address);
    running.stopped().await
}

/// Brings the ledger's tables up to date.
///
/// # Errors
/// When the database cannot be reached or changed.
pub(crate) async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    std::fs::create_dir_all(&settings.data_dir)?;
    Ok(SqlLedger::migrate(settings.ledger_url().expose()).await?)
}

/// Who charges: Stripe, or the sandbox, which is started here then.
async fn start_provider(
    settings: &Settings,
    data_dir: &DataDir,
    end: CancellationToken,
) -> anyhow::Result<(Provider, Option<::sandbox::Running>)> {
    let provider = settings.provider();
    if settings.stripe.is_some() {
        return Ok((provider, None));
    }
    let running = ::sandbox::start(sandbox_config(settings, data_dir.file("sandbox.sqlite"))?, end).await;
    let running = running.with_context(|| {
        format!("the sandbox cannot listen at {}; set SANDBOX_BIND to another address", settings.sandbox.bind)
    })?;
    // Its port may have been left to the system.
    let api_base = format!("http://{}", running.address);
    Ok((Provider { api_base, ..provider }, Some(running)))
}

fn sandbox_config(settings: &Settings, database: std::path::PathBuf) -> anyhow::Result<::sandbox::Config> {
    let latency = match &settings.sandbox.latency {
        Some(text) => text.parse().map_err(|error| anyhow::anyhow!("SANDBOX_LATENCY: {error}"))?,
        None => Latency::default(),
    };
    Ok(::sandbox::Config {
        bind: settings.sandbox.bind,
        database: Some(database),
        latency,
        rate_limit: settings.sandbox.rate_limit,
        ..::sandbox::Config::default()
    })
}

async fn open_ledger(settings: &Settings, env: &Env) -> anyhow::Result<Arc<SqlLedger>> {
    let url = settings.ledger_url();
    // One process uses this ledger, so that it can bring it up to date by itself.
    SqlLedger::migrate(url.expose()).await?;
    Ok(Arc::new(SqlLedger::connect(url.expose(), env.clone(), settings.terms()).await?))
}

fn shop(
    settings: &Settings,
    ctx: &Context,
    (access, fleet): (SharedAccess, SharedFleet),
    secret: &Secret,
    provider: &Provider,
    webhooks: Door,
    metrics: PrometheusHandle,
) -> anyhow::Result<web::App> {
    Ok(web::App::new(Parts {
        env: ctx.env.clone(),
        ledger: ctx.ledger.clone(),
        stock: ctx.stock.clone(),
        queue: ctx.queue.clone(),
        rooms: ctx.rooms.clone(),
        budget: ctx.budget.clone(),
        fleet,
        session_secret: secret.expose().as_bytes().to_vec(),
        access,
        operator_key: settings.operator_key.as_ref().map(|key| key.expose().to_owned()),
        page: web::process::page(provider),
        public_url: settings.public_url.clone(),
        webhooks,
        limits: Limits::new(settings.trusted_proxies.clone(), settings.limit_loopback),
        metrics,
    }))
}

/// How the shop stands, for whoever reports it.
fn look(app: web::App, pace: worker::pace::Pace) -> Arc<dyn Fn() -> Seen + Send + Sync> {
    Arc::new(move || {
        let state = if app.going_down.is_cancelled() { State::Stopping } else { State::Running };
        let (web, worker) = (web::process::figures(&app), worker::process::figures(&pace));
        Seen { state, web: Some(web), worker: Some(worker) }
    })
}

/// Rebuilds the stock of every sale under a new epoch, and queues what a process before this one left owed.
async fn recover(settings: &Settings, desk: &Desk, ctx: &Context) -> anyhow::Result<()> {
    let sales = ctx.ledger.sales().await?;
    if sales.is_empty() && settings.demo {
        desk.carry_out(Admin::CreateSale(demo())).await?;
    }
    desk.restore(None).await?;
    let queued = worker::sweep::queue_owed(ctx, Duration::ZERO, u32::MAX).await.map_err(anyhow::Error::msg)?;
    if queued > 0 {
        tracing::info!(queued, "charges that an earlier process left owed are queued again");
    }
    Ok(())
}

/// The sale that a newcomer finds.
fn demo() -> NewSale {
    let tier = |id: &str, name: &str, amount, capacity, limit| NewTier {
        id: id.into(),
        name: name.into(),
        amount,
        capacity,
        max_per_customer: limit,
    };
    NewSale {
        slug: "demo".into(),
        name: "Moonlight Stampede, live at the Old Depot".into(),
        currency: "usd".into(),
        tiers: vec![
            tier("std", "General admission", 2_500, 10_000, None),
            tier("balcony", "Balcony, seated", 4_800, 200, Some(4)),
            tier("front", "Front row", 12_000, 12, Some(2)),
        ],
        hold_seconds: 600,
        late: LatePolicy::default(),
        opens_at: None,
        closes_at: None,
    }
}

fn announce(settings: &Settings, address: SocketAddr, provider: &Provider) {
    let shop = settings.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    let money = if provider.real { "real cards are charged" } else { "test cards only, no real money moves" };
    println!("Stampede is selling at {shop} ({money}). Stop it with Ctrl+C.");
}
