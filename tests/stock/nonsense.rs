//! Arguments that make no sense: a script refuses them before it writes anything.

use std::collections::HashMap;

use shared::ledger::ImagePin;
use shared::ledger::records::Image;
use shared::stock::conformance::Fixture as _;
use shared::stock::{Levels, Pinned, Stock as _};
use tests::harness::redis::Redis;

use super::calls::play_at_random;
use super::fixture::{OnServer, hold, id, image, items};
use super::wire::{ScriptCall, calls_during};

/// What stands where something else is expected. The first one is nothing that any script takes.
const NONSENSE: [&str; 11] =
    ["x|y", "", "-1", "1.5", "nan", "1e3", "std=0", "std=1,std=1", "[]", "99999999999999999", "Ünïcode"];

/// All that the server has, in a form that can be compared.
async fn everything(redis: &Redis) -> String {
    const DUMP: &str = "local all = {} \
        for _, key in ipairs(redis.call('KEYS', '*')) do all[#all + 1] = key .. '=' .. redis.call('DUMP', key) end \
        table.sort(all) return redis.sha1hex(table.concat(all))";
    redis::from_redis_value(redis.ask(&["EVAL", DUMP, "0"]).await).unwrap()
}

/// The call with something wrong in one place, in every way and place but the run id: that one is any text, and what it
/// is not is not known.
fn spoilt(call: &ScriptCall) -> Vec<ScriptCall> {
    let first = usize::from(call.keys.len() > 1);
    let mut found = Vec::new();
    for nonsense in NONSENSE {
        for place in first..call.arguments.len().min(12) {
            let mut spoilt = call.clone();
            spoilt.arguments[place] = nonsense.to_owned();
            found.push(spoilt);
        }
    }
    found.push(ScriptCall { keys: call.keys[1..].to_vec(), ..call.clone() });
    found.push(ScriptCall { keys: Vec::new(), arguments: Vec::new(), ..call.clone() });
    if call.arguments.len() > first {
        let mut arguments = call.arguments.clone();
        arguments.pop();
        found.push(ScriptCall { arguments, ..call.clone() });
    }
    found
}

fn conserved(levels: &Levels) -> bool {
    levels.tiers.iter().all(|tier| tier.held >= tier.pinned && tier.capacity <= tier.free + tier.held + tier.sold)
}

#[tokio::test]
async fn a_script_refuses_arguments_that_make_no_sense_and_writes_nothing() {
    let on = OnServer::fresh().await;
    let calls = calls_during(&on.redis, play_at_random(&on, 3_000)).await;
    let mut of_each: HashMap<&str, Vec<&ScriptCall>> = HashMap::new();
    for call in &calls {
        let kept = of_each.entry(&call.sha).or_default();
        if kept.len() < 2 {
            kept.push(call);
        }
    }
    let mut connection = on.redis.connection().await;
    let (mut before, mut refused) = (everything(&on.redis).await, 0);
    for call in of_each.into_values().flatten().flat_map(spoilt) {
        let answer = call.repeat(&mut connection).await;
        let after = everything(&on.redis).await;
        if answer.is_err() {
            refused += 1;
            assert_eq!(before, after, "refused, and yet a change: {call:?}");
        } else {
            assert!(!call.arguments.iter().any(|argument| argument == NONSENSE[0]), "not refused: {call:?}");
            for sale in ["demo", "other"] {
                let levels = on.stock.levels(sale).await.unwrap();
                assert!(levels.as_ref().is_none_or(conserved), "{levels:?} after {call:?}");
            }
        }
        before = everything(&on.redis).await;
    }
    assert!(refused > 500, "{refused}");
}

/// Somebody has written into a hold by hand: nothing is done by guessing.
#[tokio::test]
async fn a_hold_that_makes_no_sense_is_an_error_and_changes_nothing() {
    let on = OnServer::fresh().await;
    on.stock.rebuild(image(1, 5, None)).await.unwrap();
    on.stock.reserve(hold(1, 1)).await.unwrap();
    let id = id(1);
    on.redis.ask(&["HSET", "stampede:stock:{demo}:holds", &id.to_string(), "thinking|what is this"]).await;
    let before = everything(&on.redis).await;
    assert!(on.stock.pin(id, id, id).await.is_err());
    assert!(on.stock.free(id, id).await.is_err());
    assert!(on.stock.reserve(hold(1, 1)).await.is_err());
    assert!(on.stock.holds_of(id).await.is_err());
    assert_eq!(everything(&on.redis).await, before);
    let pin = ImagePin { order: id, hold: id, customer: id, version: 2, items: items(1) };
    on.stock.rebuild(Image { pins: vec![pin], ..image(2, 5, None) }).await.unwrap();
    assert!(matches!(on.stock.pin(id, id, id).await.unwrap(), Pinned::Yes { new: false, .. }), "a rebuild mends it");
}
