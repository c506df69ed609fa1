//! Orders that were accepted here and of which the rooms were not told yet.
//!
//! The tab that bought has its answer already. The others of its customer, wherever they are open, hear of it
//! [a little later](ANNOUNCE_AFTER), unless the order has moved on by then: so most orders are told of once.

use std::time::Duration;

use parking_lot::Mutex;
use shared::order::Order;
use tokio::sync::Notify;

/// How long an order waits to be announced, together with those that come meanwhile.
pub const ANNOUNCE_AFTER: Duration = Duration::from_millis(500);

/// What is to be announced.
#[derive(Default)]
pub struct Announcements {
    /// Locked for a moment, never across an await.
    waiting: Mutex<Vec<Order>>,
    first: Notify,
}

impl Announcements {
    /// One more order.
    pub fn add(&self, order: Order) {
        let mut waiting = self.waiting.lock();
        waiting.push(order);
        if waiting.len() == 1 {
            self.first.notify_one();
        }
    }

    /// Waits until there is one.
    pub async fn any(&self) {
        self.first.notified().await;
    }

    /// All of them.
    pub fn take(&self) -> Vec<Order> {
        std::mem::take(&mut self.waiting.lock())
    }
}
