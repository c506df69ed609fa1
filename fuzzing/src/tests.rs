//! The targets within the time of a test: any bytes, and what becomes of valid examples. A failure prints the bytes, and
//! proptest the seed.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::{ALL, Fed, mutate};

fn feed(fed: &Fed, cases: u32) {
    let corpus = (fed.corpus)();
    corpus.iter().for_each(|example| (fed.target)(example));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let inputs = prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..400),
        4 => any::<u64>().prop_map(|seed| mutate::input(&corpus, &mut mutate::generator(seed, fed.name, 0))),
    ];
    let run = TestRunner::new(config).run(&inputs, |input| {
        (fed.target)(&input);
        Ok(())
    });
    if let Err(error) = run {
        panic!("{}: {error}", fed.name);
    }
}

fn feed_those(whose: impl Fn(&str) -> bool, cases: u32) {
    let fed: Vec<&Fed> = ALL.iter().filter(|fed| whose(fed.name)).collect();
    assert!(!fed.is_empty());
    fed.into_iter().for_each(|fed| feed(fed, cases));
}

#[test]
fn what_stripe_says_is_read_or_refused() {
    feed_those(|name| name.starts_with("webhook") || name == "stripe_reply", 3_000);
}

#[test]
fn jobs_messages_and_frames_of_a_foreign_writer_are_read_or_refused() {
    feed_those(|name| ["job", "room_message", "socket_frame"].contains(&name), 3_000);
}

#[test]
fn settings_sales_and_words_are_read_or_refused() {
    feed_those(|name| ["settings", "sale", "word"].contains(&name), 3_000);
}

#[test]
fn any_request_is_answered_and_a_refusal_says_why() {
    feed_those(|name| name.starts_with("router"), 700);
}

#[test]
fn one_seed_makes_one_input() {
    for fed in &ALL {
        let make = || mutate::input(&(fed.corpus)(), &mut mutate::generator(7, fed.name, 3));
        assert_eq!(make(), make(), "{}", fed.name);
    }
    let shares: u32 = ALL.iter().map(|fed| fed.share).sum();
    assert_eq!(shares, 1_000);
}
