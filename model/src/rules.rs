//! How much may happen in a world.

use shared::sale::LatePolicy;

/// What a bank may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bank {
    /// Yes.
    Pays,
    /// No.
    Declines,
    /// The buyer must confirm.
    Challenges,
    /// Later.
    Thinks,
}

/// How much may happen in a world.
#[derive(Clone, Debug)]
pub struct Rules {
    /// For the table.
    pub name: &'static str,
    /// Buyers, each with one order for one ticket.
    pub shoppers: u8,
    /// Tickets.
    pub tickets: u32,
    /// Processes that charge and sweep.
    pub workers: u8,
    /// Cards that each buyer may try.
    pub cards: u8,
    /// What banks say to a card.
    pub banks: &'static [Bank],
    /// What goes wrong, and how often at most.
    pub mishaps: Mishaps,
    /// Orders are claimed when they are accepted, as they are while the line is short.
    pub claims: bool,
    /// Buyers' time may be over.
    pub deadlines: bool,
    /// The stock's gate may let everybody through.
    pub gate_lies: bool,
    /// What becomes of money that comes late.
    pub late: LatePolicy,
    /// A mistake, made on purpose.
    pub wrong: Option<Wrong>,
}

/// What may go wrong, and how often: at most in a world, or still from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mishaps {
    /// Processes that are killed, wherever they are.
    pub crashes: u8,
    /// Leases that lapse though their worker lives.
    pub lapses: u8,
    /// Requests that nobody answers in time; they may be executed all the same, also later.
    pub silences: u8,
    /// Webhook events that come twice.
    pub repeats: u8,
    /// Webhook events that never come.
    pub losses: u8,
    /// Days that pass, so that Stripe forgets its keys.
    pub days: u8,
    /// Jobs that end as dead letters, so that a person decides.
    pub dead_letters: u8,
    /// The event may be called off.
    pub called_off: bool,
}

impl Mishaps {
    /// Nothing.
    pub const NONE: Self =
        Self { crashes: 0, lapses: 0, silences: 0, repeats: 0, losses: 0, days: 0, dead_letters: 0, called_off: false };
}

/// Mistakes that the checker must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// An order is ended without Stripe's word that it cannot be paid any more.
    ReleasesBeforeStripesWord,
    /// A request that nobody answered is sent again under a new key.
    NewKeyOnRetry,
    /// A request that nobody answered counts as declined.
    SilenceIsNo,
    /// The ledger believes the stock's gate.
    NoSecondGate,
    /// The stock believes whoever speaks last.
    NoVersions,
}

impl Rules {
    /// Two buyers, one ticket, two workers, and nothing goes wrong.
    pub const CALM: Self = Self {
        name: "calm",
        shoppers: 2,
        tickets: 1,
        workers: 2,
        cards: 1,
        banks: &[Bank::Pays, Bank::Declines],
        mishaps: Mishaps::NONE,
        claims: false,
        deadlines: true,
        gate_lies: false,
        late: LatePolicy::Fulfil,
        wrong: None,
    };

    /// Worlds that are walked through in every run of the tests.
    pub const SMALL: [Self; 8] = [
        Self { name: "two buyers", workers: 1, ..Self::CALM },
        Self {
            name: "two buyers, a crash",
            workers: 1,
            mishaps: Mishaps { crashes: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self { name: "a gate that lies", workers: 1, gate_lies: true, ..Self::CALM },
        Self {
            name: "two workers, a crash",
            shoppers: 1,
            mishaps: Mishaps { crashes: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self {
            name: "two workers, one job",
            shoppers: 1,
            mishaps: Mishaps { lapses: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self {
            name: "silence",
            shoppers: 1,
            cards: 2,
            mishaps: Mishaps { silences: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self {
            name: "claimed when accepted, a crash",
            workers: 1,
            claims: true,
            mishaps: Mishaps { crashes: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self {
            name: "claimed when accepted, one job twice",
            shoppers: 1,
            claims: true,
            mishaps: Mishaps { lapses: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
    ];

    /// Larger ones, for `cargo xtask model`.
    pub const LARGE: [Self; 13] = [
        Self { name: "two buyers, two workers", ..Self::CALM },
        Self {
            name: "two buyers, two workers, a crash",
            mishaps: Mishaps { crashes: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self { name: "two buyers, two workers, a gate that lies", gate_lies: true, ..Self::CALM },
        Self {
            name: "two buyers, two workers, one job twice",
            mishaps: Mishaps { lapses: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self {
            name: "a second card, silence, a crash",
            shoppers: 1,
            cards: 2,
            mishaps: Mishaps { crashes: 1, silences: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self {
            name: "3-D Secure, a crash",
            shoppers: 1,
            banks: &[Bank::Pays, Bank::Challenges],
            mishaps: Mishaps { crashes: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self {
            name: "a bank that thinks, silence",
            shoppers: 1,
            banks: &[Bank::Pays, Bank::Thinks],
            mishaps: Mishaps { silences: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self {
            name: "a day of silence",
            shoppers: 1,
            cards: 2,
            mishaps: Mishaps { silences: 1, days: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self {
            name: "events lost and repeated",
            shoppers: 1,
            mishaps: Mishaps { repeats: 1, losses: 1, crashes: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self {
            name: "called off, silence, a crash",
            shoppers: 1,
            mishaps: Mishaps { called_off: true, crashes: 1, silences: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self {
            name: "a person decides",
            workers: 1,
            mishaps: Mishaps { dead_letters: 1, silences: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self {
            name: "claimed, a second card, silence, a crash",
            shoppers: 1,
            cards: 2,
            claims: true,
            mishaps: Mishaps { crashes: 1, silences: 1, ..Mishaps::NONE },
            ..Self::CALM
        },
        Self { name: "claimed, two buyers, a gate that lies", claims: true, gate_lies: true, ..Self::CALM },
    ];
}
