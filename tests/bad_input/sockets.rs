//! Sockets that talk too much, too large, or never listen.

use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use tests::harness::client::{Client, Room};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async};

use super::{open_shop, still_sells};

/// RFC 6455: "policy violation".
const POLICY: u16 = 1008;
const CLOSED_WITHIN: Duration = Duration::from_secs(30);
const MIB: u64 = 1024 * 1024;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Reads until the socket is closed; the code.
async fn closed(mut from: SplitStream<Socket>) -> Option<u16> {
    let reading = async {
        while let Some(Ok(message)) = from.next().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| frame.code.into());
            }
        }
        None
    };
    tokio::time::timeout(CLOSED_WITHIN, reading).await.expect("it is closed")
}

/// Sends the same frame again and again, until the other side has had enough.
async fn talk(mut to: SplitSink<Socket, Message>, frame: Message, times: usize) {
    for _ in 0..times {
        if to.send(frame.clone()).await.is_err() {
            return;
        }
    }
}

async fn flood(client: &Client, frame: Message, times: usize) -> Option<u16> {
    let mut room = client.room(&["gate"]).await;
    room.next_of("welcome").await;
    let (to, from) = room.socket.split();
    let (code, ()) = tokio::join!(closed(from), talk(to, frame, times));
    code
}

#[tokio::test]
async fn a_client_that_sends_ten_thousand_frames_at_once_is_closed_with_1008() {
    let shop = open_shop().await;
    let before = shop.process().memory();
    let client = shop.customer().await;
    let ping = Message::text(r#"{"type":"ping"}"#);
    for frame in
        [ping, Message::text("x".repeat(1_000)), Message::binary(vec![0; 1_000]), Message::Ping(vec![0; 100].into())]
    {
        assert_eq!(flood(&client, frame, 10_000).await, Some(POLICY));
    }
    let more = shop.process().memory().saturating_sub(before);
    assert!(more < 32 * MIB, "{} MiB more", more / MIB);
    still_sells(&shop).await;
}

#[tokio::test]
async fn a_frame_that_is_too_large_closes_the_socket_with_1008() {
    let shop = open_shop().await;
    let before = shop.process().memory();
    let client = shop.customer().await;
    for size in [2 * 1024, 10 * 1024 * 1024] {
        assert_eq!(flood(&client, Message::text("x".repeat(size)), 1).await, Some(POLICY), "{size} bytes");
        assert_eq!(flood(&client, Message::binary(vec![1; size]), 1).await, Some(POLICY), "{size} bytes");
    }
    let more = shop.process().memory().saturating_sub(before);
    assert!(more < 32 * MIB, "{} MiB more", more / MIB);
    still_sells(&shop).await;
}

#[tokio::test]
async fn what_a_client_says_is_ignored_but_ping() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    assert_eq!(room.next().await.unwrap()["type"], "welcome");
    for nonsense in ["", "{", "null", "[]", r#"{"type":"order","order":{"state":"paid"}}"#, r#"{"type":7}"#, "\u{0}"] {
        room.say(nonsense).await.unwrap();
    }
    room.socket.send(Message::binary(vec![0xff; 10])).await.unwrap();
    room.say(r#"{"type":"ping"}"#).await.unwrap();
    assert_eq!(room.next().await.unwrap()["type"], "pong");
    still_sells(&shop).await;
}

#[tokio::test]
async fn a_seventeenth_socket_of_one_customer_is_refused_until_one_is_closed() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let mut rooms: Vec<Room> = Vec::new();
    for _ in 0..16 {
        let mut room = client.try_room("gate").await.unwrap_or_else(|status| panic!("{status}"));
        room.next_of("welcome").await;
        rooms.push(room);
    }
    assert_eq!(client.try_room("gate").await.err(), Some(429));
    let (status, refusal) = client.get("/events").await;
    assert_eq!((status, &refusal["code"]), (429, &"slow_down".into()), "an event stream counts too");
    assert!(shop.customer().await.try_room("gate").await.is_ok(), "others are not concerned");

    let mut last = rooms.pop().unwrap();
    last.socket.close(None).await.unwrap();
    last.rest().await;
    // The server has answered the closing, and leaves the room right after.
    let entered = async {
        loop {
            if let Ok(room) = client.try_room("gate").await {
                return room;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(CLOSED_WITHIN, entered).await.unwrap().next_of("welcome").await;
    still_sells(&shop).await;
}

/// A socket whose client takes next to nothing into its buffers, and never reads.
async fn deaf(client: &Client, url: &str) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    let stream = socket.connect(url.replace("http://", "").parse().unwrap()).await.unwrap();
    let address = format!("{}/ws?sale=gate&access_token={}", url.replacen("http", "ws", 1), client.token);
    client_async(address.into_client_request().unwrap(), stream).await.unwrap().0
}

#[tokio::test]
async fn a_reader_that_never_reads_delays_nobody() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let before = shop.process().memory();
    let mut deaf_ones = Vec::new();
    for _ in 0..8 {
        deaf_ones.push(deaf(&client, &shop.url()).await);
    }
    let mut listening = client.room(&["gate"]).await;
    listening.next_of("welcome").await;
    let mut other = shop.customer().await.room(&["gate"]).await;
    other.next_of("welcome").await;

    for _ in 0..90 {
        let (order, (status, _)) = client.buy("gate", 1, "pm_card_visa").await;
        assert_eq!(status, 202);
        listening.until(order, &["paid"]).await;
    }
    while other.next_of("stock").await["tiers"][0]["free"] != 10 {}
    let more = shop.process().memory().saturating_sub(before);
    assert!(more < 32 * MIB, "{} MiB more", more / MIB);
    drop(deaf_ones);
    still_sells(&shop).await;
}
