//! Orders that were accepted here and of which the rooms were not told yet.
//!
//! The tab that bought has its answer already. The others of its customer, wherever they are open, hear of it
//! [a little later](ANNOUNCE_AFTER), unless the order has moved on by then: so most orders are told of once.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use shared::order::Order;
use tokio::sync::Notify;

/// How long each order waits at least.
pub const ANNOUNCE_AFTER: Duration = Duration::from_secs(1);
/// How much longer it may wait, to be announced together with those that come meanwhile.
const TOGETHER: Duration = Duration::from_millis(250);

/// What is to be announced. Times are those of the monotonic clock.
#[derive(Default)]
pub struct Announcements {
    /// With the time at which each came. Locked for a moment, never across an await.
    waiting: Mutex<VecDeque<(Duration, Order)>>,
    first: Notify,
}

impl Announcements {
    /// One more order.
    pub fn add(&self, now: Duration, order: Order) {
        let mut waiting = self.waiting.lock();
        waiting.push_back((now, order));
        if waiting.len() == 1 {
            self.first.notify_one();
        }
    }

    /// Waits until there is one.
    pub async fn any(&self) {
        self.first.notified().await;
    }

    /// When some are to be taken; `None` while there is none.
    pub fn due_at(&self) -> Option<Duration> {
        let waiting = self.waiting.lock();
        waiting.front().map(|(came_at, _)| *came_at + ANNOUNCE_AFTER + TOGETHER)
    }

    /// All that have waited long enough.
    pub fn take(&self, now: Duration) -> Vec<Order> {
        let mut waiting = self.waiting.lock();
        let due = waiting.partition_point(|(came_at, _)| *came_at + ANNOUNCE_AFTER <= now);
        waiting.drain(..due).map(|(_, order)| order).collect()
    }
}
