//! Faults of processes, and of the servers beneath them.

use std::sync::Mutex;
use std::time::Duration;

use futures::future::join_all;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, TransactionTrait as _};
use tests::harness::client::{Client, post};
use tests::harness::proxy::Flow;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};
use uuid::Uuid;

use super::stage::{LIMITED, PANICKING, SHOP, Stage};

/// Sockets that are told something at a time; what they are told, how often, and how long it is. A room keeps 64 frames
/// for a socket, and the system some bytes.
const DEAF: usize = 12;
const FRAMES: usize = 100;
const FRAME_BYTES: usize = 64 << 10;
/// Longer than an alert allows a group of writes and an accept to take, and shorter than an accept may take at all.
const LOCKED_FOR: Duration = Duration::from_millis(2_800);

pub(super) async fn stories_of_one_web_process(stage: &Stage) {
    futures::join!(
        async {
            a_handler_panics(stage).await;
            more_want_to_buy_than_can_be_served(stage).await;
        },
        one_address_wants_sessions_without_end(stage),
        sockets_never_read(stage),
        a_process_is_nearly_full(stage),
    );
}

async fn a_handler_panics(stage: &Stage) {
    stage.quiet(["StampedePanics"]).await;
    let client = stage.fleet.customer(PANICKING).await;
    let (_, (status, answer)) = client.buy("night", 1, "pm_card_visa").await;
    assert_eq!((status, &answer["code"]), (500, &"internal".into()), "{answer}");
    stage.fire(["StampedePanics"]).await;
}

async fn more_want_to_buy_than_can_be_served(stage: &Stage) {
    let client = stage.fleet.customer(PANICKING).await;
    let crowd = async || {
        join_all((0..20).map(|_| client.hold("night", 1))).await;
    };
    stage.fires("StampedeShedding", crowd).await;
}

async fn one_address_wants_sessions_without_end(stage: &Stage) {
    let url = format!("{}/api/session", stage.fleet.url(LIMITED));
    let many = async || {
        let asked =
            join_all((0..10).map(|_| async { post(&url, None, &serde_json::json!({})).await.expect("the shop") }));
        asked.await;
    };
    stage.fires("StampedeClientsLimited", many).await;
}

/// A socket whose client takes next to nothing into its buffers, and never reads.
async fn deaf(client: &Client, url: &str) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(2_048).expect("a small buffer");
    let stream = socket.connect(url.replace("http://", "").parse().expect("an address")).await.expect("the shop");
    let address = format!("{}/ws?access_token={}", url.replacen("http", "ws", 1), client.token);
    client_async(address.into_client_request().expect("a request"), stream).await.expect("a room").0
}

async fn sockets_never_read(stage: &Stage) {
    let (url, kept) = (stage.fleet.url(SHOP), Mutex::new(Vec::new()));
    let mut connection = stage.fleet.redis.connection().await;
    let frame = format!("{{\"type\":\"noise\",\"text\":\"{}\"}}", "x".repeat(FRAME_BYTES));
    let connection = tokio::sync::Mutex::new(&mut connection);
    stage
        .fires("StampedeSlowSocketsDropped", async || {
            let client = stage.customer().await;
            for _ in 0..DEAF {
                let socket = deaf(&client, &url).await;
                kept.lock().expect("nobody panicked").push(socket);
            }
            let channel = format!("stampede:0:rooms:{}", client.id.as_u128() % 64);
            let length = u32::try_from(frame.len()).expect("a short frame").to_be_bytes();
            let message = [client.id.as_bytes(), &length[..], frame.as_bytes()].concat();
            let mut calls = redis::pipe();
            for _ in 0..FRAMES {
                calls.cmd("PUBLISH").arg(&channel).arg(&message).ignore();
            }
            let () = calls.query_async(*connection.lock().await).await.expect("Redis");
        })
        .await;
}

async fn a_process_is_nearly_full(stage: &Stage) {
    stage.quiet(["StampedeSocketsNearLimit"]).await;
    stage.set_sockets(15_301);
    stage.fire(["StampedeSocketsNearLimit"]).await;
}

