//! Who may come in by which door.

use futures::StreamExt as _;
use tests::harness::shop::Shop;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

#[tokio::test]
async fn a_socket_opens_with_header_with_address_or_with_cookie_and_origin() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let (_, session) = client.get("/api/session").await;
    assert!(session["customer"].is_string());
    client.room(&[]).await.next_of("welcome").await;
    let mut by_address = client.try_room("demo").await.unwrap_or_else(|status| panic!("{status}"));
    assert_eq!(by_address.next_of("welcome").await["customer"], client.id.to_string());

    let request = hyper::Request::get(format!("{}/api/session", shop.url())).body(http_body_util::Full::default());
    let reply = tests::harness::client::exchange(request.unwrap()).await.unwrap();
    let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
    let mut request = format!("{}/ws", shop.url().replacen("http", "ws", 1)).into_client_request().unwrap();
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    request.headers_mut().insert("origin", shop.url().parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    let welcome = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(welcome.contains(reply.json()["customer"].as_str().unwrap()), "{welcome}");
}
