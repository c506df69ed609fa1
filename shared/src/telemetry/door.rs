//! Where a process that serves no shop answers operators: `/metrics`, `/healthz` and `/readyz`, as the shop's own address
//! does. It is meant for a scraper and a supervisor, and bounded so that nobody else can make it cost more than that.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::watch::{ALIVE, METRICS_TYPE, SUM_UP_EVERY, Watch};
use crate::env::Env;

/// Connections at the same time; more of them wait until one has ended.
const CONNECTIONS: usize = 16;
/// Bytes of a request's head that are held at most; the least that hyper takes.
const BUFFER_BYTES: usize = 8 * 1024;
/// How long nobody is accepted after the process was out of files or memory.
const RECOVER: Duration = Duration::from_millis(100);

/// How long who asks may take.
#[derive(Clone, Copy)]
struct Bounds {
    /// Until the request's head is there.
    head: Duration,
    /// From the connection to the last byte of its answer: longer than a server that is away is waited for.
    whole: Duration,
}

const BOUNDS: Bounds = Bounds { head: Duration::from_secs(5), whole: Duration::from_secs(15) };

/// An open door.
pub struct Door {
    address: SocketAddr,
    end: CancellationToken,
    serving: JoinHandle<()>,
}

impl Door {
    /// Opens it. Port 0 leaves the choice to the system.
    ///
    /// # Errors
    /// The system's, if the address cannot be had.
    pub async fn open(address: SocketAddr, watch: Watch, env: Env) -> std::io::Result<Self> {
        Self::within(BOUNDS, address, watch, env).await
    }

    async fn within(bounds: Bounds, address: SocketAddr, watch: Watch, env: Env) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (address, end) = (listener.local_addr()?, CancellationToken::new());
        let answering = join(accept(listener, watch.clone(), env.clone(), bounds, end.clone()), sum_up(watch, env));
        let answering = end.clone().run_until_cancelled_owned(answering);
        let serving = tokio::spawn(async move {
            answering.await;
        });
        Ok(Self { address, end, serving })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes it; whoever is being answered is cut off.
    pub async fn close(self) {
        self.end.cancel();
        if let Err(error) = self.serving.await {
            tracing::warn!(%error, "operators were not answered to the end");
        }
    }
}

async fn sum_up(watch: Watch, env: Env) {
    loop {
        env.sleep(SUM_UP_EVERY).await;
        watch.sum_up();
    }
}

async fn accept(listener: TcpListener, watch: Watch, env: Env, bounds: Bounds, end: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Nobody closes the places.
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let talk = talk(stream, watch.clone(), env.clone(), bounds);
                let talk = end.clone().run_until_cancelled_owned(talk);
                tokio::spawn(async move {
                    talk.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "an operator was not let in");
                env.sleep(RECOVER).await;
            }
        }
    }
}

/// One request, and its answer.
async fn talk(stream: TcpStream, watch: Watch, env: Env, bounds: Bounds) {
    let service = service_fn(move |request: Request<Incoming>| {
        let watch = watch.clone();
        async move { Ok::<_, Infallible>(answer(&watch, request.method(), request.uri().path()).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(BUFFER_BYTES).keep_alive(false);
    let talking = http.serve_connection(TokioIo::new(stream), service);
    if let Some(Err(error)) = env.timeout(bounds.whole, talking).await {
        tracing::debug!(%error, "an operator's connection ended in disorder");
    }
}

async fn answer(watch: &Watch, method: &Method, path: &str) -> Response<String> {
    if ![Method::GET, Method::HEAD].contains(method) {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD\n".into());
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match path {
        "/healthz" => text(StatusCode::OK, "text/plain", ALIVE.into()),
        "/readyz" => {
            let readiness = watch.readiness().await;
            let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            text(status, "application/json", readiness.to_json().to_string())
        }
        "/metrics" => text(StatusCode::OK, METRICS_TYPE, watch.metrics().await),
        _ => text(StatusCode::NOT_FOUND, "text/plain", "there are /metrics, /healthz and /readyz\n".into()),
    }
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::watch::tests::watch;
    use super::*;

    async fn door(head: Duration) -> (Door, CancellationToken) {
        let (env, going_down) = (Env::system(), CancellationToken::new());
        let (watch, ..) = watch(&env, going_down.clone());
        let bounds = Bounds { head, ..BOUNDS };
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        (Door::within(bounds, anywhere, watch, env).await.unwrap(), going_down)
    }

    async fn ask(door: &Door, line: &str) -> String {
        let mut stream = TcpStream::connect(door.address()).await.unwrap();
        stream.write_all(format!("{line} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes()).await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        heard
    }

    #[tokio::test]
    async fn operators_are_answered_by_get_and_head_and_nobody_else_is() {
        let (door, going_down) = door(BOUNDS.head).await;
        let metrics = ask(&door, "GET /metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200 ") && metrics.contains("\nqueue_jobs{"), "{metrics}");
        let head = ask(&door, "HEAD /metrics").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(ask(&door, "GET /healthz").await.ends_with("\r\n\r\nok\n"));
        assert!(ask(&door, "GET /readyz").await.starts_with("HTTP/1.1 200 "));
        for line in ["POST /metrics", "DELETE /readyz", "OPTIONS /healthz"] {
            let heard = ask(&door, line).await;
            assert!(heard.starts_with("HTTP/1.1 405 ") && heard.contains("\r\nallow: GET, HEAD\r\n"), "{heard}");
        }
        assert!(ask(&door, "GET /").await.starts_with("HTTP/1.1 404 "));
        going_down.cancel();
        let draining = ask(&door, "GET /readyz").await;
        assert!(draining.starts_with("HTTP/1.1 503 ") && draining.contains("\"going_down\":true"), "{draining}");
        assert!(ask(&door, "GET /healthz").await.starts_with("HTTP/1.1 200 "), "it lives until it has ended");
        door.close().await;
    }

    #[tokio::test]
    async fn who_says_nothing_takes_a_place_for_a_bounded_time() {
        let (door, _) = door(Duration::from_millis(200)).await;
        let silent = join_all((0..CONNECTIONS).map(|_| TcpStream::connect(door.address()))).await;
        let heard = ask(&door, "GET /healthz").await;
        assert!(heard.starts_with("HTTP/1.1 200 "), "answered when the silent have lost their places: {heard}");
        for stream in silent {
            let mut heard = Vec::new();
            let _ = stream.unwrap().read_to_end(&mut heard).await;
            assert!(!String::from_utf8_lossy(&heard).contains(" 200 "), "closed, and not answered");
        }
        door.close().await;
    }
}
