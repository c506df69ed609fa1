//! What operators see of a shop that sells: their socket, their page, and `stampede top`.

mod live;
mod top;

use serde_json::Value;
use tests::harness::client::Room;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Opens the live page's socket with these headers; the status of a refusal.
async fn try_look(base: &str, headers: &[(&'static str, &str)]) -> Result<Room, u16> {
    let url = format!("{}/ops/live", base.replacen("http", "ws", 1));
    let mut request = url.into_client_request().expect("a request");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a header"));
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok((socket, _)) => Ok(Room { socket }),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("no socket: {error}"),
    }
}

/// Looks from a page of the shop's own, with this cookie; the welcome comes along.
async fn look(base: &str, cookie: &str) -> (Room, Value) {
    let mut room = try_look(base, &[("cookie", cookie), ("origin", base)]).await.expect("a socket");
    let welcome = room.next().await.expect("a welcome");
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    (room, welcome)
}
