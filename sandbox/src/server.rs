//! Starting, serving and stopping; and a connection that can be cut in the middle.

use std::{
    future::IntoFuture as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use parking_lot::RwLock;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Latency, api, control,
    faults::Faults,
    hosted,
    idempotency::Keys,
    pages,
    resources::sessions,
    store::Store,
    traffic::{AtBank, Budget, Locks, Log},
    webhooks::{self, Webhooks},
};

/// How long requests may take to end once the sandbox is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Everything that requests share.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) config: Config,
    /// Where it listens, as an origin.
    pub(crate) origin: String,
    pub(crate) store: Store,
    pub(crate) keys: Arc<Keys>,
    pub(crate) locks: Arc<Locks>,
    pub(crate) budget: Budget,
    pub(crate) at_bank: AtBank,
    pub(crate) latency: RwLock<Latency>,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) webhooks: Webhooks,
}

/// A sandbox that listens.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    sandbox: Arc<Sandbox>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Sends webhook events of these types to an address, signed with a secret that both sides know already, instead
    /// of to the address that this was called with before. Other endpoints are not touched.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn send_webhooks_to(&self, url: &str, secret: &str, types: &[&str]) -> anyhow::Result<()> {
        webhooks::keep_own_endpoint(&self.sandbox, url, secret, types).await
    }

    /// Waits until it has stopped.
    ///
    /// # Errors
    /// When serving failed, or the task was lost to a panic.
    pub async fn stopped(self) -> anyhow::Result<()> {
        self.task.await.context("the sandbox's task ended badly")?
    }
}

/// Opens the database, binds, and serves until `shutdown`.
///
/// # Errors
/// When the database cannot be opened or the address is taken.
pub async fn start(config: Config, shutdown: CancellationToken) -> anyhow::Result<Running> {
    let (store, answers) = Store::open(config.database.as_deref()).await?;
    let listener = TcpListener::bind(config.bind)
        .await
        .with_context(|| format!("the sandbox cannot listen on {}", config.bind))?;
    let address = listener.local_addr()?;
    let budget = Budget::default();
    budget.set(config.rate_limit);
    let sandbox = Arc::new(Sandbox {
        origin: format!("http://{address}"),
        store,
        keys: Arc::new(Keys::restore(answers)),
        locks: Arc::default(),
        budget,
        at_bank: AtBank::default(),
        latency: RwLock::new(config.latency),
        faults: Faults::default(),
        log: Log::default(),
        webhooks: Webhooks::new(shutdown.child_token()),
        config,
    });
    sandbox.webhooks.resume(&sandbox);
    tokio::spawn(expire_sessions(Arc::clone(&sandbox), shutdown.clone()));
    let task = tokio::spawn(serve(listener, Arc::clone(&sandbox), shutdown));
    Ok(Running { address, sandbox, task })
}

/// Ends Checkout Sessions whose time is over, once a second.
async fn expire_sessions(sandbox: Arc<Sandbox>, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_some() {
        if let Err(error) = sessions::expire_due(&sandbox).await {
            tracing::warn!(%error, "Checkout Sessions that are over stay open for now");
        }
    }
}

async fn serve(listener: TcpListener, sandbox: Arc<Sandbox>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let router: Router = api::router()
        .merge(control::router())
        .merge(pages::router())
        .merge(hosted::router())
        .with_state(Arc::clone(&sandbox));
    let service = router.into_make_service_with_connect_info::<Wire>();
    let stopping = shutdown.clone();
    let server = axum::serve(Cuttable(listener), service)
        .with_graceful_shutdown(async move { stopping.cancelled().await })
        .into_future();
    tokio::pin!(server);
    let result = tokio::select! {
        result = &mut server => result,
        () = shutdown.cancelled() => {
            sandbox.faults.release();
            // A client that keeps its connection open does not keep the sandbox alive.
            tokio::time::timeout(DRAIN, server).await.unwrap_or(Ok(()))
        }
    };
    sandbox.store.close().await;
    result.context("the sandbox stopped serving")
}

/// A listener whose connections can be cut.
struct Cuttable(TcpListener);

impl Listener for Cuttable {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection kept its delay");
        }
        (CuttableStream { stream, wire: Wire::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// The handle by which a handler cuts its own connection: what it answers after that is never sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wire(Arc<AtomicBool>);

impl Wire {
    pub(crate) fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl Connected<IncomingStream<'_, Cuttable>> for Wire {
    fn connect_info(stream: IncomingStream<'_, Cuttable>) -> Self {
        stream.io().wire.clone()
    }
}

struct CuttableStream {
    stream: TcpStream,
    wire: Wire,
}

impl AsyncRead for CuttableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.wire.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.wire.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wire.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
