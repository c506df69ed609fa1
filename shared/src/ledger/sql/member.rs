//! What is asked of the writer: each question with the place for its answer and the caller who waits for it.

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::env::Timestamp;
use crate::ledger::book::{Book, Moment};
use crate::ledger::{
    Accept, Accepted, Applied, Change, Claimed, Control, Controlled, Created, Image, InboxEvent, LedgerError, Prepare,
    RefundAsked, RefundNews, RefundRequest, SeenRefund, Unmatched, Word,
};
use crate::sale::Sale;

/// A question, its answer once decided, and who waits. An answer is sent only when its transaction is durable.
pub(super) struct Ask<Q, A> {
    pub(super) question: Q,
    answer: Option<A>,
    reply: oneshot::Sender<Result<A, LedgerError>>,
}

/// Where the caller gets the answer.
pub(super) type Reply<A> = oneshot::Receiver<Result<A, LedgerError>>;

impl<Q, A> Ask<Q, A> {
    pub(super) fn new(question: Q) -> (Box<Self>, Reply<A>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { question, answer: None, reply }), answer)
    }

    /// Notes what was decided; a later decision, after a rollback, replaces it.
    pub(super) fn decide(&mut self, answer: A) {
        self.answer = Some(answer);
    }

    fn send(self, failure: Option<&LedgerError>) {
        let answer = match (failure, self.answer) {
            (None, Some(answer)) => Ok(answer),
            (None, None) => Err(LedgerError("the question was not decided".to_owned())),
            (Some(failure), _) => Err(failure.clone()),
        };
        // A caller that has gone away no longer minds.
        let _ = self.reply.send(answer);
    }
}

/// A worker that takes an attempt.
pub(super) struct Claim {
    pub(super) order: Uuid,
    pub(super) attempt: u32,
    pub(super) prepare: Prepare,
}

/// A small write that nothing is decided about.
pub(super) enum Mark {
    EventHandled {
        id: String,
        is: bool,
    },
    OutboxDone(Uuid),
    Bookmark {
        name: String,
        place: String,
    },
    Unmatched(Unmatched),
    Matched(String),
    /// Forgets handled events.
    Prune {
        before: Timestamp,
        most: u32,
    },
    /// Nothing, but by a transaction that could write.
    Ping,
}

impl Mark {
    /// What it writes: the table, and the row's key.
    pub(super) fn row(&self) -> (&'static str, String) {
        match self {
            Self::EventHandled { id, .. } => ("inbox", id.clone()),
            Self::OutboxDone(id) => ("outbox", id.to_string()),
            Self::Bookmark { name, .. } => ("bookmarks", name.clone()),
            Self::Unmatched(Unmatched { payment_intent: id, .. }) | Self::Matched(id) => ("unmatched", id.clone()),
            Self::Prune { .. } => ("inbox", String::new()),
            Self::Ping => ("sales", String::new()),
        }
    }
}

/// An operator who steers a sale.
pub(super) struct Steering {
    pub(super) sale: String,
    pub(super) control: Control,
    pub(super) word: Word,
}

/// A stock that is about to be rebuilt.
pub(super) struct NewEpoch {
    pub(super) sale: String,
    pub(super) stock_run: String,
}

/// One member of a group.
pub(super) enum Member {
    Accept(Box<Ask<Accept, Accepted>>),
    Claim(Box<Ask<Claim, Claimed>>),
    Apply(Box<Ask<(Uuid, Change), Applied>>),
    Refund(Box<Ask<RefundRequest, RefundAsked>>),
    News(Box<Ask<(Uuid, RefundNews), Applied>>),
    Seen(Box<Ask<(Uuid, SeenRefund), Applied>>),
    Events(Box<Ask<Vec<InboxEvent>, Vec<bool>>>),
    /// Answered with how many rows it met.
    Mark(Box<Ask<Mark, u64>>),
    Create(Box<Ask<Sale, Created>>),
    Control(Box<Ask<Steering, Controlled>>),
    Epoch(Box<Ask<NewEpoch, Option<Image>>>),
}

impl Member {
    /// The order it speaks of: a group holds one operation per order at most.
    pub(super) fn order(&self) -> Option<Uuid> {
        match self {
            Self::Accept(ask) => Some(ask.question.order),
            Self::Claim(ask) => Some(ask.question.order),
            Self::Apply(ask) => Some(ask.question.0),
            Self::Refund(ask) => Some(ask.question.order),
            Self::News(ask) => Some(ask.question.0),
            Self::Seen(ask) => Some(ask.question.0),
            _ => None,
        }
    }

    /// Operations on a whole sale are rare, and have a transaction for themselves.
    pub(super) fn is_alone(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Control(_) | Self::Epoch(_))
    }

    /// Lets the book decide what is the book's to decide.
    pub(super) fn decide(&mut self, book: &mut Book, at: Moment<'_>) {
        match self {
            Self::Accept(ask) => {
                let answer = book.accept(at, &ask.question);
                ask.decide(answer);
            }
            Self::Claim(ask) => {
                let Claim { order, attempt, prepare } = ask.question;
                ask.decide(book.claim(at, order, attempt, prepare));
            }
            Self::Apply(ask) => {
                let answer = book.apply(at, ask.question.0, &ask.question.1);
                ask.decide(answer);
            }
            Self::Refund(ask) => {
                let answer = book.request_refund(at, &ask.question);
                ask.decide(answer);
            }
            Self::News(ask) => {
                let answer = book.record_refund(at, ask.question.0, &ask.question.1);
                ask.decide(answer);
            }
            Self::Seen(ask) => {
                let answer = book.see_refund(at, ask.question.0, &ask.question.1);
                ask.decide(answer);
            }
            Self::Control(ask) => {
                let Steering { sale, control, word } = &ask.question;
                let answer = book.control(at, sale, control, word);
                ask.decide(answer);
            }
            Self::Events(_) | Self::Mark(_) | Self::Create(_) | Self::Epoch(_) => {}
        }
    }

    /// Answers the caller: what was decided, or that it failed.
    pub(super) fn answer(self, failure: Option<&LedgerError>) {
        match self {
            Self::Accept(ask) => {
                if failure.is_none() {
                    count_refusal(ask.answer.as_ref());
                }
                ask.send(failure);
            }
            Self::Claim(ask) => ask.send(failure),
            Self::Apply(ask) => ask.send(failure),
            Self::Refund(ask) => ask.send(failure),
            Self::News(ask) => ask.send(failure),
            Self::Seen(ask) => ask.send(failure),
            Self::Events(ask) => ask.send(failure),
            Self::Mark(ask) => ask.send(failure),
            Self::Create(ask) => ask.send(failure),
            Self::Control(ask) => ask.send(failure),
            Self::Epoch(ask) => ask.send(failure),
        }
    }
}

/// The stock gave a hold for it, so the first gate has failed.
fn count_refusal(answer: Option<&Accepted>) {
    let guard = match answer {
        Some(Accepted::SoldOut { .. }) => "sold_out",
        Some(Accepted::LimitReached { .. }) => "limit",
        _ => return,
    };
    metrics::counter!("ledger_guard_fired_total", "guard" => guard).increment(1);
}
