//! Customers who come in numbers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt as _, stream};
use serde_json::Value;
use uuid::Uuid;

use super::client::{Answer, Client, Room};

/// Customers that walk in at the same time; they buy all at once, but need not all enter at once.
const AT_THE_DOOR: usize = 50;
/// How long a customer goes on asking.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two tries of a customer whom the shop cannot serve at the moment.
const PAUSE: Duration = Duration::from_millis(50);

/// A customer in the crowd, with the room open.
pub struct Shopper {
    /// The customer.
    pub client: Client,
    /// Their room.
    pub room: Room,
}

/// So many customers, spread over these addresses of a shop, each with an open room.
pub async fn gather(addresses: &[String], number: usize) -> Vec<Shopper> {
    let enter = |place: usize| async move {
        let client = Client::new(&addresses[place % addresses.len()]).await;
        let mut room = client.room(&[]).await;
        room.next_of("welcome").await;
        Shopper { client, room }
    };
    stream::iter(0..number).map(enter).buffered(AT_THE_DOOR).collect().await
}

/// Those who have an order.
pub type Accepted = Vec<(Shopper, Uuid)>;
/// Those who have not, and what they were told.
pub type Refused = Vec<(Shopper, Value)>;

/// Splits a crowd into those whose purchase was accepted, with the order, and the refusals of the others.
#[must_use]
pub fn split(shoppers: Vec<Shopper>, answers: Vec<(Uuid, Answer)>) -> (Accepted, Refused) {
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for (shopper, (order, (status, body))) in shoppers.into_iter().zip(answers) {
        match status {
            202 => accepted.push((shopper, order)),
            409 => refused.push((shopper, body)),
            _ => panic!("{status} {body}"),
        }
    }
    (accepted, refused)
}

/// Waits until every order is paid, as its room is told.
pub async fn all_paid(accepted: &mut [(Shopper, Uuid)]) -> Vec<Value> {
    join_all(accepted.iter_mut().map(|(shopper, order)| shopper.room.until(*order, &["paid"]))).await
}

/// Sends the same call until the shop can say yes or no, as the page does: after 503 or no answer at all, once more.
pub async fn insist(client: &Client, path: &str, body: &Value) -> Answer {
    insist_and_count(client, path, body, &AtomicUsize::new(0)).await
}

/// The same, and counts the answers 503 as they come.
pub async fn insist_and_count(client: &Client, path: &str, body: &Value, unavailable: &AtomicUsize) -> Answer {
    let asking = async {
        loop {
            match client.try_post(path, body).await {
                Ok((503, refusal)) => {
                    assert!(refusal["retry_in_ms"].is_u64(), "{refusal}");
                    unavailable.fetch_add(1, Ordering::Relaxed);
                }
                Ok(answer) => return answer,
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, asking).await;
    answer.unwrap_or_else(|_| panic!("no answer to {path} {body} within {PATIENCE:?}"))
}
