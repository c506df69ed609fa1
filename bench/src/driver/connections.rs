//! Connections to the system: kept and taken in turn, as a proxy does, or one for each request, as a browser does.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use crate::wire::{Received, receive};

/// The ports that are taken of each address, in turn: above those of most servers, and below the end of the range.
const FIRST_PORT: u16 = 10_000;
const PORTS: usize = 50_000;
/// How many ports are tried for one connection.
const MOST_TRIES: u32 = 100;

/// Where connections come from.
///
/// With addresses of its own a driver chooses the ports, too. The system would search for one that nobody has used in
/// the last minute, port by port, and takes milliseconds for it once some thousands of connections have been closed.
#[derive(Debug)]
pub(super) struct Sources {
    addresses: Vec<Ipv4Addr>,
    next: AtomicUsize,
    repeated: AtomicU64,
}

impl Sources {
    pub(super) fn new(addresses: &[Ipv4Addr]) -> Self {
        // Drivers that share an address should not meet at the same port.
        let start = std::process::id() as usize * 7_919 % PORTS * addresses.len();
        Self { addresses: addresses.to_vec(), next: AtomicUsize::new(start), repeated: AtomicU64::new(0) }
    }

    /// Tries that ended because a port of ours was in use.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    pub(super) fn forget(&self) {
        self.repeated.store(0, Ordering::Relaxed);
    }

    /// A new connection. A port of ours that is in use says nothing of the system: the next one is tried.
    pub(super) async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let mut tries = 1;
        let stream = loop {
            match self.try_connect(to).await {
                Err(error) if tries < MOST_TRIES && is_about_our_port(&error) => {
                    tries += 1;
                    self.repeated.fetch_add(1, Ordering::Relaxed);
                }
                tried => break tried?,
            }
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn try_connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(own) = self.own() {
            // Otherwise one that was closed a moment ago would keep its port from us, even towards others.
            socket.set_reuseaddr(true)?;
            socket.bind(own)?;
        }
        socket.connect(to).await
    }

    fn own(&self) -> Option<SocketAddr> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let place = turn.checked_div(self.addresses.len())? % PORTS;
        let port = FIRST_PORT + u16::try_from(place).unwrap_or(0);
        Some((self.addresses[turn % self.addresses.len()], port).into())
    }
}

fn is_about_our_port(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A number of kept connections, shared by all shoppers.
pub(super) struct Connections {
    sources: Arc<Sources>,
    /// `None`: each request has a connection of its own.
    turns: Option<Semaphore>,
    kept: Mutex<HashMap<SocketAddr, Vec<Connection>>>,
}

impl Connections {
    pub(super) fn keeping(most: u16, sources: Arc<Sources>) -> Self {
        let turns = (most > 0).then(|| Semaphore::new(usize::from(most)));
        Self { sources, turns, kept: Mutex::default() }
    }

    /// Sends a request and reads its answer. A kept connection that the other side has closed meanwhile is replaced once.
    pub(super) async fn exchange(&self, to: SocketAddr, request: &[u8]) -> io::Result<Received> {
        let Some(turns) = &self.turns else {
            return self.fresh(to).await?.exchange(request).await;
        };
        let _turn = turns.acquire().await.map_err(io::Error::other)?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&to).and_then(Vec::pop);
        let mut answer = None;
        let mut connection = match kept {
            Some(mut connection) => {
                answer = connection.exchange(request).await.ok();
                if answer.is_some() { connection } else { self.fresh(to).await? }
            }
            None => self.fresh(to).await?,
        };
        let answer = match answer {
            Some(answer) => answer,
            None => connection.exchange(request).await?,
        };
        if answer.keeps {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).entry(to).or_default().push(connection);
        }
        Ok(answer)
    }

    async fn fresh(&self, to: SocketAddr) -> io::Result<Connection> {
        Ok(Connection { stream: self.sources.connect(to).await?, buffer: Vec::new() })
    }
}

impl Connection {
    async fn exchange(&mut self, request: &[u8]) -> io::Result<Received> {
        self.stream.write_all(request).await?;
        receive(&mut self.stream, &mut self.buffer, true).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address that nobody else connects from.
    const OWN: Ipv4Addr = Ipv4Addr::new(127, 63, 7, 1);

    #[tokio::test]
    async fn a_port_of_ours_that_is_in_use_costs_a_try_and_no_connection() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = server.local_addr().unwrap();
        let sources = Sources::new(&[OWN]);
        let first = sources.connect(to).await.unwrap();
        assert_eq!((first.local_addr().unwrap().ip(), sources.repeated()), (OWN.into(), 0));
        // Back to the same port, while the first connection lives.
        sources.next.fetch_sub(1, Ordering::Relaxed);
        let second = sources.connect(to).await.unwrap();
        assert_ne!(first.local_addr().unwrap(), second.local_addr().unwrap());
        assert_eq!(sources.repeated(), 1);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_asked_once() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sources = Sources::new(&[OWN]);
        assert_eq!(sources.connect(gone).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(sources.repeated(), 0);
    }

    #[test]
    fn every_port_of_every_address_is_taken_before_one_comes_again() {
        let sources = Sources::new(&[OWN, Ipv4Addr::LOCALHOST]);
        let taken: std::collections::HashSet<_> = (0..2 * PORTS).filter_map(|_| sources.own()).collect();
        assert_eq!(taken.len(), 2 * PORTS);
        assert!(taken.contains(&sources.own().unwrap()));
        assert!(taken.iter().all(|own| own.port() >= FIRST_PORT));
        assert_eq!(Sources::new(&[]).own(), None, "the system chooses");
    }
}
