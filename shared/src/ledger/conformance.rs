//! What every ledger must do: one suite, run on each implementation.
//!
//! A story gets a [`World`] with an empty ledger, does what a shop would do, and asserts what must be seen. Stories
//! ask the ledger for the time and never wait, since the clock is the ledger's own. [`model`] drives a ledger and
//! the memory ledger with the same random operations and compares everything they answer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test suite, though compiled for other crates too")]

mod crowd;
mod elsewhere;
mod hosted;
pub mod model;
mod orders;
mod pairs;
mod records;
mod refunds;
mod reviews;
mod sales;
mod sweeps;

use futures::future::BoxFuture;
use uuid::Uuid;

use super::{
    Accept, Accepted, Applied, Change, Claimed, Image, Refund, RefundAsked, RefundNews, RefundRequest, RefundState,
    RefundWhat, SharedLedger,
};
use crate::decline::DeclineClass;
use crate::env::{Env, Timestamp};
use crate::order::{Attempt, Order, Outcome};
use crate::sale::{PricedItem, Sale, Tier};
use crate::stripe::StoredRequest;

/// A fresh ledger, and where ids come from.
#[derive(Clone)]
pub struct World {
    /// Empty.
    pub ledger: SharedLedger,
    /// Its environment.
    pub env: Env,
}

/// A story and its name.
pub type Story = (&'static str, fn(World) -> BoxFuture<'static, ()>);

/// Stories with their names, for suites like this one.
macro_rules! named_stories {
    ($($module:ident::$story:ident),* $(,)?) => {
        vec![$((stringify!($story), |world| Box::pin($module::$story(world)))),*]
    };
}
pub(crate) use named_stories;

/// Every story.
#[must_use]
pub fn stories() -> Vec<Story> {
    named_stories![
        sales::sales_are_listed_newest_first_and_a_slug_is_taken_once,
        sales::an_operator_steers_a_sale,
        sales::stock_that_is_added_can_be_bought,
        sales::a_request_for_more_units_adds_them_once,
        sales::a_new_epoch_refuses_the_holds_of_the_old_one,
        sales::the_image_shows_what_is_sold_and_what_is_pinned,
        orders::a_purchase_is_accepted_claimed_and_paid,
        orders::double_click_same_order_id_same_answer,
        orders::a_hold_serves_one_order,
        orders::an_accept_without_hold_or_sale_or_time_is_refused,
        orders::the_ledgers_own_guard_refuses_what_the_stock_should_not_have_held,
        orders::the_limit_holds_per_customer_and_per_mail_address,
        orders::a_redelivered_claim_sends_the_same_bytes,
        orders::an_order_that_nobody_waits_before_is_claimed_when_it_is_accepted,
        orders::an_order_whose_request_cannot_be_made_goes_to_a_person,
        orders::a_declined_card_allows_another_until_no_attempt_is_left,
        orders::stock_is_released_only_when_stripe_has_said_that_it_cannot_be_paid,
        orders::three_d_secure_keeps_what_the_page_needs_while_it_needs_it,
        orders::a_person_decides_what_a_machine_cannot,
        reviews::orders_that_wait_for_a_person_are_listed_the_longest_first,
        reviews::another_sum_goes_back_once_and_its_units_are_free,
        reviews::an_order_that_waits_for_nobody_cannot_be_rejected,
        reviews::an_event_can_be_seen_to_once_more,
        orders::a_customers_orders_come_the_newest_first,
        orders::the_sweep_finds_what_was_left_behind,
        records::the_audit_trail_tells_the_whole_story_in_order,
        records::an_event_is_stored_once_and_handled_once,
        records::what_is_owed_to_the_outside_stays_until_it_is_done,
        records::money_that_came_too_late_goes_back_once,
        hosted::stripes_page_is_known_while_it_can_be_paid,
        hosted::what_was_tried_before_the_page_does_not_end_it,
        hosted::an_earlier_payment_does_not_end_a_later_one,
        hosted::late_money_goes_by_the_sales_policy,
        refunds::a_refund_in_full_voids_the_tickets_and_is_shown_when_the_money_has_gone,
        refunds::parts_of_an_order_go_back_until_nothing_is_left,
        refunds::a_refund_by_tickets_takes_their_price_and_voids_them,
        refunds::one_request_is_one_refund_and_with_other_wishes_a_conflict,
        refunds::what_cannot_be_given_back_is_refused,
        refunds::a_refund_that_fails_frees_its_amount_and_its_tickets,
        refunds::units_come_back_only_when_the_operator_says_so_and_the_money_has_gone,
        refunds::a_refund_that_fails_after_all_leaves_units_that_are_for_sale_again,
        refunds::a_pending_refund_is_asked_about_again_and_a_spent_key_is_not_used_again,
        refunds::many_requests_at_once_never_give_back_more_than_was_paid,
        sweeps::a_bookmark_is_where_it_was_put_last,
        sweeps::handled_events_are_pruned_the_oldest_first_and_no_others,
        sweeps::a_disagreement_is_one_row_until_it_is_settled,
        sweeps::paid_orders_are_read_in_order_page_by_page,
        sweeps::what_is_committed_moves_with_its_orders,
        elsewhere::a_refund_that_was_made_elsewhere_has_a_row_of_its_own_and_counts,
        elsewhere::an_order_that_was_given_back_elsewhere_as_a_whole_admits_nobody,
        elsewhere::our_refund_is_known_by_its_name_and_by_stripes_id_and_counted_once,
        elsewhere::wishes_that_were_overtaken_elsewhere_take_nothing,
        elsewhere::money_that_came_by_mistake_and_went_back_elsewhere_does_not_go_again,
        crowd::two_hundred_buyers_of_fifty_units,
        crowd::a_crowd_cannot_pass_the_limit_together,
        crowd::one_order_sent_twice_at_once_is_new_once,
        crowd::two_orders_with_one_hold_at_once_are_one_order,
        crowd::losers_do_not_sink_their_neighbours,
        crowd::a_broken_member_fails_alone,
        crowd::two_workers_claim_one_attempt_and_one_is_first,
        crowd::an_outcome_that_is_reported_by_many_at_once_issues_tickets_once,
        crowd::purchases_and_settlements_of_many_at_once_conserve_the_stock,
    ]
}

