//! `missed_events`: what Stripe's webhooks should have brought, and did not, is read from Stripe's own list of events.
//!
//! A pass reads everything since the newest event that an earlier pass has seen, less an overlap, since an event may be
//! shown later than its `created` says. It reads all pages to the end, whatever it finds on them: that a page holds
//! nothing new says nothing about the next one. Where a pass stands is kept in the ledger, so that another worker goes
//! on from there.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::env::Timestamp;
use shared::jobs::Webhook;
use shared::ledger::InboxEvent;
use shared::queue::NewJob;
use shared::stripe::{ListedEvent, NotRead};

use super::Came;
use crate::Context;

const BOOKMARK: &str = "stripe_events";
/// Pages of one round: of the 25 requests a second that Stripe allows for a list, more than half are left to others.
const PAGES: u32 = 10;
/// How far a pass goes back behind the newest event that was seen.
const OVERLAP: Duration = Duration::from_secs(120);
/// A webhook that is younger than this may still be on its way: its event is used, and not counted as missed.
const ON_ITS_WAY: Duration = Duration::from_secs(30);
/// How far the very first pass goes back.
const FIRST: Duration = Duration::from_secs(24 * 3600);

/// Where the part stands.
#[derive(Default, Serialize, Deserialize)]
struct Place {
    /// When the newest event happened that passes to their end have seen, by Stripe's clock.
    seen: Option<Timestamp>,
    /// The pass that is under way.
    pass: Option<Pass>,
}

#[derive(Serialize, Deserialize)]
struct Pass {
    /// It reads events since this time.
    from: Timestamp,
    /// Pages up to this event were read.
    after: Option<String>,
    /// The newest event so far.
    newest: Option<Timestamp>,
}

/// Reads some pages, and stores and queues the events that are not known yet.
///
/// # Errors
/// A reason, when something could not be reached; the next call goes on from there.
pub async fn read_missed(ctx: &Context) -> Result<Came, String> {
    let mut place = load(ctx).await?;
    let mut found = 0;
    for _ in 0..PAGES {
        let pass = place.pass.get_or_insert_with(|| begin(ctx, place.seen));
        let page = match ctx.stripe.events(pass.from, pass.after.as_deref()).await {
            Ok(page) => page,
            Err(NotRead { refused: true, reason, .. }) if pass.after.is_some() => {
                // The place is gone, as after 30 days; the pass begins again.
                pass.after = None;
                save(ctx, &place).await?;
                return Err(reason);
            }
            Err(not) => return Err(not.reason),
        };
        let newest = page.items.iter().map(|event| event.created).max();
        let (next, newest) = (page.next, pass.newest.max(newest));
        found += store(ctx, page.items).await?;
        let ends = next.is_none();
        if ends {
            place = Place { seen: newest.max(place.seen), pass: None };
        } else {
            place.pass = Some(Pass { from: pass.from, after: next, newest });
        }
        save(ctx, &place).await?;
        if ends {
            return Ok(Came { items: found, to_an_end: true });
        }
    }
    Ok(Came { items: found, to_an_end: false })
}

fn begin(ctx: &Context, seen: Option<Timestamp>) -> Pass {
    let now = ctx.ledger.now();
    // A clock that was ahead once must not make the list look empty for ever.
    let from = seen.map_or(now.minus(FIRST), |seen| seen.min(now).minus(OVERLAP));
    Pass { from, after: None, newest: None }
}

/// Puts events into the inbox as the webhook's address does; how many of them were not there.
async fn store(ctx: &Context, events: Vec<ListedEvent>) -> Result<u64, String> {
    if events.is_empty() {
        return Ok(0);
    }
    let received_at = ctx.ledger.now();
    let late = received_at.minus(ON_ITS_WAY);
    let told: Vec<(String, bool)> = events.iter().map(|event| (event.id.clone(), event.created < late)).collect();
    let stored = events.into_iter().map(|event| InboxEvent { id: event.id, received_at, body: event.body }).collect();
    let is_new = ctx.ledger.store_events(stored).await.map_err(|error| error.to_string())?;
    let new: Vec<(String, bool)> = told.into_iter().zip(is_new).filter(|(_, new)| *new).map(|(told, _)| told).collect();
    let missed = new.iter().filter(|(_, is_late)| *is_late).count() as u64;
    if missed > 0 {
        tracing::warn!(missed, "Stripe has events that no webhook brought here");
        metrics::counter!("webhook_events_missed_total").increment(missed);
    }
    if !new.is_empty() {
        let jobs: Result<Vec<NewJob>, _> = new.iter().map(|(id, _)| NewJob::of(&Webhook::of(id))).collect();
        let jobs = jobs.map_err(|error| error.to_string())?;
        // Those that cannot be queued now are left to the inbox's own part.
        ctx.queue.push(jobs).await.map_err(|error| error.to_string())?;
    }
    Ok(new.len() as u64)
}

async fn load(ctx: &Context) -> Result<Place, String> {
    let place = ctx.ledger.bookmark(BOOKMARK).await.map_err(|error| error.to_string())?;
    // One that another version wrote is as good as none: events are known by their ids.
    Ok(place.and_then(|place| serde_json::from_str(&place).ok()).unwrap_or_default())
}

async fn save(ctx: &Context, place: &Place) -> Result<(), String> {
    let place = serde_json::to_string(place).map_err(|error| error.to_string())?;
    ctx.ledger.set_bookmark(BOOKMARK, &place).await.map_err(|error| error.to_string())
}
