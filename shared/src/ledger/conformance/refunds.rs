//! Refunds on request: what may go back, and what becomes of tickets and units on the way.

use std::time::Duration;

use futures::future::join_all;
use uuid::Uuid;

use super::{World, succeeded, units};
use crate::ledger::{Accepted, Applied, Change, RefundAsked, RefundNews, RefundRequest, RefundState, RefundWhat};
use crate::order::{State, displayed_state};

pub(super) async fn a_refund_in_full_voids_the_tickets_and_is_shown_when_the_money_has_gone(w: World) {
    let w = w.selling(10, None).await;
    let paid = w.paid_order(&w.purchase(2)).await;
    let (owed, refund) = w.new_refund(&w.wish(paid.id, RefundWhat::All)).await;
    assert_eq!(
        (refund.amount, refund.state, refund.payment_intent),
        (5_000, RefundState::Owed, paid.payment_intent.unwrap())
    );
    assert_eq!((owed.version, owed.refunding, owed.refunded), (paid.version + 1, 5_000, 0));
    assert_eq!((displayed_state(&owed), owed.valid_tickets().count(), owed.tickets.len()), ("paid", 0, 2));
    assert_eq!(w.stored(paid.id).await, owed, "what is read is what was answered");
    let Applied::Order { order: done, changed: true, .. } =
        w.tell(paid.id, refund.id, RefundState::Succeeded, Some("re_1")).await
    else {
        panic!("not recorded")
    };
    assert_eq!((done.version, done.refunding, done.refunded), (paid.version + 2, 0, 5_000));
    assert_eq!((displayed_state(&done), done.state), ("refunded", State::Paid));
    assert_eq!(w.stored(paid.id).await, *done);
    assert_eq!(units(&w.image().await, "std"), (2, 0), "nobody said that the units may be sold again");
    for state in RefundState::ALL.into_iter().filter(|state| *state != RefundState::Failed) {
        let again = w.tell(paid.id, refund.id, state, None).await;
        assert!(matches!(again, Applied::Order { changed: false, .. }), "{again:?}");
    }
    let words: Vec<String> = w.ledger.audit(paid.id).await.unwrap().into_iter().map(|line| line.what).collect();
    assert_eq!(words[3..], ["refund_requested", "refund_succeeded"]);
    let mut kinds: Vec<String> = w.ledger.outbox(10).await.unwrap().into_iter().map(|entry| entry.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["mail.refunded", "mail.tickets"]);
}

pub(super) async fn parts_of_an_order_go_back_until_nothing_is_left(w: World) {
    let w = w.selling(10, None).await;
    let order = w.paid_order(&w.purchase(2)).await.id;
    let (_, first) = w.new_refund(&w.wish(order, RefundWhat::Amount(1_000))).await;
    w.tell(order, first.id, RefundState::Succeeded, None).await;
    let partly = w.stored(order).await;
    assert_eq!((displayed_state(&partly), partly.refundable()), ("partially_refunded", 4_000));
    assert_eq!(partly.valid_tickets().count(), 2, "a sum voids no ticket");
    let more = w.ask_refund(&w.wish(order, RefundWhat::Amount(4_001))).await;
    assert_eq!(more, RefundAsked::TooMuch { left: 4_000 });
    let (owed, rest) = w.new_refund(&w.wish(order, RefundWhat::Amount(4_000))).await;
    assert_eq!(owed.valid_tickets().count(), 0, "with the last of the money the tickets go");
    assert_eq!(w.ask_refund(&w.wish(order, RefundWhat::Amount(1))).await, RefundAsked::TooMuch { left: 0 });
    assert_eq!(w.ask_refund(&w.wish(order, RefundWhat::All)).await, RefundAsked::TooMuch { left: 0 });
    w.tell(order, rest.id, RefundState::Succeeded, None).await;
    assert_eq!(displayed_state(&w.stored(order).await), "refunded");
}