/// A story of two ledgers on one database, and its name.
pub type PairStory = (&'static str, fn([World; 2]) -> BoxFuture<'static, ()>);

/// Every story of two ledgers on one database.
#[must_use]
pub fn pair_stories() -> Vec<PairStory> {
    named_stories![
        pairs::what_one_has_written_the_other_reads,
        pairs::two_crowds_share_fifty_units,
        pairs::one_order_sent_through_both_is_new_once,
        pairs::claims_and_outcomes_through_both_happen_once,
        pairs::sales_that_are_made_through_both_at_once_all_come_to_be,
        pairs::orders_of_several_sales_do_not_wait_for_each_other_forever,
        pairs::one_event_that_comes_to_both_is_new_once,
        pairs::events_that_come_to_both_in_either_order_do_not_wait_for_each_other,
        pairs::refunds_through_both_never_give_back_more_than_was_paid,
        pairs::one_request_through_both_is_one_refund_even_for_two_orders,
        elsewhere::one_refund_that_both_see_is_one_row,
    ]
}

/// Runs every story of two ledgers; what is made has one empty database for both.
pub async fn run_pairs<M: AsyncFn() -> [World; 2]>(make: M) {
    for (name, story) in pair_stories() {
        eprintln!("story: {name}");
        story(make().await).await;
    }
}

/// Runs every story, each on a ledger of its own.
pub async fn run_all<M: AsyncFn() -> World>(make: M) {
    for (name, story) in stories() {
        eprintln!("story: {name}");
        story(make().await).await;
    }
}

/// The sale of the stories: tier `std` with a capacity and a limit, tier `vip` with five units and none.
#[must_use]
pub fn demo(capacity: u32, limit: Option<u32>) -> Sale {
    let tier = |id: &str, amount, capacity, max_per_customer| Tier {
        id: id.into(),
        name: id.to_uppercase(),
        amount,
        capacity,
        max_per_customer,
        opens_at: None,
        closes_at: None,
    };
    Sale {
        slug: "demo".into(),
        name: "Demo".into(),
        currency: "usd".parse().unwrap(),
        opens_at: Timestamp(0),
        closes_at: None,
        hold_ms: 600_000,
        late: crate::sale::LatePolicy::default(),
        paused: false,
        epoch: 1,
        tiers: vec![tier("std", 2_500, capacity, limit), tier("vip", 9_900, 5, None)],
    }
}

impl World {
    /// With the demo sale in it.
    async fn selling(self, capacity: u32, limit: Option<u32>) -> Self {
        assert_eq!(self.ledger.create_sale(demo(capacity, limit)).await.unwrap(), super::Created::Yes);
        self
    }

    fn purchase(&self, quantity: u32) -> Accept {
        Accept {
            order: self.env.uuid_v7(),
            customer: self.env.uuid_v4(),
            hold: self.env.uuid_v7(),
            sale: "demo".into(),
            epoch: Some(1),
            items: vec![PricedItem { tier: "std".into(), quantity, amount: 2_500 }],
            currency: "usd".parse().unwrap(),
            email: format!("{}@example.com", self.env.random_u64()),
            name: "A. Shopper".into(),
            token: "tok_visa".into(),
            think_ms: 60_000,
            accept_by: Timestamp(i64::MAX),
            short_line: 0,
        }
    }

