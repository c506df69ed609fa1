//! One purchase: the request, and what its answer says.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::crowd::Crowd;
use super::shopper::Shopper;
use crate::measure::clock;

/// Makes a purchase. `due` is when it should have been made: its clock starts then.
pub(super) async fn buy(crowd: Arc<Crowd>, shopper: Arc<Shopper>, number: u32, due: Option<u64>) {
    let purchase = crowd.purchase(&shopper, number);
    let request = shopper.request_of(number);
    // The wait for a kept connection is part of what a shopper sees.
    purchase.made.store(due.unwrap_or_else(clock::now), Ordering::Release);
    crowd.made.fetch_add(1, Ordering::AcqRel);
    let answer = match crowd.tills.exchange(shopper.till, &request).await {
        Ok(answer) => answer,
        // It may have been accepted all the same: the socket will tell.
        Err(error) => return crowd.error(&format!("purchase: {error}")),
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
