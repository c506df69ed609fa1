//! What a process tells its rooms when messages were lost on the way to it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, poll};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use shared::access::memory::MemoryAccess;
use shared::env::{Env, Seeded};
use shared::fleet::memory::MemoryFleet;
use shared::ledger::book::Terms;
use shared::ledger::conformance::demo;
use shared::ledger::memory::MemoryLedger;
use shared::ledger::{Accept, Accepted, Change, Control, Ledger as _, RefundRequest, RefundWhat, Word};
use shared::message::{Message, Place};
use shared::order::{Order, Outcome, State, StoredRequest};
use shared::queue::memory::Memory;
use shared::rooms::Envelope;
use shared::rooms::memory::MemoryRooms;
use shared::sale::{PricedItem, Sale};
use shared::steer;
use shared::stock::memory::MemoryStock;
use uuid::Uuid;

use super::{compare, deliver, keep_catalogue, tell_stock};
use crate::app::{App, Page, Parts};
use crate::hub::{Connection, Hub};
use crate::limits::Limits;
use crate::snapshot;
use crate::webhooks::Door;

pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing waits here")
}

pub(crate) fn shop(env: &Env) -> (App, Arc<MemoryLedger>) {
    let ledger = Arc::new(MemoryLedger::new(env.clone(), Terms::default()));
    let app = App::new(Parts {
        env: env.clone(),
        ledger: ledger.clone(),
        stock: Arc::new(MemoryStock::new(env.clone())),
        queue: Arc::new(Memory::new(env.clone(), shared::queue::QueueOptions::default())),
        rooms: Arc::new(MemoryRooms::default()),
        budget: Arc::new(shared::budget::Budget::alone(env.clone(), shared::budget::Limits::default())),
        fleet: Arc::new(MemoryFleet::new(env.clone())),
        session_secret: vec![7; 32],
        access: Arc::new(MemoryAccess::new(env.clone())),
        operator_key: None,
        page: Page::of_stripe("pk_test_1".into()),
        public_url: None,
        webhooks: Door::new(Vec::new(), false),
        limits: Limits::new(Vec::new(), false),
        capacity: crate::admission::Capacity::default(),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
    });
    (app, ledger)
}

pub(crate) fn paid_order(env: &Env, ledger: &MemoryLedger, customer: Uuid) -> Order {
    now(ledger.create_sale(demo(5, None))).unwrap();
    let accept = Accept {
        order: env.uuid_v7(),
        customer,
        hold: env.uuid_v7(),
        sale: "demo".into(),
        epoch: Some(1),
        items: vec![PricedItem { tier: "std".into(), quantity: 2, amount: 2_500 }],
        currency: "usd".parse().unwrap(),
        email: "a@example.com".into(),
        name: "A. Shopper".into(),
        token: "tok_visa".into(),
        think_ms: 0,
        accept_by: env.now(),
        short_line: 0,
    };
    let Accepted::New(order) = now(ledger.accept(accept)).unwrap() else { panic!("not accepted") };
    let request = |_: &Order, _: &_, _: Option<&Sale>| {
        Ok(StoredRequest { path: "/v1/payment_intents".into(), body: String::new(), version: "v".into() })
    };
    now(ledger.claim(order.id, 1, request)).unwrap();
    let outcome = Outcome::Succeeded {
        payment_intent: Some("pi_1".into()),
        charge: Some("ch_1".into()),
        amount: order.amount,
        currency: order.currency,
    };
    let applied = now(ledger.apply(order.id, Change::Observed { attempt: 1, outcome })).unwrap();
    applied.order().cloned().unwrap()
}

fn join(app: &App, customer: Uuid) -> Connection {
    Hub::join(app, customer, Vec::new()).unwrap_or_else(|_| panic!("it may join"))
}

/// A tab that a customer has just opened.
fn tab(app: &App, customer: Uuid) -> Connection {
    let tab = join(app, customer);
    now(snapshot::take(app, customer, &[])).unwrap();
    tab
}

