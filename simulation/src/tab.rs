//! A page in a browser's tab: it keeps a stream open, and shows of each order the highest version that it was told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{Either, select};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::chance::{Dice, Fault};
use crate::shop::Shop;
use crate::stage::Who;

/// What a page shows of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) version: i64,
    pub(crate) state: String,
    /// Whether another card may be tried.
    pub(crate) may_retry: bool,
    /// It was given what the bank's window needs.
    pub(crate) has_secret: bool,
    /// It was given the address of Stripe's page.
    pub(crate) has_page: bool,
}

/// A tab.
pub(crate) struct Tab {
    pub(crate) name: String,
    pub(crate) customer: Uuid,
    token: String,
    views: Mutex<BTreeMap<Uuid, View>>,
    pub(crate) changed: Notify,
    open: AtomicBool,
    /// A snapshot came by the stream that is open now.
    pub(crate) connected: AtomicBool,
    /// Goes forward, then is closed, by its owner.
    closed: Notify,
}

impl Tab {
    pub(crate) fn new(name: String, customer: Uuid, token: &str) -> Arc<Self> {
        Arc::new(Self {
            name,
            customer,
            token: token.to_owned(),
            views: Mutex::default(),
            changed: Notify::new(),
            open: AtomicBool::new(true),
            connected: AtomicBool::new(false),
            closed: Notify::new(),
        })
    }

    pub(crate) fn view(&self, order: Uuid) -> Option<View> {
        self.views.lock().get(&order).cloned()
    }

    pub(crate) fn views(&self) -> BTreeMap<Uuid, View> {
        self.views.lock().clone()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::Relaxed);
        self.closed.notify_one();
    }

    /// Keeps the stream open, at whichever process, as long as the tab is.
    pub(crate) async fn live(self: Arc<Self>, shop: Arc<Shop>, dice: Arc<Dice>) {
        let mut failures = 0;
        while self.is_open() {
            let web = dice.below(shop.plan.webs);
            shop.scene.sleep(shop.scene.faults.dice().between(0, 60)).await;
            let came = match shop.open_stream(web, &self.token) {
                Some(frames) => self.read(&shop, frames, &dice).await,
                None => false,
            };
            self.connected.store(false, Ordering::Relaxed);
            failures = if came { 0 } else { failures + 1 };
            let most = Duration::from_secs(300);
            shop.scene.sleep(shop.scene.env.backoff(failures, Duration::from_millis(500), most)).await;
        }
    }

    /// Reads a stream to its end; whether anything came.
    async fn read(
        &self,
        shop: &Arc<Shop>,
        mut frames: futures::channel::mpsc::UnboundedReceiver<Value>,
        dice: &Dice,
    ) -> bool {
        let mut came = false;
        loop {
            let next = match select(frames.next(), std::pin::pin!(self.closed.notified())).await {
                Either::Left((next, _)) => next,
                Either::Right(_) => return came,
            };
            let Some(frame) = next else { return came };
            came = true;
            if dice.below(4) == 0 {
                shop.scene.sleep(shop.scene.faults.dice().between(0, 80)).await;
            }
            if shop.scene.faults.happens(Fault::StreamCut, 48) {
                shop.scene.fault(Who::World, Fault::StreamCut, None, &self.name);
                return came;
            }
            self.take(shop, &frame);
        }
    }

    fn take(&self, shop: &Shop, frame: &Value) {
        match frame["type"].as_str() {
            Some("welcome") => {
                for order in frame["orders"].as_array().into_iter().flatten() {
                    self.show(shop, order);
                }
                self.connected.store(true, Ordering::Relaxed);
            }
            Some("order") => self.show(shop, &frame["order"]),
            _ => return,
        }
        self.changed.notify_one();
    }

    fn show(&self, shop: &Shop, order: &Value) {
        let (Some(id), Some(version)) =
            (order["id"].as_str().and_then(|id| id.parse().ok()), order["version"].as_i64())
        else {
            shop.scene.broken(None, format!("{} was sent an order that it cannot read: {order}", self.name));
            return;
        };
        let state = order["state"].as_str().unwrap_or_default().to_owned();
        shop.check_told(self, id, version, &state);
        let view = View {
            version,
            may_retry: order["decline"]["retry_in_ms"].is_number(),
            has_secret: order["action"]["client_secret"].is_string(),
            has_page: order["action"]["url"].is_string(),
            state,
        };
        let mut views = self.views.lock();
        if views.get(&id).is_none_or(|shown| shown.version < version) {
            shop.scene.tell_as(Some(id), || (self.name.clone(), format!("shows {} (version {version})", view.state)));
            views.insert(id, view);
        }
    }
}
