//! `POST /charges`: accepts a purchase, or the next attempt of a declined one, and answers at once.
//!
//! Pin, commit, push, answer. Whatever breaks in between leaves something that the sweep finds: a pin without an
//! order is freed, an order without a job is queued. The call is safe to repeat with the same `order`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use email_address::{EmailAddress, Options};
use serde::Deserialize;
use shared::env::Timestamp;
use shared::guards::Guard;
use shared::jobs::CreateCharge;
use shared::ledger::{Accept, Accepted};
use shared::message::Message;
use shared::order::Order;
use shared::order::state::StockEffect;
use shared::queue::NewJob;
use shared::rooms::Envelope;
use shared::sale::Item;
use shared::stock::{Hold, Pinned};
use shared::stripe::token_kind;
use uuid::Uuid;

use crate::admission::Comer;
use crate::app::{ACCEPT_TIMEOUT, App};
use crate::connection::Client;
use crate::holds::{Wish, prepare, take};
use crate::input::Input;
use crate::orders;
use crate::problem::Problem;
use crate::session::Customer;

/// Characters of a buyer's name.
const NAME_MAX: usize = 200;

/// By how much what two processes take for the ledger's clock may differ: each knows it by a question and its answer.
/// No longer than it takes to start a process again: after that the stock may have forgotten an order's hold.
const CLOCKS_DIFFER: Duration = Duration::from_millis(20);

/// The body of `POST /charges`.
#[derive(Deserialize)]
pub struct Body {
    order: Uuid,
    token: String,
    hold: Option<Uuid>,
    sale: Option<String>,
    items: Option<Vec<Item>>,
    email: String,
    name: String,
}

/// What is bought, by whom: the body of `POST /checkout`, and of `POST /charges` without its token.
#[derive(Deserialize)]
pub struct Purchase {
    order: Uuid,
    hold: Option<Uuid>,
    sale: Option<String>,
    items: Option<Vec<Item>>,
    email: String,
    name: String,
}

impl Purchase {
    /// The order's id.
    #[must_use]
    pub fn order(&self) -> Uuid {
        self.order
    }
}

/// Where the stock comes from.
enum Claim<'a> {
    Held(Uuid),
    InThisCall { sale: &'a str, items: &'a [Item] },
}

/// What could be found of the stock.
enum Found {
    /// A pinned hold; whether this call pinned it.
    Yes { hold: Hold, new: bool },
    /// None: only a repeat of an earlier call can still be answered, else this is the refusal.
    No(Problem),
}

/// Accepts a purchase that is paid with a payment token.
pub async fn create(
    State(app): State<App>,
    customer: Customer,
    client: Client,
    Input(body): Input<Body>,
) -> Result<Response, Problem> {
    if token_kind(&body.token).is_err() {
        return Err(Problem::invalid("token", "That is not a payment token made by Stripe.js."));
    }
    let Body { order, token, hold, sale, items, email, name } = body;
    let purchase = Purchase { order, hold, sale, items, email, name };
    let order = accept(&app, &purchase, &token, customer.id, client).await?;
    Ok((StatusCode::ACCEPTED, Json(orders::view(&app, &order))).into_response())
}

/// Accepts a purchase, or what a repeat of it has become. `token` is a payment token, or says that Stripe's page takes
/// the payment ([`shared::order::hosted`]).
pub(crate) async fn accept(
    app: &App,
    purchase: &Purchase,
    token: &str,
    customer: Uuid,
    client: Client,
) -> Result<Order, Problem> {
    let claim = check(purchase)?;
    tracing::Span::current().record("order", tracing::field::display(purchase.order));
    if matches!(claim, Claim::InThisCall { .. }) {
        app.limits.new_hold(client, customer).await?;
    }
    // Who comes for what is gone need not stand in line.
    if let Claim::InThisCall { sale, items } = &claim
        && let Some(tier) = app.losers.refuses(sale, items, purchase.order)
        && prepare(app, wish(purchase.order, sale, items, customer)).await.is_ok()
    {
        return Err(Problem::sold_out(tier));
    }
    let comer = match claim {
        Claim::Held(_) => Comer::WithHold,
        Claim::InThisCall { .. } => Comer::For(purchase.order),
    };
    let _place = app.admission.enter(comer).await?;
    let asked_at = app.ledger.now();
    let found = claim_stock(app, purchase, &claim, customer).await?;
    shared::crash::point("after_pin");
    let accept = Accept { token: token.to_owned(), ..accept_of(app, purchase, &claim, customer, &found) };
    let accepted = commit(app, accept).await?;
    shared::crash::point("after_commit");
    accepted_order(app, accepted, found, asked_at).await
}