    async fn accept(&self, accept: &Accept) -> Accepted {
        self.ledger.accept(accept.clone()).await.unwrap()
    }

    async fn new_order(&self, accept: &Accept) -> Order {
        match self.accept(accept).await {
            Accepted::New(order) => order,
            other => panic!("not accepted: {other:?}"),
        }
    }

    async fn claim(&self, order: Uuid, attempt: u32) -> Claimed {
        self.ledger.claim(order, attempt, request).await.unwrap()
    }

    async fn apply(&self, order: Uuid, change: Change) -> Applied {
        self.ledger.apply(order, change).await.unwrap()
    }

    async fn observe(&self, order: Uuid, attempt: u32, outcome: Outcome) -> Order {
        self.apply(order, Change::Observed { attempt, outcome }).await.order().cloned().unwrap()
    }

    /// Accepted, claimed, and paid by a PaymentIntent of its own.
    async fn paid_order(&self, purchase: &Accept) -> Order {
        let order = self.new_order(purchase).await;
        assert!(matches!(self.claim(order.id, 1).await, Claimed::Yes { first: true, .. }));
        self.observe(order.id, 1, succeeded(&format!("pi_{}", order.id.simple()), order.amount)).await
    }

    /// Records what was learned of a refund.
    async fn tell(&self, order: Uuid, refund: Uuid, state: RefundState, stripe_id: Option<&str>) -> Applied {
        let stripe_id = stripe_id.map(str::to_owned);
        let news = RefundNews { refund, state, stripe_id, note: None, spent_key: None };
        self.ledger.record_refund(order, news).await.unwrap()
    }

    fn wish(&self, order: Uuid, what: RefundWhat) -> RefundRequest {
        let request = self.env.uuid_v4();
        RefundRequest { request, order, what, note: Some("rain".into()), restock: false, by: "ops".into() }
    }

    async fn ask_refund(&self, wish: &RefundRequest) -> RefundAsked {
        self.ledger.request_refund(wish.clone()).await.unwrap()
    }

    /// A refund that must be new.
    async fn new_refund(&self, wish: &RefundRequest) -> (Order, Refund) {
        match self.ask_refund(wish).await {
            RefundAsked::New { order, refund } => (*order, *refund),
            other => panic!("not owed: {other:?}"),
        }
    }

    /// Accepted, claimed, and declined.
    async fn declined_order(&self, purchase: &Accept) -> Order {
        let order = self.new_order(purchase).await.id;
        assert!(matches!(self.claim(order, 1).await, Claimed::Yes { first: true, .. }));
        self.observe(order, 1, declined()).await
    }

    async fn stored(&self, order: Uuid) -> Order {
        self.ledger.order(order).await.unwrap().unwrap()
    }

    async fn image(&self) -> Image {
        self.ledger.image("demo").await.unwrap().unwrap()
    }
}

fn request(_: &Order, attempt: &Attempt, _: Option<&Sale>) -> Result<StoredRequest, String> {
    let body = format!("token={}&number={}", attempt.token, attempt.number);
    Ok(StoredRequest { path: "/v1/payment_intents".into(), body, version: "2026-01-01".into() })
}

fn succeeded(payment_intent: &str, amount: i64) -> Outcome {
    Outcome::Succeeded {
        payment_intent: Some(payment_intent.into()),
        charge: Some("ch_1".into()),
        amount,
        currency: "usd".parse().unwrap(),
    }
}

fn declined() -> Outcome {
    let decline = DeclineClass::of_stripe(Some("card_declined"), Some("insufficient_funds"), None);
    Outcome::Declined { payment_intent: Some("pi_1".into()), decline }
}

/// Sold units of a tier, and pinned ones.
fn units(image: &Image, tier: &str) -> (u32, u32) {
    let sold = image.tiers.iter().find(|shown| shown.id == tier).map_or(0, |shown| shown.sold);
    let pinned = image.pins.iter().flat_map(|pin| &pin.items).filter(|item| item.tier == tier);
    (sold, pinned.map(|item| item.quantity).sum())
}

/// An image as all ledgers must agree on it: they may add up what was bought more or less, and leave out tiers
/// without a limit.
#[must_use]
pub fn comparable(mut image: Image) -> Image {
    let mut bought = std::collections::BTreeMap::new();
    for (customer, item) in image.bought.drain(..) {
        let limited = image.tiers.iter().any(|tier| tier.id == item.tier && tier.max_per_customer.is_some());
        if limited {
            *bought.entry((customer, item.tier)).or_insert(0) += item.quantity;
        }
    }
    image.bought = bought
        .into_iter()
        .map(|((customer, tier), quantity)| (customer, crate::sale::Item { tier, quantity }))
        .collect();
    image.pins.sort_by_key(|pin| pin.order);
    image
}
