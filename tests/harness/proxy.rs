//! A wire that can be cut: a TCP proxy in front of a server, whose target, flow and connections a test has in its hand.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What is read at once, in bytes.
const CHUNK: usize = 16 << 10;

/// How the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// As they come.
    Free,
    /// Each chunk so much later, both ways.
    Slow(Duration),
    /// Not at all, and nobody is told: what a partition looks like from both ends.
    Silent,
    /// New connections are closed at once.
    Refusing,
}

/// A proxy on a port of its own; gone with this value.
pub struct Proxy {
    port: u16,
    wire: Arc<Wire>,
    accepting: JoinHandle<()>,
}

struct Wire {
    target: watch::Sender<SocketAddr>,
    flow: watch::Sender<Flow>,
    /// Counts the cuts: every connection that sees it change ends.
    cuts: watch::Sender<u64>,
    open: AtomicUsize,
    refused: AtomicU64,
    delayed: AtomicU64,
}

impl Proxy {
    /// A proxy to a port of 127.0.0.1.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let wire = Arc::new(Wire {
            target: watch::Sender::new(local(target)),
            flow: watch::Sender::new(Flow::Free),
            cuts: watch::Sender::new(0),
            open: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(listener, wire.clone()));
        Self { port, wire, accepting }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets the bytes go in another way from now on.
    pub fn set(&self, flow: Flow) {
        self.wire.flow.send_replace(flow);
    }

    /// Cuts every connection; how many there were.
    pub fn cut(&self) -> usize {
        let open = self.open();
        self.wire.cuts.send_modify(|cuts| *cuts += 1);
        open
    }

    /// Leads to another port of 127.0.0.1 from now on, and cuts what led to the one before; how many that were.
    pub fn switch(&self, target: u16) -> usize {
        self.wire.target.send_replace(local(target));
        self.cut()
    }

    /// Leads whoever comes from now on to another port of 127.0.0.1, as a balancer does; who is connected stays so.
    pub fn lead(&self, target: u16) {
        self.wire.target.send_replace(local(target));
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.wire.open.load(Ordering::Relaxed)
    }

    /// Connections that were refused so far, and chunks that were delayed.
    #[must_use]
    pub fn met(&self) -> u64 {
        self.wire.refused.load(Ordering::Relaxed) + self.wire.delayed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

async fn accept(listener: TcpListener, wire: Arc<Wire>) {
    while let Ok((client, _)) = listener.accept().await {
        if *wire.flow.borrow() == Flow::Refusing {
            wire.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        tokio::spawn(connect(client, wire.clone()));
    }
}

async fn connect(client: TcpStream, wire: Arc<Wire>) {
    let mut cuts = wire.cuts.subscribe();
    let target = *wire.target.borrow();
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    wire.open.fetch_add(1, Ordering::Relaxed);
    tokio::select! {
        _ = cuts.changed() => {}
        () = copy(from_client, to_server, &wire) => {}
        () = copy(from_server, to_client, &wire) => {}
    }
    wire.open.fetch_sub(1, Ordering::Relaxed);
}

/// Copies until either end is gone.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, wire: &Wire) {
    let mut flow = wire.flow.subscribe();
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let now = *flow.borrow();
        match now {
            Flow::Free | Flow::Refusing => {}
            Flow::Slow(by) => {
                wire.delayed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(by).await;
            }
            Flow::Silent => {
                wire.delayed.fetch_add(1, Ordering::Relaxed);
                if flow.wait_for(|flow| *flow != Flow::Silent).await.is_err() {
                    return;
                }
            }
        }
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}
