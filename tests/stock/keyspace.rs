//! Which keys there are, and which of them one script touches: those of one sale, or of one customer.

use std::collections::HashSet;

use shared::stock::conformance::Fixture as _;
use shared::stock::redis::{INDEX, PREFIX, SALES};
use tests::harness::redis::Redis;

use super::calls::play_at_random;
use super::fixture::OnServer;
use super::wire::calls_during;

/// Scripts that the stock has.
const SCRIPTS: usize = 18;

/// The slot of a Redis Cluster that a key is in (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).
fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    let crc = hashed.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    });
    crc % 16_384
}

/// Whether it is the key of a sale, `stampede:stock:{demo}:…`, or of a customer, `stampede:stock:of:{…}`.
fn is_ours(key: &str) -> bool {
    let of_a_sale = |key: &str| {
        let sale = key.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('{'));
        sale.and_then(|rest| rest.split_once("}:")).is_some_and(|(sale, name)| !sale.is_empty() && !name.is_empty())
    };
    let of_a_customer = |key: &str| {
        let customer = key.strip_prefix(INDEX).and_then(|rest| rest.strip_prefix('{')?.strip_suffix('}'));
        customer.is_some_and(|customer| customer.parse::<uuid::Uuid>().is_ok())
    };
    of_a_sale(key) || of_a_customer(key)
}

#[test]
fn slots_are_those_of_the_cluster_specification() {
    assert_eq!(slot("123456789"), 0x31C3);
    assert_eq!(slot("{user1000}.following"), slot("{user1000}.followers"));
    assert_ne!(slot("foo{}{bar}"), slot("bar"));
    assert_eq!(slot("foo{bar}{zap}"), slot("bar"));
}

#[tokio::test]
async fn a_script_touches_the_keys_that_it_is_given_and_they_are_in_one_slot() {
    let on = OnServer::fresh().await;
    let calls = calls_during(&on.redis, play_at_random(&on, 3_000)).await;
    let scripts: HashSet<&str> = calls.iter().map(|call| call.sha.as_str()).collect();
    assert_eq!(scripts.len(), SCRIPTS, "every script was called");
    for call in &calls {
        let slots: HashSet<u16> = call.keys.iter().map(|key| slot(key)).collect();
        assert_eq!(slots.len(), 1, "{call:?}");
        assert!(call.keys.iter().all(|key| is_ours(key)), "{call:?}");
        assert!(call.touched.iter().all(|key| call.keys.contains(key)), "{call:?}");
    }
}

#[tokio::test]
async fn every_key_carries_the_tag_of_its_sale_or_its_customer() {
    let on = OnServer::fresh().await;
    play_at_random(&on, 3_000).await;
    let keys = all_keys(&on.redis).await;
    assert!(keys.len() > 10, "{keys:?}");
    let strange: Vec<_> = keys.iter().filter(|key| *key != SALES && !is_ours(key)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

async fn all_keys(redis: &Redis) -> Vec<String> {
    redis::from_redis_value(redis.ask(&["KEYS", "*"]).await).unwrap()
}
