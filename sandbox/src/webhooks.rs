//! Webhook delivery, as Stripe does it: <https://docs.stripe.com/webhooks>.
//!
//! At least once, in no promised order. Every try is signed anew (`t=…,v1=…`, HMAC-SHA256 of time, a dot and the body);
//! anything but 2xx is tried again, later each time. An event remembers how many endpoints still lack it, and a
//! restart begins with those.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use parking_lot::Mutex;
use sha2::Sha256;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    model::{Event, WebhookEndpoint},
    render::Render,
    server::Sandbox,
    store::Batch,
};

/// Deliveries at the same time.
const DELIVERIES_MAX: usize = 64;
/// Tries of one delivery; with the pauses below they span about a day.
const TRIES_MAX: u32 = 20;
/// The first pause, doubled after each try. Stripe's are longer; a test would not wait for them.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// How long an endpoint may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(20);
/// Events held back at a time.
const HELD_MAX: usize = 10_000;

/// The deliveries of a sandbox, and what a test wants to go wrong with them.
#[derive(Debug)]
pub(crate) struct Webhooks {
    client: Client<HttpConnector, Full<Bytes>>,
    slots: Arc<Semaphore>,
    /// Cancelled when the sandbox stops.
    shutdown: CancellationToken,
    /// Cancelled, and replaced, when everything is forgotten.
    stop: Mutex<CancellationToken>,
    /// The next events that no endpoint hears of.
    pub(crate) drop_next: AtomicU32,
    /// The next events that every endpoint hears of twice.
    pub(crate) duplicate_next: AtomicU32,
    /// Every delivery begins so many milliseconds later.
    pub(crate) delay_ms: AtomicU64,
    /// While present: events that wait to be released.
    held: Mutex<Option<Vec<Arc<Event>>>>,
    /// Events that were dropped, doubled or held on request.
    pub(crate) astray: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) failed_tries: AtomicU64,
}

impl Webhooks {
    pub(crate) fn new(shutdown: CancellationToken) -> Self {
        Self {
            stop: Mutex::new(shutdown.child_token()),
            shutdown,
            client: Client::builder(TokioExecutor::new()).build_http(),
            slots: Arc::new(Semaphore::new(DELIVERIES_MAX)),
            drop_next: AtomicU32::new(0),
            duplicate_next: AtomicU32::new(0),
            delay_ms: AtomicU64::new(0),
            held: Mutex::new(None),
            astray: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            failed_tries: AtomicU64::new(0),
        }
    }

    /// Sends what an earlier run still owed.
    pub(crate) fn resume(&self, sandbox: &Arc<Sandbox>) {
        let owed: Vec<Arc<Event>> = sandbox.store.events.all().into_iter().filter(|event| event.pending > 0).collect();
        self.send(sandbox, owed);
    }

