//! Events: what happened, newest first.

use super::lists;
use crate::{
    failure::Failure,
    model::Event,
    work::{Call, Request},
};

pub(super) fn list(mut request: Request<'_>) -> Result<Call, Failure> {
    let mut kinds = request.params.list("types")?;
    kinds.extend(request.params.text("type")?);
    request.params.ignore(&["delivery_success"]);
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
            kinds.is_empty() || kinds.iter().any(is)
        },
    )
}

pub(super) fn retrieve(request: Request<'_>) -> Result<Call, Failure> {
    Call::new(request.params, move |work| {
        let event = work.find::<Event>("event", &request.id, "id")?;
        Ok(work.render(&*event))
    })
}
