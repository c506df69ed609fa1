//! What happens in the books of a shop's processes.

use std::time::Duration;

use super::*;
use crate::fleet::LAPSES_AFTER;

pub(super) async fn who_beats_is_listed_as_it_last_said_until_it_leaves(world: World) {
    assert!(world.names().await.is_empty());
    let (web, mut worker) = (beat("web-1", Kind::Web), beat("worker-1", Kind::Worker));
    assert_eq!(world.beats(&worker).await, Wish::default());
    world.beats(&web).await;
    (worker.state, worker.beat_at) = (State::Draining, Timestamp(3_000));
    world.beats(&worker).await;
    let listed = world.fleet.processes().await.unwrap();
    let beats: Vec<&ProcessBeat> = listed.iter().map(|process| &process.beat).collect();
    assert_eq!(beats, [&web, &worker], "by name, each once");
    world.fleet.leave("web-1").await.unwrap();
    world.fleet.leave("nobody").await.unwrap();
    assert_eq!(world.names().await, ["worker-1"]);
}

pub(super) async fn a_beat_lapses_by_itself_and_the_next_one_brings_the_process_back(world: World) {
    let (one, other) = (beat("worker-1", Kind::Worker), beat("worker-2", Kind::Worker));
    world.beats(&one).await;
    (world.pass)(LAPSES_AFTER / 2).await;
    world.beats(&other).await;
    assert_eq!(world.names().await, ["worker-1", "worker-2"]);
    (world.pass)(LAPSES_AFTER * 3 / 4).await;
    assert_eq!(world.names().await, ["worker-2"], "nobody struck it out");
    world.beats(&one).await;
    assert_eq!(world.names().await, ["worker-1", "worker-2"]);
    (world.pass)(LAPSES_AFTER + Duration::from_millis(1)).await;
    assert!(world.names().await.is_empty());
}

pub(super) async fn a_wish_comes_back_with_the_next_beat_and_with_each_after(world: World) {
    let mut worker = beat("worker-1", Kind::Worker);
    world.beats(&worker).await;
    assert_eq!(world.ask("worker-1", Ask::Concurrency(Some(3))).await, Wished::Yes);
    let three = Wish { concurrency: Some(3), drain: false };
    assert_eq!(world.fleet.processes().await.unwrap()[0].wish, three, "before it is heard");
    assert_eq!(world.beats(&worker).await, three);
    worker.wish = three;
    assert_eq!(world.beats(&worker).await, three);
    world.ask("worker-1", Ask::Drain).await;
    let drained = Wish { concurrency: Some(3), drain: true };
    assert_eq!((world.beats(&worker).await, world.beats(&worker).await), (drained, drained));
}

pub(super) async fn only_workers_are_wished_anything_and_a_whole_shop_is_not_drained(world: World) {
    world.beats(&beat("web-1", Kind::Web)).await;
    world.beats(&beat("shop-1", Kind::Shop)).await;
    for ask in [Ask::Drain, Ask::Concurrency(Some(1)), Ask::Concurrency(None)] {
        assert_eq!(world.ask("nobody", ask).await, Wished::Unknown);
        assert_eq!(world.ask("web-1", ask).await, Wished::Unknown);
    }
    assert_eq!(world.ask("shop-1", Ask::Drain).await, Wished::WholeShop);
    assert_eq!(world.ask("shop-1", Ask::Concurrency(Some(5))).await, Wished::Yes);
    assert_eq!(world.beats(&beat("shop-1", Kind::Shop)).await, Wish { concurrency: Some(5), drain: false });
    assert_eq!(world.beats(&beat("web-1", Kind::Web)).await, Wish::default());
}

pub(super) async fn what_was_wished_goes_with_the_process(world: World) {
    let worker = beat("worker-1", Kind::Worker);
    world.beats(&worker).await;
    world.ask("worker-1", Ask::Drain).await;
    world.fleet.leave("worker-1").await.unwrap();
    assert_eq!(world.ask("worker-1", Ask::Drain).await, Wished::Unknown);
    assert_eq!(world.beats(&worker).await, Wish::default());
    world.ask("worker-1", Ask::Concurrency(Some(2))).await;
    (world.pass)(LAPSES_AFTER + Duration::from_millis(1)).await;
    assert_eq!(world.ask("worker-1", Ask::Drain).await, Wished::Unknown, "it has lapsed");
    assert_eq!(world.beats(&worker).await, Wish::default());
}

pub(super) async fn books_that_forgot_a_wish_take_it_from_who_has_heard_it(world: World) {
    let heard = Wish { concurrency: Some(4), drain: true };
    let worker = ProcessBeat { wish: heard, ..beat("worker-1", Kind::Worker) };
    assert_eq!(world.beats(&worker).await, heard);
    assert_eq!(world.fleet.processes().await.unwrap()[0].wish, heard);
    world.ask("worker-1", Ask::Concurrency(Some(9))).await;
    assert_eq!(world.beats(&worker).await.concurrency, Some(9), "what is wished now counts more");
}

pub(super) async fn a_wish_that_was_taken_back_stays_so(world: World) {
    let mut worker = beat("worker-1", Kind::Worker);
    world.beats(&worker).await;
    world.ask("worker-1", Ask::Concurrency(Some(4))).await;
    worker.wish = world.beats(&worker).await;
    world.ask("worker-1", Ask::Concurrency(None)).await;
    assert_eq!(world.beats(&worker).await, Wish::default(), "though it told the earlier one");
}
