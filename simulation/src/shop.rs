//! The shop: its processes as they are, over parts that they share. Web processes answer through the product's router;
//! workers call the product's handlers and sweeps. Only the loops that apalis and tokio run in production are written
//! again here, since they are what the stage decides about.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Either, select};
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use shared::access::memory::MemoryAccess;
use shared::budget::memory::MemorySlots;
use shared::budget::{self, Budget, SharedBudget};
use shared::config::Secret;
use shared::fleet::memory::MemoryFleet;
use shared::jobs::{Authentication, CreateCharge, ProcessResponse, Webhook};
use shared::ledger::Ledger;
use shared::ledger::book::Terms;
use shared::ledger::memory::MemoryLedger;
use shared::queue::worker::JobInfo;
use shared::queue::{Delivery, Finish, Job as _, Queue};
use shared::rooms::Rooms;
use shared::rooms::memory::MemoryRooms;
use shared::stock::Stock;
use shared::stripe::Stripe as Calls;
use uuid::Uuid;
use web::app::Page;
use web::limits::Limits;
use web::webhooks::Door;
use worker::{Context, Patience, create_charge, sweep};

use crate::edge::rooms::Hall;
use crate::edge::{Edge, Redis, ToStripe};
use crate::plan::{Plan, SALE};
use crate::scene::Scene;
use crate::stage::Who;
use crate::stripe::Stripe;

/// Who may ask for refunds by HTTP has this key.
pub(crate) const OPERATOR_KEY: &str = "simulation-operator-key-0123456789";
/// Stripe signs its events with it.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_simulation";
/// Queues of a worker, and how many jobs of each it does at once.
const QUEUES: [(&str, usize); 4] =
    [(CreateCharge::QUEUE, 3), (ProcessResponse::QUEUE, 2), (Webhook::QUEUE, 2), (Authentication::QUEUE, 1)];
/// As `WorkerOptions` has them.
const JOB_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_DELIVERIES: u32 = 5;

/// What the processes share. A mutant puts something worse into it.
pub(crate) struct Parts {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) stock: Arc<dyn Stock>,
    pub(crate) stripe: Arc<dyn Calls>,
    pub(crate) patience: Patience,
    /// The budget's books, which all processes share.
    pub(crate) slots: Arc<MemorySlots>,
}

pub(crate) struct Shop {
    pub(crate) scene: Arc<Scene>,
    pub(crate) plan: Plan,
    pub(crate) redis: Arc<Redis>,
    /// The ledger itself, for the checker.
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) stripe: Arc<Stripe>,
    pub(crate) parts: Parts,
    hall: Arc<Hall>,
    metrics: PrometheusHandle,
    /// Of each web process that serves: how to reach it.
    webs: Mutex<Vec<Option<Router>>>,
    /// Nothing starts before this time, by the monotonic clock.
    pub(crate) dark_until: Mutex<Duration>,
    /// What pages were told: the state of each version of each order.
    pub(crate) told: Mutex<BTreeMap<(Uuid, i64), String>>,
}

impl Shop {
    pub(crate) fn new(scene: &Arc<Scene>, plan: Plan, twist: fn(&mut Parts)) -> Arc<Self> {
        let redis = Redis::new(&scene.env);
        let ledger = Arc::new(MemoryLedger::new(scene.env.clone(), Terms::default()));
        let stripe = Stripe::new(scene);
        let mut parts = Parts {
            ledger: ledger.clone(),
            stock: redis.clone(),
            stripe: stripe.clone(),
            patience: Patience::default(),
            slots: Arc::new(MemorySlots::new(scene.env.clone())),
        };
        twist(&mut parts);
        let sale = plan.sale(scene.env.now());
        for tier in &sale.tiers {
            scene.capacity.lock().insert(tier.id.clone(), tier.capacity);
        }
        // Nothing waits in a ledger in memory.
        let _ = ledger.create_sale(sale).now_or_never();
        let hall = Hall { rooms: MemoryRooms::default(), redis: redis.clone() };
        let webs = Mutex::new(vec![None; plan.webs]);
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
        let (scene, hall) = (scene.clone(), Arc::new(hall));
        Arc::new(Self {
            scene,
            plan,
            redis,
            ledger,
            stripe,
            parts,
            hall,
            metrics,
            webs,
            dark_until: Mutex::default(),
            told: Mutex::default(),
        })
    }

    /// The way to a web process; none while it is down.
    pub(crate) fn door(&self, web: usize) -> Option<Router> {
        self.webs.lock().get(web).cloned().flatten()
    }

