//! What operators see of the shop while it sells: the page `/ops`, and its socket `/ops/live`.
//!
//! [`composer`] looks, [`overview`] is what it sees, [`live`] tells it. A look is taken every second while somebody looks,
//! and every five seconds while nobody does: that costs a shop next to nothing, and whoever comes when things go wrong
//! sees how they came about.

pub mod composer;
pub mod conservation;
pub mod live;
pub mod overview;
pub mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use tokio::sync::{Notify, watch};

use crate::app::App;
use composer::{Composer, Sources};
use overview::{Overview, Point};

/// Operators who may look at the same time at one process; a page in each of some tabs of each of them.
pub const LOOKERS_MAX: usize = 64;
/// It is looked this often while somebody looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// It is looked this often while nobody does.
const IDLE_EVERY: Duration = Duration::from_secs(5);

/// The overview of a process, and those who look at it.
pub struct Board {
    composer: Composer,
    /// The newest frame, written once for all.
    newest: watch::Sender<Utf8Bytes>,
    lookers: Arc<Lookers>,
}

#[derive(Default)]
struct Lookers {
    now: AtomicUsize,
    /// Somebody has come.
    came: Notify,
}

/// Somebody who looks; until dropped.
pub struct Looker {
    frames: watch::Receiver<Utf8Bytes>,
    lookers: Arc<Lookers>,
}

impl Looker {
    /// The next frame; those that were missed are left out. None when there will be no more.
    pub async fn next(&mut self) -> Option<Utf8Bytes> {
        self.frames.changed().await.ok()?;
        Some(self.frames.borrow_and_update().clone())
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        self.lookers.now.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("operator_sockets").decrement(1.0);
    }
}

impl Board {
    /// Nobody looks.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let newest = watch::Sender::new(Utf8Bytes::default());
        Self { composer: Composer::new(sources), newest, lookers: Arc::default() }
    }

    /// Lets somebody look, unless too many do.
    #[must_use]
    pub fn admit(&self) -> Option<Looker> {
        let lookers = self.lookers.clone();
        let room = |now: usize| (now < LOOKERS_MAX).then_some(now + 1);
        lookers.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        metrics::gauge!("operator_sockets").increment(1.0);
        lookers.came.notify_one();
        Some(Looker { frames: self.newest.subscribe(), lookers })
    }

    /// How it is now; as it was, when somebody has just looked.
    pub async fn look(&self) -> Arc<Overview> {
        self.composer.look().await
    }

    /// The points of the plots, the oldest first.
    pub async fn history(&self) -> Vec<Point> {
        self.composer.history().await
    }

    fn somebody_looks(&self) -> bool {
        self.lookers.now.load(Ordering::Relaxed) > 0
    }

    async fn tell(&self) {
        let overview = self.look().await;
        if !self.somebody_looks() {
            return;
        }
        match serde_json::to_string(&*overview) {
            Ok(frame) => drop(self.newest.send_replace(frame.into())),
            Err(error) => tracing::error!(%error, "an overview cannot be written"),
        }
        metrics::counter!("operator_overviews_total").increment(1);
    }
}

/// Looks, for as long as the process serves.
pub async fn keep_looking(app: App) {
    loop {
        app.board.tell().await;
        if app.board.somebody_looks() {
            app.env.sleep(LOOK_EVERY).await;
            continue;
        }
        let _ = app.env.timeout(IDLE_EVERY, app.board.lookers.came.notified()).await;
    }
}
