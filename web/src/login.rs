//! Operators come and go: `POST /ops/api/login`, `POST /ops/api/logout`, and `GET /ops/api/me`.
//!
//! A password is verified on a thread that may take its time, few at once: each takes 19 MiB, and a storm of logins
//! should cost a shop that sells neither its memory nor all of its processors. A name that nobody has costs as much time
//! as one that somebody has. What the limits let through and is wrong is written down, but for a storm's every drop.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::access::{Login, Name, Operator, Password, PasswordHash, Token};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::connection::Client;
use crate::input::Input;
use crate::operator::{self, May, Nothing, OwnPage, Proof};
use crate::problem::Problem;

/// Passwords that are verified at the same time.
const AT_ONCE: usize = 2;
/// Logins that may wait for that; a moment's work, so that nobody waits long.
const WAITING_MAX: usize = 32;
/// Failures that are written down: at once, then one every ten seconds. The others are counted in the next.
const WRITTEN: (u32, Duration) = (20, Duration::from_secs(10));

const NO_STORE: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// Verifies passwords, and counts failures.
pub struct Gate {
    turns: Arc<Semaphore>,
    waiting: Semaphore,
    written: DefaultDirectRateLimiter,
    unwritten: AtomicU64,
}

impl Default for Gate {
    fn default() -> Self {
        let (burst, period) = WRITTEN;
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        let quota = quota.allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Semaphore::new(WAITING_MAX),
            written: RateLimiter::direct(quota),
            unwritten: AtomicU64::new(0),
        }
    }
}

impl Gate {
    async fn verify(&self, password: Password, hash: PasswordHash) -> Result<bool, Problem> {
        let busy = || {
            metrics::counter!("operator_logins_total", "result" => "busy").increment(1);
            Problem::slow_down(1_000)
        };
        let _waits = self.waiting.try_acquire().map_err(|_| busy())?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| busy())?;
        // The turn goes along: it lasts until the work is done, whether anybody still waits for it or not.
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            hash.is_of(&password)
        });
        work.await.map_err(|error| Problem::unavailable(&error))
    }

    /// How many failures were not written down before this one, if this one is to be.
    fn is_written(&self) -> Option<u64> {
        if self.written.check().is_ok() {
            return Some(self.unwritten.swap(0, Ordering::Relaxed));
        }
        self.unwritten.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// What is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    name: String,
    password: Password,
}

/// Begins a session; the one that the browser had ends.
pub async fn log_in(
    State(app): State<App>,
    _: OwnPage,
    client: Client,
    headers: HeaderMap,
    Input(body): Input<Body>,
) -> Result<(StatusCode, HeaderMap), Problem> {
    let name = body.name.parse::<Name>().ok();
    app.limits.login(client, name.clone()).await.inspect_err(|_| {
        metrics::counter!("operator_logins_total", "result" => "throttled").increment(1);
    })?;
    let found = match &name {
        Some(name) => app.access.operator(name).await?,
        None => None,
    };
    let (operator, hash) = found.map_or((None, PasswordHash::of_nobody()), |(one, hash)| (Some(one), hash));
    let right = app.gate.verify(body.password, hash).await?;
    let Some(operator) = operator.clone().filter(|_| right) else {
        return Err(failed(&app, client, operator.as_ref()).await);
    };
    let session = Token::session(&app.env);
    let login = Login {
        operator: operator.clone(),
        session: session.digest(),
        replaces: app.operators_cookie.of(&headers),
        address: app.limits.address(client),
    };
    if !app.access.log_in(login).await? {
        return Err(failed(&app, client, Some(&operator)).await);
    }
    metrics::counter!("operator_logins_total", "result" => "good").increment(1);
    tracing::info!(operator = %operator.name, "an operator has logged in");
    Ok((StatusCode::NO_CONTENT, [NO_STORE, app.operators_cookie.set(&session)].into_iter().collect()))
}

/// Counts a failure, and writes it down if there are not too many.
async fn failed(app: &App, client: Client, known: Option<&Operator>) -> Problem {
    metrics::counter!("operator_logins_total", "result" => "bad").increment(1);
    if let Some(others) = app.gate.is_written() {
        let (name, address) = (known.map(|operator| &operator.name), app.limits.address(client));
        if let Err(error) = app.access.login_failed(name, others, address).await {
            tracing::warn!(%error, "that a login failed could not be written down");
        }
    }
    Problem::bad_login()
}

/// Ends the session that the browser has, if it is good; takes its cookie away in any case.
pub async fn log_out(
    State(app): State<App>,
    _: OwnPage,
    client: Client,
    headers: HeaderMap,
) -> Result<(StatusCode, HeaderMap), Problem> {
    if let Some(session) = app.operators_cookie.of(&headers) {
        app.access.log_out(&session, app.limits.address(client)).await?;
    }
    Ok((StatusCode::NO_CONTENT, [NO_STORE, app.operators_cookie.clear()].into_iter().collect()))
}

/// Who asks, and what they may do.
pub async fn me(May { operator, .. }: May<Nothing>) -> (HeaderMap, Json<Value>) {
    ([NO_STORE].into_iter().collect(), Json(described(&operator)))
}

/// Somebody, as they are told who they are.
#[must_use]
pub fn described(operator: &operator::Operator) -> Value {
    let (kind, role) = match operator.proof {
        Proof::Session(role) => ("operator", Some(role.as_str())),
        Proof::Key | Proof::ShopsKey => ("key", None),
    };
    json!({ "name": operator.name, "kind": kind, "role": role, "permissions": operator.permissions })
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    #[test]
    fn a_storm_of_failures_is_counted_and_not_written_drop_by_drop() {
        let gate = Gate::default();
        let written = (0..1_000).filter(|_| gate.is_written().is_some()).count();
        assert_eq!((written, gate.unwritten.load(Ordering::Relaxed)), (20, 980));
    }

    #[tokio::test]
    async fn of_a_storm_of_logins_few_are_verified_at_once_and_few_wait() {
        let gate = Gate::default();
        let turns = gate.turns.clone().acquire_many_owned(2).await.unwrap();
        let knock = || gate.verify(Password::new("not a password of anybody"), PasswordHash::of_nobody());
        let storm = join_all((0..100).map(|_| knock()));
        let open = async { drop(turns) };
        let (answers, ()) = futures::future::join(storm, open).await;
        assert_eq!(answers.iter().filter(|answer| **answer == Ok(false)).count(), WAITING_MAX);
        let refused = answers.into_iter().find_map(Result::err).unwrap();
        assert_eq!(refused.code(), "slow_down");
        assert_eq!(knock().await, Ok(false), "afterwards there is room again");
    }

    #[test]
    fn what_was_sent_is_not_shown() {
        let body: Body = serde_json::from_value(json!({"name": "ann", "password": "correct horse battery"})).unwrap();
        assert!(!format!("{body:?}").contains("horse"));
    }
}