    /// Sends events to every endpoint that wants them, in the background.
    pub(crate) fn send(&self, sandbox: &Arc<Sandbox>, events: Vec<Arc<Event>>) {
        for event in events.into_iter().filter(|event| event.pending > 0) {
            if take_one(&self.drop_next) {
                self.astray.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if let Some(held) = self.held.lock().as_mut()
                && held.len() < HELD_MAX
            {
                self.astray.fetch_add(1, Ordering::Relaxed);
                held.push(event);
                continue;
            }
            let doubled = take_one(&self.duplicate_next);
            self.astray.fetch_add(u64::from(doubled), Ordering::Relaxed);
            for _ in 0..=u8::from(doubled) {
                self.deliver(sandbox, &event);
            }
        }
    }

    /// Holds events back, or releases them, newest first.
    pub(crate) fn hold(&self, sandbox: &Arc<Sandbox>, hold: bool) {
        let released = {
            let mut held = self.held.lock();
            match (hold, held.is_some()) {
                (true, false) => {
                    *held = Some(Vec::new());
                    None
                }
                (false, true) => held.take(),
                _ => None,
            }
        };
        let mut events = released.unwrap_or_default();
        events.reverse();
        self.send(sandbox, events);
    }

    /// Gives up every delivery under way.
    pub(crate) fn clear(&self) {
        let old = std::mem::replace(&mut *self.stop.lock(), self.shutdown.child_token());
        old.cancel();
        self.drop_next.store(0, Ordering::Relaxed);
        self.duplicate_next.store(0, Ordering::Relaxed);
        self.delay_ms.store(0, Ordering::Relaxed);
        *self.held.lock() = None;
    }

    fn deliver(&self, sandbox: &Arc<Sandbox>, event: &Arc<Event>) {
        let stop = self.stop.lock().clone();
        for endpoint in sandbox.store.webhook_endpoints.all() {
            if endpoint.wants(&event.kind) {
                let (sandbox, event, stop) = (Arc::clone(sandbox), Arc::clone(event), stop.clone());
                let delay = Duration::from_millis(self.delay_ms.load(Ordering::Relaxed));
                tokio::spawn(async move {
                    let late = async {
                        tokio::time::sleep(delay).await;
                        delivery(&sandbox, &endpoint.id, &event).await;
                    };
                    stop.run_until_cancelled(late).await;
                });
            }
        }
    }
}

/// Takes one from a counter; whether there was one.
fn take_one(counter: &AtomicU32) -> bool {
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// The id of the endpoint that the program around the sandbox asked for.
const OWN_ENDPOINT: &str = "we_own";

/// See [`crate::Running::send_webhooks_to`].
pub(crate) async fn keep_own_endpoint(
    sandbox: &Sandbox,
    url: &str,
    secret: &str,
    types: &[&str],
) -> anyhow::Result<()> {
    let mut batch = Batch::default();
    batch.put(WebhookEndpoint {
        id: OWN_ENDPOINT.to_owned(),
        created: jiff::Timestamp::now().as_second(),
        url: url.to_owned(),
        secret: secret.to_owned(),
        enabled_events: types.iter().map(|kind| (*kind).to_owned()).collect(),
        description: None,
        metadata: crate::model::Metadata::default(),
        api_version: None,
    });
    sandbox.store.commit(batch).await
}

/// Tries until the endpoint has taken the event, is gone, or the tries are used up.
async fn delivery(sandbox: &Arc<Sandbox>, endpoint: &str, event: &Event) {
    let body = Bytes::from(event.render(&sandbox.origin).to_string());
    let mut pause = PAUSE_FIRST;
    for _ in 0..TRIES_MAX {
        // It may be gone, or elsewhere, by now.
        let Some(endpoint) = sandbox.store.webhook_endpoints.get(endpoint) else {
            return;
        };
        if attempt(&sandbox.webhooks, &endpoint, body.clone()).await {
            sandbox.webhooks.delivered.fetch_add(1, Ordering::Relaxed);
            note_delivered(sandbox, &event.id).await;
            return;
        }
        sandbox.webhooks.failed_tries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// One try; whether the endpoint said 2xx.
async fn attempt(webhooks: &Webhooks, endpoint: &WebhookEndpoint, body: Bytes) -> bool {
    let Ok(_slot) = webhooks.slots.acquire().await else {
        return false;
    };
    let signature = sign(&endpoint.secret, jiff::Timestamp::now().as_second(), &body);
    let request = hyper::Request::post(&endpoint.url)
        .header("content-type", "application/json; charset=utf-8")
        .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("stripe-signature", signature)
        .body(Full::new(body));
    let Ok(request) = request else { return false };
    match tokio::time::timeout(TRY_TIMEOUT, webhooks.client.request(request)).await {
        Ok(Ok(response)) => response.status().is_success(),
        Ok(Err(error)) => {
            tracing::debug!(%error, url = %endpoint.url, "a webhook endpoint could not be reached");
            false
        }
        Err(_) => false,
    }
}

/// One endpoint fewer lacks the event.
async fn note_delivered(sandbox: &Sandbox, id: &str) {
    let Ok(_held) = sandbox.locks.hold(vec![id.to_owned()]).await else {
        return;
    };
    let Some(event) = sandbox.store.events.get(id) else {
        return;
    };
    let mut batch = Batch::default();
    batch.put(Event { pending: event.pending.saturating_sub(1), ..(*event).clone() });
    if let Err(error) = sandbox.store.commit(batch).await {
        tracing::warn!(%error, "a delivered event will be sent once more after a restart");
    }
}

/// `Stripe-Signature`: <https://docs.stripe.com/webhooks#verify-manually>.
pub(crate) fn sign(secret: &str, time: i64, body: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut signature = format!("t={time},v1=");
    // An HMAC takes a key of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        mac.update(format!("{time}.").as_bytes());
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            // Writing to a string cannot fail.
            let _written = write!(signature, "{byte:02x}");
        }
    }
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_that_openssl_computes() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test
        let expected = "t=1700000000,v1=35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91";
        assert_eq!(sign("whsec_test", 1_700_000_000, b"{}"), expected);
    }
}
