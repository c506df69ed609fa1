//! Any ledger against the model: the memory ledger, which is the book itself. Both are driven with the same random
//! operations; every answer, and everything that can be read in between, has to be the same, except for what each
//! makes up on its own (ids of tickets and lines, and the time where a ledger has a clock of its own).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use uuid::Uuid;

use super::{World, comparable, declined, demo, request, succeeded};
use crate::env::{Env, Seeded, Source, Timestamp};
use crate::ledger::book::Terms;
use crate::ledger::memory::MemoryLedger;
use crate::ledger::{
    Accept, Accepted, Applied, Change, Claimed, Control, Ledger, Left, Refund, RefundAsked, RefundNews, RefundRequest,
    RefundState, RefundWhat, SeenRefund, Word,
};
use crate::order::{Attempt, ClientSecret, Order, Outcome};
use crate::sale::PricedItem;

/// What is done, to which order, and how: three small numbers, which shrink well.
pub type Step = [u8; 3];

/// Orders of one run.
const ORDERS: usize = 8;

/// An environment whose every id is greater than the one before, also within a millisecond. Of two refunds that were
/// made in the same one, the greater id is the later, and the ledger and the model have to mean the same.
#[must_use]
pub fn rising(env: Env) -> Env {
    Env::new(Arc::new(Rising { env, given: AtomicU64::new(0) }))
}

struct Rising {
    env: Env,
    given: AtomicU64,
}

impl Source for Rising {
    fn now(&self) -> Timestamp {
        self.env.now()
    }

    fn monotonic(&self) -> Duration {
        self.env.monotonic()
    }

    fn random_u64(&self) -> u64 {
        (self.given.fetch_add(1, Ordering::Relaxed) << 32) | (self.env.random_u64() >> 32)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let env = self.env.clone();
        Box::pin(async move { env.sleep(duration).await })
    }
}

/// Does the steps on an empty ledger and on the model, and compares. `clock` moves the time of both, if it is theirs.
pub async fn agrees(world: &World, clock: Option<&Seeded>, steps: &[Step]) {
    let model = MemoryLedger::new(world.env.clone(), Terms::default());
    let both: [&dyn Ledger; 2] = [&*world.ledger, &model];
    let basket = Basket::new(world);
    let mut epoch = 1;
    for ledger in both {
        ledger.create_sale(demo(6, Some(4))).await.unwrap();
    }
    for (number, step) in steps.iter().enumerate() {
        if step[0] % 18 == 15 {
            if let Some(clock) = clock {
                clock.advance(Duration::from_secs(40 * u64::from(step[2])));
            }
            continue;
        }
        let said = [act(both[0], &basket, epoch, *step).await, act(both[1], &basket, epoch, *step).await];
        assert_eq!(said[0], said[1], "step {number}: {step:?} of {steps:?}");
        epoch += u64::from(step[0] % 18 == 14 && step[1].is_multiple_of(4));
        let seen = [look(both[0], &basket).await, look(both[1], &basket).await];
        assert_eq!(seen[0], seen[1], "after step {number}: {step:?} of {steps:?}");
    }
    let told = [tell(both[0], &basket).await, tell(both[1], &basket).await];
    assert_eq!(told[0], told[1], "in the end of {steps:?}");
}

/// What the buyers of a run may buy: two share a hold, all share three customers and two mail addresses.
struct Basket(Vec<Accept>);

impl Basket {
    fn new(world: &World) -> Self {
        let customers = [(); 3].map(|()| world.env.uuid_v4());
        let shared_hold = world.env.uuid_v7();
        let one = |n: usize| {
            let (tier, amount) = if n.is_multiple_of(4) { ("vip", 9_900) } else { ("std", 2_500) };
            let quantity = u32::try_from(1 + n % 3).unwrap();
            let mut purchase = world.purchase(quantity);
            purchase.items = vec![PricedItem { tier: tier.into(), quantity, amount }];
            if n.is_multiple_of(5) {
                purchase.items.push(PricedItem { tier: "std".into(), quantity: 1, amount: 2_500 });
                purchase.items.dedup_by(|a, b| a.tier == b.tier);
            }
            if n >= ORDERS - 2 {
                purchase.hold = shared_hold;
            }
            purchase.customer = customers[n % 3];
            purchase.email = ["a.b+x@gmail.com", "c@example.com"][n % 2].into();
            purchase
        };
        Self((0..ORDERS).map(one).collect())
    }