fn check(body: &Purchase) -> Result<Claim<'_>, Problem> {
    if !is_mail_address(&body.email) {
        return Err(Problem::invalid("email", "Please give a mail address, such as a@example.com."));
    }
    let name = body.name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(Problem::invalid("name", "Please give your name."));
    }
    if body.order.is_nil() {
        return Err(Problem::invalid("order", "The order's id is made by the client, and is not nil."));
    }
    match (body.hold, body.sale.as_deref(), body.items.as_deref()) {
        (Some(hold), ..) => Ok(Claim::Held(hold)),
        (None, Some(sale), Some(items)) => Ok(Claim::InThisCall { sale, items }),
        (None, None, _) => Err(Problem::invalid("hold", "Give a hold, or a sale and items.")),
        (None, Some(_), None) => Err(Problem::invalid("items", "Give the items with the sale.")),
    }
}

/// Whether mail can be sent there, and Stripe will take it: plain addresses of a domain with a dot, in ASCII.
fn is_mail_address(text: &str) -> bool {
    let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
    text.len() <= 254
        && text.is_ascii()
        && !text.contains('"')
        && EmailAddress::parse_with_options(text, options).is_ok()
}

async fn claim_stock(app: &App, body: &Purchase, claim: &Claim<'_>, customer: Uuid) -> Result<Found, Problem> {
    match claim {
        Claim::Held(hold) => Ok(match app.stock.pin(*hold, body.order, customer).await? {
            Pinned::Yes { hold, new } => Found::Yes { hold, new },
            Pinned::Gone | Pinned::Taken => Found::No(Problem::hold_expired()),
        }),
        Claim::InThisCall { sale, items } => {
            let taken = match prepare(app, wish(body.order, sale, items, customer)).await {
                // It was sold while this one stood in line.
                Ok(_) if let Some(tier) = app.losers.refuses(sale, items, body.order) => {
                    return Err(Problem::sold_out(tier));
                }
                Ok(reserve) => take(app, reserve).await,
                Err(problem) => Err(problem),
            };
            match taken {
                Ok((hold, new)) => Ok(Found::Yes { hold, new }),
                Err(problem) if problem.code() == "unavailable" => Err(problem),
                Err(problem) => Ok(Found::No(problem)),
            }
        }
    }
}

fn wish<'a>(order: Uuid, sale: &'a str, items: &'a [Item], customer: Uuid) -> Wish<'a> {
    Wish { hold: order, sale, items, customer, order: Some(order) }
}

fn accept_of(app: &App, body: &Purchase, claim: &Claim<'_>, customer: Uuid, found: &Found) -> Accept {
    let unpriced = |items: &[Item]| {
        let item =
            |item: &Item| shared::sale::PricedItem { tier: item.tier.clone(), quantity: item.quantity, amount: 0 };
        items.iter().map(item).collect()
    };
    let (hold_id, sale, items) = match claim {
        Claim::Held(hold) => (*hold, String::new(), Vec::new()),
        Claim::InThisCall { sale, items } => (body.order, (*sale).to_owned(), unpriced(items)),
    };
    let accept = Accept {
        order: body.order,
        customer,
        hold: hold_id,
        sale,
        epoch: None,
        items,
        currency: shared::money::Currency::default(),
        email: body.email.clone(),
        name: body.name.trim().to_owned(),
        token: String::new(),
        think_ms: 0,
        accept_by: app.ledger.now().plus(ACCEPT_TIMEOUT),
        short_line: 0,
    };
    match found {
        Found::No(_) => accept,
        Found::Yes { hold, .. } => Accept {
            sale: hold.sale.clone(),
            epoch: Some(hold.epoch),
            items: hold.items.clone(),
            currency: hold.currency,
            think_ms: hold.think_ms,
            short_line: app.progress.short_line(&hold.sale),
            ..accept
        },
    }
}

