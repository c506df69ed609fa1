//! The guards: each place at which the code says no so that money, stock or privacy is safe, under one name.
//!
//! A guard is proved to be needed by taking it away: something must then go wrong, and a test must notice. In a build
//! with the feature `mutants`, the guards that `STAMPEDE_MUTANT` names (with commas between) are off. In every other
//! build nothing asks for them: [`Guard::is_on`] is the constant `true`, and no switch exists.
//!
//! `cargo xtask mutants` takes away one after another and says who noticed; `docs/PROOF.md` has the table.

use std::borrow::Cow;

macro_rules! guards {
    ($(#[doc = $protects:literal] $name:ident,)*) => {
        /// A guard.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Guard { $(#[doc = $protects] $name,)* }

        impl Guard {
            /// Every guard.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name, as `STAMPEDE_MUTANT` has it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What it protects, in one sentence.
            #[must_use]
            pub fn protects(self) -> &'static str {
                match self { $(Self::$name => $protects,)* }.trim()
            }
        }
    };
}

guards! {
    /// The stock gives no more units than are free.
    StockUnits,
    /// The ledger accepts no more units than there are.
    LedgerUnits,
    /// The ledger's statement adds no units beyond the capacity.
    SqlUnits,
    /// The ledger's table holds no more units than there are.
    TableUnits,
    /// The stock gives one customer no more than the limit.
    StockLimit,
    /// The ledger accepts no more than the limit for one customer or one mail address.
    LedgerLimit,
    /// A pinned hold is one order's.
    PinOfOrder,
    /// A hold is its customer's: nobody else pays with it.
    PinOfCustomer,
    /// A hold is its customer's: nobody else gives it up.
    FreeOfCustomer,
    /// A pin for which its order has spoken is never freed as an orphan.
    LonePin,
    /// Before an orphan is freed, the ledger is asked for its order.
    OrphanHasNoOrder,
    /// An accept that comes after its pin may have been freed refuses itself.
    AcceptInTime,
    /// Who pinned a hold undoes that only if no order has come of it.
    UndoOwnPin,
    /// The ledger takes one order from one hold.
    LedgerHold,
    /// The ledger's table has one order for one hold.
    TableHold,
    /// An order whose hold is of another epoch of the stock is not accepted.
    Epoch,
    /// A stock that may have lost something is not sold from: its server has another run id.
    RunId,
    /// The stock listens to an order's newest version only.
    StockVersion,
    /// Units that may be sold again come back once.
    ReturnedOnce,
    /// Nobody comes to another one's order by its id.
    SamePurchase,
    /// One payment token makes one attempt.
    TokenOnce,
    /// The ledger's table has one attempt for one token.
    TableToken,
    /// The next attempt begins after the one before has failed.
    AttemptAfterDecline,
    /// An attempt is sent only while its order waits to be charged.
    ClaimByState,
    /// Only the newest attempt of an order is sent.
    ClaimByAttempt,
    /// A change is written only on top of the version of the order that it was decided on.
    OrderVersion,
    /// What was written when the answer to COMMIT was lost is found, and not written again.
    Receipt,
    /// An attempt keeps its idempotency key on every retry.
    KeyStays,
    /// An attempt is sent again byte for byte.
    StoredBytes,
    /// What Stripe may have forgotten the key of is looked up, and not sent again.
    KeyAge,
    /// Silence is not a decline.
    UnknownIsNoDecline,
    /// An attempt that failed long ago does not settle the one that is under way.
    OwnAttempt,
    /// While a request is unanswered, no event but a success settles its order.
    Unanswered,
    /// A paid order stays paid.
    SuccessStays,
    /// Nothing is fulfilled for another sum or currency than the order's.
    AmountCompared,
    /// A payment that was made for another order pays nothing.
    PaymentOfOrder,
    /// Money that comes a second time goes back.
    PaidTwice,
    /// Money that came by mistake is owed back once.
    MistakeOnce,
    /// What expires is first ended at Stripe.
    ClosingFirst,
    /// Units of a payment are free only on Stripe's word that it cannot be paid.
    StripesWord,
    /// Units of a payment page are free only on Stripe's word that it has ended.
    PagesEnd,
    /// What an order could be paid by before is dead when a payment page is made.
    OneLivePayable,
    /// What an order could be paid by before does not end what it can be paid by now.
    EarlierPayable,
    /// Who gives a payment page up can pay otherwise once Stripe has ended it.
    PageEndedFirst,
    /// Money that comes too late is fulfilled only where the sale says so.
    LatePolicy,
    /// What was settled is shown to stock and room again when it is settled again.
    ShownAgain,
    /// A page is told of nothing before it is committed.
    PublishAfterCommit,
    /// A page joins its room before it takes its snapshot.
    JoinThenSnapshot,
    /// What a room was told is never taken for older than it was.
    ToldVersion,
    /// What a room was not told of an order is found in the ledger, and told.
    RoomsCompared,
    /// After messages were lost, also orders are looked for of which a room has never heard.
    GapHeeded,
    /// An event is stored once.
    InboxOnce,
    /// A job that is known is not queued a second time.
    JobOnce,
    /// Who lost a lease cannot end the job.
    Fence,
    /// A leased job is nobody else's.
    Lease,
    /// A request for a refund is one refund.
    RefundRequestOnce,
    /// No more goes back than was paid.
    RefundSum,
    /// The ledger's table lets no more go back than was paid.
    TableRefundSum,
    /// The ledger's table has one refund for one request.
    TableRefundRequest,
    /// The ledger's table has one row for one refund at Stripe.
    TableRefundAtStripe,
    /// The ledger's table owes money that came by mistake back once.
    TableMistakeOnce,
    /// The ledger's table has an order's tickets once.
    TableTickets,
    /// A ticket goes back once.
    TicketOnce,
    /// Nobody gets in on an order that was given back as a whole.
    WholeOrderVoid,
    /// A refund keeps its idempotency key on every retry.
    RefundKeyStays,
    /// A refund that may have been made is looked for before another key is used.
    RefundLookedUp,
    /// A refund that Stripe lists is known again, and counted once.
    RefundKnown,
    /// A request that was refused undoes nothing that another one has moved.
    RefundOfAnother,
    /// A room is entered with a signature only.
    SignedRoom,
    /// A cookie is no token, so that no script can make one of it.
    SignedPurpose,
    /// An order is shown to its customer only.
    OrderOfCustomer,
    /// A cookie counts only from a page of ours.
    SameSite,
    /// Only the operator's key gives money back.
    OperatorKey,
    /// Who logs in has the very password.
    RightPassword,
    /// Who guesses passwords has to wait.
    LoginsLimited,
    /// An operator's session ends when it idles, and at its longest.
    SessionEnds,
    /// Who was changed while logging in is not let in.
    SessionOfNow,
    /// Nobody does what they may not do.
    Permitted,
    /// Who looks at the shop is asked again who they are.
    LookerMay,
    /// A person decides about orders in review only.
    ReviewOnly,
    /// What is done to a dead job is in the trail before it is done.
    AskedFirst,
    /// The line in front of the till is no longer than the setting says.
    LineBounded,
    /// Who comes when told is served before newcomers.
    TurnKept,
    /// What one may do only so often is counted by all processes together.
    SharedQuota,
    /// A key cannot make operators and keys.
    KeyNeverManages,
    /// The last one who may manage operators stays.
    LastOwner,
    /// An event is believed by its signature.
    EventSignature,
    /// An event that was signed long ago is not believed.
    EventAge,
    /// A shop with real money takes real events only, and the other way round.
    Livemode,
    /// The sweep queues charges that are owed.
    SweepOwed,
    /// The sweep queues all charges again when the queue has lost them.
    SweepLostJobs,
    /// The sweep rebuilds a sale that the stock has lost.
    SweepLostStock,
    /// The sweep frees pins without orders.
    SweepOrphans,
    /// The sweep queues events whose job was lost.
    SweepInbox,
    /// The sweep gives dead letters to a person.
    SweepDeadLetters,
    /// The sweep asks after buyers at the bank of whom nothing is heard.
    SweepSilence,
    /// The sweep closes orders whose time is over.
    SweepDue,
    /// The sweep goes on with closing until Stripe has answered.
    SweepClosing,
    /// The sweep sends refunds that are owed.
    SweepRefunds,
    /// The sweep tells the stock of units that may be sold again.
    SweepReturned,
    /// The sweep reads events that no webhook brought.
    SweepEvents,
    /// The sweep compares payments with Stripe's list.
    SweepPayments,
    /// The sweep mends a stock that shows something else than the ledger has.
    SweepDrift,
}

