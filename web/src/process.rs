//! The web process of a shop that is spread over several processes: as many of them as there are shoppers to serve.

use std::sync::Arc;

use anyhow::Context as _;
use shared::access::sql::SqlAccess;
use shared::backing::Backing;
use shared::config::{Provider, Settings};
use shared::env::Env;
use shared::fleet::{Identity, Kind, Reporter, Seen, State, Wish};
use shared::telemetry::names;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Page, Parts};
use crate::limits::Limits;
use crate::webhooks::Door;
use crate::{listen, serve};

/// Serves until told to stop.
///
/// # Errors
/// A sentence about what is missing; nothing was served then.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let env = Env::system();
    let backing = Backing::connect(&settings, &env).await?;
    let secret = settings.session_secret.as_ref().context(
        "SESSION_SECRET is needed, the same in every web process: a shopper's next request may reach another one",
    )?;
    let access = Arc::new(SqlAccess::open(settings.ledger_url().expose(), env.clone())?);
    let identity = Identity::new(Kind::Web, &env);
    let (counted, lately) = names::record()?;
    let app = App::new(Parts {
        env: env.clone(),
        ledger: backing.ledger.clone(),
        stock: backing.stock.clone(),
        queue: backing.queue.clone(),
        rooms: backing.rooms.clone(),
        budget: backing.budget.clone(),
        fleet: backing.fleet.clone(),
        session_secret: secret.expose().as_bytes().to_vec(),
        access: access.clone(),
        operator_key: settings.operator_key.as_ref().map(|key| key.expose().to_owned()),
        page: page(&settings.provider()),
        public_url: settings.public_url.clone(),
        webhooks: Door::new(settings.webhook_secrets.clone(), settings.provider().keys.live()),
        limits: Limits::new(settings.trusted_proxies.clone(), settings.limit_loopback),
        metrics: counted,
    });
    let listener = bind(&settings)?;
    tracing::info!(address = %listener.local_addr()?, name = identity.name, "this web process serves");
    let (heard, _) = watch::channel(Wish::default());
    let (fleet, look, gone) = (backing.fleet.clone(), look(app.clone()), CancellationToken::new());
    let reporting = tokio::spawn(Reporter { env, fleet, identity, lately, look, heard }.run(gone.clone()));
    let served = serve::serve(app, listener, shutdown).await;
    gone.cancel();
    reporting.await?;
    access.close().await;
    backing.ledger.close().await;
    served
}

/// How a web process stands, for whoever reports it.
fn look(app: App) -> Arc<dyn Fn() -> Seen + Send + Sync> {
    Arc::new(move || {
        let state = if app.going_down.is_cancelled() { State::Stopping } else { State::Running };
        Seen { state, web: Some(figures(&app)), worker: None }
    })
}

/// Open sockets and event streams, and the customers who have them.
#[must_use]
pub fn figures(app: &App) -> (u64, u64) {
    let whole = |many: usize| u64::try_from(many).unwrap_or(u64::MAX);
    (whole(app.hub.connections()), whole(app.hub.rooms()))
}

/// Binds the shop's address.
///
/// # Errors
/// When it is taken, naming the setting.
pub fn bind(settings: &Settings) -> anyhow::Result<TcpListener> {
    let bound = listen::bind(settings.bind);
    bound.with_context(|| format!("the shop cannot listen at {}; set BIND to another address", settings.bind))
}

/// What the page needs to know of who charges.
#[must_use]
pub fn page(provider: &Provider) -> Page {
    let key = provider.keys.publishable.clone();
    if provider.real { Page::of_stripe(key) } else { Page::of_sandbox(key, &provider.api_base) }
}