pub(super) async fn a_refund_by_tickets_takes_their_price_and_voids_them(w: World) {
    let w = w.selling(10, None).await;
    let mut purchase = w.purchase(2);
    purchase.items.push(crate::sale::PricedItem { tier: "vip".into(), quantity: 1, amount: 9_900 });
    let paid = w.paid_order(&purchase).await;
    let of = |tier: &str| paid.tickets.iter().find(|ticket| ticket.tier == tier).unwrap().id;
    let tickets = vec![of("vip"), of("std"), of("vip")];
    let (owed, refund) = w.new_refund(&w.wish(paid.id, RefundWhat::Tickets(tickets.clone()))).await;
    assert_eq!(refund.amount, 12_400, "each ticket once");
    let left: Vec<Uuid> = owed.valid_tickets().map(|ticket| ticket.id).collect();
    assert_eq!(left.len(), 1);
    let again = w.ask_refund(&w.wish(paid.id, RefundWhat::Tickets(vec![left[0], of("vip")]))).await;
    assert_eq!(again, RefundAsked::VoidTicket(of("vip")));
    let stranger = w.paid_order(&w.purchase(1)).await.tickets[0].id;
    let foreign = w.ask_refund(&w.wish(paid.id, RefundWhat::Tickets(vec![stranger]))).await;
    assert_eq!(foreign, RefundAsked::UnknownTicket(stranger));
    w.new_refund(&w.wish(paid.id, RefundWhat::Amount(1_000))).await;
    let last = w.ask_refund(&w.wish(paid.id, RefundWhat::Tickets(left))).await;
    assert_eq!(last, RefundAsked::TooMuch { left: 1_500 });
}

pub(super) async fn one_request_is_one_refund_and_with_other_wishes_a_conflict(w: World) {
    let w = w.selling(10, None).await;
    let (order, other) = (w.paid_order(&w.purchase(2)).await, w.paid_order(&w.purchase(2)).await);
    let wish = w.wish(order.id, RefundWhat::Amount(1_000));
    let (owed, refund) = w.new_refund(&wish).await;
    let replay = RefundAsked::Replay { order: Box::new(owed), refund: Box::new(refund.clone()) };
    assert_eq!(w.ask_refund(&wish).await, replay);
    assert_eq!(w.ask_refund(&RefundRequest { by: "somebody else".into(), ..wish.clone() }).await, replay);
    for different in [
        RefundRequest { what: RefundWhat::Amount(1_001), ..wish.clone() },
        RefundRequest { what: RefundWhat::All, ..wish.clone() },
        RefundRequest { order: other.id, ..wish.clone() },
        RefundRequest { order: Uuid::nil(), ..wish.clone() },
        RefundRequest { restock: true, ..wish.clone() },
        RefundRequest { note: None, ..wish.clone() },
    ] {
        assert_eq!(w.ask_refund(&different).await, RefundAsked::Conflict, "{different:?}");
    }
    w.tell(order.id, refund.id, RefundState::Failed, None).await;
    let RefundAsked::Replay { refund, .. } = w.ask_refund(&wish).await else { panic!("no replay") };
    assert_eq!(refund.state, RefundState::Failed, "whoever wants another try makes another request");
    assert_eq!(w.ledger.refunds_of(order.id).await.unwrap().len(), 1);
}

pub(super) async fn what_cannot_be_given_back_is_refused(w: World) {
    let w = w.selling(10, None).await;
    assert_eq!(w.ask_refund(&w.wish(Uuid::nil(), RefundWhat::All)).await, RefundAsked::Unknown);
    let unpaid = w.new_order(&w.purchase(1)).await;
    let answer = w.ask_refund(&w.wish(unpaid.id, RefundWhat::All)).await;
    assert_eq!(answer, RefundAsked::NotPaid(Box::new(unpaid.clone())));
    assert_eq!(w.stored(unpaid.id).await, unpaid);
    let paid = w.paid_order(&w.purchase(1)).await;
    for nothing in [RefundWhat::Amount(0), RefundWhat::Amount(-1), RefundWhat::Tickets(vec![])] {
        assert_eq!(w.ask_refund(&w.wish(paid.id, nothing)).await, RefundAsked::NotPositive);
    }
    for most in [2_501, i64::MAX] {
        let answer = w.ask_refund(&w.wish(paid.id, RefundWhat::Amount(most))).await;
        assert_eq!(answer, RefundAsked::TooMuch { left: 2_500 });
    }
    assert_eq!(w.stored(paid.id).await, paid);
    let nobodys = w.tell(paid.id, Uuid::nil(), RefundState::Succeeded, None).await;
    assert!(matches!(nobodys, Applied::Refused(_)), "{nobodys:?}");
    assert!(matches!(w.tell(Uuid::nil(), Uuid::nil(), RefundState::Succeeded, None).await, Applied::Unknown));
}

