//! An operator at the page while a crowd buys: what they see, what they do about it, and the trail of it.

use futures::future::join_all;
use serde_json::Value;
use shared::env::Env;
use shared::jobs::Webhook;
use shared::queue::redis::RedisQueue;
use shared::queue::{NewJob, Queue as _, QueueOptions};
use shared::redis_server::RedisServer;
use tests::harness::browser::{Browser, PATIENCE};
use tests::harness::crowd::{all_paid, gather, split};
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::redis::Redis;
use tests::harness::shop::Shop;

use super::operators::{enter, picture};
use super::shopper::{SALE, Shopper};
use crate::access::add;

/// Customers who come at once.
const CROWD: usize = 60;

/// A web process and two workers, at a Stripe that allows fifteen charges a second; and an operator's browser.
async fn shop() -> Shopper<Fleet> {
    let settings = [("STRIPE_RATE_PER_SECOND", "15"), ("SANDBOX_LATENCY", "150ms")];
    let fleet = Fleet::start_on(Ledger::Sqlite, Redis::start().await, 1, 2, &settings).await;
    fleet.sale(SALE, 50, &[]).await;
    add(&fleet, "olga", "operator").await;
    let address = fleet.url(0);
    Shopper { shop: fleet, browser: Browser::start().await, address }
}

/// Presses a button, gives a reason (and a number), and confirms.
async fn act<S>(shopper: &Shopper<S>, button: &str, number: Option<u32>, reason: &str) {
    let browser = &shopper.browser;
    browser.click(button).await;
    browser.by_testid("confirm").await;
    if let Some(number) = number {
        browser.fill("confirm-number", &number.to_string()).await;
    }
    browser.fill("confirm-reason", reason).await;
    browser.click("confirm-go").await;
    browser.until("the dialog to close", "!document.querySelector('dialog')").await;
}

/// Waits until the trail on the page says what olga did, and why.
async fn until_told(browser: &Browser, what: &str, why: &str) {
    browser.until_says("trail-list", why).await;
    let line = format!(
        "[...document.querySelectorAll('[data-testid=trail-list] li')].some((line) => line.textContent.includes('{why}') \
         && line.textContent.includes('{what}') && line.textContent.includes('operator:olga'))"
    );
    assert_eq!(browser.js(&line).await, true, "{what}: {why}");
}

/// Buys one ticket as somebody new.
async fn buy(shopper: &Shopper<Fleet>, token: &str) -> (uuid::Uuid, u16, Value) {
    let (order, (status, answer)) = shopper.shop.customer(0).await.buy(SALE, 1, token).await;
    (order, status, answer)
}

