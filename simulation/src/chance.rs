//! Chance: dice, the faults that they decide, and how many of each there were.
//!
//! The faults have dice of their own, so that nothing else changes when one of them is left out. Which kinds of faults
//! there are at all, and how often, is another draw per seed: worlds in which everything goes wrong at once hide what
//! one kind of fault alone would show (A. Groce et al., "Swarm Testing", ISSTA 2012).

use std::time::Duration;

use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A source of choices.
pub(crate) struct Dice(Mutex<ChaCha8Rng>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha8Rng::seed_from_u64(seed)))
    }

    pub(crate) fn draw(&self) -> u64 {
        self.0.lock().random()
    }

    /// A number below `sides`; 0 when there are none.
    pub(crate) fn below(&self, sides: usize) -> usize {
        let sides = u64::try_from(sides).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.draw() % sides).unwrap_or(0)
    }

    /// A duration between two, in milliseconds.
    pub(crate) fn between(&self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(least_ms + self.draw() % most_ms.saturating_sub(least_ms).max(1))
    }

    pub(crate) fn pick<T: Copy>(&self, from: &[T], otherwise: T) -> T {
        from.get(self.below(from.len())).copied().unwrap_or(otherwise)
    }
}

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $kind:ident $word:literal,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[doc = $doc])* $kind,)*
        }

        impl Fault {
            /// Every kind.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$kind),*];

            /// In words.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                }
            }
        }
    };
}

faults! {
    /// A call of ledger, stock, queue or rooms fails before its effect.
    CallLost "calls lost before their effect",
    /// It has its effect, and its answer is lost.
    AnswerLost "answers lost after the effect",
    /// It fails, and has its effect some time later.
    LandsLate "effects that came after their error",
    /// It takes long.
    Slow "slow calls",
    /// The process is killed at the call.
    Killed "processes killed at a call",
    /// A process is not scheduled for a while.
    Stalled "processes that stood still",
    /// All processes are down, for hours perhaps.
    Blackout "blackouts",
    /// Redis forgets everything.
    Wiped "stock and queue wiped",
    /// Redis comes back as it was some time before.
    RolledBack "stock and queue rolled back",
    /// A subscription loses messages, and is told so.
    Gap "gaps in the rooms",
    /// The wall clock jumps.
    ClockJump "clock jumps",
    /// A request does not reach the shop.
    RequestLost "requests lost",
    /// Its answer does not reach the client.
    ReplyLost "replies lost",
    /// It arrives twice.
    RequestTwice "requests doubled",
    /// A page's stream breaks.
    StreamCut "streams cut",
    /// A request does not reach Stripe.
    StripeLost "Stripe: requests lost",
    /// Stripe does it, and the answer is lost.
    StripeAnswerLost "Stripe: answers lost",
    /// 429 or 409.
    StripeThrottled "Stripe: 429 and 409",
    /// A 500 that is stored under the key, and nothing was done.
    StripeBroken "Stripe: stored 500, not done",
    /// A 500 that is stored under the key, though it was done.
    StripeBrokenDone "Stripe: stored 500, done",
    /// 401 or 400.
    StripeRefused "Stripe: 401 and 400",
    /// The account's balance is too small for a refund.
    NoBalance "Stripe: refunds without balance",
    /// A webhook never comes.
    WebhookLost "webhooks lost",
    /// A webhook comes twice.
    WebhookTwice "webhooks doubled",
    /// A webhook comes much later than others.
    WebhookLate "webhooks late",
}

/// What is left out of a world, to find out what its story needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// These kinds of faults do not happen.
    pub kinds: Vec<Fault>,
    /// After so many faults there are no more.
    pub most_faults: Option<u64>,
    /// These faults, by their number, do not happen.
    pub numbers: Vec<u64>,
    /// Only so many shoppers come.
    pub shoppers: Option<usize>,
}

/// Decides about faults.
pub(crate) struct Faults {
    dice: Dice,
    without: Without,
    state: Mutex<State>,
}

struct State {
    /// In ten thousand, by kind.
    rates: [u64; Fault::ALL.len()],
    counts: [u64; Fault::ALL.len()],
    drawn: u64,
    over: bool,
}

impl Faults {
    pub(crate) fn new(seed: u64, without: Without) -> Self {
        let dice = Dice::new(seed ^ 0xfa17);
        let mut rates = [0; Fault::ALL.len()];
        // A quiet world once in a while; else each kind is absent, rare or frequent.
        let quiet = dice.below(12) == 0;
        for rate in &mut rates {
            let drawn = [0, 0, 25, 60, 200][dice.below(5)];
            *rate = if quiet { 0 } else { drawn };
        }
        let state = State { rates, counts: [0; Fault::ALL.len()], drawn: 0, over: false };
        Self { dice, without, state: Mutex::new(state) }
    }

    /// Whether a fault of this kind happens here; `weight` sixteenths as often as the world's rate says.
    pub(crate) fn happens(&self, kind: Fault, weight: u64) -> bool {
        let roll = self.dice.draw() % 10_000;
        let mut state = self.state.lock();
        if state.over || roll >= state.rates[kind as usize].saturating_mul(weight) / 16 {
            return false;
        }
        let number = state.drawn;
        state.drawn += 1;
        let without = &self.without;
        if without.kinds.contains(&kind)
            || without.numbers.contains(&number)
            || without.most_faults.is_some_and(|most| number >= most)
        {
            return false;
        }
        state.counts[kind as usize] += 1;
        true
    }

    /// The first of these kinds that happens here.
    pub(crate) fn first(&self, kinds: &[(Fault, u64)]) -> Option<Fault> {
        kinds.iter().find(|(kind, weight)| self.happens(*kind, *weight)).map(|(kind, _)| *kind)
    }

    /// From now on nothing goes wrong.
    pub(crate) fn are_over(&self) {
        self.state.lock().over = true;
    }

    pub(crate) fn over(&self) -> bool {
        self.state.lock().over
    }

    /// Dice for the particulars of a fault.
    pub(crate) fn dice(&self) -> &Dice {
        &self.dice
    }

    pub(crate) fn drawn(&self) -> u64 {
        self.state.lock().drawn
    }

    pub(crate) fn counts(&self) -> Vec<(Fault, u64)> {
        let state = self.state.lock();
        Fault::ALL.into_iter().map(|kind| (kind, state.counts[kind as usize])).collect()
    }
}