    fn of(&self, step: Step) -> &Accept {
        &self.0[usize::from(step[1]) % ORDERS]
    }
}

/// Does one step, and says what came of it.
async fn act(ledger: &dyn Ledger, basket: &Basket, epoch: u64, [what, which, how]: Step) -> String {
    let purchase = basket.of([what, which, how]);
    let order = purchase.order;
    let attempt = 1 + u32::from(how / 16) % 3;
    let observe = |outcome| Change::Observed { attempt, outcome };
    let payment_intent = format!("pi_{}_{}", which as usize % ORDERS, how % 2);
    let change = match what % 18 {
        0..=2 => return said_of_accept(ledger.accept(variant(purchase, epoch, how)).await.unwrap()),
        3 | 4 => return said_of_claim(ledger.claim(order, attempt, request).await.unwrap()),
        5 if how.is_multiple_of(8) => {
            return said_of_claim(ledger.claim(order, attempt, |_, _, _| Err("cannot be made".into())).await.unwrap());
        }
        5 | 6 => {
            let total: i64 = purchase.items.iter().map(|item| item.amount * i64::from(item.quantity)).sum();
            observe(succeeded(&payment_intent, total - i64::from(how.is_multiple_of(11))))
        }
        7 => observe(declined()),
        8 if how.is_multiple_of(2) => {
            observe(Outcome::RequiresAction { payment_intent, client_secret: ClientSecret::new("secret") })
        }
        8 if how.is_multiple_of(3) => observe(Outcome::Hosted {
            session: payment_intent.replace("pi", "cs"),
            url: "https://stripe.example".into(),
        }),
        8 => observe(Outcome::Processing { payment_intent }),
        9 => observe(Outcome::Canceled { payment_intent: Some(payment_intent) }),
        10 => observe(Outcome::Stuck { reason: "nobody knows".into() }),
        11 => Change::TimeOver,
        12 => Change::CalledOff,
        13 if how.is_multiple_of(2) => Change::Approved(Word::of("ops")),
        13 => Change::Rejected { word: Word::of("ops"), taken: None },
        16 => return ask_refund(ledger, order, which, how).await,
        17 if how.is_multiple_of(2) => return tell_of_refund(ledger, order, how / 2).await,
        17 => return see_refund(ledger, order, how / 2).await,
        _ => return steer(ledger, which, how).await,
    };
    said_of_apply(ledger.apply(order, change).await.unwrap())
}

/// Eight requests for each order, so that some are repeats; now and then one of them goes astray to another order.
async fn ask_refund(ledger: &dyn Ledger, order: Uuid, which: u8, how: u8) -> String {
    let tickets = ledger.order(order).await.unwrap().map(|order| order.tickets).unwrap_or_default();
    let of = usize::from(which) % ORDERS;
    let of = if how.is_multiple_of(31) { 0 } else { of };
    let request = Uuid::from_u128(u128::from(how % 8) + 100 * u128::try_from(of).unwrap());
    let what = match how / 8 % 4 {
        0 => RefundWhat::All,
        1 => RefundWhat::Amount(i64::from(how) * 50 - 1_000),
        _ => RefundWhat::Tickets(tickets.iter().skip(usize::from(how) % 2).take(1).map(|ticket| ticket.id).collect()),
    };
    let restock = how.is_multiple_of(3);
    let asked = RefundRequest { request, order, what, note: None, restock, by: "ops".into() };
    match ledger.request_refund(asked).await.unwrap() {
        RefundAsked::New { order, refund } => format!("new {} {}", plain(*order), plain_refund(*refund)),
        RefundAsked::Replay { order, refund } => format!("replay {} {}", plain(*order), plain_refund(*refund)),
        RefundAsked::NotPaid(order) => format!("not paid {}", plain(*order)),
        RefundAsked::VoidTicket(_) => "void ticket".into(),
        other => format!("{other:?}"),
    }
}