    pub(crate) fn ledger_of(&self, who: Who) -> Arc<dyn Ledger> {
        Edge::new(&self.scene, who, self.parts.ledger.clone())
    }

    pub(crate) fn stock_of(&self, who: Who) -> Arc<dyn Stock> {
        Edge::new(&self.scene, who, self.parts.stock.clone())
    }

    fn queue_of(&self, who: Who) -> Arc<dyn Queue> {
        Edge::new(&self.scene, who, self.redis.clone())
    }

    fn rooms_of(&self, who: Who) -> Arc<dyn Rooms> {
        Edge::new(&self.scene, who, self.hall.clone())
    }

    fn budget_of(&self, who: Who) -> SharedBudget {
        let limits = budget::Limits { endpoint: self.plan.stripe_per_second, total: None };
        Arc::new(Budget::new(self.scene.env.clone(), self.parts.slots.clone(), limits, who.to_string()))
    }

    /// What a worker's handlers work with; also an operator's.
    pub(crate) fn context(&self, who: Who) -> Context {
        let env = self.scene.env.clone();
        Context {
            ledger: self.ledger_of(who),
            stock: self.stock_of(who),
            queue: self.queue_of(who),
            rooms: self.rooms_of(who),
            stripe: Arc::new(ToStripe { scene: self.scene.clone(), who, stripe: self.parts.stripe.clone() }),
            budget: self.budget_of(who),
            patience: self.parts.patience,
            env,
        }
    }

    /// A process has died: it answers no more, and its sockets are closed.
    pub(crate) fn has_died(&self, who: Who) {
        self.scene.tell(who, None, || "is dead".into());
        if let Who::Web(web) = who
            && let Some(door) = self.webs.lock().get_mut(web)
        {
            *door = None;
        }
    }

    pub(crate) fn start(self: &Arc<Self>, who: Who) {
        let shop = self.clone();
        self.scene.tell(who, None, || "starts".into());
        match who {
            Who::Web(web) => self.scene.enter(who, async move { shop.serve(web).await }.boxed()),
            Who::Worker(_) => shop.work(who),
            Who::Operator | Who::World => {}
        }
    }

    async fn serve(self: Arc<Self>, web: usize) {
        let who = Who::Web(web);
        let app = web::App::new(web::Parts {
            env: self.scene.env.clone(),
            ledger: self.ledger_of(who),
            stock: self.stock_of(who),
            queue: self.queue_of(who),
            rooms: self.rooms_of(who),
            budget: self.budget_of(who),
            fleet: Arc::new(MemoryFleet::new(self.scene.env.clone())),
            session_secret: b"a secret that every web process has".to_vec(),
            access: Arc::new(MemoryAccess::new(self.scene.env.clone())),
            operator_key: Some(OPERATOR_KEY.to_owned()),
            page: Page::of_sandbox("pk_test_simulation".into(), "http://127.0.0.1:12111"),
            public_url: None,
            webhooks: Door::new(vec![Secret::new(WEBHOOK_SECRET)], false),
            limits: Limits::new(Vec::new(), false),
            metrics: self.metrics.clone(),
        });
        while app.catalogue.refresh(&*app.ledger).await.is_err() {
            self.scene.sleep(Duration::from_millis(500)).await;
        }
        let Ok(subscription) = app.rooms.subscribe().await else { return };
        let enter = |task: BoxFuture<'static, ()>| self.scene.enter(who, task);
        enter(web::serve::deliver(app.clone(), subscription).boxed());
        enter(self.clone().every(Duration::from_secs(1), app.clone(), |app| web::serve::refresh(app).boxed()).boxed());
        enter(web::serve::announce(app.clone()).boxed());
        enter(web::serve::look_what_is_gone(app.clone()).boxed());
        enter(self.clone().every(Duration::from_secs(15), app.clone(), |app| web::serve::compare(app).boxed()).boxed());
        if let Some(door) = self.webs.lock().get_mut(web) {
            *door = Some(web::router(app));
        }
    }

    async fn every(self: Arc<Self>, pause: Duration, app: web::App, act: fn(web::App) -> BoxFuture<'static, ()>) {
        loop {
            act(app.clone()).await;
            self.scene.sleep(self.paced(pause)).await;
        }
    }

    /// What comes round every second does so less often here, and least in the quiet after the faults: a second in which
    /// nothing can have happened is not worth simulating.
    fn paced(&self, pause: Duration) -> Duration {
        let slower = if self.scene.faults.over() { 5 } else { self.plan.pace };
        pause * slower + self.scene.env.jitter(pause / 4)
    }

