//! One purchase: the request, and what its answer says.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use super::crowd::Crowd;
use super::shopper::Shopper;
use crate::measure::clock;
use crate::wire::Received;

/// Makes a purchase. `due` is when it should have been made: its clock starts then.
pub(super) async fn buy(crowd: Arc<Crowd>, shopper: Arc<Shopper>, number: u32, due: Option<u64>) {
    let purchase = crowd.purchase(&shopper, number);
    let request = shopper.request_of(number);
    // The wait for a kept connection is part of what a shopper sees.
    purchase.made.store(due.unwrap_or_else(clock::now), Ordering::Release);
    crowd.made.fetch_add(1, Ordering::AcqRel);
    let answer = loop {
        purchase.tried.store(clock::now(), Ordering::Release);
        let answer = match crowd.tills.exchange(shopper.till, &request).await {
            Ok(answer) => answer,
            // It may have been accepted all the same: the socket will tell.
            Err(error) => return crowd.error(&format!("purchase: {error}")),
        };
        match told_to_wait(&answer).filter(|_| crowd.options.again) {
            Some(pause) => {
                crowd.sent_away.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(pause + spread(pause, shopper.id)).await;
            }
            None => break answer,
        }
    };
    let status = answer.status();
    let accepted = &crowd.adapter.post.ok_status;
    if if accepted.is_empty() { (200..300).contains(&status) } else { accepted.contains(&status) } {
        purchase.accepted.store(clock::now(), Ordering::Release);
        return;
    }
    let refused = crowd.adapter.refused.as_ref();
    let word = refused.and_then(|refused| {
        let word = refused.word(status, &answer.body)?;
        refused.codes.iter().position(|code| code == word)
    });
    match word {
        Some(place) => {
            purchase.ended.store(clock::now(), Ordering::Release);
            purchase.refused.store(place as u64 + 1, Ordering::Release);
        }
        None => crowd.error(&format!("purchase: status {status}: {}", String::from_utf8_lossy(&answer.body))),
    }
    // Nothing will be pushed.
    crowd.finish(purchase);
}

/// How long a shopper is asked to wait before the same request (RFC 9110, section 10.2.3); `None` when it was answered.
fn told_to_wait(answer: &Received) -> Option<Duration> {
    let seconds = answer.header("retry-after").next()?.parse().ok()?;
    matches!(answer.status(), 429 | 503).then(|| Duration::from_secs(seconds))
}

/// What a page adds, so that a crowd which was told the same does not come back together: up to half of the pause, and up
/// to a second at least. Always the same for a shopper, which is enough to spread them.
fn spread(pause: Duration, shopper: Uuid) -> Duration {
    let most = (pause / 2).max(Duration::from_secs(1));
    most.mul_f64(f64::from(shopper.as_bytes()[15]) / 255.0)
}
