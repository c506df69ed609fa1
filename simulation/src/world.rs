//! One world: a seed, from its beginning until nothing is left to do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use shared::jobs::{Authentication, CreateCharge, ProcessResponse, Webhook};
use shared::ledger::{Control, Ledger as _, Word};
use shared::queue::{Job as _, Queue as _};

use crate::chance::{Dice, Fault, Without};
use crate::check::Seen;
use crate::fate;
use crate::plan::Plan;
use crate::scene::{Breach, Scene, Told};
use crate::shop::{Parts, Shop};
use crate::shopper::{Crowd, Shopper};
use crate::stage::{Stage, Step, Who};

/// A world that takes more steps than this does not come to rest.
const MOST_STEPS: u64 = 3_000_000;
/// Without faults, everything is over after so many minutes: a webhook is told again after five hours.
const MOST_MINUTES: u32 = 600;

/// What became of a world.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its seed.
    pub seed: u64,
    /// How often a task was polled.
    pub steps: u64,
    /// Orders that were accepted.
    pub orders: usize,
    /// Of those, paid in the end.
    pub paid: usize,
    /// Time that passed in it.
    pub simulated: Duration,
    /// How often each kind of fault happened.
    pub faults: Vec<(Fault, u64)>,
    /// Faults that were drawn, left out or not.
    pub drawn: u64,
    /// What did not hold.
    pub breach: Option<Breach>,
    /// What happened, if it was to be told.
    pub story: Vec<Told>,
}

/// Who came again at the end: the tier, how many, and whether they got them.
type Late = (&'static str, u32, bool);

struct World {
    shop: Arc<Shop>,
    crowd: Arc<Crowd>,
    stage: Stage,
    seen: Seen,
    /// Shoppers who have not gone yet.
    busy: Arc<AtomicUsize>,
    late: Arc<parking_lot::Mutex<Vec<Late>>>,
}

/// Plays a seed to its end. `twist` may make a part worse than it is.
pub(crate) fn play(seed: u64, without: &Without, tells: bool, twist: fn(&mut Parts)) -> Ended {
    // Layers of the router ask for timers. They get some that never fire: nobody drives this runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let _entered = runtime.as_ref().ok().map(tokio::runtime::Runtime::enter);
    let scene = Scene::new(seed, without.clone(), tells);
    let shop = Shop::new(&scene, Plan::of(seed, without), twist);
    let crowd = Arc::new(Crowd::default());
    let stage = Stage::new(scene.seeded.clone(), scene.dice.clone(), scene.cues.clone());
    let (busy, late) = (Arc::default(), Arc::default());
    let mut world = World { shop, crowd, stage, seen: Seen::default(), busy, late };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.play(seed))) {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        scene.broken(None, format!("something panicked: {}", text.unwrap_or("without words")));
    }
    let orders = fate::orders(&world.shop, &world.crowd);
    Ended {
        seed,
        steps: world.stage.steps,
        orders: orders.len(),
        paid: orders.iter().filter(|order| order.state == shared::order::State::Paid).count(),
        simulated: scene.env.monotonic(),
        faults: scene.faults.counts(),
        drawn: scene.faults.drawn(),
        breach: scene.breach(),
        story: scene.story(),
    }
}

impl World {
    fn play(&mut self, seed: u64) {
        self.begin(seed);
        let plan = &self.shop.plan;
        let until = Dice::new(seed ^ 0xe4d).between(60_000, 60_000 + 1_000 * plan.rush_secs + 900_000);
        self.until(until);
        self.calm();
        for minute in 0..MOST_MINUTES {
            if self.failed() || (minute > 2 && self.is_quiet()) {
                break;
            }
            self.tidy();
            self.pass(60);
        }
        self.come_again(seed);
        if !self.failed() {
            self.shop.check_the_end(&self.crowd);
            self.check_nobody_was_sent_away_for_nothing();
        }
    }

    fn begin(&mut self, seed: u64) {
        let shop = &self.shop;
        for worker in 0..shop.plan.workers {
            shop.start(Who::Worker(worker));
        }
        for web in 0..shop.plan.webs {
            shop.start(Who::Web(web));
        }
        let rush = shop.plan.rush_secs * 1_000;
        for n in 0..shop.plan.shoppers {
            self.busy.fetch_add(1, Ordering::Relaxed);
            let seed = seed.wrapping_mul(1_000_003) ^ (n as u64) << 40;
            let pause = Dice::new(seed).between(0, rush);
            let (shop, crowd, busy) = (shop.clone(), self.crowd.clone(), self.busy.clone());
            let come = async move {
                shop.scene.sleep(pause).await;
                if let Some(shopper) = Shopper::arrive(shop, crowd, format!("shopper {}", n + 1), seed).await {
                    shopper.shop_around().await;
                }
                busy.fetch_sub(1, Ordering::Relaxed);
            };
            self.shop.scene.enter(Who::World, come.boxed());
        }
        let enter = |task| self.shop.scene.enter(Who::World, task);
        enter(fate::strike(self.shop.clone()).boxed());
        enter(fate::bank(self.shop.clone()).boxed());
        enter(fate::operate(self.shop.clone(), self.crowd.clone(), seed).boxed());
    }