pub(super) async fn stories_of_redis(stage: &mut Stage) {
    let redis = &stage.fleet.redis;
    stage
        .fires("StampedeRoomsInterrupted", async || {
            redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
            tokio::time::sleep(Duration::from_millis(400)).await;
        })
        .await;
    stage
        .fires("StampedeStockForgets", async || {
            redis.ask(&["FLUSHALL"]).await;
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        })
        .await;
    let client = stage.customer().await;
    stage.quiet(["StampedeUnavailable", "StampedeBudgetLost", "StampedeSweepFailing", "StampedeSweepStale"]).await;
    stage.fleet.redis.kill().await;
    let refused = async || {
        let asked = join_all((0..5).map(|_| client.hold("night", 1))).await;
        assert!(asked.iter().all(|(_, (status, _))| *status == 503), "{asked:?}");
    };
    futures::join!(
        stage.until_fires("StampedeUnavailable", refused),
        stage.fire(["StampedeBudgetLost", "StampedeSweepFailing", "StampedeSweepStale"]),
    );
    stage.fleet.redis.start_again().await;
    sells_again(stage).await;
}

async fn sells_again(stage: &Stage) {
    let sells = async {
        while stage.customer().await.hold("night", 1).await.1.0 != 201 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), sells).await.expect("the shop sells again");
}

/// A connection that does not take the shop's way.
async fn foreign(stage: &Stage) -> DatabaseConnection {
    Database::connect(stage.database.url()).await.expect("PostgreSQL")
}

pub(super) async fn stories_of_the_ledger(stage: &Stage) {
    let foreign = foreign(stage).await;
    a_lock_is_held(stage, &foreign).await;
    updates_write_nothing(stage, &foreign).await;
    foreign.close().await.expect("it is closed");
    the_ledger_is_cut_off(stage).await;
}

/// Again and again, until one group in a hundred of the last minute was slow.
async fn a_lock_is_held(stage: &Stage, foreign: &DatabaseConnection) {
    let clients = join_all((0..5).map(|_| stage.customer())).await;
    let lock_and_buy = async || {
        let lock = foreign.begin().await.expect("a transaction");
        lock.execute_unprepared("LOCK TABLE orders IN EXCLUSIVE MODE").await.expect("a lock");
        let buying = join_all(clients.iter().map(|client| client.buy("night", 1, "pm_card_visa")));
        let (bought, ()) = futures::join!(buying, async {
            tokio::time::sleep(LOCKED_FOR).await;
            lock.rollback().await.expect("the lock is given up");
        });
        assert!(bought.iter().all(|(_, (status, _))| *status == 202), "{bought:?}");
    };
    stage.quiet(["StampedeLedgerSlow", "StampedeAcceptsSlow"]).await;
    futures::join!(stage.until_fires("StampedeLedgerSlow", lock_and_buy), stage.fire(["StampedeAcceptsSlow"]));
}

async fn updates_write_nothing(stage: &Stage, foreign: &DatabaseConnection) {
    let trigger = "CREATE FUNCTION write_nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER write_nothing BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION write_nothing()";
    foreign.execute_unprepared(trigger).await.expect("a trigger");
    stage
        .fires("StampedeLedgerGuardFired", async || {
            stage.customer().await.buy("night", 1, "pm_card_visa").await;
        })
        .await;
    foreign.execute_unprepared("DROP TRIGGER write_nothing ON orders").await.expect("no trigger");
}

async fn the_ledger_is_cut_off(stage: &Stage) {
    let holding = async || {
        let client = stage.customer().await;
        let (hold, (status, answer)) = client.hold("night", 1).await;
        assert_eq!(status, 201, "{answer}");
        (client, hold)
    };
    let holds = join_all((0..5).map(|_| holding())).await;
    stage.wire.set(Flow::Refusing);
    stage.wire.cut();
    let refused = async || {
        let pay = async |(client, hold): &(Client, Uuid)| {
            client.post("/charges", &client.payment(Uuid::new_v4(), *hold, "pm_card_visa")).await
        };
        let asked = join_all(holds.iter().map(pay)).await;
        assert!(asked.iter().all(|(status, _)| *status == 503), "{asked:?}");
    };
    stage.fires("StampedeLedgerNotAnswering", refused).await;
    stage.wire.set(Flow::Free);
}