/// What a connection was told since it was last asked.
fn told(connection: &mut Connection) -> Vec<(i64, String)> {
    let mut told = Vec::new();
    while let Ok(frame) = connection.frames.try_recv() {
        let frame: Value = serde_json::from_str(&frame).unwrap();
        let order = &frame["order"];
        told.push((order["version"].as_i64().unwrap(), order["state"].as_str().unwrap().to_owned()));
    }
    told
}

#[test]
fn a_refund_that_a_gap_in_the_rooms_has_swallowed_is_told_all_the_same() {
    let env = Seeded::new(260).env();
    let (app, ledger) = shop(&env);
    let order = paid_order(&env, &ledger, env.uuid_v4());
    let mut tab = tab(&app, order.customer);
    // An operator's refund at another door, and its message is lost on the way here.
    let (request, what) = (env.uuid_v4(), RefundWhat::Amount(1_000));
    let wish = RefundRequest { request, order: order.id, what, note: None, restock: false, by: "operator".into() };
    now(ledger.request_refund(wish)).unwrap();
    now(compare(app.clone()));
    assert!(told(&mut tab).is_empty(), "nothing is expected of an order that is paid");
    app.hub.has_missed();
    now(compare(app.clone()));
    assert_eq!(told(&mut tab), [(order.version + 1, "paid".to_owned())]);
    // While the refund is under way its end is expected, gap or not.
    let refund = now(ledger.refunds_of(order.id)).unwrap().remove(0);
    let (state, stripe_id) = (shared::ledger::RefundState::Succeeded, Some("re_1".into()));
    let news = shared::ledger::RefundNews { refund: refund.id, state, stripe_id, note: None, spent_key: None };
    now(ledger.record_refund(order.id, news)).unwrap();
    now(compare(app.clone()));
    assert_eq!(told(&mut tab), [(order.version + 2, "partially_refunded".to_owned())]);
    app.hub.has_missed();
    now(compare(app));
    assert!(told(&mut tab).is_empty(), "and it is told once");
}

#[test]
fn an_order_that_came_and_ended_within_a_gap_is_told_to_the_tab_at_the_other_door() {
    let env = Seeded::new(2).env();
    let (app, ledger) = shop(&env);
    let customer = env.uuid_v4();
    let mut tab = tab(&app, customer);
    let order = paid_order(&env, &ledger, customer);
    now(compare(app.clone()));
    assert!(told(&mut tab).is_empty(), "nobody here has heard of it");
    app.hub.has_missed();
    now(compare(app));
    assert_eq!(told(&mut tab), [(order.version, "paid".to_owned())]);
}

#[test]
fn a_subscription_that_has_lost_messages_has_its_rooms_compared() {
    let env = Seeded::new(3).env();
    let (app, ledger) = shop(&env);
    let customer = env.uuid_v4();
    let mut tab = tab(&app, customer);
    let subscription = now(app.rooms.subscribe()).unwrap();
    let order = paid_order(&env, &ledger, customer);
    // So many messages to others that those of this room are forgotten.
    let stranger = Envelope { room: env.uuid_v4(), frame: "{}".into() };
    for _ in 0..100 {
        now(app.rooms.publish(vec![stranger.clone(); 1_000])).unwrap();
    }
    assert!(deliver(app.clone(), subscription).now_or_never().is_none(), "it waits for more");
    now(compare(app));
    assert_eq!(told(&mut tab), [(order.version, "paid".to_owned())]);
}

#[test]
fn an_old_message_that_comes_late_does_not_make_a_room_forget_what_it_was_told() {
    let env = Seeded::new(4).env();
    let (app, ledger) = shop(&env);
    let customer = env.uuid_v4();
    let order = paid_order(&env, &ledger, customer);
    let mut tab = tab(&app, customer);
    let old = Order { state: State::Charging, version: order.version - 1, ..order.clone() };
    let frame = Message::order(&old, env.now(), None).to_json().into();
    app.hub.deliver(&Envelope { room: customer, frame });
    assert!(told(&mut tab).is_empty(), "it was told the newer one before: this is no news");
    app.hub.has_missed();
    now(compare(app));
    assert!(told(&mut tab).is_empty(), "and has missed nothing");
}

