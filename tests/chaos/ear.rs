//! A shopper's socket, kept open as the page keeps it: it connects again for ever, with jitter, and of two accounts of
//! an order believes the one with the higher version (`static/room.js`, `static/store.js`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::Value;
use tests::harness::client::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::dice::Dice;

/// How long a connection may take to be made and to say `welcome`.
const WELCOME_WITHIN: Duration = Duration::from_secs(12);

/// An order as the socket last told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) version: i64,
    pub(super) state: String,
    /// Lets its holder answer the bank's challenge.
    pub(super) secret: Option<String>,
}

/// What one shopper has heard.
pub(super) struct Ear {
    orders: Mutex<HashMap<Uuid, Heard>>,
    changed: watch::Sender<u64>,
    reconnects: AtomicU64,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl Ear {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            orders: Mutex::default(),
            changed: watch::Sender::new(0),
            reconnects: AtomicU64::new(0),
            listening: Mutex::default(),
        })
    }

    /// Opens the room, and keeps it open.
    pub(super) fn listen(self: &Arc<Self>, client: Client, doors: Arc<[String]>, dice: Dice) {
        let ear = self.clone();
        let task = tokio::spawn(async move { ear.keep_open(client, doors, dice).await });
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Leaves the room: nothing is heard until [`Ear::listen`].
    pub(super) fn leave(&self) {
        if let Some(task) = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    pub(super) fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// What was last heard of an order.
    pub(super) fn of(&self, order: Uuid) -> Option<Heard> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).get(&order).cloned()
    }

    /// Every order that was heard of.
    pub(super) fn orders(&self) -> HashMap<Uuid, Heard> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until something that is true is heard of an order.
    pub(super) async fn until(&self, order: Uuid, is: impl Fn(&Heard) -> bool) -> Heard {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(heard) = self.of(order).filter(|heard| is(heard)) {
                return heard;
            }
            changed.changed().await.expect("the ear outlives its listeners");
        }
    }

    async fn keep_open(&self, client: Client, doors: Arc<[String]>, mut dice: Dice) {
        let mut failures = 0;
        for round in dice.next() % 2.. {
            let door = &doors[usize::try_from(round).unwrap() % doors.len()];
            if self.connected(&client.at(door)).await {
                failures = 0;
            }
            failures += 1;
            self.reconnects.fetch_add(1, Ordering::Relaxed);
            let most = (250 << failures.min(5)).min(4_000);
            tokio::time::sleep(Duration::from_millis(dice.between(most / 2, most))).await;
        }
    }

    /// One connection, until it is lost; whether it said `welcome`.
    async fn connected(&self, client: &Client) -> bool {
        let opening = async {
            let mut room = client.try_room("night").await.ok()?;
            let welcome = next(&mut room.socket).await?;
            Some((room, welcome))
        };
        let Ok(Some((mut room, welcome))) = tokio::time::timeout(WELCOME_WITHIN, opening).await else { return false };
        self.hear(&welcome);
        while let Some(message) = next(&mut room.socket).await {
            self.hear(&message);
        }
        true
    }

    fn hear(&self, message: &Value) {
        let one = [message["order"].clone()];
        let told = match message["type"].as_str() {
            Some("welcome") => message["orders"].as_array().map_or(&[][..], Vec::as_slice),
            Some("order") => &one,
            _ => return,
        };
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        for order in told {
            let id: Uuid = order["id"].as_str().and_then(|id| id.parse().ok()).expect("an order's id");
            let heard = Heard {
                version: order["version"].as_i64().expect("a version"),
                state: order["state"].as_str().expect("a state").to_owned(),
                secret: order["action"]["client_secret"].as_str().map(ToOwned::to_owned),
            };
            if orders.get(&id).is_none_or(|known| known.version <= heard.version) {
                orders.insert(id, heard);
            }
        }
        drop(orders);
        self.changed.send_modify(|count| *count += 1);
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The next message; `None` when the connection is lost.
async fn next<S>(socket: &mut S) -> Option<Value>
where
    S: futures::Stream<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).ok(),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}
