//! The way of a request through everything that stands before its endpoint, in Stripe's order: the key, the path, the
//! budget, the idempotency key, the parameters, the execution, the answer.
//!
//! A request runs in a task of its own: a caller that hangs up does not undo what it asked for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::any,
};
use base64::Engine;
use serde_json::Value;

use crate::{
    disk::SavedAnswer,
    expand::{Lookup, expand},
    failure::Failure,
    faults::{Kind, Reason},
    form::Params,
    idempotency::{Claim, InFlight, KEY_CHARS_MAX},
    resources::routes::{self, Access, Route},
    server::{Sandbox, Wire},
    store::Batch,
    traffic::LogLine,
    wire::{Incoming, Outgoing, cors, read, respond},
    work::{Call, Request as Asked, Work},
};

pub(crate) fn router() -> Router<Arc<Sandbox>> {
    Router::new().route("/v1/{*path}", any(answer))
}

async fn answer(
    State(sandbox): State<Arc<Sandbox>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request,
) -> Response {
    if request.method() == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, cors()).into_response();
    }
    let began = Instant::now();
    let incoming = match read(request, &sandbox.origin).await {
        Ok(incoming) => incoming,
        Err(response) => return response,
    };
    let task = tokio::spawn(handle(sandbox, wire, incoming, began));
    match task.await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "a request of the sandbox ended badly");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// From fault to answer, and into the log.
async fn handle(sandbox: Arc<Sandbox>, wire: Wire, incoming: Incoming, began: Instant) -> Response {
    let fault = sandbox.faults.meet(incoming.method.as_str(), &incoming.path);
    let outgoing = process(&sandbox, &incoming, fault).await;
    if outgoing.status == 429 && outgoing.throttled != Some("endpoint-rate")
        || matches!(fault, Some((Kind::Http429, _)))
    {
        sandbox.budget.count_throttled();
    }
    sandbox.log.write(LogLine {
        id: incoming.id.clone(),
        method: incoming.method.to_string(),
        path: incoming.path.clone(),
        idempotency_key: incoming.key.clone(),
        status: outgoing.status,
        replayed: outgoing.original.is_some(),
        fault: fault.map(|(kind, _)| kind.word()),
        milliseconds: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    match fault {
        Some((Kind::AnswerLostBefore | Kind::AnswerLostAfterCommit, _)) => wire.cut(),
        Some((Kind::Hang, _)) => sandbox.faults.hold().await,
        _ => {}
    }
    respond(outgoing, &incoming.id, incoming.key.as_deref())
}

async fn process(sandbox: &Arc<Sandbox>, incoming: &Incoming, fault: Option<(Kind, Reason)>) -> Outgoing {
    let early = match fault {
        Some((Kind::Http503Html | Kind::AnswerLostBefore, _)) => return Outgoing::html_503(),
        Some((Kind::Http429, reason)) => Some(Failure::throttled(reason.word())),
        Some((Kind::LockTimeout, _)) => Some(Failure::locked()),
        Some((Kind::KeyInUse, _)) => Some(Failure::key_in_use(incoming.key.as_deref().unwrap_or_default())),
        _ => None,
    };
    if let Some(failure) = early {
        return Outgoing::failure(&failure, &incoming.id);
    }
    let admitted = match admit(sandbox, incoming) {
        Ok(admitted) => admitted,
        Err(failure) => return Outgoing::failure(&failure, &incoming.id),
    };
    let flight = match &incoming.key {
        Some(key) if incoming.method == Method::POST => {
            let fingerprint = admitted.params.fingerprint(incoming.method.as_str(), &incoming.path);
            let now = sandbox.store.now();
            match sandbox.keys.claim(key, fingerprint, now) {
                Claim::Execute(flight) => Some((flight, fingerprint)),
                Claim::Replay(saved) => return Outgoing::replay(&saved),
                Claim::OtherParameters => {
                    return Outgoing::failure(&Failure::other_parameters(key), &incoming.id);
                }
                Claim::InUse => return Outgoing::failure(&Failure::key_in_use(key), &incoming.id),
            }
        }
        _ => None,
    };
    execute(sandbox, incoming, admitted, flight, fault.map(|(kind, _)| kind)).await
}

/// A request that may go on.
struct Admitted {
    route: &'static Route,
    object: String,
    params: Params,
    publishable: bool,
}

/// The key, the path, the budget and the form, in this order.
fn admit(sandbox: &Sandbox, incoming: &Incoming) -> Result<Admitted, Failure> {
    // A page may send its key as a parameter, as the browser's older calls do.
    let publishable = authenticate(sandbox, incoming)?;
    let (route, object) = routes::find(incoming.method.as_str(), &incoming.path)
        .ok_or_else(|| Failure::no_such_path(incoming.method.as_str(), &incoming.path))?;
    if publishable && route.access == Access::Secret {
        return Err(Failure::secret_key_required());
    }
    sandbox.budget.take((route.method, route.path), Instant::now())?;
    if incoming.key.as_ref().is_some_and(|key| key.chars().count() > KEY_CHARS_MAX) {
        return Err(Failure::invalid(format!("Idempotency keys may have at most {KEY_CHARS_MAX} characters.")));
    }
    let params = Params::parse(&incoming.query, &incoming.body)?;
    refuse_removed(incoming, route, &params)?;
    Ok(Admitted { route, object, params, publishable })
}

/// What a version of the API takes no longer
/// (<https://docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-payment-intents-and-setup-intents>).
fn refuse_removed(incoming: &Incoming, route: &Route, params: &Params) -> Result<(), Failure> {
    const REMOVED_IN: &str = "2026-09-30";
    let speaks_it = incoming.version.as_deref().is_some_and(|version| version >= REMOVED_IN);
    let pays = ["/v1/payment_intents", "/v1/checkout/sessions"].iter().any(|prefix| route.path.starts_with(prefix));
    if speaks_it && pays && params.is_branch("payment_method_types") {
        return Err(Failure::invalid(
            "The payment_method_types parameter is no longer supported. Use allowed_payment_method_types instead.",
        )
        .code("payment_method_types_no_longer_supported")
        .param("payment_method_types"));
    }
    Ok(())
}

/// Whether the key is a publishable one.
fn authenticate(sandbox: &Sandbox, incoming: &Incoming) -> Result<bool, Failure> {
    let given = incoming.authorization.as_deref().unwrap_or_default();
    let key = match given.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim().to_owned(),
        Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => basic_user(pair).unwrap_or_default(),
        _ => String::new(),
    };
    if key.is_empty() {
        return Err(Failure::unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or we can help at https://support.stripe.com/.",
        ));
    }
    if key == sandbox.config.publishable_key || key.starts_with("pk_test_") {
        Ok(true)
    } else if key == sandbox.config.secret_key || key.starts_with("sk_test_") || key.starts_with("rk_test_") {
        Ok(false)
    } else {
        let shown: String = key.chars().take(7).collect();
        Err(Failure::unauthorized(format!("Invalid API Key provided: {shown}***")))
    }
}

