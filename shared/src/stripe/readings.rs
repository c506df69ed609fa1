//! Every reading of a reply, for whoever wants to know what any bytes are taken for.

use bytes::Bytes;

use super::http::{NoReply, Reply};
use super::lists::{read_events, read_payments};
use super::{Answer, Refunded, answer};

/// What the readers make of one and the same reply.
#[derive(Debug)]
pub struct Readings {
    /// As the answer to a charge.
    pub intent: Answer,
    /// As the answer to a Checkout Session.
    pub session: Answer,
    /// As the answer to a refund.
    pub refund: Refunded,
    /// Entries that were read of it as lists, all kinds together.
    pub listed: usize,
}

/// Reads a reply in every way there is.
#[must_use]
pub fn of(status: u16, replayed: bool, body: &[u8]) -> Readings {
    let body = Bytes::copy_from_slice(body);
    let heard: Result<Reply, NoReply> =
        Ok(Reply { status, request_id: None, rate_reason: None, replayed, retry_after: None, body });
    let pages = [
        answer::of_page(&heard).map(|(entries, _)| entries.len()).ok(),
        answer::of_sessions(&heard).map(|(entries, _)| entries.len()).ok(),
        answer::of_refunds(&heard).map(|(entries, _)| entries.len()).ok(),
        read_events(&heard).map(|page| page.items.len()).ok(),
        read_payments(&heard).map(|page| page.items.len()).ok(),
    ];
    Readings {
        intent: answer::of_intent(&heard),
        session: answer::of_session(&heard),
        refund: answer::of_refund(&heard),
        listed: pages.into_iter().flatten().sum(),
    }
}