    fn failed(&self) -> bool {
        self.shop.scene.is_broken()
    }

    fn pass(&mut self, secs: u64) {
        let until = self.shop.scene.env.monotonic() + Duration::from_secs(secs);
        self.until(until);
    }

    /// Goes on until a time, and checks after every step.
    fn until(&mut self, until: Duration) {
        while !self.failed() {
            match self.stage.step(until) {
                Step::Quiet => return,
                Step::Died(who) => {
                    self.shop.has_died(who);
                    self.shop.scene.enter(Who::World, fate::raise(self.shop.clone(), who).boxed());
                }
                Step::Played => {}
            }
            for event in std::mem::take(&mut *self.shop.stripe.outgoing.lock()) {
                self.shop.scene.enter(Who::World, self.shop.clone().deliver(event).boxed());
            }
            if self.shop.scene.dirty.swap(false, Ordering::Relaxed) {
                self.shop.check(&self.crowd, &mut self.seen);
            }
            if self.stage.steps > MOST_STEPS {
                self.shop.scene.broken(None, "the world does not come to rest");
            }
        }
    }

    /// Nothing goes wrong any more.
    fn calm(&mut self) {
        let scene = &self.shop.scene;
        scene.faults.are_over();
        scene.tell(Who::World, None, || "from now on nothing goes wrong".into());
        scene.jump(true);
        *self.shop.dark_until.lock() = Duration::ZERO;
        self.shop.stripe.balance(true);
        let _ = self.shop.ledger.control(Shop::sale(), Control::Resume, &Word::of("operator")).now_or_never();
    }

    /// What operators and Stripe do of themselves, sooner or later.
    fn tidy(&self) {
        self.shop.stripe.settle_refunds(true);
        let (shop, crowd) = (self.shop.clone(), self.crowd.clone());
        let look = async move { fate::look_after(&shop, &crowd).await };
        self.shop.scene.enter(Who::World, look.boxed());
    }

    fn is_quiet(&self) -> bool {
        let queue = self.shop.redis.queue();
        let open = |name| {
            let gauges = queue.gauges(name).now_or_never().and_then(Result::ok).unwrap_or_default();
            gauges.waiting + gauges.running + gauges.delayed + gauges.dead
        };
        let queues = [CreateCharge::QUEUE, ProcessResponse::QUEUE, Webhook::QUEUE, Authentication::QUEUE];
        let ledger = &self.shop.ledger;
        let orders = fate::orders(&self.shop, &self.crowd);
        self.busy.load(Ordering::Relaxed) == 0
            && queues.into_iter().all(|name| open(name) == 0)
            && orders.iter().all(|order| order.state.is_final() && order.refunding == 0)
            && ledger.unhandled_events(1).now_or_never().and_then(Result::ok).is_some_and(|left| left.is_empty())
            && ledger.due_refunds(1).now_or_never().and_then(Result::ok).is_some_and(|left| left.is_empty())
    }

    /// Who was refused comes once more, one after another; and everybody looks at their orders in a new tab.
    fn come_again(&mut self, seed: u64) {
        // Holds that nobody pays for have ended by then, and what was compared now and then was compared.
        self.pass(1_000);
        let refused = std::mem::take(&mut *self.crowd.refused.lock());
        let (shop, crowd, late) = (self.shop.clone(), self.crowd.clone(), self.late.clone());
        let come = async move {
            for (n, (tier, quantity)) in refused.into_iter().enumerate() {
                let seed = seed ^ 0x1a7e ^ (n as u64) << 32;
                let name = format!("late shopper {}", n + 1);
                let Some(shopper) = Shopper::arrive(shop.clone(), crowd.clone(), name, seed).await else { continue };
                shopper.open_tab();
                let got = shopper.try_again(tier, quantity).await;
                late.lock().push((tier, quantity, got));
            }
        };
        self.shop.scene.enter(Who::World, come.boxed());
        let customers = self.crowd.customers.lock().clone();
        for (name, id, token) in customers {
            let tab = crate::tab::Tab::new(format!("{name}'s last tab"), id, &token);
            self.crowd.tabs.lock().push(tab.clone());
            let dice = Arc::new(Dice::new(seed));
            self.shop.scene.enter(Who::World, tab.live(self.shop.clone(), dice).boxed());
        }
        self.pass(400);
        self.tidy();
        self.pass(200);
    }

    fn check_nobody_was_sent_away_for_nothing(&self) {
        for (tier, quantity, got) in &*self.late.lock() {
            let free = self.shop.free(tier);
            if !got && free >= *quantity && self.shop.plan.limit(tier).is_none_or(|limit| *quantity <= limit) {
                let what = format!("somebody was refused {quantity} of {tier}, and {free} are left");
                self.shop.scene.broken(None, format!("at the end: {what}"));
            }
        }
    }
}