fn basic_user(pair: &str) -> Option<String> {
    let decoded = base64::engine::general_purpose::STANDARD.decode(pair.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    Some(text.split(':').next().unwrap_or_default().to_owned())
}

/// Runs the endpoint and makes its effects and its answer durable.
async fn execute(
    sandbox: &Arc<Sandbox>,
    incoming: &Incoming,
    admitted: Admitted,
    flight: Option<(InFlight, [u8; 32])>,
    fault: Option<Kind>,
) -> Outgoing {
    let Admitted { route, object, params, publishable } = admitted;
    let request = Asked { params, id: object, store: &sandbox.store, publishable };
    let call = match fault {
        Some(Kind::Http500) => Err(Failure::internal()),
        _ => (route.prepare)(request),
    };
    let mut work = Work::new(&sandbox.store, &incoming.base);
    work.request = Some(incoming.id.clone());
    work.idempotency_key.clone_from(&incoming.key);
    let (mut result, after) = match call {
        Err(failure) => (Err(failure), None),
        Ok(Call { locks, asks_bank, expand: paths, run }) => {
            // Held until the changes are visible.
            let held = match sandbox.locks.hold(locks).await {
                Ok(held) => held,
                Err(failure) => return Outgoing::failure(&failure, &incoming.id),
            };
            let asking = asks_bank.then(|| sandbox.at_bank.enter());
            let latency = if asks_bank { sandbox.latency.read().draw() } else { Duration::ZERO };
            pause(latency / 2).await;
            (run(&mut work), Some((held, (latency / 2, asking), paths)))
        }
    };
    if fault == Some(Kind::Http500AfterCommit) {
        result = Err(Failure::internal());
    }
    let Work { batch, events, .. } = work;
    let (held, rest, paths) =
        after.map_or((None, None, Vec::new()), |(held, rest, paths)| (Some(held), Some(rest), paths));
    let outgoing = commit(sandbox, incoming, result, batch, flight, &paths).await;
    drop(held);
    sandbox.webhooks.send(sandbox, events);
    if let Some((rest, _asking)) = rest {
        pause(rest).await;
    }
    outgoing
}

async fn pause(length: Duration) {
    if !length.is_zero() {
        tokio::time::sleep(length).await;
    }
}

/// Effects and answer in one transaction; then the key may replay it.
async fn commit(
    sandbox: &Sandbox,
    incoming: &Incoming,
    result: Result<Value, Failure>,
    mut batch: Batch,
    flight: Option<(InFlight, [u8; 32])>,
    paths: &[String],
) -> Outgoing {
    let failed = |error: anyhow::Error| {
        tracing::error!(%error, "the sandbox could not keep what a request did");
        Outgoing::failure(&Failure::internal(), &incoming.id)
    };
    let remembered = result.as_ref().err().is_none_or(Failure::is_remembered);
    let expanded = result.and_then(|mut value| {
        expand(&mut value, paths, &Lookup { store: &sandbox.store, batch: &batch, base: &incoming.base })?;
        Ok(value)
    });
    let outgoing = match &expanded {
        Ok(value) => Outgoing::json(200, value),
        Err(failure) => Outgoing::failure(failure, &incoming.id),
    };
    let saved = flight.filter(|_| remembered).map(|(flight, fingerprint)| {
        let answer = SavedAnswer {
            key: flight.key().to_owned(),
            fingerprint,
            status: outgoing.status,
            body: outgoing.body.clone(),
            request: incoming.id.clone(),
            created: sandbox.store.now(),
        };
        batch.save_answer(answer.clone());
        (flight, answer)
    });
    if let Err(error) = sandbox.store.commit(batch).await {
        return failed(error);
    }
    if let Some((flight, answer)) = saved {
        flight.answered(answer);
    }
    outgoing
}