    fn work(self: Arc<Self>, who: Who) {
        let ctx = self.context(who);
        for (queue, jobs) in QUEUES {
            for _ in 0..jobs {
                self.scene.enter(who, jobs_of(ctx.clone(), who, queue).boxed());
            }
        }
        let (shop, keeper) = (self.clone(), ctx.clone());
        let keep = async move {
            let mut watch = sweep::Watch::default();
            loop {
                shop.scene.sleep(shop.paced(sweep::ROUND)).await;
                sweep::keep_stock(&keeper, &mut watch).await;
            }
        };
        self.scene.enter(who, keep.boxed());
        let (shop, here) = (self.clone(), ctx.clone());
        let sweep_here = async move {
            let mut agenda = sweep::Agenda::default();
            loop {
                shop.scene.sleep(shop.paced(sweep::ROUND)).await;
                sweep::here(&here).await;
                agenda.here(&here).await;
            }
        };
        self.scene.enter(who, sweep_here.boxed());
        let shop = self.clone();
        let at_stripe = async move {
            let mut agenda = sweep::Agenda::default();
            loop {
                shop.scene.sleep(shop.paced(sweep::ROUND)).await;
                sweep::at_stripe(&ctx).await;
                agenda.at_stripe(&ctx).await;
            }
        };
        self.scene.enter(who, at_stripe.boxed());
    }

    /// What the sale is called.
    pub(crate) fn sale() -> &'static str {
        SALE
    }
}

/// Works off one job after another, as `queue::worker` does under apalis: it renews the lease while the handler runs, cuts
/// it short after its time, and goes on telling the store of the end until it has heard.
async fn jobs_of(ctx: Context, who: Who, queue: &'static str) {
    loop {
        let Ok(deliveries) = ctx.queue.fetch(queue, &who.to_string(), 1).await else {
            ctx.env.sleep(Duration::from_millis(300)).await;
            continue;
        };
        for delivery in deliveries {
            let Some(end) = run(&ctx, &delivery).await else { continue };
            while ctx.queue.finish(&[(delivery.lease.clone(), end.clone())]).await.is_err() {
                ctx.env.sleep(Duration::from_millis(300)).await;
            }
        }
    }
}

/// Runs a handler; `None` when the job was given to somebody else meanwhile.
async fn run(ctx: &Context, delivery: &Delivery) -> Option<Finish> {
    let keep = async {
        loop {
            ctx.env.sleep(ctx.queue.lease() / 3).await;
            if ctx.queue.renew(std::slice::from_ref(&delivery.lease)).await.is_ok_and(|kept| kept == [false]) {
                return;
            }
        }
    };
    let both = select(handler(ctx.clone(), delivery), keep.boxed());
    match ctx.env.timeout(JOB_TIMEOUT, both).await {
        Some(Either::Left((end, _))) => Some(end),
        Some(Either::Right(_)) => None,
        None => {
            let pause = ctx.env.backoff(delivery.crashes(), Duration::from_secs(1), Duration::from_secs(60));
            Some(Finish::Crashed { after: pause, reason: "it took too long".into() })
        }
    }
}

fn handler(ctx: Context, delivery: &Delivery) -> BoxFuture<'static, Finish> {
    let info = JobInfo::of(delivery);
    let admitted = match delivery.lease.queue {
        // What Stripe said is settled by the same hand, or by the next job: both ways are walked.
        CreateCharge::QUEUE if delivery.pushed_at.0 % 2 == 0 => {
            delivery.admit(MAX_DELIVERIES).map(|job| create_charge::charge_and_settle(ctx, job, info).boxed())
        }
        CreateCharge::QUEUE => {
            delivery.admit(MAX_DELIVERIES).map(|job| create_charge::create_charge(ctx, job, info).boxed())
        }
        ProcessResponse::QUEUE => {
            delivery.admit(MAX_DELIVERIES).map(|job| worker::process_response::process_response(ctx, job, info).boxed())
        }
        Authentication::QUEUE => {
            delivery.admit(MAX_DELIVERIES).map(|job| worker::authentication::authentication(ctx, job, info).boxed())
        }
        _ => delivery.admit(MAX_DELIVERIES).map(|job| worker::webhook::webhook(ctx, job, info).boxed()),
    };
    admitted.unwrap_or_else(|dead| std::future::ready(dead).boxed())
}
