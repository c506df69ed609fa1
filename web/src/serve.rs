//! The web process as it runs: its listener, and the tasks behind its sockets.

use std::collections::HashMap;
use std::time::Duration;

use shared::guards::Guard;
use shared::message::Message;
use shared::order::Order;
use shared::rooms::{Envelope, Received};
use shared::steer::NEWS;
use shared::stock::{Levels, keeper};
use shared::telemetry::traces::Marks;
use shared::telemetry::watch;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::{board, listen, losers, progress, router, sales, snapshot};

/// Stock messages of a sale leave at most this often.
const STOCK_EVERY: Duration = Duration::from_millis(250);
/// The sales are read again, and looked for in the stock, this often.
const CATALOGUE_EVERY: Duration = Duration::from_secs(1);
/// It is looked this often who is to be told their place in the queue.
const PLACES_EVERY: Duration = Duration::from_secs(1);
/// Live rooms are compared with the ledger this often.
const COMPARE_EVERY: Duration = Duration::from_secs(15);
/// Requests that are under way when the process is told to stop may take this long.
const DRAIN: Duration = Duration::from_secs(10);
/// Sockets get this long to take the word that they should connect elsewhere.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves until `shutdown`, then tells sockets to connect elsewhere, and finishes requests.
///
/// # Errors
/// When the rooms cannot be subscribed, or the listener fails.
pub async fn serve(app: App, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
    let tasks = TaskTracker::new();
    app.catalogue.refresh(&*app.ledger).await?;
    let subscription = app.rooms.subscribe().await?;
    let end = CancellationToken::new();
    tasks.spawn(end.clone().run_until_cancelled_owned(deliver(app.clone(), subscription)));
    tasks.spawn(end.clone().run_until_cancelled_owned(keep_catalogue(app.clone())));
    tasks.spawn(end.clone().run_until_cancelled_owned(every(progress::SAMPLE_EVERY, app.clone(), sample)));
    tasks.spawn(end.clone().run_until_cancelled_owned(every(PLACES_EVERY, app.clone(), tell_places)));
    tasks.spawn(end.clone().run_until_cancelled_owned(announce(app.clone())));
    tasks.spawn(end.clone().run_until_cancelled_owned(every(COMPARE_EVERY, app.clone(), compare)));
    tasks.spawn(end.clone().run_until_cancelled_owned(every(watch::SUM_UP_EVERY, app.clone(), sum_up)));
    tasks.spawn(end.clone().run_until_cancelled_owned(board::keep_looking(app.clone())));
    tasks.spawn(end.clone().run_until_cancelled_owned(tell_stock(app.clone())));
    tasks.spawn(end.clone().run_until_cancelled_owned(look_what_is_gone(app.clone())));
    let going_down = app.going_down.clone();
    let told = shutdown.clone();
    tasks.spawn(async move {
        told.cancelled().await;
        going_down.cancel();
    });
    tasks.close();
    tokio::select! {
        () = listen::serve(listener, router(app.clone()), shutdown.clone()) => {}
        () = async { shutdown.cancelled().await; tokio::time::sleep(DRAIN).await } => {
            tracing::warn!("some requests were cut off at the drain deadline");
        }
    }
    app.conversations.close();
    if tokio::time::timeout(FAREWELL, app.conversations.wait()).await.is_err() {
        tracing::warn!(sockets = app.conversations.len(), "some sockets did not take their farewell in time");
    }
    end.cancel();
    tasks.wait().await;
    Ok(())
}

async fn every<F: Future<Output = ()> + Send>(period: Duration, app: App, act: impl Fn(App) -> F) {
    let mut tick = tokio::time::interval(period);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        act(app.clone()).await;
    }
}

/// What is published reaches the rooms here. After a gap in the subscription, live rooms get what they may have missed.
///
/// Public, as the next two, for whoever runs the tasks of a process one by one.
pub async fn deliver(app: App, mut subscription: Box<dyn shared::rooms::Subscription>) {
    let mut marks = Marks::default();
    while let Some(received) = subscription.next().await {
        match received {
            Received::Message(envelope) if envelope.room == NEWS => app.sales_changed.notify_one(),
            Received::Message(envelope) => {
                if let Some(push) = marks.span_of(&envelope, || app.hub.is_open(envelope.room)) {
                    push.in_scope(|| app.hub.deliver(&envelope));
                }
            }
            Received::Interrupted => {
                metrics::counter!("rooms_interrupted_total").increment(1);
                if Guard::GapHeeded.is_on() {
                    app.hub.has_missed();
                }
                compare_open(&app).await;
            }
        }
    }
}

/// Keeps the sales as they are in the ledger: read now and then, and at once when somebody has steered one.
async fn keep_catalogue(app: App) {
    let mut tick = tokio::time::interval(CATALOGUE_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let steered = tokio::select! {
            _ = tick.tick() => false,
            () = app.sales_changed.notified() => true,
        };
        refresh(app.clone()).await;
        if steered {
            app.losers.doubt();
            app.stock_changed.notify_one();
        }
    }
}