pub(super) async fn a_refund_that_fails_frees_its_amount_and_its_tickets(w: World) {
    let w = w.selling(10, None).await;
    let paid = w.paid_order(&w.purchase(2)).await;
    let one = RefundWhat::Tickets(vec![paid.tickets[0].id]);
    let (_, refund) = w.new_refund(&w.wish(paid.id, one.clone())).await;
    w.tell(paid.id, refund.id, RefundState::Failed, Some("re_1")).await;
    let back = w.stored(paid.id).await;
    assert_eq!((displayed_state(&back), back.refundable(), back.valid_tickets().count()), ("paid", 5_000, 2));
    let (_, second) = w.new_refund(&w.wish(paid.id, one)).await;
    assert_ne!(second.idempotency_key(), refund.idempotency_key());
    w.tell(paid.id, second.id, RefundState::Succeeded, Some("re_2")).await;
    // What failed stays so, whatever is said of it later.
    w.tell(paid.id, refund.id, RefundState::Succeeded, None).await;
    let order = w.stored(paid.id).await;
    assert_eq!(
        (displayed_state(&order), order.refunded, order.valid_tickets().count()),
        ("partially_refunded", 2_500, 1)
    );
    // And a bank may send back what had looked done.
    w.tell(paid.id, second.id, RefundState::Failed, Some("re_2")).await;
    let order = w.stored(paid.id).await;
    assert_eq!((displayed_state(&order), order.refundable(), order.valid_tickets().count()), ("paid", 5_000, 2));
}

pub(super) async fn units_come_back_only_when_the_operator_says_so_and_the_money_has_gone(w: World) {
    let w = w.selling(2, None).await;
    let paid = w.paid_order(&w.purchase(2)).await;
    let full = Accepted::SoldOut { tier: "std".into() };
    let one = RefundWhat::Tickets(vec![paid.tickets[0].id]);
    let wish = RefundRequest { restock: true, ..w.wish(paid.id, one) };
    let (_, refund) = w.new_refund(&wish).await;
    assert_eq!(w.accept(&w.purchase(1)).await, full, "the money has not gone yet");
    assert_eq!(w.ledger.returned().await.unwrap(), []);
    for _ in 0..2 {
        w.tell(paid.id, refund.id, RefundState::Succeeded, None).await;
    }
    let returned = w.ledger.returned().await.unwrap();
    assert_eq!(returned.iter().map(|tier| (tier.tier.as_str(), tier.units)).collect::<Vec<_>>(), [("std", 1)]);
    assert_eq!((units(&w.image().await, "std"), w.image().await.tiers[0].returned), ((1, 0), 1));
    w.paid_order(&w.purchase(1)).await;
    assert_eq!(w.accept(&w.purchase(1)).await, full);
    assert_eq!(units(&w.image().await, "std"), (2, 0));
    // A sum has no units, and a refund without the word leaves them.
    let (_, rest) = w.new_refund(&w.wish(paid.id, RefundWhat::All)).await;
    w.tell(paid.id, rest.id, RefundState::Succeeded, None).await;
    assert_eq!(w.accept(&w.purchase(1)).await, full);
}