/// Commits, within a bound. What became of a commit without an answer is unknown: the order is read again, and if it
/// is not there the pin stays until the sweep looks after it.
async fn commit(app: &App, accept: Accept) -> Result<Accepted, Problem> {
    let order = accept.order;
    let answer = app.env.timeout(ACCEPT_TIMEOUT, app.ledger.accept(accept.clone())).await;
    let reason = match answer {
        Some(Ok(accepted)) => return Ok(accepted),
        Some(Err(error)) => error.to_string(),
        None => "the ledger took too long to accept an order".to_owned(),
    };
    match app.env.timeout(ACCEPT_TIMEOUT, app.ledger.order(order)).await {
        Some(Ok(Some(order))) if order.customer == accept.customer && order.hold == accept.hold => {
            Ok(Accepted::Replay(order))
        }
        _ => Err(Problem::unavailable(&reason)),
    }
}

/// The order that was accepted, its charge queued and its room told; else why not, with the stock given back.
async fn accepted_order(app: &App, accepted: Accepted, found: Found, asked_at: Timestamp) -> Result<Order, Problem> {
    let refusal = match accepted {
        Accepted::New(order) | Accepted::NextAttempt(order) => {
            metrics::counter!("orders_accepted_total").increment(1);
            push(app, &order).await;
            shared::crash::point("after_push");
            watch(app, &order).await;
            app.announcements.add(app.env.monotonic(), order.clone());
            return Ok(order);
        }
        Accepted::Replay(order) => {
            if order.state.is_in_queue() {
                push(app, &order).await;
            }
            undo(app, &found, Some(&order), asked_at).await?;
            watch(app, &order).await;
            return Ok(order);
        }
        Accepted::Ended(_) => Problem::hold_expired(),
        Accepted::NoAttemptsLeft(_) => {
            Problem::conflict("no_attempts_left", "No further card can be tried on this order.")
        }
        Accepted::InProgress => Problem::conflict("order_in_progress", "This order is being paid already."),
        Accepted::NoHold => match found {
            Found::No(problem) => return Err(problem),
            Found::Yes { .. } => Problem::hold_expired(),
        },
        Accepted::Conflict => Problem::order_conflict(),
        Accepted::SoldOut { tier } => {
            tracing::error!(tier, "the ledger's guard refused what the stock had held");
            metrics::counter!("second_gate_fired_total").increment(1);
            Problem::sold_out(tier)
        }
        Accepted::LimitReached { tier } => Problem::limit_reached(tier),
        Accepted::WrongEpoch => Problem::hold_expired(),
        Accepted::Paused => Problem::paused(),
        Accepted::TooLate => Problem::unavailable(&"an accept came too late for its pin"),
        Accepted::Unknown => Problem::not_found(),
    };
    if let Found::Yes { hold: Hold { order: Some(order), .. }, new: true } = &found {
        let order = app.ledger.order(*order).await?;
        undo(app, &found, order.as_ref(), asked_at).await?;
    }
    Err(refusal)
}

/// Gives back what this call took from the stock, unless an order uses it.
///
/// Only the call that pinned a hold may undo it, and not even that one when `known`, the order of that id, uses it: then
/// another call with the same id found the pin in place and was quicker. An order that has ended needs nothing of this
/// call: its units are counted already, though the stock may have forgotten its hold.
async fn undo(app: &App, found: &Found, known: Option<&Order>, asked_at: Timestamp) -> Result<(), Problem> {
    let Found::Yes { hold: Hold { id, sale, order: Some(order), .. }, new: true } = found else { return Ok(()) };
    if Guard::UndoOwnPin.refuses(known.is_some_and(|known| uses(known, *id, asked_at))) {
        return Ok(());
    }
    if id == order {
        app.stock.free_orphan(sale, *id, *order, Duration::ZERO).await?;
    } else {
        app.stock.unpin(sale, *id, *order).await?;
    }
    Ok(())
}

/// Whether an order uses the hold that a call of `asked_at` has pinned.
///
/// An open one does: the stock never forgets the hold of an open order while it knows the sale. One that ended may have
/// been accepted and finished while this call was on its way. When it was accepted, another process's clock has said; so
/// a little earlier counts, too. Whichever is wrong, the ledger's guard holds, and the sweep mends the stock.
fn uses(known: &Order, hold: Uuid, asked_at: Timestamp) -> bool {
    let lately = known.accepted_at >= asked_at.minus(CLOCKS_DIFFER);
    known.hold == hold && (known.state.stock() == StockEffect::Pinned || lately)
}

