//! A system with nothing behind it: rooms in memory, purchases answered and their outcome pushed at once. What is left of
//! the machine beside it is what the load driver leaves to any system.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::LocalSet;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::wire::{Received, receive};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4_096;

type Rooms = Rc<RefCell<HashMap<String, OwnedWriteHalf>>>;

/// Serves on a port of 127.0.0.1 until the process is ended.
///
/// # Errors
/// When the port is taken.
pub fn run(port: u16) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
        let listener = socket.listen(BACKLOG)?;
        let rooms = Rooms::default();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::task::spawn_local(serve(stream, rooms.clone()))),
                // Out of files: some will be closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
}

async fn serve(mut stream: TcpStream, rooms: Rooms) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let request = receive(&mut stream, &mut buffer, false).await?;
        let shopper = request.header("authorization").next().unwrap_or_default().to_owned();
        if let Some(key) = request.header("sec-websocket-key").next() {
            let accept = derive_accept_key(key.as_bytes());
            let mut answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .into_bytes();
            answer.extend(frame(r#"{"type":"welcome"}"#));
            stream.write_all(&answer).await?;
            return stay(stream, shopper, &rooms).await;
        }
        buy(&mut stream, &request, &shopper, &rooms).await?;
    }
}

async fn buy(stream: &mut TcpStream, request: &Received, shopper: &str, rooms: &Rooms) -> io::Result<()> {
    let body = String::from_utf8_lossy(&request.body);
    // The one request that ever comes is {"order":"…","token":"…"}.
    let mut words = body.split('"');
    let (order, token) = (words.nth(3).unwrap_or_default(), words.nth(3).unwrap_or_default());
    if order.is_empty() {
        return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
    }
    stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}").await?;
    let status = if token.contains("chargeDeclined") { "declined" } else { "succeeded" };
    let message = frame(&format!(r#"{{"order":"{order}","status":"{status}"}}"#));
    if let Some(room) = rooms.borrow().get(shopper) {
        // A frame of a hundred bytes fits into what the kernel buffers.
        let _ = room.try_write(&message);
    }
    Ok(())
}

/// Keeps a room open until its shopper goes.
async fn stay(stream: TcpStream, shopper: String, rooms: &Rooms) -> io::Result<()> {
    let (mut read, write) = stream.into_split();
    rooms.borrow_mut().insert(shopper.clone(), write);
    let mut ignored = [0; 256];
    while read.read(&mut ignored).await.is_ok_and(|length| length > 0) {}
    rooms.borrow_mut().remove(&shopper);
    Ok(())
}

/// A text frame of fewer than 126 bytes (RFC 6455, section 5.2).
fn frame(text: &str) -> Vec<u8> {
    debug_assert!(text.len() < 126);
    let mut frame = vec![0x81, u8::try_from(text.len()).unwrap_or(0)];
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_one_frame() {
        assert_eq!(frame("hi"), [0x81, 2, b'h', b'i']);
    }
}
