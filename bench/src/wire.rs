//! As much of HTTP/1.1 as the driver and its helpers need: requests that are written once and sent as they are, and
//! answers read without a copy more than needed. A full client would cost the driver more than the systems it measures.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::adapter::{Vars, fill};

/// An answer or request may not be longer than this, in bytes.
const LONGEST: usize = 1024 * 1024;

/// `http://host:port/path`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `host:port`
    pub authority: String,
    /// From the slash on.
    pub path: String,
}

impl Address {
    /// Reads an address; `None` unless it is `http://` or `ws://` with an authority.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("ws://"))?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let path = if slash == rest.len() { "/" } else { &rest[slash..] };
        (slash > 0).then(|| Self { authority: rest[..slash].to_owned(), path: path.to_owned() })
    }
}

/// The bytes of a request.
#[must_use]
pub fn request(method: &str, address: &Address, headers: &Vars, body: &str, vars: &Vars) -> Vec<u8> {
    let mut text = format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", address.path, address.authority);
    for (name, value) in headers {
        text.push_str(&format!("{name}: {}\r\n", fill(value, vars)));
    }
    if method != "GET" || !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// The head of a message, as far as anybody here asks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Head {
    length: Option<usize>,
    chunked: bool,
    close: bool,
}

fn read_head(head: &[u8]) -> Head {
    let mut found = Head::default();
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            found.length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            found.chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"connection") {
            found.close = value.eq_ignore_ascii_case(b"close");
        }
    }
    found
}

/// A message that was read: its head, its body, and whether the connection may be used again.
#[derive(Debug)]
pub struct Received {
    /// First line and header lines.
    pub head: Vec<u8>,
    /// The body, without its chunks' frames.
    pub body: Vec<u8>,
    /// Whether the other side keeps the connection.
    pub keeps: bool,
}

impl Received {
    /// The status of an answer; 0 when there is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.get(9..12).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or(0)
    }

    /// The values of a header.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.split(|byte| *byte == b'\n').skip(1).filter_map(move |line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let same = line[..colon].eq_ignore_ascii_case(name.as_bytes());
            same.then(|| std::str::from_utf8(&line[colon + 1..]).ok().map(str::trim)).flatten()
        })
    }
}

/// Reads one message; `buffer` keeps what came after it for the next.
///
/// # Errors
/// The connection's; `UnexpectedEof` when it ends early, and before the first byte, too.
pub async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    is_answer: bool,
) -> io::Result<Received> {
    let mut searched = 0;
    let end = loop {
        if let Some(at) = find(&buffer[searched..], b"\r\n\r\n") {
            break searched + at + 4;
        }
        searched = buffer.len().saturating_sub(3);
        more(stream, buffer).await?;
    };
    let head = read_head(&buffer[..end]);
    let mut received = Received { head: buffer[..end].to_vec(), body: Vec::new(), keeps: !head.close };
    let bodiless = is_answer && matches!(received.status(), 100..=199 | 204 | 304);
    let taken = if head.chunked {
        chunks(stream, buffer, end, &mut received.body).await?
    } else if let Some(length) = head.length.or((bodiless || !is_answer).then_some(0)) {
        while buffer.len() < end + length {
            more(stream, buffer).await?;
        }
        received.body.extend_from_slice(&buffer[end..end + length]);
        end + length
    } else {
        // Neither length nor chunks: until the connection ends.
        while stream.read_buf(buffer).await? > 0 {}
        received.keeps = false;
        received.body.extend_from_slice(&buffer[end..]);
        buffer.len()
    };
    buffer.drain(..taken);
    Ok(received)
}

async fn chunks(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    mut at: usize,
    body: &mut Vec<u8>,
) -> io::Result<usize> {
    loop {
        let line = loop {
            if let Some(end) = find(&buffer[at..], b"\r\n") {
                break at..at + end;
            }
            more(stream, buffer).await?;
        };
        let text = std::str::from_utf8(&buffer[line.clone()]).unwrap_or_default();
        let size = usize::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.ok().filter(|size| *size <= LONGEST);
        let size = size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a chunk without a fit size"))?;
        at = line.end + 2;
        while buffer.len() < at + size + 2 {
            more(stream, buffer).await?;
        }
        body.extend_from_slice(&buffer[at..at + size]);
        at += size + 2;
        if size == 0 {
            return Ok(at);
        }
    }
}

async fn more(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<()> {
    if buffer.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message longer than a megabyte"));
    }
    buffer.reserve(1024);
    if stream.read_buf(buffer).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut bytes: &[u8]) -> (Received, Vec<u8>) {
        let mut buffer = Vec::new();
        let received = receive(&mut bytes, &mut buffer, true).await.unwrap();
        (received, buffer)
    }

    #[tokio::test]
    async fn an_answer_is_read_by_its_length_and_leaves_what_follows() {
        let (answer, rest) = read(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\nSet-Cookie: a=1\r\n\r\n{}HTTP").await;
        assert_eq!((answer.status(), answer.body.as_slice(), answer.keeps), (202, b"{}".as_slice(), true));
        assert_eq!(answer.header("set-cookie").collect::<Vec<_>>(), ["a=1"]);
        assert_eq!(rest, b"HTTP");
    }

    #[tokio::test]
    async fn chunks_are_joined_and_an_answer_without_length_ends_with_its_connection() {
        let (answer, rest) =
            read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").await;
        assert_eq!((answer.body.as_slice(), rest.as_slice()), (b"abcde".as_slice(), b"".as_slice()));
        let (answer, _) = read(b"HTTP/1.1 200 OK\r\n\r\nall of it").await;
        assert_eq!((answer.body.as_slice(), answer.keeps), (b"all of it".as_slice(), false));
        let (answer, _) = read(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        assert!(answer.body.is_empty() && !answer.keeps);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_an_error() {
        let mut bytes: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 9\r\n\r\n{}";
        assert!(receive(&mut bytes, &mut Vec::new(), true).await.is_err());
    }

    #[test]
    fn an_address_has_an_authority_and_a_path() {
        let address = Address::parse("http://127.0.0.1:1/a?b=c").unwrap();
        assert_eq!((address.authority.as_str(), address.path.as_str()), ("127.0.0.1:1", "/a?b=c"));
        assert_eq!(Address::parse("ws://h:1").unwrap().path, "/");
        assert!(Address::parse("https://h/").is_none() && Address::parse("http:///x").is_none());
    }
}
