//! Stripe's own payment page in the ledger, and a sale's policy for money that comes late.

use super::{World, demo, succeeded};
use crate::decline::Decline;
use crate::ledger::{Accept, Accepted, Change, Claimed, Created};
use crate::order::{Order, Outcome, State, hosted};
use crate::sale::{LatePolicy, Sale};

fn page(number: u32) -> Outcome {
    Outcome::Hosted { session: format!("cs_{number}"), url: format!("https://stripe.example/cs_{number}") }
}

fn of_order(order: &Order) -> (Option<&str>, bool) {
    (order.session.as_deref(), order.session_url.is_some())
}

pub(super) async fn stripes_page_is_known_while_it_can_be_paid(w: World) {
    let w = w.selling(2, None).await;
    let purchase = Accept { token: hosted::wish("https://shop.example"), ..w.purchase(1) };
    let order = w.new_order(&purchase).await.id;
    assert!(matches!(w.accept(&purchase).await, Accepted::Replay(_)), "asked for twice");
    let Claimed::Yes { attempt, .. } = w.claim(order, 1).await else { panic!("not claimed") };
    assert_eq!(attempt.return_to(), Some("https://shop.example"));
    let sent = w.observe(order, 1, page(1)).await;
    assert_eq!((sent.state, of_order(&sent)), (State::RequiresAction, (Some("cs_1"), true)));
    assert_eq!(w.stored(order).await, sent);
    assert!(matches!(w.accept(&purchase).await, Accepted::Replay(_)), "the page is open");
    let card = Accept { token: "tok_card".into(), ..purchase.clone() };
    assert_eq!(w.accept(&card).await, Accepted::InProgress);
    let ended = w.observe(order, 1, Outcome::Canceled { payment_intent: None }).await;
    assert_eq!((ended.state, of_order(&ended)), (State::Declined, (None, false)));
    assert!(matches!(w.accept(&purchase).await, Accepted::NextAttempt(_)), "another page");
    w.claim(order, 2).await;
    w.observe(order, 2, page(2)).await;
    w.apply(order, Change::TimeOver).await;
    let closing = w.stored(order).await;
    assert_eq!((closing.state, of_order(&closing)), (State::Closing, (Some("cs_2"), false)), "it is still to be ended");
    let paid = w.observe(order, 2, succeeded("pi_1", 2_500)).await;
    assert_eq!((paid.state, of_order(&paid)), (State::Paid, (None, false)));
}

pub(super) async fn what_was_tried_before_the_page_does_not_end_it(w: World) {
    let w = w.selling(1, None).await;
    let purchase = w.purchase(1);
    let order = w.declined_order(&purchase).await;
    let card = order.payment_intent.clone().expect("the card's payment");
    let by_page = Accept { token: hosted::wish("https://shop.example"), ..purchase };
    assert!(matches!(w.accept(&by_page).await, Accepted::NextAttempt(_)));
    w.claim(order.id, 2).await;
    // The card's payment is canceled before the page is made; whoever hears of it may settle it at any time from then on.
    let canceled = || Outcome::Canceled { payment_intent: Some(card.clone()) };
    let decline = Decline::canceled();
    let declined = || Outcome::Declined { payment_intent: Some(card.clone()), decline: decline.clone() };
    let unmoved = async |before: Order| {
        assert_eq!(w.observe(order.id, 2, canceled()).await, before);
        assert_eq!(w.observe(order.id, 2, declined()).await, before);
    };
    unmoved(w.stored(order.id).await).await;
    unmoved(w.observe(order.id, 2, page(2)).await).await;
    w.apply(order.id, Change::TimeOver).await;
    let closing = w.stored(order.id).await;
    assert_eq!(closing.state, State::Closing);
    unmoved(closing).await;
    assert_eq!(w.observe(order.id, 2, Outcome::Canceled { payment_intent: None }).await.state, State::Expired);
}

pub(super) async fn an_earlier_payment_does_not_end_a_later_one(w: World) {
    let w = w.selling(1, None).await;
    let order = w.declined_order(&w.purchase(1)).await;
    let before = w.stored(order.id).await;
    let another = || Some("pi_of_another_time".to_owned());
    assert_eq!(w.observe(order.id, 1, Outcome::Canceled { payment_intent: another() }).await, before);
    w.apply(order.id, Change::TimeOver).await;
    let closing = w.observe(order.id, 1, Outcome::Canceled { payment_intent: another() }).await;
    assert_eq!(closing.state, State::Closing, "its own can still be paid");
    let ended = w.observe(order.id, 1, Outcome::Canceled { payment_intent: order.payment_intent }).await;
    assert_eq!(ended.state, State::Expired);
}

pub(super) async fn late_money_goes_by_the_sales_policy(w: World) {
    let sale = Sale { late: LatePolicy::Refund, ..demo(5, None) };
    assert_eq!(w.ledger.create_sale(sale).await.unwrap(), Created::Yes);
    assert_eq!(w.ledger.sales().await.unwrap()[0].late, LatePolicy::Refund);
    let order = w.declined_order(&w.purchase(1)).await.id;
    w.apply(order, Change::TimeOver).await;
    w.observe(order, 1, Outcome::Canceled { payment_intent: None }).await;
    let late = w.observe(order, 1, succeeded("pi_1", 2_500)).await;
    assert_eq!((late.state, late.tickets.len()), (State::Expired, 0), "though everything is free");
    let owed = w.ledger.due_refunds(10).await.unwrap();
    assert_eq!((owed.len(), owed[0].reason.as_str(), owed[0].amount), (1, "paid_late", 2_500));
}