/// The parts of the sweep by which something is found that would be lost otherwise.
const SWEEPS: [(&str, Guard); 14] = [
    ("owed", Guard::SweepOwed),
    ("lost_jobs", Guard::SweepLostJobs),
    ("lost_stock", Guard::SweepLostStock),
    ("orphan_pins", Guard::SweepOrphans),
    ("inbox", Guard::SweepInbox),
    ("dead_letters", Guard::SweepDeadLetters),
    ("authentication", Guard::SweepSilence),
    ("due", Guard::SweepDue),
    ("closing", Guard::SweepClosing),
    ("refunds", Guard::SweepRefunds),
    ("returned", Guard::SweepReturned),
    ("missed_events", Guard::SweepEvents),
    ("payments", Guard::SweepPayments),
    ("drift", Guard::SweepDrift),
];

impl Guard {
    /// Refuses what is wrong: `wrong`, unless the guard was taken away.
    #[must_use]
    #[inline]
    pub fn refuses(self, wrong: bool) -> bool {
        self.is_on() && wrong
    }

    /// Asks for what is right: `right`, or anything if the guard was taken away.
    #[must_use]
    #[inline]
    pub fn holds(self, right: bool) -> bool {
        right || !self.is_on()
    }

    /// The guard of a part of the sweep is there, or the part has none.
    #[must_use]
    #[inline]
    pub fn sweeps(part: &str) -> bool {
        !IN_THIS_BUILD || SWEEPS.iter().all(|(name, guard)| *name != part || guard.is_on())
    }

