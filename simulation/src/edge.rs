//! The way from a process to what it shares with others: calls that fail, before their effect or after it, that take
//! long, have their effect when nobody waits for it any more, or at which the process dies.

mod ledger;
pub(crate) mod rooms;
mod stock;
mod stripe;

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use shared::env::Env;
use shared::queue::memory::Memory;
use shared::queue::{DeadJob, Delivery, Finish, Gauges, Lease, NewJob, Pushed, Queue, QueueError, QueueOptions};
use shared::stock::memory::MemoryStock;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::chance::Fault;
use crate::scene::Scene;
use crate::stage::Who;

pub(crate) use stripe::ToStripe;

/// A process's way to one of its parts.
pub(crate) struct Edge<P: ?Sized> {
    pub(crate) scene: Arc<Scene>,
    pub(crate) who: Who,
    pub(crate) part: Arc<P>,
}

/// Something of a part that went wrong on the way.
trait Broken {
    fn broken() -> Self;
}

const FATES: [(Fault, u64); 5] =
    [(Fault::CallLost, 16), (Fault::AnswerLost, 16), (Fault::Slow, 12), (Fault::Killed, 3), (Fault::LandsLate, 8)];

/// Calls after which something else may hold than before.
const CHANGES: [&str; 17] = [
    "accept",
    "claim",
    "apply",
    "control",
    "request_refund",
    "record_refund",
    "see_refund",
    "begin_epoch",
    "reserve",
    "pin",
    "unpin",
    "free",
    "free_orphan",
    "settle",
    "expire",
    "set_returned",
    "rebuild",
];

impl<P: ?Sized> Edge<P> {
    pub(crate) fn new(scene: &Arc<Scene>, who: Who, part: Arc<P>) -> Arc<Self> {
        Arc::new(Self { scene: scene.clone(), who, part })
    }

    /// Makes a call. `late` is the same call, for when it has its effect after everybody has given it up.
    async fn call<T: Send, E: Broken + Send>(
        &self,
        name: &'static str,
        about: Option<Uuid>,
        work: impl Future<Output = Result<T, E>> + Send,
        late: Option<BoxFuture<'static, ()>>,
    ) -> Result<T, E> {
        let scene = &*self.scene;
        scene.travel().await;
        let fate = scene.faults.first(&FATES);
        let after = scene.faults.dice().below(2) == 0;
        match fate {
            None => {}
            Some(fault) if fault != Fault::LandsLate || late.is_some() => scene.fault(self.who, fault, about, name),
            Some(_) => {}
        }
        match (fate, late) {
            (Some(Fault::CallLost), _) => return Err(E::broken()),
            (Some(Fault::Slow), _) if !after => scene.sleep(scene.slow()).await,
            (Some(Fault::Killed), _) if !after => scene.die(self.who).await,
            (Some(Fault::LandsLate), Some(late)) => {
                let (scene, pause) = (self.scene.clone(), self.scene.slow());
                let (who, world) = (self.who, self.scene.clone());
                let task = async move {
                    scene.sleep(pause).await;
                    scene.tell(who, about, || format!("{name} takes effect now"));
                    late.await;
                    scene.has_changed();
                };
                world.enter(Who::World, task.boxed());
                return Err(E::broken());
            }
            _ => {}
        }
        let done = work.await;
        if CHANGES.contains(&name) {
            scene.has_changed();
        }
        match fate {
            Some(Fault::AnswerLost) => return Err(E::broken()),
            Some(Fault::Slow) if after => scene.sleep(scene.slow()).await,
            Some(Fault::Killed) if after => scene.die(self.who).await,
            _ => {}
        }
        scene.travel().await;
        done
    }
}

/// Passes a call on; `about` names the order. With `late`, the call may also have its effect after its error.
macro_rules! pass {
    ($self:ident.$call:ident($($arg:expr),*)) => {
        $self.call(stringify!($call), None, $self.part.$call($($arg),*), None).await
    };
    ($self:ident.$call:ident($($arg:expr),*), about $about:expr) => {
        $self.call(stringify!($call), Some($about), $self.part.$call($($arg),*), None).await
    };
    ($self:ident.$call:ident($($arg:ident),*), about $about:expr, late) => {{
        let late = {
            let part = $self.part.clone();
            $(let $arg = Clone::clone(&$arg);)*
            async move { drop(part.$call($($arg),*).await) }.boxed()
        };
        $self.call(stringify!($call), Some($about), $self.part.$call($($arg),*), Some(late)).await
    }};
}
use pass;