/// Reads the sales again, and sees to it that the stock knows them.
pub async fn refresh(app: App) {
    if let Err(error) = app.catalogue.refresh(&*app.ledger).await {
        tracing::warn!(%error, "the sales could not be read again");
    }
    let sales: Vec<(String, u64)> = app.catalogue.sales().iter().map(|sale| (sale.slug.clone(), sale.epoch)).collect();
    if let Err(error) = keeper::restore(&*app.ledger, &*app.stock, &sales).await {
        tracing::warn!(%error, "a sale that the stock has lost could not be rebuilt yet");
    }
}

/// Nobody may ever ask for the metrics; what they take must not grow with the number of requests.
async fn sum_up(app: App) {
    app.watch.sum_up();
}

async fn sample(app: App) {
    if let Err(error) = app.progress.sample(&*app.ledger).await {
        tracing::warn!(%error, "the counters could not be read");
    }
    app.admission.hear(app.progress.is_behind());
}

/// Tells pending shoppers their place; one message a second at most for each room that waits.
async fn tell_places(app: App) {
    for sale in app.hub.queues() {
        app.progress.watch(&*app.ledger, &sale).await;
    }
    app.hub.tell_places(app.env.monotonic(), |sale, number| app.progress.place(sale, number));
}

/// Tells rooms, wherever they are open, of orders that were accepted here: who paid in one tab sees it in the others, too.
/// A process that dies before it told leaves that to whoever ends the order.
pub async fn announce(app: App) {
    loop {
        let Some(due_at) = app.announcements.due_at() else {
            app.announcements.any().await;
            continue;
        };
        app.env.sleep(due_at.saturating_sub(app.env.monotonic())).await;
        let mut accepted = app.announcements.take(app.env.monotonic());
        accepted.retain(|order| !app.hub.knows_newer(order));
        let now = app.ledger.now();
        let frame = |order: &Order| Message::order(order, now, app.progress.place_of(order)).to_json().into();
        let envelopes = accepted.iter().map(|order| Envelope { room: order.customer, frame: frame(order) }).collect();
        if let Err(error) = app.rooms.publish(envelopes).await {
            let orders = accepted.len();
            tracing::warn!(orders, %error, "rooms were not told of new orders; their answers tell the buyers");
        }
    }
}

/// Compares what live rooms were told with the ledger, and tells what they missed: of open orders always; after a gap of
/// all rooms, since an order may have come and ended meanwhile that nobody here has heard of.
pub async fn compare(app: App) {
    compare_open(&app).await;
    let mut rooms = app.hub.rooms_in_doubt();
    // Always in the same order: what happens next should follow from what happened.
    rooms.sort_unstable();
    for customers in rooms.chunks(1_000) {
        match app.ledger.orders_of(customers, snapshot::ORDERS_MAX).await {
            Ok(orders) => tell_missed(&app, &orders),
            Err(error) => {
                app.hub.has_missed();
                return tracing::warn!(%error, "live rooms could not be compared with the ledger");
            }
        }
    }
}

/// Compares the orders of which more is expected, in one query per thousand.
async fn compare_open(app: &App) {
    let mut open: Vec<uuid::Uuid> = app.hub.open_orders().into_iter().map(|(id, _)| id).collect();
    open.sort_unstable();
    for ids in open.chunks(1_000) {
        match app.ledger.orders(ids).await {
            Ok(orders) => tell_missed(app, &orders),
            Err(error) => return tracing::warn!(%error, "live rooms could not be compared with the ledger"),
        }
    }
}

fn tell_missed(app: &App, orders: &[Order]) {
    let missed = |order: &&Order| Guard::RoomsCompared.refuses(!app.hub.has_told(order));
    for order in orders.iter().filter(missed) {
        let frame = Message::order(order, app.ledger.now(), app.progress.place_of(order)).to_json();
        app.hub.deliver(&Envelope { room: order.customer, frame: frame.into() });
    }
}

/// Tells the stock of watched sales when it has changed, a few times a second at most, serialised once for all; at once
/// when somebody has steered a sale.
async fn tell_stock(app: App) {
    let mut told: HashMap<String, (Levels, shared::sale::Status)> = HashMap::new();
    let mut tick = tokio::time::interval(STOCK_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = app.stock_changed.notified() => {}
        }
        let watched = app.hub.watched();
        told.retain(|sale, _| watched.contains(sale));
        for slug in watched {
            let Some(sale) = app.catalogue.sale(&slug) else { continue };
            let levels = app.stock.levels(&slug).await.ok().flatten();
            let status = sales::status(&sale, levels.as_ref(), app.ledger.now());
            let last = || told.get(&slug).map(|(levels, _)| levels.clone());
            let Some(levels) = levels.or_else(last) else { continue };
            let now = (levels, status);
            if told.get(&slug) != Some(&now) {
                app.hub.broadcast(&slug, &Message::stock(&slug, &now.0, now.1).to_json());
                told.insert(slug, now);
            }
        }
    }
}

/// Asks what is gone, as long as people come for it; at once when somebody was refused for the first time.
pub async fn look_what_is_gone(app: App) {
    loop {
        if app.losers.are_gone() {
            app.losers.somebody().await;
        } else {
            app.env.sleep(losers::LOOK_EVERY).await;
        }
        app.losers.look(&*app.stock, &*app.ledger).await;
    }
}

#[cfg(test)]
pub(crate) mod tests;
