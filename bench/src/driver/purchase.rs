//! One purchase: the request, and what its answer says.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Deserialize;
use uuid::Uuid;

use super::crowd::{Crowd, Purchase};
use super::shopper::{Shopper, now_ms};
use crate::measure::clock;
use crate::wire::Received;

/// Makes a purchase. `due` is when it should have been made: its clock starts then.
pub(super) async fn buy(crowd: Arc<Crowd>, shopper: Arc<Shopper>, number: u32, due: Option<u64>) {
    let purchase = crowd.purchase(&shopper, number);
    let id_ms = now_ms();
    // The wait for a kept connection is part of what a shopper sees.
    let made = due.unwrap_or_else(clock::now);
    purchase.made.store(made, Ordering::Release);
    crowd.made.fetch_add(1, Ordering::AcqRel);
    crowd.count_again(|again| {
        again.behind.record(clock::now().saturating_sub(made));
        again.at(crowd.since_go(made)).new += 1;
    });
    let mut tried = made;
    let answer = loop {
        purchase.tried.store(tried, Ordering::Release);
        // Not kept while they wait: hundreds of thousands may do so.
        let request = shopper.request_of(number, id_ms);
        let answer = match crowd.tills.exchange(shopper.till, &request).await {
            Ok(answer) => answer,
            // It may have been accepted all the same: the socket will tell.
            Err(error) => return crowd.error(&format!("purchase: {error}")),
        };
        drop(request);
        let Some(told) = told_to_wait(&answer).filter(|_| crowd.options.again) else { break answer };
        drop(answer);
        let pause = told.time + spread(told, shopper.id, number);
        if !send_away(&crowd, purchase, tried, told.time, pause) {
            return;
        }
        tokio::time::sleep(pause).await;
        tried = clock::now();
        crowd.count_again(|again| again.at(crowd.since_go(tried)).again += 1);
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

/// How long a shopper is asked to wait before the same request.
#[derive(Clone, Copy)]
struct Told {
    time: Duration,
    /// The problem's own `retry_in_ms`, which is another one for each; not only `Retry-After`.
    own: bool,
}

/// What a refusal says of that (RFC 9110, section 10.2.3; RFC 9457, section 3.2); `None` when it was answered.
fn told_to_wait(answer: &Received) -> Option<Told> {
    #[derive(Deserialize)]
    struct Problem {
        retry_in_ms: u64,
    }
    let seconds = answer.header("retry-after").next()?.parse().ok()?;
    if !matches!(answer.status(), 429 | 503) {
        return None;
    }
    Some(match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => Told { time: Duration::from_millis(problem.retry_in_ms), own: true },
        Err(_) => Told { time: Duration::from_secs(seconds), own: false },
    })
}

/// Counts one who was sent away; whether they will come again.
fn send_away(crowd: &Crowd, purchase: &Purchase, tried: u64, told: Duration, pause: Duration) -> bool {
    let now = clock::now();
    crowd.sent_away.fetch_add(1, Ordering::Relaxed);
    purchase.turned.fetch_add(1, Ordering::Relaxed);
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    crowd.count_again(|again| {
        again.told.record(nanoseconds(told));
        again.turned.record(now.saturating_sub(tried));
        again.at(crowd.since_go(now)).sent_away += 1;
    });
    let stays = crowd.since_go(now).saturating_add(nanoseconds(pause)) <= crowd.options.leave_ns();
    if !stays {
        purchase.left.store(true, Ordering::Release);
        crowd.finish(purchase);
    }
    stays
}

/// What a page adds, so that a crowd which was told the same does not come back together: up to half of the pause, and up
/// to a second at least, but no more than 15 s, or 2 s if each was told another time. Always the same for a purchase, which
/// is enough to spread them.
fn spread(told: Told, shopper: Uuid, number: u32) -> Duration {
    let most = (told.time / 2).clamp(Duration::from_secs(1), Duration::from_secs(if told.own { 2 } else { 15 }));
    // Steps of the golden ratio: whatever the number of purchases, they lie evenly.
    let turn = f64::from(shopper.as_bytes()[15]) / 256.0 + f64::from(number) * 0.618_033_988_75;
    most.mul_f64(turn.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_that_was_told_the_same_spreads_over_half_of_it_within_bounds() {
        let spreads = |told: u64, own: bool, of: &mut dyn Iterator<Item = (u128, u32)>| {
            let told = Told { time: Duration::from_secs(told), own };
            let all: Vec<Duration> =
                of.map(|(shopper, number)| spread(told, Uuid::from_u128(shopper), number)).collect();
            (all.iter().min().copied().unwrap(), all.iter().max().copied().unwrap())
        };
        let ms = Duration::from_millis;
        let (first, last) = spreads(20, false, &mut (0..256).map(|shopper| (shopper, 0)));
        assert!(first < ms(200) && last > ms(9_800) && last <= ms(10_000), "many shoppers: {first:?} {last:?}");
        let (_, last) = spreads(240, false, &mut (0..256).map(|shopper| (shopper, 0)));
        assert!(last > ms(14_000) && last <= ms(15_000), "{last:?}");
        let (_, last) = spreads(240, true, &mut (0..256).map(|shopper| (shopper, 0)));
        assert!(last <= ms(2_000), "a turn is not missed: {last:?}");
        let (first, last) = spreads(1, false, &mut (0..200).map(|number| (7, number)));
        assert!(first < ms(50) && last > ms(950) && last <= ms(1_000), "many purchases: {first:?} {last:?}");
    }
}
