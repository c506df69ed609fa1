//! Keys for machines.

use std::time::Duration;

use super::*;
use crate::access::Key;
use crate::access::session::NOTED_EVERY;

async fn add(world: &World, what: &str, scopes: &str) -> Digest {
    let key = Token::key(&world.clock.env()).digest();
    let add = Change::AddKey { name: name(what), scopes: scopes.parse().unwrap(), key };
    assert_eq!(world.change(add).await, Changed::Yes);
    key
}

async fn found(world: &World, key: &Digest) -> Option<Key> {
    world.access.key(key).await.unwrap()
}

pub(super) async fn a_key_is_known_by_its_digest_until_it_is_revoked(world: World) {
    let (nightly, till) = (add(&world, "nightly", "see").await, add(&world, "till", "see,refund").await);
    let key = found(&world, &till).await.unwrap();
    assert_eq!((key.name.as_str(), key.scopes.to_string().as_str()), ("till", "see,refund"));
    assert_eq!(found(&world, &Token::key(&world.clock.env()).digest()).await, None);
    let other = Token::key(&world.clock.env()).digest();
    let again = Change::AddKey { name: name("till"), scopes: "see".parse().unwrap(), key: other };
    assert_eq!(world.change(again).await, Changed::NameTaken);
    assert_eq!(found(&world, &other).await, None);
    let names: Vec<String> = world.access.keys().await.unwrap().iter().map(|key| key.name.to_string()).collect();
    assert_eq!(names, ["nightly", "till"]);

    assert_eq!(world.change(Change::RevokeKey { name: name("till") }).await, Changed::Yes);
    assert_eq!(found(&world, &till).await, None);
    assert!(found(&world, &nightly).await.is_some());
    assert_eq!(world.change(Change::RevokeKey { name: name("till") }).await, Changed::Unknown);
    let anew = add(&world, "till", "see").await;
    assert_eq!(found(&world, &till).await, None, "another key of that name");
    assert!(found(&world, &anew).await.is_some());
}

pub(super) async fn the_use_of_a_key_is_written_down_now_and_then(world: World) {
    let key = add(&world, "nightly", "see").await;
    let first = world.clock.env().now();
    assert_eq!(found(&world, &key).await.unwrap().last_used, None, "as it was before");
    assert_eq!(found(&world, &key).await.unwrap().last_used, Some(first));
    world.clock.advance(NOTED_EVERY - Duration::from_secs(1));
    found(&world, &key).await.unwrap();
    assert_eq!(world.access.keys().await.unwrap()[0].last_used, Some(first));
    world.clock.advance(Duration::from_secs(1));
    found(&world, &key).await.unwrap();
    assert_eq!(world.access.keys().await.unwrap()[0].last_used, Some(first.plus(NOTED_EVERY)));
}
