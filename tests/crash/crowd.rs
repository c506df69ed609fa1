//! Killed in the middle of a crowd.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tests::harness::client::{Answer, Client};
use tests::harness::shop::Shop;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// Replays a run: the seed that it printed.
const SEED: &str = "STAMPEDE_TEST_SEED";
/// How long a client waits for a shop that was killed.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// From the environment, or fresh; printed either way.
fn seed() -> u64 {
    let given = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    eprintln!("{SEED}={seed}");
    seed
}

/// A number below `bound`, by the seed and the round (the finaliser of SplitMix64).
fn draw(seed: u64, round: u64, bound: usize) -> usize {
    let mut x = seed.wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((x ^ (x >> 31)) % u64::try_from(bound).unwrap()).unwrap()
}

/// A crowd that keeps asking until it was answered, and counts its answers.
struct Crowd {
    sale: String,
    answers: AtomicUsize,
    one_more: Notify,
    /// How often the shop was started.
    starts: watch::Receiver<u32>,
}

impl Crowd {
    /// Sends one order until there is an answer, as the page does: the same order, once the shop is back.
    async fn buy(&self, client: &Client, order: Uuid) -> Answer {
        let purchase = client.purchase(order, &self.sale, 1, "pm_card_visa");
        let mut starts = self.starts.clone();
        loop {
            let start = *starts.borrow_and_update();
            if let Ok(answer) = client.try_post("/charges", &purchase).await {
                self.answers.fetch_add(1, Ordering::Relaxed);
                self.one_more.notify_one();
                return answer;
            }
            let back = starts.wait_for(|now| *now > start);
            drop(tokio::time::timeout(BACK_WITHIN, back).await.expect("the shop comes back").unwrap());
        }
    }

    /// Waits until so many were answered.
    async fn answered(&self, number: usize) {
        while self.answers.load(Ordering::Relaxed) < number {
            self.one_more.notified().await;
        }
    }
}

/// One round: a crowd of 200 for 120 tickets, and a kill once some were answered.
async fn round(shop: &mut Shop, number: u64, moment: usize) -> u64 {
    let sale = format!("round-{number}");
    shop.sale(&sale, 120, &[]).await;
    let clients = join_all((0..200).map(|_| shop.customer())).await;
    let (started, starts) = watch::channel(0);
    let crowd = Arc::new(Crowd { sale, answers: AtomicUsize::new(0), one_more: Notify::new(), starts });
    let buyers: Vec<_> = clients
        .iter()
        .map(|client| {
            let (crowd, client, order) = (crowd.clone(), client.clone(), Uuid::new_v4());
            tokio::spawn(async move { (order, crowd.buy(&client, order).await) })
        })
        .collect();
    crowd.answered(moment).await;
    shop.kill().await;
    shop.start_again(&[]).await;
    started.send_replace(1);

    let answers: Vec<(Uuid, Answer)> = join_all(buyers).await.into_iter().map(Result::unwrap).collect();
    let mut sold = 0;
    for (client, (order, (status, body))) in clients.iter().zip(&answers) {
        match status {
            202 => {
                client.room(&[]).await.until(*order, &["paid"]).await;
                sold += 1;
            }
            409 => assert_eq!(body["code"], "sold_out", "{body}"),
            _ => panic!("{status} {body}"),
        }
    }
    let tier: Value = shop.check(&crowd.sale).await["tiers"][0].clone();
    assert_eq!((&tier["sold"], &tier["held"]), (&sold.into(), &0.into()), "{tier}");
    sold
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_two_hundred_survives_kill_9_at_random_moments() {
    let seed = seed();
    let mut shop = Shop::start(&[("LOG", "warn")]).await;
    let mut sold = 0;
    for number in 0..3 {
        let moment = draw(seed, number, 200);
        eprintln!("round {number}: killed after {moment} answers");
        sold += round(&mut shop, number, moment).await;
    }
    shop.expect_single_charges(sold).await;
}
