//! Connections to the system: kept and taken in turn, as a proxy does, or one for each request, as a browser does.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use crate::wire::{Received, receive};

/// Where connections come from.
#[derive(Debug)]
pub(super) struct Sources {
    addresses: Vec<Ipv4Addr>,
    next: AtomicUsize,
}

impl Sources {
    pub(super) fn new(addresses: &[Ipv4Addr]) -> Self {
        Self { addresses: addresses.to_vec(), next: AtomicUsize::new(0) }
    }

    /// A new connection.
    pub(super) async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if !self.addresses.is_empty() {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.addresses.len();
            socket.bind((self.addresses[turn], 0).into())?;
        }
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A number of kept connections, shared by all shoppers.
pub(super) struct Connections {
    pub(super) sources: Sources,
    /// `None`: each request has a connection of its own.
    turns: Option<Semaphore>,
    kept: Mutex<HashMap<SocketAddr, Vec<Connection>>>,
}

impl Connections {
    pub(super) fn keeping(most: u16, from: &[Ipv4Addr]) -> Self {
        let turns = (most > 0).then(|| Semaphore::new(usize::from(most)));
        Self { sources: Sources::new(from), turns, kept: Mutex::default() }
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