async fn tell_of_refund(ledger: &dyn Ledger, order: Uuid, how: u8) -> String {
    let refunds = ledger.refunds_of(order).await.unwrap();
    let place = usize::from(how / 4) % refunds.len().max(1);
    let Some(refund) = refunds.get(place) else { return "none".into() };
    let state = RefundState::ALL[usize::from(how % 4)];
    let spent_key = how.is_multiple_of(5).then_some(refund.spent_keys);
    let stripe_id = Some(format!("re_{order}_{place}"));
    let news = RefundNews { refund: refund.id, state, stripe_id, note: None, spent_key };
    said_of_apply(ledger.record_refund(order, news).await.unwrap())
}

/// Stripe lists a refund: by its id one of ours or one that was seen before, by our name, or one that was made elsewhere.
async fn see_refund(ledger: &dyn Ledger, order: Uuid, how: u8) -> String {
    let refunds = ledger.refunds_of(order).await.unwrap();
    let named = refunds.get(usize::from(how / 4) % refunds.len().max(1)).filter(|_| how.is_multiple_of(3));
    let payment_intent = ledger.order(order).await.unwrap().and_then(|order| order.payment_intent);
    let seen = SeenRefund {
        payment_intent: payment_intent.unwrap_or_else(|| "pi_none".into()),
        stripe_id: format!("re_{order}_{}", how / 4 % 8),
        name: named.map(|refund| refund.id),
        amount: named.map_or(i64::from(how % 5) * 1_000, |refund| refund.amount),
        currency: "usd".parse().unwrap(),
        state: [RefundState::Pending, RefundState::Succeeded, RefundState::Failed][usize::from(how % 3)],
        note: None,
    };
    said_of_apply(ledger.see_refund(order, seen).await.unwrap())
}

/// A refund without what each ledger makes up on its own; the tickets that were asked for are among it.
fn plain_refund(mut refund: Refund) -> String {
    (refund.id, refund.created_at, refund.ask_at) = (Uuid::nil(), Timestamp(0), Timestamp(0));
    refund.asked = refund.asked.split(' ').next().unwrap_or_default().to_owned();
    format!("{refund:?}")
}

async fn steer(ledger: &dyn Ledger, which: u8, how: u8) -> String {
    let control = match which % 4 {
        0 => {
            let image = ledger.begin_epoch("demo", "run").await.unwrap();
            return format!("{:?}", image.map(comparable));
        }
        1 => Control::Pause,
        2 => Control::AddStock {
            tier: "std".into(),
            quantity: u32::from(how % 2),
            // One of a few, so that some come again.
            request: Uuid::from_u128(0xadd + u128::from(how % 8)),
        },
        _ => Control::Open,
    };
    format!("{:?}", ledger.control("demo", control, &Word::of("ops")).await.unwrap())
}

/// The purchase as it is sent this time: most often as it should be.
fn variant(purchase: &Accept, epoch: u64, how: u8) -> Accept {
    let (token, short_line) = (format!("tok_{}", how % 3), u32::from(how / 16 % 3));
    let mut purchase = Accept { epoch: Some(epoch), token, short_line, ..purchase.clone() };
    match how % 16 {
        13 => purchase.epoch = Some(epoch.wrapping_sub(1)),
        14 => (purchase.epoch, purchase.items, purchase.sale) = (None, Vec::new(), String::new()),
        15 => purchase.name = "Somebody Else".into(),
        _ => {}
    }
    purchase
}

