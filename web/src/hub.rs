//! Rooms of this process: which connections each customer has, and what they were told of their orders.
//!
//! Every connection has a bounded buffer. One that does not keep up is dropped, never waited for; its client connects
//! again and gets a snapshot. A room without connections does not exist.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use dashmap::DashMap;
use shared::guards::Guard;
use shared::message::{Message, Place, PlaceView};
use shared::order::{Order, State};
use shared::rooms::Envelope;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Frames that a connection may be behind.
const BUFFER: usize = 64;
/// Connections that one customer may have.
const CONNECTIONS_PER_CUSTOMER: usize = 16;
/// Connections that this process takes; a process may have 20,000 open files on small machines.
const CONNECTIONS: usize = 18_000;
/// Sales that one connection may watch.
pub const WATCHED_MAX: usize = 16;
/// Rooms hear of their places at most and at least this often, while the queue moves.
const PLACES_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// A little less than a whole tick: whoever is due at a tick is told at that one.
const SLACK: Duration = Duration::from_millis(200);

/// Live connections by customer.
pub struct Hub {
    rooms: DashMap<Uuid, Room>,
    /// Connections that want the stock of a sale, by sale. They are owned by their rooms: one that is dropped there for
    /// being slow must not live on here.
    watchers: DashMap<String, HashMap<u64, mpsc::WeakSender<Utf8Bytes>>>,
    next_id: AtomicU64,
    connections: AtomicUsize,
    /// Messages were lost, and nobody has looked yet which.
    missed: AtomicBool,
}

#[derive(Default)]
struct Room {
    connections: Vec<(u64, mpsc::Sender<Utf8Bytes>)>,
    /// Their orders, as last told: the ended ones, too, since a refund may be told of them at any time.
    orders: HashMap<Uuid, Known>,
    /// When it hears of its places again, on the monotonic clock; `None` after an order has come, whose place was told
    /// with it.
    places_due: Option<Duration>,
}

/// An order of a live room.
#[derive(Clone, Debug)]
pub struct Known {
    /// Whose.
    pub customer: Uuid,
    /// The sale's slug.
    pub sale: String,
    /// Its number in the queue, while a charge is owed.
    pub queue_number: Option<i64>,
    /// The newest version that was told.
    pub version: i64,
    /// It is final, and no refund of it is on its way: nothing more is expected.
    pub settled: bool,
}

/// A place in a room; leaves it when dropped.
pub struct Connection {
    app: crate::App,
    id: u64,
    customer: Uuid,
    sales: Vec<String>,
    /// What to send; ends when the connection was dropped from its room for being slow.
    pub frames: mpsc::Receiver<Utf8Bytes>,
}

impl Connection {
    /// The sales whose stock it watches.
    #[must_use]
    pub fn sales(&self) -> &[String] {
        &self.sales
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.app.hub.leave(self);
    }
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// This customer has too many.
    Customer,
    /// This process has too many.
    Process,
}

impl Hub {
    /// No rooms.
    #[must_use]
    pub fn new() -> Self {
        Self {
            rooms: DashMap::new(),
            watchers: DashMap::new(),
            next_id: AtomicU64::new(1),
            connections: AtomicUsize::new(0),
            missed: AtomicBool::new(false),
        }
    }

