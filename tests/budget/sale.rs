//! Whole sales within Stripe's default limit: nearly no refusals, the whole budget used, everybody in the order of
//! their coming, and a time left that is true from the first second on.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::Value;
use tests::harness::crowd::{Shopper, gather};
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::postgres::fresh_database;
use tests::harness::redis::Redis;
use tests::harness::shop::Shop;

/// How many orders; set it to 1000 for a run that is measured.
const ORDERS: &str = "STAMPEDE_TEST_ORDERS";
/// From so many orders on, what was measured has to be as good as it is promised.
const MEASURED: u64 = 500;
/// Requests a second and endpoint: what Stripe allows by default.
const RATE: u64 = 25;
/// What the sandbox takes for each.
const LATENCY: &str = "600ms";
/// How far apart they come: four times as fast as they can be charged, so that there is a first and a last.
const APART: Duration = Duration::from_millis(10);

/// What one customer saw.
struct Seen {
    /// When the purchase was sent.
    came: Instant,
    /// What was told with the 202, and when.
    told: Duration,
    accepted: Instant,
    paid: Instant,
}

async fn buys(mut shopper: Shopper, after: Duration) -> Seen {
    tokio::time::sleep(after).await;
    let came = Instant::now();
    let (order, (status, body)) = shopper.client.buy("night", 1, "pm_card_visa").await;
    let accepted = Instant::now();
    assert_eq!(status, 202, "{body}");
    let told = body["queue"]["eta_ms"].as_u64().unwrap_or_else(|| panic!("nothing was told: {body}"));
    assert!(body["queue_number"].is_i64(), "a number in the queue: {body}");
    shopper.room.until(order, &["paid"]).await;
    Seen { came, told: Duration::from_millis(told), accepted, paid: Instant::now() }
}

/// The figures of a sale; parts are in thousandths.
struct Figures {
    orders: u64,
    throttled: u64,
    /// Of all requests for a charge, how many were refused.
    refused: u64,
    /// Of what could have been charged between the first and the last, how much was.
    used: u64,
    /// Of all customers, how many were told a time that was right within a tenth.
    told_right: u64,
    /// The error that nine of ten stay below, as a part of the truth.
    error_of_nine: u64,
    /// Pairs of whom one was accepted before the other came: of all others nobody can say who was first.
    ordered: usize,
    /// Those of them that were served in the wrong order, and further apart than the requests that are under way
    /// together.
    inversions: usize,
}

/// How many places those may change who are under way together.
const WINDOW: usize = 30;
/// So many refusals are no sign of anything: a machine that stood still between a token and its request.
const A_FEW: u64 = 2;

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

fn figures(mut seen: Vec<Seen>, throttled: u64) -> Figures {
    let error = |one: &Seen| {
        let truth = ms(one.paid.duration_since(one.accepted)).max(1);
        ms(one.told).abs_diff(truth) * 1_000 / truth
    };
    let mut errors: Vec<u64> = seen.iter().map(error).collect();
    errors.sort_unstable();
    seen.sort_by_key(|one| one.paid);
    let took = ms(seen[seen.len() - 1].paid.duration_since(seen[0].paid));
    let orders = u64::try_from(seen.len()).unwrap();
    let (mut ordered, mut inversions) = (0, 0);
    for (place, one) in seen.iter().enumerate() {
        for (other_place, other) in seen.iter().enumerate() {
            if one.accepted <= other.came {
                ordered += 1;
                inversions += usize::from(other_place + WINDOW < place);
            }
        }
    }
    Figures {
        orders,
        throttled,
        refused: throttled * 1_000 / (orders + throttled),
        used: (orders - 1) * 1_000_000 / (RATE * took),
        told_right: u64::try_from(errors.iter().filter(|error| **error <= 100).count()).unwrap() * 1_000 / orders,
        error_of_nine: errors[errors.len() * 9 / 10],
        ordered,
        inversions,
    }
}

impl Figures {
    fn tell(&self, of: &str) {
        let Self { orders, throttled, refused, used, told_right, error_of_nine, ordered, inversions } = self;
        eprintln!(
            "{of}: {orders} orders, {throttled} refused by Stripe ({refused} in a thousand), {used} thousandths of the \
             budget used, time left right within a tenth for {told_right} in a thousand (for 900 within {error_of_nine} \
             thousandths), of {ordered} pairs {inversions} out of order beyond the window"
        );
    }

    fn hold(&self) {
        assert!(self.refused < 10 || self.throttled <= A_FEW, "{} refusals", self.throttled);
        assert_eq!(self.inversions, 0, "of {} pairs", self.ordered);
        if self.orders >= MEASURED {
            assert!(self.used >= 950, "{}", self.used);
            assert!(self.told_right >= 900, "{}", self.told_right);
        }
    }
}