/// The one Redis: stock and queue, which are lost together.
pub(crate) struct Redis {
    env: Env,
    now: Mutex<(Arc<MemoryStock>, Arc<Memory>)>,
    copy: Mutex<Option<(Arc<MemoryStock>, Arc<Memory>)>>,
    /// Counts its losses; subscriptions break with each.
    losses: Mutex<u64>,
    lost: Notify,
}

impl Redis {
    pub(crate) fn new(env: &Env) -> Arc<Self> {
        let now = Mutex::new(Self::empty(env));
        Arc::new(Self { env: env.clone(), now, copy: Mutex::default(), losses: Mutex::default(), lost: Notify::new() })
    }

    fn empty(env: &Env) -> (Arc<MemoryStock>, Arc<Memory>) {
        let queue = Memory::new(env.clone(), QueueOptions::shared());
        (Arc::new(MemoryStock::new(env.clone())), Arc::new(queue))
    }

    pub(crate) fn stock(&self) -> Arc<MemoryStock> {
        self.now.lock().0.clone()
    }

    pub(crate) fn queue(&self) -> Arc<Memory> {
        self.now.lock().1.clone()
    }

    /// Makes a copy, to come back from some day.
    pub(crate) fn copy(&self) {
        let now = self.now.lock();
        *self.copy.lock() = Some((Arc::new(now.0.restarted_from_now()), Arc::new(now.1.restarted_from_now())));
    }

    /// Forgets everything, or everything since the copy.
    pub(crate) fn lose(&self, back_to_copy: bool) {
        let copy = self.copy.lock().take().filter(|_| back_to_copy);
        *self.now.lock() = copy.unwrap_or_else(|| Self::empty(&self.env));
        *self.losses.lock() += 1;
        self.lost.notify_waiters();
    }

    pub(crate) fn losses(&self) -> u64 {
        *self.losses.lock()
    }
}

impl Broken for QueueError {
    fn broken() -> Self {
        Self::Store("no connection".into())
    }
}

#[async_trait]
impl Queue for Edge<Redis> {
    fn lease(&self) -> std::time::Duration {
        self.part.queue().lease()
    }

    async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<Pushed>, QueueError> {
        let (queue, late, jobs_late) = (self.part.queue(), self.part.clone(), jobs.clone());
        let late = async move { drop(late.queue().push(jobs_late).await) };
        self.call("push", None, queue.push(jobs), Some(late.boxed())).await
    }

    async fn fetch(&self, queue: &'static str, consumer: &str, max: usize) -> Result<Vec<Delivery>, QueueError> {
        loop {
            let lost = self.part.lost.notified();
            let store = self.part.queue();
            let fetch = std::pin::pin!(store.fetch(queue, consumer, max));
            match futures::future::select(fetch, std::pin::pin!(lost)).await {
                // Killed with it in hand, or the answer is lost: its lease has to lapse.
                futures::future::Either::Left((fetched, _)) => {
                    return self.call("fetch", None, std::future::ready(fetched), None).await;
                }
                futures::future::Either::Right(_) => {}
            }
        }
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<bool>, QueueError> {
        let queue = self.part.queue();
        self.call("renew", None, queue.renew(leases), None).await
    }

    async fn finish(&self, ends: &[(Lease, Finish)]) -> Result<Vec<bool>, QueueError> {
        let queue = self.part.queue();
        self.call("finish", None, queue.finish(ends), None).await
    }

    async fn hand_back(&self, leases: &[Lease]) -> Result<(), QueueError> {
        let queue = self.part.queue();
        self.call("hand_back", None, queue.hand_back(leases), None).await
    }

    async fn gauges(&self, queue: &'static str) -> Result<Gauges, QueueError> {
        self.part.queue().gauges(queue).await
    }

    async fn dead(&self, queue: &'static str, max: usize) -> Result<Vec<DeadJob>, QueueError> {
        let store = self.part.queue();
        self.call("dead", None, store.dead(queue, max), None).await
    }

    async fn retry_dead(&self, queue: &'static str, key: &str) -> Result<bool, QueueError> {
        self.part.queue().retry_dead(queue, key).await
    }

    async fn discard_dead(&self, queue: &'static str, key: &str) -> Result<bool, QueueError> {
        self.part.queue().discard_dead(queue, key).await
    }
}