pub(super) async fn a_refund_that_fails_after_all_leaves_units_that_are_for_sale_again(w: World) {
    let w = w.selling(1, None).await;
    let paid = w.paid_order(&w.purchase(1)).await;
    let (_, refund) = w.new_refund(&RefundRequest { restock: true, ..w.wish(paid.id, RefundWhat::All) }).await;
    w.tell(paid.id, refund.id, RefundState::Succeeded, None).await;
    let other = w.paid_order(&w.purchase(1)).await;
    w.tell(paid.id, refund.id, RefundState::Failed, None).await;
    let order = w.stored(paid.id).await;
    assert_eq!((order.refundable(), order.valid_tickets().count()), (2_500, 0), "money yes, ticket no");
    assert_eq!((other.valid_tickets().count(), units(&w.image().await, "std")), (1, (1, 0)));
    let (_, again) = w.new_refund(&RefundRequest { restock: true, ..w.wish(paid.id, RefundWhat::All) }).await;
    w.tell(paid.id, again.id, RefundState::Succeeded, None).await;
    assert_eq!(units(&w.image().await, "std"), (1, 0), "no unit comes back twice");
}

pub(super) async fn a_pending_refund_is_asked_about_again_and_a_spent_key_is_not_used_again(w: World) {
    let w = w.selling(10, None).await;
    let paid = w.paid_order(&w.purchase(1)).await;
    let (_, refund) = w.new_refund(&w.wish(paid.id, RefundWhat::All)).await;
    assert_eq!(w.ledger.due_refunds(10).await.unwrap(), std::slice::from_ref(&refund));
    let spent =
        RefundNews { refund: refund.id, state: RefundState::Owed, stripe_id: None, note: None, spent_key: Some(0) };
    w.ledger.record_refund(paid.id, spent.clone()).await.unwrap();
    let due = w.ledger.due_refunds(10).await.unwrap();
    assert_eq!(due[0].idempotency_key(), format!("refund-{}-1", refund.id));
    // Another worker heard the same answer: it is one key all the same.
    w.ledger.record_refund(paid.id, spent).await.unwrap();
    let kept = w.ledger.refunds_of(paid.id).await.unwrap().remove(0);
    assert_eq!(kept.idempotency_key(), format!("refund-{}-1", refund.id));
    w.tell(paid.id, refund.id, RefundState::Pending, Some("re_1")).await;
    assert_eq!(w.ledger.due_refunds(10).await.unwrap(), [], "not at once");
    let pending = w.ledger.refunds_of(paid.id).await.unwrap().remove(0);
    assert_eq!((pending.state, pending.stripe_id.as_deref()), (RefundState::Pending, Some("re_1")));
    assert!(pending.ask_at <= pending.created_at.plus(Duration::from_secs(60)), "{pending:?}");
    let order = w.stored(paid.id).await;
    assert_eq!((displayed_state(&order), order.refunding, order.valid_tickets().count()), ("paid", 2_500, 0));
    // The order can be told of its payment again, whatever became of the money.
    let again = Change::Observed { attempt: 1, outcome: succeeded(&refund.payment_intent, 2_500) };
    assert!(matches!(w.apply(paid.id, again).await, Applied::Order { changed: false, .. }));
}

pub(super) async fn many_requests_at_once_never_give_back_more_than_was_paid(w: World) {
    let w = w.selling(100, None).await;
    let paid = w.paid_order(&w.purchase(10)).await;
    let wishes: Vec<RefundRequest> = (0..40)
        .map(|n| match n % 3 {
            0 => w.wish(paid.id, RefundWhat::Amount(2_499)),
            1 => w.wish(paid.id, RefundWhat::Tickets(vec![paid.tickets[n % 10].id])),
            _ => w.wish(paid.id, RefundWhat::Amount(7_000)),
        })
        .collect();
    let answers = join_all(wishes.iter().map(|wish| w.ask_refund(wish))).await;
    let owed: i64 =
        answers.iter().map(|answer| if let RefundAsked::New { refund, .. } = answer { refund.amount } else { 0 }).sum();
    let order = w.stored(paid.id).await;
    assert_eq!(order.refunding, owed);
    assert!(owed <= 25_000 && owed > 25_000 - 2_499, "{owed}");
    let rows = w.ledger.refunds_of(paid.id).await.unwrap();
    assert_eq!(rows.iter().map(|refund| refund.amount).sum::<i64>(), owed);
}
