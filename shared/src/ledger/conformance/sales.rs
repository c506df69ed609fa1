//! Sales, their operators, and the stock that is rebuilt from them.

use super::{World, comparable, demo, succeeded, units};
use crate::env::Timestamp;
use crate::ledger::{Accept, Accepted, Change, Control, Controlled, Created, Word};
use crate::order::Outcome;
use crate::sale::{MOST_CAPACITY, Sale};

pub(super) async fn sales_are_listed_newest_first_and_a_slug_is_taken_once(w: World) {
    assert_eq!(w.ledger.sales().await.unwrap(), []);
    let first = demo(10, Some(2));
    let opens_at = Some(Timestamp(5_000));
    let mut second = Sale { slug: "later".into(), closes_at: Some(Timestamp(9_000)), ..demo(1, None) };
    second.tiers[1].opens_at = opens_at;
    assert_eq!(w.ledger.create_sale(first.clone()).await.unwrap(), Created::Yes);
    assert_eq!(w.ledger.create_sale(second.clone()).await.unwrap(), Created::Yes);
    let other = Sale { name: "Another".into(), ..first.clone() };
    assert_eq!(w.ledger.create_sale(other).await.unwrap(), Created::SlugTaken);
    assert_eq!(w.ledger.sales().await.unwrap(), [second, first]);
    assert_eq!(w.ledger.counters("nowhere").await.unwrap(), None);
    assert_eq!(w.ledger.image("nowhere").await.unwrap(), None);
    assert_eq!(w.ledger.begin_epoch("nowhere", "run").await.unwrap(), None);
    w.ledger.ping().await.unwrap();
}

pub(super) async fn an_operator_steers_a_sale(w: World) {
    let w = w.selling(10, None).await;
    let steer = async |control| w.ledger.control("demo", control, &Word::of("ops")).await.unwrap();
    let now = async || w.ledger.sales().await.unwrap().remove(0);
    assert_eq!(steer(Control::Pause).await, Controlled::Yes);
    assert!(now().await.paused);
    assert_eq!(w.accept(&w.purchase(1)).await, Accepted::Paused);
    assert_eq!(steer(Control::Resume).await, Controlled::Yes);
    assert!(!now().await.paused);
    assert_eq!(steer(Control::Close).await, Controlled::Yes);
    assert!(now().await.closes_at.is_some_and(|at| at <= w.ledger.now()));
    assert_eq!(steer(Control::Open).await, Controlled::Yes);
    assert_eq!(now().await, demo(10, None));
    assert_eq!(w.ledger.control("nowhere", Control::Open, &Word::of("ops")).await.unwrap(), Controlled::UnknownSale);
    let add = |tier: &str, quantity| Control::AddStock { tier: tier.into(), quantity, request: w.env.uuid_v4() };
    assert_eq!(steer(add("box", 1)).await, Controlled::UnknownTier);
    assert_eq!(steer(add("std", MOST_CAPACITY)).await, Controlled::TooMuch);
    assert_eq!(now().await, demo(10, None));
}

pub(super) async fn stock_that_is_added_can_be_bought(w: World) {
    let w = w.selling(1, None).await;
    w.new_order(&w.purchase(1)).await;
    let second = w.purchase(1);
    assert_eq!(w.accept(&second).await, Accepted::SoldOut { tier: "std".into() });
    let add = Control::AddStock { tier: "std".into(), quantity: 1, request: w.env.uuid_v4() };
    assert_eq!(w.ledger.control("demo", add, &Word::of("ops")).await.unwrap(), Controlled::Yes);
    assert_eq!(w.image().await.tiers[0].capacity, 2);
    w.new_order(&second).await;
}

pub(super) async fn a_request_for_more_units_adds_them_once(w: World) {
    let w = w.selling(1, None).await;
    let (other, request) = (Sale { slug: "other".into(), ..demo(1, None) }, w.env.uuid_v4());
    assert_eq!(w.ledger.create_sale(other).await.unwrap(), Created::Yes);
    let word = |why: &str| Word { by: "ops".into(), why: Some(why.into()) };
    let add = async |sale: &str, tier: &str, quantity, word: Word| {
        let add = Control::AddStock { tier: tier.into(), quantity, request };
        w.ledger.control(sale, add, &word).await.unwrap()
    };
    assert_eq!(add("demo", "std", MOST_CAPACITY, Word::of("ops")).await, Controlled::TooMuch, "which uses up no id");
    assert_eq!(add("demo", "std", 5, word("a wing was opened")).await, Controlled::Yes);
    assert_eq!(add("demo", "std", 5, Word::of("ops")).await, Controlled::Again);
    assert_eq!(add("demo", "std", 5, word("said otherwise")).await, Controlled::Again);
    assert_eq!(add("demo", "std", 50, Word::of("ops")).await, Controlled::Conflict);
    assert_eq!(add("demo", "vip", 5, Word::of("ops")).await, Controlled::Conflict);
    assert_eq!(add("other", "std", 5, Word::of("ops")).await, Controlled::Conflict);
    let capacities = |sale: &Sale| sale.tiers.iter().map(|tier| tier.capacity).collect::<Vec<_>>();
    let sales = w.ledger.sales().await.unwrap();
    assert_eq!(capacities(&sales[1])[0], 6);
    assert_eq!(capacities(&sales[0]), capacities(&demo(1, None)));
}

pub(super) async fn a_new_epoch_refuses_the_holds_of_the_old_one(w: World) {
    let w = w.selling(10, None).await;
    let of_the_old = w.purchase(1);
    let image = w.ledger.begin_epoch("demo", "run-2").await.unwrap().unwrap();
    assert_eq!(image.epoch, 2);
    assert_eq!(w.accept(&of_the_old).await, Accepted::WrongEpoch);
    w.new_order(&Accept { epoch: Some(2), ..w.purchase(1) }).await;
    assert_eq!(w.ledger.sales().await.unwrap()[0].epoch, 2);
    assert_eq!(w.image().await.epoch, 2, "reading the image changes nothing");
}

pub(super) async fn the_image_shows_what_is_sold_and_what_is_pinned(w: World) {
    let w = w.selling(10, Some(4)).await;
    let (paid, pinned, ended) = (w.purchase(2), w.purchase(3), w.purchase(1));
    let again = Accept { customer: paid.customer, email: paid.email.clone(), ..w.purchase(1) };
    for purchase in [&paid, &pinned, &ended, &again] {
        w.new_order(purchase).await;
    }
    for (purchase, amount) in [(&paid, 5_000), (&again, 2_500)] {
        w.claim(purchase.order, 1).await;
        w.observe(purchase.order, 1, succeeded(&format!("pi_{}", purchase.order), amount)).await;
    }
    w.apply(ended.order, Change::CalledOff).await;
    w.observe(ended.order, 1, Outcome::Canceled { payment_intent: None }).await;
    let image = comparable(w.image().await);
    assert_eq!(units(&image, "std"), (3, 3));
    assert_eq!(image.tiers.iter().map(|tier| tier.id.as_str()).collect::<Vec<_>>(), ["std", "vip"]);
    assert_eq!((image.pins.len(), image.pins[0].order, image.pins[0].hold), (1, pinned.order, pinned.hold));
    assert_eq!((image.pins[0].customer, image.pins[0].version), (pinned.customer, 1));
    assert_eq!(image.bought.iter().map(|(who, item)| (*who, item.quantity)).collect::<Vec<_>>(), [(paid.customer, 3)]);
    let rebuilt = w.ledger.begin_epoch("demo", "run").await.unwrap().unwrap();
    assert_eq!(comparable(rebuilt), crate::ledger::Image { epoch: 2, ..image });
}
