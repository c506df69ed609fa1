use std::sync::atomic::AtomicUsize;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::*;
use crate::env::Seeded;

const CHARGE: Endpoint = Endpoint::CreateIntent;
const DEFAULT: Limits = Limits { endpoint: Some(25), total: Some(100) };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Books that count who asks, and can be out of reach.
struct Spied {
    books: MemorySlots,
    asked: AtomicUsize,
    lost: AtomicBool,
}

impl Spied {
    fn heard(&self) -> Result<(), SlotsError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.lost.load(Ordering::Relaxed) { Err(SlotsError("gone".into())) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl Slots for Spied {
    async fn reserve(&self, ask: Ask) -> Result<Reserved, SlotsError> {
        self.heard()?;
        self.books.reserve(ask).await
    }

    async fn cut(&self, scope: Scope, limits: Limits, observed: Option<MilliHertz>) -> Result<bool, SlotsError> {
        self.heard()?;
        self.books.cut(scope, limits, observed).await
    }

    async fn standing(&self, limits: Limits, sharer: Option<Sharer<'_>>) -> Result<Standing, SlotsError> {
        self.heard()?;
        self.books.standing(limits, sharer).await
    }
}

struct Desk {
    seeded: Seeded,
    books: Arc<Spied>,
    budget: Arc<Budget>,
}

/// Who waits, under a name, and how long they take once it is their turn.
type Waiting = Vec<(&'static str, BoxFuture<'static, ()>)>;

impl Desk {
    fn new(limits: Limits) -> Self {
        let seeded = Seeded::new(1);
        let books = Arc::new(Spied {
            books: MemorySlots::new(seeded.env()),
            asked: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
        });
        let budget = Arc::new(Budget::new(seeded.env(), books.clone(), limits, "one".into()));
        seeded.advance(Duration::from_secs(60));
        Self { seeded, books, budget }
    }

    fn another(&self) -> Arc<Budget> {
        Arc::new(Budget::new(self.seeded.env(), self.books.clone(), DEFAULT, "two".into()))
    }

    fn comes(&self, name: &'static str, endpoint: Endpoint, takes: Duration) -> (&'static str, BoxFuture<'static, ()>) {
        self.comes_with(name, endpoint, takes, self.budget.ticket())
    }

    fn comes_with(
        &self,
        name: &'static str,
        endpoint: Endpoint,
        takes: Duration,
        ticket: Ticket,
    ) -> (&'static str, BoxFuture<'static, ()>) {
        let (budget, env) = (self.budget.clone(), self.seeded.env());
        let request = async move {
            let turn = budget.turn(endpoint, ticket, Duration::from_secs(3_600)).await.expect("endless patience");
            env.sleep(takes).await;
            turn.answered();
        };
        (name, request.boxed())
    }

    /// Lets time pass until all are over, or for so long; who was over when.
    fn until_over(&self, waiting: &mut Waiting, most: Duration) -> Vec<(&'static str, Duration)> {
        let began = self.seeded.env().monotonic();
        let mut over = Vec::new();
        loop {
            let mut moved = true;
            while std::mem::take(&mut moved) {
                waiting.retain_mut(|(name, request)| {
                    let is_over = request.now_or_never().is_some();
                    if is_over {
                        over.push((*name, self.seeded.env().monotonic() - began));
                        moved = true;
                    }
                    !is_over
                });
            }
            let passed = self.seeded.env().monotonic() - began;
            match self.seeded.next_wake() {
                Some(wake) if !waiting.is_empty() && passed + wake <= most => self.seeded.advance(wake),
                _ => return over,
            }
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn requests_leave_evenly_in_the_order_of_their_tickets() {
    let desk = Desk::new(DEFAULT);
    let mut before: Waiting = (0..3).map(|_| desk.comes("before", CHARGE, Duration::ZERO)).collect();
    assert_eq!(desk.until_over(&mut before, MINUTE).len(), 3, "what was missed a moment ago");
    let tickets: Vec<Ticket> = (0..50).map(|_| desk.budget.ticket()).collect();
    let names: Vec<&'static str> = (0..50).map(|n: u32| &*n.to_string().leak()).collect();
    // The first to ask is first; of those in line the ticket decides.
    let mut order: Vec<usize> = (0..50).collect();
    order[1..].reverse();
    let mut waiting: Waiting =
        order.iter().map(|place| desk.comes_with(names[*place], CHARGE, Duration::ZERO, tickets[*place])).collect();
    let over = desk.until_over(&mut waiting, MINUTE);
    assert_eq!(over.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    assert!((ms(1_800)..=ms(2_000)).contains(&over[49].1), "50 at 25 a second: {:?}", over[49].1);
}

#[test]
fn who_was_refused_goes_again_before_those_who_came_later() {
    let desk = Desk::new(DEFAULT);
    let refused = desk.budget.ticket();
    let mut waiting: Waiting = (0..30).map(|_| desk.comes("later", CHARGE, Duration::ZERO)).collect();
    desk.until_over(&mut waiting, ms(200));
    waiting.push(desk.comes_with("refused", CHARGE, Duration::ZERO, refused));
    let over = desk.until_over(&mut waiting, MINUTE);
    let place = over.iter().position(|(name, _)| *name == "refused").unwrap();
    assert!(place <= 1, "one was on its way already: {place}");
}

#[test]
fn who_gives_up_keeps_nobody_waiting() {
    let desk = Desk::new(Limits { endpoint: Some(1), total: None });
    let mut waiting: Waiting = (0..6).map(|_| desk.comes("gives up", CHARGE, Duration::ZERO)).collect();
    waiting.push(desk.comes("stays", CHARGE, Duration::ZERO));
    desk.until_over(&mut waiting, ms(10));
    // The head and all behind it, but the last.
    waiting.retain(|(name, _)| *name == "stays");
    let over = desk.until_over(&mut waiting, MINUTE);
    assert!(over.len() == 1 && over[0].1 <= ms(2_000), "{over:?}");
}

#[test]
fn nobody_waits_beyond_their_patience() {
    let desk = Desk::new(Limits { endpoint: Some(1), total: None });
    let mut waiting: Waiting = (0..10).map(|_| desk.comes("patient", CHARGE, Duration::ZERO)).collect();
    desk.until_over(&mut waiting, ms(10));
    let (budget, env) = (desk.budget.clone(), desk.seeded.env());
    let hasty = async move {
        let began = env.monotonic();
        let turn = budget.turn(CHARGE, budget.ticket(), Duration::from_secs(2)).await;
        assert!(turn.is_err() && env.monotonic() - began <= Duration::from_secs(2));
    };
    waiting.push(("hasty", hasty.boxed()));
    let over = desk.until_over(&mut waiting, MINUTE);
    let hasty = over.iter().find(|(name, _)| *name == "hasty").expect("an answer");
    assert!(hasty.1 <= ms(2_100), "{over:?}");
    assert!(waiting.is_empty(), "and the others are served");
}

#[test]
fn a_slow_stripe_is_not_buried_in_requests() {
    let desk = Desk::new(DEFAULT);
    let mut waiting: Waiting = (0..400).map(|_| desk.comes("slow", CHARGE, Duration::from_secs(10))).collect();
    desk.until_over(&mut waiting, ms(9_900));
    let under_way = desk.budget.lines[CHARGE.place()].under_way();
    assert!((40..=60).contains(&under_way), "{under_way} for twice a second's guess at 25 a second");
    let over = desk.until_over(&mut waiting, Duration::from_secs(600));
    assert_eq!(over.len(), 400, "slow is not never");
}

#[test]
fn a_stripe_that_is_down_is_asked_once_a_second_until_it_answers() {
    let desk = Desk::new(Limits::default());
    let turn = || desk.budget.turn(CHARGE, desk.budget.ticket(), MINUTE).now_or_never();
    for _ in 0..5 {
        assert!(!desk.budget.is_silent(CHARGE));
        turn().unwrap().unwrap().unheard();
    }
    assert!(desk.budget.is_silent(CHARGE) && !desk.budget.is_silent(Endpoint::ReadIntent));
    let mut waiting: Waiting = Vec::new();
    for _ in 0..10 {
        let (budget, ticket) = (desk.budget.clone(), desk.budget.ticket());
        let probe = async move { budget.turn(CHARGE, ticket, MINUTE).await.unwrap().unheard() };
        waiting.push(("probe", probe.boxed()));
    }
    let over = desk.until_over(&mut waiting, ms(4_500));
    assert_eq!(over.len(), 4, "{over:?}");
    waiting.clear();
    waiting.push(desk.comes("answered", CHARGE, ms(100)));
    waiting.extend((0..50).map(|_| desk.comes("all", CHARGE, ms(100))));
    let over = desk.until_over(&mut waiting, ms(2_000));
    assert_eq!(over.len(), 51, "they go as soon as one was answered");
}

#[test]
fn a_refusal_for_too_many_at_once_bounds_those_under_way_and_lets_go_again() {
    let desk = Desk::new(Limits::default());
    let mut waiting: Waiting = (0..40).map(|_| desk.comes("one", CHARGE, ms(1_000))).collect();
    desk.until_over(&mut waiting, ms(10));
    assert_eq!(desk.budget.lines[CHARGE.place()].under_way(), 40, "nothing bounds them");
    desk.budget.throttled(CHARGE, Throttle::EndpointConcurrency).now_or_never().unwrap();
    waiting.extend((0..40).map(|_| desk.comes("two", CHARGE, ms(1_000))));
    desk.until_over(&mut waiting, ms(1_500));
    let under_way = desk.budget.lines[CHARGE.place()].under_way();
    assert!((28..=30).contains(&under_way), "seven tenths of 40, and one more a second: {under_way}");
    desk.until_over(&mut waiting, MINUTE);
    assert!(waiting.is_empty(), "and all come to their turn");
}

#[test]
fn without_a_limit_the_books_are_not_asked_until_stripe_refuses() {
    let desk = Desk::new(Limits::default());
    for _ in 0..1_000 {
        desk.budget.turn(CHARGE, desk.budget.ticket(), Duration::ZERO).now_or_never().unwrap().unwrap().answered();
    }
    assert_eq!(desk.books.asked.load(Ordering::Relaxed), 0);
    desk.seeded.advance(ms(1_000));
    desk.budget.throttled(CHARGE, Throttle::Resource).now_or_never().unwrap();
    assert!(!desk.budget.is_limited(), "one order's business");
    desk.budget.throttled(CHARGE, Throttle::EndpointRate).now_or_never().unwrap();
    assert!(desk.budget.is_limited());
    let mut waiting: Waiting = (0..100).map(|_| desk.comes("limited", CHARGE, Duration::ZERO)).collect();
    let over = desk.until_over(&mut waiting, MINUTE);
    assert!(over[99].1 > ms(1_000), "{:?}", over[99]);
}

#[test]
fn look_ups_by_the_thousand_do_not_starve_charges() {
    let desk = Desk::new(Limits { endpoint: Some(25), total: Some(25) });
    let readers = [Endpoint::ReadIntent, Endpoint::ListEvents, Endpoint::CancelIntent, Endpoint::ListIntents];
    let mut waiting: Waiting = Vec::new();
    for endpoint in readers {
        waiting.extend((0..250).map(|_| desk.comes("look-up", endpoint, Duration::ZERO)));
    }
    desk.until_over(&mut waiting, ms(500));
    waiting.extend((0..100).map(|_| desk.comes("charge", CHARGE, Duration::ZERO)));
    let over = desk.until_over(&mut waiting, Duration::from_secs(6));
    let charges = over.iter().filter(|(name, _)| *name == "charge").count();
    assert_eq!(charges, 100, "four a second is what others may take of 25");
    assert!(over.len() > 110, "and they are not starved, either: {}", over.len());
}

#[test]
fn processes_share_one_budget_in_turns() {
    let desk = Desk::new(DEFAULT);
    let other = desk.another();
    let mut waiting: Waiting = (0..50).map(|_| desk.comes("one", CHARGE, Duration::ZERO)).collect();
    for _ in 0..50 {
        let other = other.clone();
        let request = async move { drop(other.turn(CHARGE, other.ticket(), MINUTE).await.unwrap()) };
        waiting.push(("two", request.boxed()));
    }
    let over = desk.until_over(&mut waiting, MINUTE);
    assert!((ms(3_700)..=ms(4_000)).contains(&over[99].1), "100 at 25 a second: {:?}", over[99].1);
    let ones = over[..50].iter().filter(|(name, _)| *name == "one").count();
    assert!((23..=27).contains(&ones), "{ones} of the first 50");
}

#[test]
fn while_the_books_are_lost_a_process_keeps_to_its_part() {
    let desk = Desk::new(DEFAULT);
    desk.books.lost.store(true, Ordering::Relaxed);
    desk.budget.seen.lock().standing.sharers = 5;
    let mut waiting: Waiting = (0..20).map(|_| desk.comes("alone", CHARGE, Duration::ZERO)).collect();
    let over = desk.until_over(&mut waiting, MINUTE);
    assert!((ms(3_000)..=ms(4_000)).contains(&over[19].1), "20 at 5 a second: {:?}", over[19].1);
}

#[test]
fn a_worker_takes_as_many_in_hand_as_go_out_soon() {
    let hands = |limits| Desk::new(limits).budget.hands();
    assert_eq!(hands(Limits::default()), None);
    assert_eq!(hands(DEFAULT), Some(63), "a second and a half, and one for Stripe");
    assert_eq!(hands(Limits { endpoint: Some(1), total: None }), Some(4));
    let desk = Desk::new(DEFAULT);
    desk.budget.throttled(CHARGE, Throttle::GlobalRate).now_or_never().unwrap();
    assert_eq!(desk.budget.hands(), Some(63), "70 in all are still 25 for charges");
    desk.budget.throttled(CHARGE, Throttle::EndpointRate).now_or_never().unwrap();
    assert_eq!(desk.budget.hands(), Some(44), "17.5 a second are left");
}

#[test]
fn a_sum_of_random_days_never_passes_the_limit() {
    for seed in 0..40 {
        let desk = Desk::new(DEFAULT);
        let dice = Seeded::new(seed).env();
        let mut waiting: Waiting = Vec::new();
        let (mut times, mut passed) = (Vec::new(), Duration::ZERO);
        for _ in 0..60 {
            for _ in 0..dice.random_u64() % 8 {
                let takes = dice.jitter(ms(800));
                waiting.push(desk.comes("one", CHARGE, takes));
            }
            let began = desk.seeded.env().monotonic();
            let step = dice.jitter(ms(300));
            let before = desk.budget.asked_and_gone();
            times.extend(desk.until_over(&mut waiting, step).iter().map(|_| passed));
            let gone = desk.budget.asked_and_gone() - before;
            let took = desk.seeded.env().monotonic() - began;
            passed += took;
            let most = 25.0 * took.as_secs_f64() + 4.0;
            assert!(f64::from(u32::try_from(gone).unwrap()) <= most, "seed {seed}: {gone} within {took:?}");
        }
    }
}

impl Budget {
    /// Requests that have left so far.
    fn asked_and_gone(&self) -> u64 {
        let line = &self.lines[CHARGE.place()];
        self.asked[CHARGE.place()].load(Ordering::Relaxed) - u64::try_from(line.waiting()).unwrap()
    }
}
