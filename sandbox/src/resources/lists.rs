//! Lists: a page by cursor, and filters on the creation time. <https://docs.stripe.com/api/pagination>

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    failure::Failure,
    form::Params,
    render::Render,
    store::{Page, Record},
    work::{Call, Work},
};

/// Objects in one answer.
const LIMIT_MAX: i64 = 100;
const LIMIT_DEFAULT: i64 = 10;

/// `created`, `created[gte]` and the like, in seconds since the epoch.
#[derive(Debug, Clone, Copy)]
struct Created {
    from: i64,
    to: i64,
}

impl Created {
    fn read(params: &mut Params) -> Result<Self, Failure> {
        if !params.is_branch("created") {
            let exact = params.integer("created")?;
            return Ok(exact.map_or(Self { from: i64::MIN, to: i64::MAX }, |at| Self { from: at, to: at }));
        }
        let mut range = Self { from: i64::MIN, to: i64::MAX };
        if let Some(mut bounds) = params.branch("created")? {
            if let Some(at) = bounds.integer("gt")? {
                range.from = at.saturating_add(1);
            }
            if let Some(at) = bounds.integer("gte")? {
                range.from = range.from.max(at);
            }
            if let Some(at) = bounds.integer("lt")? {
                range.to = at.saturating_sub(1);
            }
            if let Some(at) = bounds.integer("lte")? {
                range.to = range.to.min(at);
            }
            bounds.finish()?;
        }
        Ok(range)
    }
}

fn page(params: &mut Params) -> Result<Page, Failure> {
    let limit = params.integer("limit")?.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let message = format!("This value must be between 1 and {LIMIT_MAX}, inclusive.");
        return Err(Failure::invalid(message).code("parameter_invalid_integer").param("limit"));
    }
    let (starting_after, ending_before) = (params.text("starting_after")?, params.text("ending_before")?);
    if starting_after.is_some() && ending_before.is_some() {
        return Err(Failure::invalid("You may only specify one of these parameters: starting_after, ending_before."));
    }
    Ok(Page { limit: usize::try_from(limit).unwrap_or(1), starting_after, ending_before })
}

/// A list of one kind of object. `what` is its name in an error; `keep` is the endpoint's own filter.
pub(super) fn call<T: Record + Render>(
    mut params: Params,
    path: &'static str,
    what: &'static str,
    created_at: fn(&T) -> i64,
    keep: impl Fn(&T) -> bool + Send + 'static,
) -> Result<Call, Failure> {
    let page = page(&mut params)?;
    let created = Created::read(&mut params)?;
    Call::new(params, move |work: &mut Work<'_>| {
        let inside = |row: &T| (created.from..=created.to).contains(&created_at(row)) && keep(row);
        let (rows, has_more) = T::table(work.store).list(&page, inside).map_err(|cursor| {
            let param = if page.ending_before.is_some() { "ending_before" } else { "starting_after" };
            Failure::no_such(what, &cursor, param)
        })?;
        let data: Vec<Value> = rows.iter().map(|row: &Arc<T>| row.render(work.base)).collect();
        Ok(json!({"object": "list", "data": data, "has_more": has_more, "url": path}))
    })
}
