//! `GET /events`: the same messages as server-sent events, for networks that block sockets.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::stream::{self, StreamExt as _};
use shared::guards::Guard;

use crate::app::App;
use crate::problem::Problem;
use crate::session::Customer;
use crate::{snapshot, socket};

/// Opens a stream of events.
pub async fn open(
    State(app): State<App>,
    customer: Customer,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, Problem> {
    let too_early =
        if Guard::JoinThenSnapshot.is_on() { None } else { Some(snapshot::take(&app, customer.id, &[]).await?) };
    let connection = socket::join(&app, customer.id, query.as_deref()).await?;
    let welcome = match too_early {
        None => snapshot::take(&app, customer.id, connection.sales()).await?,
        Some(welcome) => welcome,
    };
    let frames = stream::iter(welcome).chain(live(app, connection));
    let events = frames.map(|frame| Ok::<_, Infallible>(Event::default().data(frame.as_str())));
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(20));
    // Proxies that buffer would hold the messages back.
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Sse::new(events).keep_alive(keep_alive)))
}

/// What comes, until the connection was dropped for being slow, or the server goes down and says so.
fn live(app: App, connection: crate::hub::Connection) -> impl Stream<Item = Utf8Bytes> {
    stream::unfold(Some((app, connection)), |state| async {
        let (app, mut connection) = state?;
        let going_down = app.going_down.clone();
        tokio::select! {
            biased;
            () = going_down.cancelled() => {
                Some((app.farewell.say(&app), None))
            }
            frame = connection.frames.recv() => frame.map(|frame| (frame, Some((app, connection)))),
        }
    })
}