    /// Connections of this process.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Customers who have one of them.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Joins a customer's room, and watches the stock of these sales. Join first, then take the snapshot: what is
    /// published in between waits in the connection's buffer.
    ///
    /// # Errors
    /// When there are too many connections already.
    pub fn join(app: &crate::App, customer: Uuid, sales: Vec<String>) -> Result<Connection, Refused> {
        let hub = &app.hub;
        if hub.connections.load(Ordering::Relaxed) >= CONNECTIONS {
            return Err(Refused::Process);
        }
        let id = hub.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, frames) = mpsc::channel(BUFFER);
        {
            let mut room = hub.rooms.entry(customer).or_default();
            if room.connections.len() >= CONNECTIONS_PER_CUSTOMER {
                return Err(Refused::Customer);
            }
            room.connections.push((id, sender.clone()));
        }
        for sale in &sales {
            hub.watchers.entry(sale.clone()).or_default().insert(id, sender.downgrade());
        }
        hub.connections.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("room_connections").increment(1.0);
        Ok(Connection { app: app.clone(), id, customer, sales, frames })
    }

    fn leave(&self, connection: &Connection) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("room_connections").decrement(1.0);
        self.remove(connection.customer, connection.id);
        for sale in &connection.sales {
            if let Some(mut watchers) = self.watchers.get_mut(sale) {
                watchers.remove(&connection.id);
            }
            self.watchers.remove_if(sale, |_, watchers| watchers.is_empty());
        }
    }

    fn remove(&self, customer: Uuid, id: u64) {
        if let Some(mut room) = self.rooms.get_mut(&customer) {
            room.connections.retain(|(other, _)| *other != id);
        }
        self.rooms.remove_if(&customer, |_, room| room.connections.is_empty());
    }

    /// Whether anybody of a room is here.
    #[must_use]
    pub fn is_open(&self, room: Uuid) -> bool {
        self.rooms.contains_key(&room)
    }

    /// Delivers a message to its room, if anybody of it is here. What is older than the room was told already, as may
    /// happen to two messages that are on their way at once, says nothing to anybody.
    pub fn deliver(&self, envelope: &Envelope) {
        let Some(mut room) = self.rooms.get_mut(&envelope.room) else { return };
        if !room.note(envelope.room, &envelope.frame) {
            return;
        }
        let frame = Utf8Bytes::from(&*envelope.frame);
        room.send(&frame);
    }

    /// Sales in whose queue somebody here waits.
    #[must_use]
    pub fn queues(&self) -> BTreeSet<String> {
        let mut sales = BTreeSet::new();
        for room in &self.rooms {
            for known in room.orders.values().filter(|known| known.queue_number.is_some()) {
                if !sales.contains(&known.sale) {
                    sales.insert(known.sale.clone());
                }
            }
        }
        sales
    }

    /// Tells those who wait their places, by sale and queue number. Each room hears again when half of the time that it
    /// was told has passed: who is far behind is not told every second of a crowd that all others are told of, too, and
    /// what a shopper costs grows with the length of the queue by its logarithm only.
    pub fn tell_places(&self, now: Duration, place: impl Fn(&str, i64) -> Place) {
        for mut room in self.rooms.iter_mut() {
            room.tell_places(now, &place);
        }
    }

    /// Sends a frame to everybody who watches a sale.
    pub fn broadcast(&self, sale: &str, frame: &str) {
        let Some(mut watchers) = self.watchers.get_mut(sale) else { return };
        let frame = Utf8Bytes::from(frame);
        // A slow one misses a stock message and gets the next: nothing is owed to it.
        watchers.retain(|_, sender| {
            let sent = sender.upgrade().map(|sender| sender.try_send(frame.clone()));
            !matches!(sent, None | Some(Err(mpsc::error::TrySendError::Closed(_))))
        });
    }

    /// Sales that somebody here watches.
    #[must_use]
    pub fn watched(&self) -> Vec<String> {
        self.watchers.iter().map(|entry| entry.key().clone()).collect()
    }

    /// Remembers an order, so that its place can be told, and neither its end nor a refund can be missed.
    ///
    /// It was told to one: as the answer to a call, or in a snapshot. Unless nobody else is in the room, that says nothing
    /// about the others; they are told when it is compared.
    pub fn expect(&self, order: &Order, in_snapshot: bool) {
        if let Some(mut room) = self.rooms.get_mut(&order.customer) {
            let all_know = in_snapshot && room.connections.len() == 1;
            room.expect(order, all_know);
        }
    }

    /// Messages may have been lost, of any order.
    pub fn has_missed(&self) {
        self.missed.store(true, Ordering::Relaxed);
    }

    /// Whose rooms are live and may have missed something; asking once is enough.
    #[must_use]
    pub fn rooms_in_doubt(&self) -> Vec<Uuid> {
        if !self.missed.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        self.rooms.iter().map(|room| *room.key()).collect()
    }

    /// Whether a live room was told of this order as it is, or of a later version.
    #[must_use]
    pub fn has_told(&self, order: &Order) -> bool {
        let told = |room: &Room| room.orders.get(&order.id).is_some_and(|known| known.version >= order.version);
        self.rooms.get(&order.customer).is_none_or(|room| told(&room))
    }

    /// Whether a live room was told of a later version of this order.
    #[must_use]
    pub fn knows_newer(&self, order: &Order) -> bool {
        let known = |room: &Room| room.orders.get(&order.id).is_some_and(|known| known.version > order.version);
        self.rooms.get(&order.customer).is_some_and(|room| known(&room))
    }

    /// Orders of live rooms of which more is expected.
    #[must_use]
    pub fn open_orders(&self) -> Vec<(Uuid, Known)> {
        let mut found = Vec::new();
        for room in &self.rooms {
            let open = room.orders.iter().filter(|(_, known)| !known.settled);
            found.extend(open.map(|(id, known)| (*id, known.clone())));
        }
        found
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

/// What the hub needs to see of a frame.
#[derive(serde::Deserialize)]
struct Glance {
    order: Option<GlanceOrder>,
}

#[derive(serde::Deserialize)]
struct GlanceOrder {
    id: Uuid,
    state: String,
    version: i64,
    sale: String,
    queue_number: Option<i64>,
    refunding: i64,
}

impl Room {
    fn expect(&mut self, order: &Order, all_know: bool) {
        let known = Known {
            customer: order.customer,
            sale: order.sale.clone(),
            queue_number: order.state.is_in_queue().then_some(order.queue_number),
            version: if all_know { order.version } else { 0 },
            settled: all_know && order.state.is_final() && order.refunding == 0,
        };
        if all_know {
            self.remember(order.id, known);
        } else if let Entry::Vacant(place) = self.orders.entry(order.id) {
            place.insert(known);
            self.places_due = None;
        }
    }

    /// Keeps what is known of orders true; one that another process accepted is heard of here first. Whether it is not
    /// older than what is known.
    fn note(&mut self, customer: Uuid, frame: &str) -> bool {
        let Ok(Glance { order: Some(seen) }) = serde_json::from_str(frame) else { return true };
        // A state that is only displayed, as `refunded`, is one of a paid order.
        let state = seen.state.parse::<State>().unwrap_or(State::Paid);
        let queue_number = seen.queue_number.filter(|_| state.is_in_queue());
        let settled = state.is_final() && seen.refunding == 0;
        self.remember(seen.id, Known { customer, sale: seen.sale, queue_number, version: seen.version, settled })
    }

    fn tell_places(&mut self, now: Duration, place: &impl Fn(&str, i64) -> Place) {
        if self.orders.is_empty() || self.places_due.is_some_and(|due| now < due) {
            return;
        }
        let waiting = self.orders.iter().filter_map(|(id, known)| Some((*id, known, known.queue_number?)));
        let orders = waiting.map(|(id, known, number)| PlaceView { id, place: place(&known.sale, number) });
        let orders: Vec<PlaceView> = orders.collect();
        if orders.is_empty() {
            return;
        }
        let soonest = orders.iter().filter_map(|order| order.place.eta_ms).min();
        let half = Duration::from_millis(soonest.map_or(0, |eta| eta.unsigned_abs() / 2));
        let due = now + half.clamp(PLACES_EVERY.0, PLACES_EVERY.1) - SLACK;
        if self.places_due.replace(due).is_some() {
            self.send(&Message::Queue { orders }.to_json().into());
        }
    }

    /// Whether it was news, or at least not older than what was known.
    fn remember(&mut self, order: Uuid, known: Known) -> bool {
        let is_older = |before: &Known| Guard::ToldVersion.refuses(before.version > known.version);
        let keeps_up = !self.orders.get(&order).is_some_and(is_older);
        if keeps_up && self.orders.insert(order, known).is_none() {
            self.places_due = None;
        }
        keeps_up
    }

    /// Sends to every connection; one whose buffer is full is dropped, and recovers by a snapshot.
    fn send(&mut self, frame: &Utf8Bytes) {
        self.connections.retain(|(_, sender)| {
            let kept = sender.try_send(frame.clone()).is_ok();
            if !kept {
                metrics::counter!("room_slow_connections_dropped_total").increment(1);
            }
            kept
        });
    }
}
