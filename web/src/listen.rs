//! Connections as they come: accepted, bounded, spoken to in HTTP/1.1, and let go in order.
//!
//! This is hyper without the layer that axum would put around it, which knows neither a limit for slow heads nor how large
//! a buffer may grow.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// Connections that wait to be accepted: a whole crowd may knock within one of our ticks. The system may allow fewer
/// (`net.core.somaxconn`).
const BACKLOG: u32 = 4_096;
/// A request's head has to be there within this time; so has the next one's on a connection that is kept. Longer than
/// proxies keep an idle connection by default (60 s), so that it is they who close it.
const HEAD_WITHIN: Duration = Duration::from_secs(65);
/// Bytes of a request's head, or of a part of its body, that are held at most.
const BUFFER_BYTES: usize = 32 * 1024;
/// A connection that is kept may have a request on its way when the process is told to end: it is open for so long, and closed
/// with its next answer. (RFC 9112, 9.6: who closes an idle connection may cut one off.)
const LINGER: Duration = Duration::from_secs(2);
/// How long nobody is accepted after the process was out of files or memory.
const RECOVER: Duration = Duration::from_millis(20);

/// Listens for a crowd.
///
/// # Errors
/// The system's, if the address cannot be had.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until told to stop; then requests that are under way are finished.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    accept(listener, router, shutdown, HEAD_WITHIN).await;
}

async fn accept(listener: TcpListener, router: Router, shutdown: CancellationToken, head_within: Duration) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(connection(stream, peer, router.clone(), shutdown.clone(), head_within));
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted for a moment");
                tokio::time::sleep(RECOVER).await;
            }
        }
    }
    // Who had knocked before is let in: a connection that waits here is reset when nobody listens any more.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        connections.spawn(connection(stream, peer, router.clone(), shutdown.clone(), head_within));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Whether a client was gone before it was accepted.
fn is_the_clients(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
    head_within: Duration,
) {
    // A small frame should not wait for the acknowledgement of the one before (Nagle's algorithm, RFC 896).
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let ending = shutdown.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let (answering, ending) = (router.clone().oneshot(request), ending.clone());
        async move {
            let mut answered = answering.await;
            if let Ok(response) = &mut answered
                && ending.is_cancelled()
                && response.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answered
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_within).max_buf_size(BUFFER_BYTES);
    let mut serving = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = async { shutdown.cancelled().await; tokio::time::sleep(LINGER).await } => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended in disorder");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_head_that_never_ends_is_closed_and_one_that_does_is_answered() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(accept(listener, router, shutdown.clone(), Duration::from_millis(200)));
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost: slow\r\nX-").await.unwrap();
        let mut heard = Vec::new();
        slow.read_to_end(&mut heard).await.unwrap();
        assert!(!String::from_utf8_lossy(&heard).contains("200 OK"), "closed, and not answered");
        let mut quick = TcpStream::connect(address).await.unwrap();
        quick.write_all(b"GET / HTTP/1.1\r\nHost: quick\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut heard = String::new();
        quick.read_to_string(&mut heard).await.unwrap();
        assert!(heard.starts_with("HTTP/1.1 200 OK") && heard.ends_with("here"), "{heard}");
        shutdown.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn who_is_connected_when_it_ends_is_answered_once_more_and_then_let_go() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let shutdown = CancellationToken::new();
        let mut kept = TcpStream::connect(address).await.unwrap();
        kept.write_all(b"GET / HTTP/1.1\r\nHost: kept\r\n\r\n").await.unwrap();
        let serving = tokio::spawn(accept(listener, router, shutdown.clone(), HEAD_WITHIN));
        let mut first = [0; 1024];
        let read = kept.read(&mut first).await.unwrap();
        assert!(!String::from_utf8_lossy(&first[..read]).contains("connection: close"), "it may ask again");
        shutdown.cancel();
        kept.write_all(b"GET / HTTP/1.1\r\nHost: kept\r\n\r\n").await.unwrap();
        let mut heard = String::new();
        kept.read_to_string(&mut heard).await.unwrap();
        assert!(heard.starts_with("HTTP/1.1 200 OK") && heard.contains("connection: close"), "{heard}");
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn who_knocked_before_the_end_is_let_in() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let mut waiting = TcpStream::connect(address).await.unwrap();
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let serving = tokio::spawn(accept(listener, router, shutdown, HEAD_WITHIN));
        waiting.write_all(b"GET / HTTP/1.1\r\nHost: waits\r\n\r\n").await.unwrap();
        let mut heard = String::new();
        waiting.read_to_string(&mut heard).await.unwrap();
        assert!(heard.starts_with("HTTP/1.1 200 OK") && heard.ends_with("here"), "{heard}");
        serving.await.unwrap();
    }
}