/// A job that a worker gives up: nobody has ever heard of its event.
async fn push_a_job_that_dies(fleet: &Fleet) {
    let server = RedisServer::connect(&fleet.redis.url()).await.expect("the shop's Redis");
    let queue = RedisQueue::new(server, Env::system(), QueueOptions::shared());
    queue.push(vec![NewJob::of(&Webhook::of("evt_lost")).expect("a job")]).await.expect("the shop's queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_steers_a_sale_that_a_crowd_storms_and_each_deed_is_in_the_trail() {
    let shopper = shop().await;
    let browser = &shopper.browser;
    enter(&shopper, "olga").await;

    let shoppers = gather(std::slice::from_ref(&shopper.address), CROWD).await;
    let answers = join_all(shoppers.iter().map(|one| one.client.buy(SALE, 1, "pm_card_visa"))).await;
    let (mut accepted, refused) = split(shoppers, answers);
    assert_eq!((accepted.len(), refused.len()), (50, 10));
    browser.until("the page to show the queue", "Number(find('[data-testid=now-waiting]').textContent) > 0").await;
    browser.until("orders to come in", "Number(find('[data-testid=now-accepted]').textContent) > 0").await;
    browser.until_says(&format!("status-{SALE}"), "Sold out").await;
    picture(&shopper, "ops-stampede").await;
    all_paid(&mut accepted).await;
    browser.until_says(&format!("sold-{SALE}-std"), "50").await;
    browser.until_says(&format!("check-{SALE}"), "Every unit has its place").await;

    act(&shopper, &format!("pause-{SALE}"), None, "the hall is dark").await;
    browser.until_says(&format!("status-{SALE}"), "Paused").await;
    browser.until_says("status", "is paused").await;
    act(&shopper, &format!("add-{SALE}-std"), Some(25), "the balcony opens").await;
    browser.until_says(&format!("free-{SALE}-std"), "25").await;
    let (_, status, refusal) = buy(&shopper, "pm_card_visa").await;
    assert_eq!((status, &refusal["code"]), (409, &"paused".into()));
    act(&shopper, &format!("resume-{SALE}"), None, "light again").await;
    browser.until_says(&format!("status-{SALE}"), "Open").await;
    let (_, status, answer) = buy(&shopper, "pm_card_visa").await;
    assert_eq!(status, 202, "{answer}");
    browser.until_says(&format!("sold-{SALE}-std"), "51").await;

    let workers = "[...document.querySelectorAll('[data-testid^=process-worker]')]";
    browser.until("both workers to be seen", &format!("{workers}.length === 2")).await;
    browser.until("a web process to be seen", "!!find('[data-testid^=process-web]')").await;
    let name = browser.js(&format!("{workers}[0].dataset.key")).await.as_str().expect("a name").to_owned();
    act(&shopper, &format!("concurrency-{name}"), Some(7), "slowly now").await;
    browser.until_says("status", "was told").await;
    picture(&shopper, "ops-processes").await;
    act(&shopper, &format!("drain-{name}"), None, "this machine goes down").await;
    browser.until("the worker to be gone", &format!("{workers}.length === 1")).await;

    push_a_job_that_dies(&shopper.shop).await;
    browser.until_says("dead-jobs", "the inbox has no such event").await;
    picture(&shopper, "ops-dead").await;
    act(&shopper, "retry-evt_lost", None, "once more").await;
    browser.until_says("dead-jobs", "the inbox has no such event").await;
    act(&shopper, "discard-evt_lost", None, "nobody knows it").await;
    browser.until("the job to be gone", "!find('[data-testid=dead-webhook-evt_lost]')").await;

    let told = [
        ("Paused", "the hall is dark"),
        ("Added stock", "the balcony opens"),
        ("Resumed", "light again"),
        ("Set concurrency", "slowly now"),
        ("Drained", "this machine goes down"),
        ("Retried", "once more"),
        ("Discarded", "nobody knows it"),
    ];
    for (what, why) in told {
        until_told(browser, what, why).await;
    }
    picture(&shopper, "ops-trail").await;
    shopper.nothing_went_wrong().await;
    shopper.shop.check(SALE).await;
    tokio::time::timeout(PATIENCE, shopper.shop.expect_single_charges(51)).await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_decides_at_the_page_what_becomes_of_an_order_in_review() {
    let shop = Shop::start(&[]).await;
    shop.sale(SALE, 5, &[]).await;
    add(&shop, "olga", "owner").await;
    let address = shop.url();
    let shopper = Shopper { shop, browser: Browser::start().await, address };
    let browser = &shopper.browser;
    enter(&shopper, "olga").await;

    let client = shopper.shop.customer().await;
    let mut room = client.room(&[]).await;
    let (order, (status, answer)) = client.buy(SALE, 1, "pm_card_chargeDeclined").await;
    assert_eq!(status, 202, "{answer}");
    room.until(order, &["declined"]).await;
    // Stripe takes another sum than the order's: a person has to say what becomes of it.
    shopper.shop.pay_elsewhere(&order.to_string(), 2_501).await;
    room.until(order, &["review"]).await;
    browser.by_testid(&format!("review-{order}")).await;
    picture(&shopper, "ops-review").await;
    act(&shopper, &format!("refund-{order}"), None, "the buyer was told").await;
    room.until(order, &["canceled"]).await;
    browser.until("the order to be decided", &format!("!find('[data-testid=\"review-{order}\"]')")).await;
    browser.fill("order-id", &order.to_string()).await;
    browser.click("find-order").await;
    browser.until_says("order-found", "canceled").await;
    until_told(browser, "Decided", "the buyer was told").await;
    shopper.nothing_went_wrong().await;
}
