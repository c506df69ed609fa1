//! Events: what happened, newest first.

use super::lists;
use crate::{
    failure::Failure,
    model::Event,
    work::{Call, Request},
};

/// Stripe keeps events for thirty days.
const KEPT_SECONDS: i64 = 30 * 24 * 3600;
/// Types that one list may name.
const TYPES_MAX: usize = 20;

pub(super) fn list(mut request: Request<'_>) -> Result<Call, Failure> {
    let mut kinds = request.params.list("types")?;
    let kind = request.params.text("type")?;
    if kind.is_some() && !kinds.is_empty() {
        return Err(Failure::invalid("You may only specify one of these parameters: type, types."));
    }
    if kinds.len() > TYPES_MAX {
        return Err(Failure::invalid(format!("You may pass at most {TYPES_MAX} types.")).param("types"));
    }
    kinds.extend(kind);
    let delivered = request.params.boolean("delivery_success")?;
    let oldest = request.store.now() - KEPT_SECONDS;
    lists::call(
        request.params,
        "/v1/events",
        "event",
        |event: &Event| event.created,
        move |event| {
            // `charge.*` names all events of charges.
            let is = |kind: &String| match kind.strip_suffix('*') {
                Some(family) => event.kind.starts_with(family),
                None => event.kind == *kind,
            };
            event.created >= oldest
                && delivered.is_none_or(|delivered| delivered == (event.pending == 0))
                && (kinds.is_empty() || kinds.iter().any(is))
        },
    )
}

pub(super) fn retrieve(request: Request<'_>) -> Result<Call, Failure> {
    Call::new(request.params, move |work| {
        let event = work.find::<Event>("event", &request.id, "id")?;
        if event.created < work.now - KEPT_SECONDS {
            return Err(Failure::no_such("event", &request.id, "id"));
        }
        Ok(work.render(&*event))
    })
}
