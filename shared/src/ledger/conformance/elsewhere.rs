//! Refunds that Stripe lists: ours, by id or by name, and those that were made in its dashboard.

use futures::future::join;
use uuid::Uuid;

use super::{World, succeeded, units};
use crate::ledger::{Applied, Change, Refund, RefundAsked, RefundState, RefundWhat, SeenRefund};
use crate::order::{Order, Outcome, displayed_state};

use RefundState::{Failed, Pending, Succeeded};

impl World {
    fn seen(&self, order: &Order, stripe_id: &str, amount: i64, state: RefundState) -> SeenRefund {
        SeenRefund {
            payment_intent: order.payment_intent.clone().unwrap(),
            stripe_id: stripe_id.into(),
            name: None,
            amount,
            currency: order.currency,
            state,
            note: None,
        }
    }

    /// Stripe lists a refund; whether that was news.
    async fn see(&self, order: Uuid, seen: SeenRefund) -> bool {
        match self.ledger.see_refund(order, seen).await.unwrap() {
            Applied::Order { changed, .. } => changed,
            other => panic!("not recorded: {other:?}"),
        }
    }

    /// Nobody made it but somebody at Stripe.
    async fn by_hand(&self, order: &Order, stripe_id: &str, amount: i64, state: RefundState) -> bool {
        self.see(order.id, self.seen(order, stripe_id, amount, state)).await
    }

    async fn rows(&self, order: &Order) -> Vec<Refund> {
        self.ledger.refunds_of(order.id).await.unwrap()
    }

    /// What the page shows, what has gone back, what is on its way, and how many tickets admit.
    async fn shown(&self, order: &Order) -> (&'static str, i64, i64, usize) {
        let order = self.stored(order.id).await;
        (displayed_state(&order), order.refunded, order.refunding, order.valid_tickets().count())
    }
}

pub(super) async fn a_refund_that_was_made_elsewhere_has_a_row_of_its_own_and_counts(w: World) {
    let w = w.selling(10, None).await;
    let paid = w.paid_order(&w.purchase(2)).await;
    assert!(w.by_hand(&paid, "re_1", 1_000, Succeeded).await);
    assert_eq!(w.shown(&paid).await, ("partially_refunded", 1_000, 0, 2), "a sum voids no ticket");
    let before = w.stored(paid.id).await;
    for state in [Succeeded, Pending] {
        assert!(!w.by_hand(&paid, "re_1", 1_000, state).await, "{state:?} again is no news");
    }
    assert_eq!(w.stored(paid.id).await, before);
    let rows = w.rows(&paid).await;
    assert_eq!((rows.len(), rows[0].reason.as_str(), rows[0].request), (1, "elsewhere", None));
    assert_eq!((rows[0].amount, rows[0].state, rows[0].stripe_id.as_deref()), (1_000, Succeeded, Some("re_1")));
    let more = w.ask_refund(&w.wish(paid.id, RefundWhat::Amount(4_001))).await;
    assert_eq!(more, RefundAsked::TooMuch { left: 4_000 });
    let (_, rest) = w.new_refund(&w.wish(paid.id, RefundWhat::All)).await;
    assert_eq!(rest.amount, 4_000);
    w.tell(paid.id, rest.id, Succeeded, Some("re_2")).await;
    assert_eq!(w.shown(&paid).await, ("refunded", 5_000, 0, 0));
    let words: Vec<String> = w.ledger.audit(paid.id).await.unwrap().into_iter().map(|line| line.what).collect();
    assert_eq!(words[3..], ["refund_elsewhere", "refund_requested", "refund_succeeded"]);
    let mut kinds: Vec<String> = w.ledger.outbox(10).await.unwrap().into_iter().map(|entry| entry.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["mail.refunded", "mail.refunded", "mail.tickets"]);
}

pub(super) async fn an_order_that_was_given_back_elsewhere_as_a_whole_admits_nobody(w: World) {
    let w = w.selling(2, None).await;
    let paid = w.paid_order(&w.purchase(2)).await;
    assert!(w.by_hand(&paid, "re_1", 2_000, Succeeded).await);
    assert!(w.by_hand(&paid, "re_2", 3_000, Pending).await);
    assert_eq!(w.shown(&paid).await, ("partially_refunded", 2_000, 3_000, 0), "not even while the last of it pends");
    assert_eq!(w.ledger.due_refunds(10).await.unwrap(), [], "it is asked about in a while");
    assert!(w.by_hand(&paid, "re_2", 3_000, Succeeded).await);
    assert_eq!(w.shown(&paid).await, ("refunded", 5_000, 0, 0));
    assert_eq!(units(&w.image().await, "std"), (2, 0), "nobody said that the units may be sold again");
    // A bank sends one of them back.
    assert!(w.by_hand(&paid, "re_2", 3_000, Failed).await);
    assert_eq!(w.shown(&paid).await, ("partially_refunded", 2_000, 0, 2));
    assert!(!w.by_hand(&paid, "re_2", 3_000, Succeeded).await, "what failed stays so");
    assert!(w.by_hand(&paid, "re_3", 3_000, Failed).await, "a failure that is new is kept");
    assert_eq!(w.shown(&paid).await, ("partially_refunded", 2_000, 0, 2));
}