fn orders() -> usize {
    std::env::var(ORDERS).ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

async fn sell(addresses: &[String], orders: usize) -> Vec<Seen> {
    let crowd = gather(addresses, orders).await;
    join_all(crowd.into_iter().zip(0..).map(|(shopper, place)| buys(shopper, APART * place))).await
}

const SETTINGS: [(&str, &str); 3] =
    [("SANDBOX_RATE_LIMIT", "25"), ("SANDBOX_LATENCY", LATENCY), ("LOG", "info,sea_orm_migration=warn")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_at_stripes_default_limit_is_charged_in_the_order_of_its_coming_and_told_a_true_time() {
    let shop = Shop::start(&SETTINGS).await;
    shop.sale("night", 100_000, &[]).await;
    let seen = sell(&[shop.url()], orders()).await;
    let throttled = shop.stats().await["throttled"].as_u64().unwrap();
    let figures = figures(seen, throttled);
    figures.tell("one process");
    figures.hold();
    shop.expect_single_charges(u64::try_from(orders()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_share_one_budget_and_keep_the_order() {
    let ledger = Ledger::Fresh(fresh_database().await);
    let fleet = Fleet::start_on(ledger, Redis::start().await, 2, 2, &SETTINGS).await;
    fleet.sale("night", 100_000, &[]).await;
    let seen = sell(&[fleet.url(0), fleet.url(1)], orders()).await;
    let throttled = fleet.stats().await["throttled"].as_u64().unwrap();
    let figures = figures(seen, throttled);
    figures.tell("two doors, two workers");
    figures.hold();
    fleet.expect_single_charges(u64::try_from(orders()).unwrap()).await;
}

/// A Stripe that allows less than the settings say: what is learned from its refusals is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_nobody_has_set_is_learned_from_refusals_and_nobody_loses_their_place() {
    let shop =
        Shop::start(&[("SANDBOX_RATE_LIMIT", "10"), ("STRIPE_RATE_PER_SECOND", "0"), ("SANDBOX_LATENCY", "50ms")])
            .await;
    shop.sale("night", 1_000, &[]).await;
    let crowd = gather(&[shop.url()], 60).await;
    let pays = |mut shopper: Shopper| async move {
        let (order, (status, body)) = shopper.client.buy("night", 1, "pm_card_visa").await;
        assert_eq!(status, 202, "{body}");
        shopper.room.until(order, &["paid"]).await
    };
    let paid: Vec<Value> = join_all(crowd.into_iter().map(pays)).await;
    assert_eq!(paid.len(), 60);
    let metrics = tests::harness::client::exchange(
        hyper::Request::get(format!("{}/metrics", shop.url())).body(http_body_util::Full::default()).unwrap(),
    );
    let metrics = metrics.await.unwrap().text();
    assert!(metrics.contains("stripe_budget_throttled_total"), "Stripe refused, and that was counted");
    shop.expect_single_charges(60).await;
}

#[tokio::test]
async fn a_sales_length_is_foretold_by_the_budget_and_by_what_was_measured() {
    let shop = Shop::start(&[("STRIPE_RATE_PER_SECOND", "25"), ("SANDBOX_LATENCY", "50ms")]).await;
    shop.sale("night", 10_000, &[]).await;
    let told = shop.cli_json(&["forecast", "--sale", "night", "--latency-ms", "600"]).await;
    assert_eq!(
        (&told["orders"], &told["allowed_per_second"], &told["latency"]),
        (&10_000.into(), &25.into(), &"given".into())
    );
    let first = &told["forecasts"][0];
    assert_eq!(
        (&first["per_second"], &first["per_minute"], &first["seconds"], &first["workers"]),
        (&25.into(), &1_500.into(), &401.into(), &1.into())
    );
    let rates: Vec<&Value> = told["forecasts"].as_array().unwrap().iter().map(|row| &row["per_second"]).collect();
    assert_eq!(rates, [25, 50, 100, 500]);
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let (order, (status, _)) = client.buy("night", 1, "pm_card_visa").await;
    assert_eq!(status, 202);
    room.until(order, &["paid"]).await;
    let told = shop.cli_json(&["forecast", "--sale", "night", "--rate", "40"]).await;
    assert_eq!((&told["orders"], &told["latency"]), (&9_999.into(), &"measured".into()));
    assert!((50..2_000).contains(&told["latency_ms"].as_u64().unwrap()), "{told}");
    assert_eq!(told["forecasts"].as_array().unwrap().len(), 1);
    let words = shop.cli(&["forecast", "--orders", "10000"]).await;
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    assert!(words.contains("6 min 40 s") || words.contains("6 min 41 s"), "{words}");
    let refused = shop.cli(&["forecast"]).await;
    assert!(!refused.status.success());
    assert!(!shop.cli(&["forecast", "--sale", "unknown"]).await.status.success());
}