fn said_of_accept(accepted: Accepted) -> String {
    match accepted {
        Accepted::New(order) => format!("new {}", plain(order)),
        Accepted::NextAttempt(order) => format!("next {}", plain(order)),
        Accepted::Replay(order) => format!("replay {}", plain(order)),
        Accepted::Ended(order) => format!("ended {}", plain(order)),
        Accepted::NoAttemptsLeft(order) => format!("no attempts left {}", plain(order)),
        other => format!("{other:?}"),
    }
}

fn said_of_claim(claimed: Claimed) -> String {
    match claimed {
        Claimed::Yes { order, attempt, first } => format!("yes {first} {} {}", plain(*order), plain_attempt(*attempt)),
        Claimed::No(order) => format!("no {}", plain(*order)),
        Claimed::Unpreparable(order) => format!("unpreparable {}", plain(*order)),
        Claimed::Unknown => "unknown".into(),
    }
}

fn said_of_apply(applied: Applied) -> String {
    match applied {
        Applied::Order { order, stock, changed } => format!("{changed} {stock:?} {}", plain(*order)),
        Applied::Refused(order) => format!("refused {}", plain(*order)),
        Applied::Unknown => "unknown".into(),
    }
}

/// An order without what each ledger makes up on its own.
fn plain(mut order: Order) -> String {
    for (ticket, n) in order.tickets.iter_mut().zip(0_u128..) {
        (ticket.id, ticket.code) = (Uuid::from_u128(n), String::new());
        ticket.voided_by = ticket.voided_by.map(|_| Uuid::nil());
    }
    order.expires_at = order.expires_at.map(|at| Timestamp(at.0.saturating_sub(order.updated_at.0)));
    (order.accepted_at, order.updated_at) = (Timestamp(0), Timestamp(0));
    format!("{order:?}")
}

fn plain_attempt(mut attempt: Attempt) -> String {
    attempt.first_sent_at = attempt.first_sent_at.map(|_| Timestamp(0));
    serde_json::to_string(&attempt).unwrap()
}

/// What can be seen at any time.
async fn look(ledger: &dyn Ledger, basket: &Basket) -> String {
    let ids: Vec<Uuid> = basket.0.iter().map(|purchase| purchase.order).collect();
    let orders: Vec<String> = ledger.orders(&ids).await.unwrap().into_iter().map(plain).collect();
    let image = ledger.image("demo").await.unwrap().map(comparable);
    let counters = ledger.counters("demo").await.unwrap();
    let returned = ledger.returned().await.unwrap();
    format!("{orders:#?} {image:#?} {counters:?} {returned:?}")
}

/// The whole story.
async fn tell(ledger: &dyn Ledger, basket: &Basket) -> String {
    let mut told = String::new();
    for purchase in &basket.0 {
        for line in ledger.audit(purchase.order).await.unwrap() {
            told += &format!("{} {:?} {:?} {:?} {}\n", line.what, line.attempt, line.version, line.note, line.by);
        }
        for number in 1..=3 {
            told += &format!("{:?}\n", ledger.attempt(purchase.order, number).await.unwrap().map(plain_attempt));
        }
        let mut refunds: Vec<String> =
            ledger.refunds_of(purchase.order).await.unwrap().into_iter().map(plain_refund).collect();
        refunds.sort_unstable();
        told += &format!("{refunds:?}\n");
    }
    let later = Timestamp(i64::MAX);
    for what in
        [Left::Owed { since: later }, Left::Due, Left::Closing { since: later }, Left::Authenticating { since: later }]
    {
        let mut left: Vec<Uuid> = ledger.left(what, 100).await.unwrap().iter().map(|order| order.id).collect();
        left.sort_unstable();
        told += &format!("{what:?} {left:?}\n");
    }
    let mut owed: Vec<String> = Vec::new();
    owed.extend(ledger.outbox(100).await.unwrap().iter().map(|entry| format!("{} {}", entry.kind, entry.order)));
    owed.sort_unstable();
    format!("{told}{owed:#?}")
}