pub(super) async fn our_refund_is_known_by_its_name_and_by_stripes_id_and_counted_once(w: World) {
    let w = w.selling(10, None).await;
    let paid = w.paid_order(&w.purchase(2)).await;
    let (_, refund) = w.new_refund(&w.wish(paid.id, RefundWhat::Amount(1_000))).await;
    let named = SeenRefund { name: Some(refund.id), ..w.seen(&paid, "re_1", 1_000, Succeeded) };
    assert!(w.see(paid.id, named.clone()).await, "the event before the answer");
    let answer = w.tell(paid.id, refund.id, Succeeded, Some("re_1")).await;
    assert!(matches!(answer, Applied::Order { changed: false, .. }), "{answer:?}");
    let (_, second) = w.new_refund(&w.wish(paid.id, RefundWhat::Amount(500))).await;
    w.tell(paid.id, second.id, Pending, Some("re_2")).await;
    assert!(w.by_hand(&paid, "re_2", 500, Succeeded).await, "the answer before the event, which may lack our name");
    assert_eq!((w.rows(&paid).await.len(), w.shown(&paid).await), (2, ("partially_refunded", 1_500, 0, 2)));
    // Under one name twice, after all: both have gone.
    assert!(w.see(paid.id, SeenRefund { stripe_id: "re_3".into(), ..named }).await);
    assert_eq!((w.rows(&paid).await.len(), w.shown(&paid).await), (3, ("partially_refunded", 2_500, 0, 2)));
    // And one whose name Stripe has lost is counted where it was seen first.
    let (_, third) = w.new_refund(&w.wish(paid.id, RefundWhat::Amount(700))).await;
    assert!(w.by_hand(&paid, "re_4", 700, Succeeded).await);
    w.tell(paid.id, third.id, Succeeded, Some("re_4")).await;
    assert_eq!((w.rows(&paid).await.len(), w.shown(&paid).await), (5, ("partially_refunded", 3_200, 0, 2)));
}

pub(super) async fn wishes_that_were_overtaken_elsewhere_take_nothing(w: World) {
    let w = w.selling(10, None).await;
    for (by_hand, after) in [(3_000, ("partially_refunded", 3_000, 0, 2)), (5_000, ("refunded", 5_000, 0, 0))] {
        let paid = w.paid_order(&w.purchase(2)).await;
        let (_, wish) = w.new_refund(&w.wish(paid.id, RefundWhat::All)).await;
        assert!(w.by_hand(&paid, &format!("re_{by_hand}"), by_hand, Succeeded).await);
        let (state, refunded, refunding, valid) = w.shown(&paid).await;
        assert_eq!((state, refunded, refunding, valid), (after.0, by_hand, 5_000 - by_hand, 0));
        assert_eq!(w.ask_refund(&w.wish(paid.id, RefundWhat::Amount(1))).await, RefundAsked::TooMuch { left: 0 });
        w.tell(paid.id, wish.id, Failed, None).await;
        assert_eq!(w.shown(&paid).await, after);
    }
}

pub(super) async fn money_that_came_by_mistake_and_went_back_elsewhere_does_not_go_again(w: World) {
    let w = w.selling(1, None).await;
    let order = w.declined_order(&w.purchase(1)).await;
    w.apply(order.id, Change::TimeOver).await;
    w.observe(order.id, 1, Outcome::Canceled { payment_intent: None }).await;
    w.new_order(&w.purchase(1)).await;
    w.observe(order.id, 1, succeeded("pi_late", 2_500)).await;
    let late = Order { payment_intent: Some("pi_late".into()), ..order.clone() };
    assert!(w.by_hand(&late, "re_0", 2_500, Failed).await, "one that failed gave nothing back");
    assert_eq!(w.ledger.due_refunds(10).await.unwrap().len(), 1);
    assert!(w.by_hand(&late, "re_1", 2_500, Succeeded).await);
    assert_eq!(w.ledger.due_refunds(10).await.unwrap(), []);
    let rows: Vec<_> = w.rows(&order).await.into_iter().map(|row| (row.reason, row.stripe_id, row.state)).collect();
    let row = |reason: &str, id: &str, state| (reason.to_owned(), Some(id.to_owned()), state);
    assert_eq!(rows, [row("paid_late", "re_1", Succeeded), row("elsewhere", "re_0", Failed)]);
    assert_eq!(w.shown(&order).await, ("expired", 0, 0, 0), "it was never this order's money");
    let strange = SeenRefund { payment_intent: "pi_strange".into(), ..w.seen(&late, "re_9", 1, Succeeded) };
    let refused = w.ledger.see_refund(order.id, strange.clone()).await.unwrap();
    assert!(matches!(refused, Applied::Refused(_)), "{refused:?}");
    assert!(matches!(w.ledger.see_refund(Uuid::nil(), strange).await.unwrap(), Applied::Unknown));
}

/// Two workers read the same list.
pub(super) async fn one_refund_that_both_see_is_one_row(w: [World; 2]) {
    w[0].clone().selling(100, None).await;
    let paid = w[0].paid_order(&w[0].purchase(8)).await;
    for n in 0..20 {
        let seen = w[0].seen(&paid, &format!("re_{n}"), 1_000, Succeeded);
        let news = join(w[0].see(paid.id, seen.clone()), w[1].see(paid.id, seen)).await;
        assert!(news.0 != news.1, "{n}: {news:?}");
    }
    assert_eq!((w[1].rows(&paid).await.len(), w[1].shown(&paid).await), (20, ("refunded", 20_000, 0, 0)));
}