#[test]
fn who_waits_long_is_told_their_place_seldom_and_more_often_the_nearer_it_comes() {
    let env = Seeded::new(5).env();
    let (app, ledger) = shop(&env);
    let paid = paid_order(&env, &ledger, env.uuid_v4());
    let mut tab = join(&app, paid.customer);
    let waiting = Order { state: State::Accepted, version: 1, ..paid.clone() };
    app.hub.expect(&waiting, false);
    assert_eq!(app.hub.queues(), [waiting.sale.clone()].into());
    let mut tell = |at_s: u64, eta_s: Option<i64>| {
        let place = Place { position: 7, eta_ms: eta_s.map(|s| s * 1_000) };
        app.hub.tell_places(Duration::from_secs(at_s), |_, _| place);
        std::iter::from_fn(|| tab.frames.try_recv().ok()).count()
    };
    let mut told_at = |from: u64, to: u64, eta_s: &dyn Fn(u64) -> Option<i64>| {
        (from..to).filter(|at| tell(*at, eta_s(*at)) > 0).collect::<Vec<u64>>()
    };
    let by_halves = told_at(0, 16, &|at| Some(16 - i64::try_from(at).unwrap()));
    assert_eq!(by_halves, [8, 12, 14, 15], "the first place came with the answer");
    assert_eq!(told_at(16, 40, &|_| Some(4_000)), [16, 26, 36], "however long it takes");
    assert_eq!(told_at(46, 49, &|_| None), [46, 47, 48], "nobody knows how long: every second");
    // A second order counts anew, whatever was said of the first.
    assert_eq!(told_at(49, 50, &|_| Some(4_000)), [49]);
    app.hub.expect(&Order { id: env.uuid_v7(), ..waiting }, false);
    assert_eq!(told_at(50, 54, &|at| Some(if at == 50 { 4 } else { 60 })), [52]);
    app.hub.deliver(&Envelope { room: paid.customer, frame: Message::order(&paid, env.now(), None).to_json().into() });
    assert!(app.hub.open_orders().len() == 1, "the one that is paid waits no longer");
}

/// Each task goes as far as it can without any time that passes: no look that comes by itself takes part.
#[tokio::test]
async fn who_watches_a_sale_hears_at_once_that_it_was_steered_in_another_process() {
    let env = Seeded::new(261).env();
    let (app, ledger) = shop(&env);
    now(ledger.create_sale(demo(5, None))).unwrap();
    let image = now(ledger.begin_epoch("demo", "run")).unwrap().unwrap();
    now(app.stock.rebuild(image)).unwrap();
    now(app.catalogue.refresh(&*app.ledger)).unwrap();
    let subscription = now(app.rooms.subscribe()).unwrap();
    let (mut hears, mut reads) = (pin!(deliver(app.clone(), subscription)), pin!(keep_catalogue(app.clone())));
    let mut tells = pin!(tell_stock(app.clone()));
    let mut watcher = Hub::join(&app, env.uuid_v4(), vec!["demo".into()]).unwrap_or_else(|_| panic!("it may join"));
    let mut go_on = async || -> Vec<String> {
        assert!(poll!(&mut hears).is_pending() && poll!(&mut reads).is_pending() && poll!(&mut tells).is_pending());
        let frames = std::iter::from_fn(|| watcher.frames.try_recv().ok());
        frames.map(|frame| serde_json::from_str::<Value>(&frame).unwrap()["status"].to_string()).collect()
    };
    assert!(go_on().await.is_empty(), "nobody has looked yet");
    app.stock_changed.notify_one();
    assert_eq!(go_on().await, ["\"open\""]);

    // Somebody steers at another door: all that this process gets is the ledger's new state, and the news.
    for (control, status) in
        [(Control::Pause, "\"paused\""), (Control::Resume, "\"open\""), (Control::Close, "\"closed\"")]
    {
        now(ledger.control("demo", control, &Word::of("ann"))).unwrap();
        steer::news(Some(&app.rooms)).await;
        assert_eq!(go_on().await, [status]);
    }
}
