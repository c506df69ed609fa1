//! A word with a server of ours: a request, an answer, no connection kept.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::adapter::Vars;
use crate::wire::{Address, receive, request};

/// How long a server may take for a word.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Sends a request without a body; returns the body of an answer of 200.
pub(super) async fn ask(method: &str, url: &str) -> Result<Vec<u8>> {
    let address = Address::parse(url).with_context(|| format!("{url} is no http:// address"))?;
    let answer = tokio::time::timeout(ANSWER_WITHIN, async {
        let mut stream = TcpStream::connect(&address.authority).await?;
        stream.write_all(&request(method, &address, &Vars::new(), "", &Vars::new())).await?;
        receive(&mut stream, &mut Vec::new(), true).await
    });
    let answer = answer.await.with_context(|| format!("{url} takes too long"))??;
    if answer.status() != 200 {
        bail!("{url} answers {}", answer.status());
    }
    Ok(answer.body)
}

/// Whether somebody listens on a port of 127.0.0.1.
pub(super) async fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}