/// Queues the charge. If that fails the order is still accepted, and the sweep queues it.
async fn push(app: &App, order: &Order) {
    let pushed = match NewJob::of(&CreateCharge::of(order)) {
        Ok(job) => app.pushing.push(&*app.queue, order.queue_number, job).await,
        Err(error) => Err(Arc::new(error)),
    };
    if let Err(error) = pushed {
        tracing::warn!(order = %order.id, %error, "left to the sweep to queue");
    }
}

/// Tells the customer's room, which may be open in other processes: their pages show the order, and cannot miss its end.
pub(crate) async fn tell_room(app: &App, order: &Order) {
    let frame = Message::order(order, app.ledger.now(), app.progress.place_of(order)).to_json().into();
    if let Err(error) = app.rooms.publish(vec![Envelope { room: order.customer, frame }]).await {
        tracing::warn!(order = %order.id, %error, "the room was not told of an order; its answer tells the buyer");
    }
}

/// From now on its place in the queue can be told, and its end cannot be missed.
async fn watch(app: &App, order: &Order) {
    app.progress.watch(&*app.ledger, &order.sale).await;
    app.hub.expect(order, false);
}

#[cfg(test)]
mod tests {
    use shared::env::Seeded;
    use shared::ledger::Ledger as _;
    use shared::order::State;
    use shared::sale::PricedItem;
    use shared::stock::{Reserve, Reserved};

    use super::*;
    use crate::serve::tests::{now, paid_order, shop};

    #[test]
    fn a_call_does_not_free_what_another_one_accepted_by_a_clock_that_is_behind() {
        let env = Seeded::new(3).env();
        let (_, ledger) = shop(&env);
        let (hold, asked_at, paid) = (env.uuid_v7(), env.now(), paid_order(&env, &ledger, env.uuid_v4()));
        let before = |ms: u64| asked_at.minus(Duration::from_millis(ms));
        let order = |hold, state, accepted_at| Order { hold, state, accepted_at, ..paid.clone() };
        assert!(uses(&order(hold, State::Accepted, before(200)), hold, asked_at), "two clicks at two doors");
        assert!(uses(&order(hold, State::Charging, before(60_000)), hold, asked_at), "it is open still");
        assert!(uses(&order(hold, State::Paid, before(10)), hold, asked_at), "paid while this call was on its way");
        assert!(!uses(&order(hold, State::Paid, before(60_000)), hold, asked_at), "sent again long after");
        assert!(!uses(&order(env.uuid_v7(), State::Accepted, before(0)), hold, asked_at), "another hold");
    }

    #[test]
    fn a_call_does_not_undo_the_pin_of_which_a_quicker_one_has_made_the_order() {
        let env = Seeded::new(5).env();
        let (app, ledger) = shop(&env);
        // The sale; its units are counted in the stock.
        let sold = paid_order(&env, &ledger, env.uuid_v4());
        let image = now(ledger.begin_epoch("demo", "run")).unwrap().unwrap();
        now(app.stock.rebuild(image)).unwrap();
        let (id, customer, asked_at) = (env.uuid_v7(), env.uuid_v4(), env.now());
        let reserve = Reserve {
            hold: id,
            sale: "demo".into(),
            customer,
            items: vec![PricedItem { tier: "std".into(), quantity: 1, amount: 2_500 }],
            currency: sold.currency,
            think: Duration::from_secs(60),
            order: Some(id),
        };
        let Reserved::Yes { hold, new: true } = now(app.stock.reserve(reserve)).unwrap() else { panic!("not held") };
        let order = Order { id, hold: id, customer, accepted_at: asked_at, ..sold };
        now(undo(&app, &Found::Yes { hold: hold.clone(), new: true }, Some(&order), asked_at)).unwrap();
        let held = || now(app.stock.levels("demo")).unwrap().unwrap().tiers[0].held;
        assert_eq!(held(), 1, "the other call found this pin, and its order uses it");
        now(undo(&app, &Found::Yes { hold, new: true }, None, asked_at)).unwrap();
        assert_eq!(held(), 0, "without an order nobody does");
    }
}