    /// Those that were taken away.
    #[must_use]
    pub fn taken_away() -> Vec<Self> {
        Self::ALL.iter().copied().filter(|guard| !guard.is_on()).collect()
    }
}

/// Whether guards can be taken away at all.
pub const IN_THIS_BUILD: bool = cfg!(feature = "mutants");

/// A script or statement as it is; where a guard in it was taken away, with something worse in the guard's place.
///
/// # Panics
/// In a build with mutants, when the guard is not in the text exactly once: then it has moved, and its mutant with it.
#[must_use]
pub fn in_text<'a>(text: &'a str, pieces: &[(Guard, &str, &str)]) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    if IN_THIS_BUILD {
        for (guard, piece, worse) in pieces {
            assert!(text.matches(piece).count() == 1, "{guard:?} is not once in the text as {piece:?}");
            if !guard.is_on() {
                text = Cow::Owned(text.replace(piece, worse));
            }
        }
    }
    text
}

#[cfg(not(feature = "mutants"))]
impl Guard {
    /// Whether it is there; always, in this build.
    #[must_use]
    #[inline]
    pub const fn is_on(self) -> bool {
        true
    }

    /// A key that stays.
    #[must_use]
    #[inline]
    pub fn key(self, key: String) -> String {
        key
    }
}

#[cfg(feature = "mutants")]
impl Guard {
    /// Whether it is there.
    #[must_use]
    pub fn is_on(self) -> bool {
        static OFF: std::sync::OnceLock<Vec<Guard>> = std::sync::OnceLock::new();
        !OFF.get_or_init(named).contains(&self)
    }

    /// A key that stays; or another one each time, if the guard was taken away.
    #[must_use]
    pub fn key(self, key: String) -> String {
        use std::sync::atomic::{AtomicU64, Ordering};
        static COUNT: AtomicU64 = AtomicU64::new(0);
        if self.is_on() { key } else { format!("{key}-{}", COUNT.fetch_add(1, Ordering::Relaxed)) }
    }
}

/// A name that no guard has would prove nothing, so that it ends the process.
#[cfg(feature = "mutants")]
fn named() -> Vec<Guard> {
    let names = std::env::var("STAMPEDE_MUTANT").unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    let guard = |name: &str| {
        let found = Guard::ALL.iter().copied().find(|guard| guard.name() == name);
        assert!(found.is_some(), "STAMPEDE_MUTANT: no guard is called {name:?}");
        found
    };
    names.filter_map(guard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_every_guard_is_there() {
        assert_eq!(Guard::taken_away(), []);
        assert!(Guard::StockUnits.refuses(true) && !Guard::StockUnits.refuses(false));
        assert!(Guard::StockUnits.holds(true) && !Guard::StockUnits.holds(false));
        assert_eq!(Guard::KeyStays.key("a".into()), "a");
        assert_eq!(in_text("if free < n then", &[(Guard::StockUnits, "free < n", "false")]), "if free < n then");
        assert!(SWEEPS.iter().all(|(part, _)| Guard::sweeps(part)));
    }
}
