//! What every handler works with.

use std::sync::Arc;
use std::time::Duration;

use shared::access::SharedAccess;
use shared::budget::SharedBudget;
use shared::env::Env;
use shared::fleet::{Outlook, SharedFleet};
use shared::ledger::SharedLedger;
use shared::queue::Queue;
use shared::rooms::SharedRooms;
use shared::stock::SharedStock;
use shared::telemetry::watch::Watch;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{Admission, Capacity};
use crate::announcements::Announcements;
use crate::board::Board;
use crate::board::composer::Sources;
use crate::catalogue::Catalogue;
use crate::farewell::Farewell;
use crate::gathered::{Orders, StockLevels};
use crate::guard::Policy;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::login::Gate;
use crate::losers::Losers;
use crate::operator::{OperatorKey, SessionCookie};
use crate::progress::Progress;
use crate::pushing::Pushing;
use crate::session::Signer;
use crate::snapshot;
use crate::webhooks::Door;

/// How long an accept may take; a pin without an order is freed after twice this.
pub const ACCEPT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the process is made of.
pub struct Parts {
    /// Time, ids, randomness.
    pub env: Env,
    /// The truth.
    pub ledger: SharedLedger,
    /// The fast gate.
    pub stock: SharedStock,
    /// Where charge jobs go.
    pub queue: Arc<dyn Queue>,
    /// Where outcomes come from.
    pub rooms: SharedRooms,
    /// Signs cookies and tokens.
    pub session_secret: Vec<u8>,
    /// Who may steer the shop.
    pub access: SharedAccess,
    /// The shop's own key, which may refund, if there is one.
    pub operator_key: Option<String>,
    /// What the page needs to know of Stripe.
    pub page: Page,
    /// How shoppers reach the shop, if it was said.
    pub public_url: Option<String>,
    /// Whom to believe about payments.
    pub webhooks: Door,
    /// Who is limited, and whose word about addresses counts.
    pub limits: Limits,
    /// How much it takes on.
    pub capacity: Capacity,
    /// How often Stripe may be asked, and so how fast the queue moves.
    pub budget: SharedBudget,
    /// The books of all processes.
    pub fleet: SharedFleet,
    /// Renders the metrics.
    pub metrics: metrics_exporter_prometheus::PrometheusHandle,
}

/// What the page needs to know of Stripe.
#[derive(Clone, Debug)]
pub struct Page {
    /// `pk_…`.
    pub publishable_key: String,
    /// Where Stripe.js comes from.
    pub js: String,
    /// The origin that Stripe.js and its frames talk to besides `js`'s own.
    pub api_origin: String,
    /// Whether no real money moves.
    pub sandbox: bool,
}

impl Page {
    /// The page charges at Stripe.
    #[must_use]
    pub fn of_stripe(publishable_key: String) -> Self {
        let js = "https://js.stripe.com/v3/".to_owned();
        Self { publishable_key, js, api_origin: "https://api.stripe.com".to_owned(), sandbox: false }
    }

    /// The page charges at a server that only looks like Stripe.
    #[must_use]
    pub fn of_sandbox(publishable_key: String, base: &str) -> Self {
        Self { publishable_key, js: format!("{base}/v3/"), api_origin: base.to_owned(), sandbox: true }
    }
}

/// What every handler works with; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// See [`App`].
pub struct Inner {
    /// Time, ids, randomness.
    pub env: Env,
    /// The truth.
    pub ledger: SharedLedger,
    /// Customers' orders, read for many at once.
    pub orders: Orders,
    /// The fast gate.
    pub stock: SharedStock,
    /// How much it has, read for many at once.
    pub levels: StockLevels,
    /// Where charge jobs go.
    pub queue: Arc<dyn Queue>,
    /// Where outcomes come from.
    pub rooms: SharedRooms,
    /// Signs cookies and tokens.
    pub signer: Signer,
    /// Who may steer the shop.
    pub access: SharedAccess,
    /// Knows the shop's own key.
    pub operator: OperatorKey,
    /// Knows the browsers of operators.
    pub operators_cookie: SessionCookie,
    /// Verifies the passwords of operators.
    pub gate: Gate,
    /// The sales as last read.
    pub catalogue: Catalogue,
    /// Told when somebody has steered a sale, here or in another process: the sales are read again.
    pub sales_changed: Notify,
    /// Told when those who watch a sale are to hear of it at once.
    pub stock_changed: Notify,
    /// Live connections by customer.
    pub hub: Hub,
    /// Charges that are about to be queued.
    pub pushing: Pushing,
    /// Places in the queue.
    pub progress: Progress,
    /// Security headers and cross-site rules.
    pub policy: Policy,
    /// What the page needs to know of Stripe.
    pub page: Page,
    /// Whom to believe about payments.
    pub webhooks: Door,
    /// Limits per client address.
    pub limits: Limits,
    /// The line in front of what sells.
    pub admission: Admission,
    /// Who comes too late.
    pub losers: Losers,
    /// Accepted orders of which the rooms were not told yet.
    pub announcements: Announcements,
    /// The processes, and how many workers are enough.
    pub outlook: Outlook,
    /// Tells machines that watch how it is.
    pub watch: Watch,
    /// Shows operators how it is.
    pub board: Board,
    /// Cancelled when this process goes down: connections are told to go elsewhere.
    pub going_down: CancellationToken,
    /// What they are told then.
    pub farewell: Farewell,
    /// Sockets that are being talked to: a process that goes down lets them say goodbye.
    pub conversations: TaskTracker,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let going_down = CancellationToken::new();
        let outlook = Outlook { fleet: parts.fleet, budget: parts.budget.clone() };
        let secure = parts.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
        Self(Arc::new(Inner {
            signer: Signer::new(&parts.session_secret, secure),
            access: parts.access,
            operator: OperatorKey::new(parts.operator_key.as_deref()),
            operators_cookie: SessionCookie::new(secure),
            gate: Gate::default(),
            admission: Admission::new(parts.env.clone(), parts.capacity),
            catalogue: Catalogue::default(),
            sales_changed: Notify::new(),
            stock_changed: Notify::new(),
            hub: Hub::new(),
            losers: Losers::new(parts.env.clone()),
            board: Board::new(Sources {
                env: parts.env.clone(),
                ledger: parts.ledger.clone(),
                stock: parts.stock.clone(),
                queue: parts.queue.clone(),
                budget: parts.budget.clone(),
                outlook: outlook.clone(),
            }),
            progress: Progress::new(parts.env.clone(), parts.budget),
            pushing: Pushing::default(),
            policy: Policy::new(&parts.page, parts.public_url.as_deref()),
            watch: Watch::new(
                parts.env.clone(),
                parts.ledger.clone(),
                parts.stock.clone(),
                parts.queue.clone(),
                outlook.clone(),
                parts.metrics,
                going_down.clone(),
            ),
            outlook,
            env: parts.env,
            orders: Orders::new(parts.ledger.clone(), snapshot::ORDERS_MAX),
            ledger: parts.ledger,
            levels: StockLevels::new(parts.stock.clone()),
            stock: parts.stock,
            queue: parts.queue,
            rooms: parts.rooms,
            page: parts.page,
            webhooks: parts.webhooks,
            limits: parts.limits,
            announcements: Announcements::default(),
            going_down,
            farewell: Farewell::default(),
            conversations: TaskTracker::new(),
        }))
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
