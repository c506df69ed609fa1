//! Small worlds of the model checker, walked through from end to end: two buyers, one ticket, two workers, and something
//! that goes wrong wherever it can. `cargo xtask model` walks through larger ones.
//!
//! Each of the wrong rules makes one mistake on purpose. A checker that did not find them would prove nothing.

use model::{Mishaps, Rules, Wrong, ends, properties};
use stateright::{Checker as _, HasDiscoveries, Model as _};

/// Walks through a world: what must hold holds everywhere, what should be seen is seen, and everything comes to an end.
fn holds(name: &str) {
    let rules = Rules::SMALL.into_iter().find(|rules| rules.name == name).expect("a small world");
    let checker = rules.clone().checker().threads(2).spawn_bfs().join();
    let found = checker.discoveries();
    for (name, _) in properties::ALWAYS {
        let broken = found.get(name).map(|path| properties::told(&path.clone().into_actions()));
        assert_eq!(broken.as_deref(), None, "{name}:\n{}", broken.as_deref().unwrap_or_default());
    }
    for (name, _) in properties::sometimes(&rules) {
        assert!(found.contains_key(name), "never seen: {name}");
    }
    let ends = ends::find(&rules);
    assert_eq!(ends.states, checker.unique_state_count(), "both walks see the same world");
    if let Some((path, world)) = ends.lost {
        panic!("nothing leads to an end:\n{}{}", properties::told(&path), properties::in_short(&world));
    }
}

#[test]
fn two_buyers_of_one_ticket_come_to_an_end_in_every_order() {
    holds("two buyers");
}

#[test]
fn a_crash_anywhere_loses_neither_order_nor_ticket() {
    holds("two buyers, a crash");
}

#[test]
fn a_gate_that_lets_everybody_through_sells_no_ticket_twice() {
    holds("a gate that lies");
}

#[test]
fn one_of_two_workers_dies_anywhere_and_nobody_is_charged_twice() {
    holds("two workers, a crash");
}

#[test]
fn two_workers_with_one_job_charge_once() {
    holds("two workers, one job");
}

#[test]
fn a_request_that_arrives_after_its_sender_gave_it_up_charges_once() {
    holds("silence");
}

#[test]
fn an_order_that_is_claimed_when_it_is_accepted_survives_a_crash_anywhere() {
    holds("claimed when accepted, a crash");
}

#[test]
fn two_workers_with_one_job_that_was_claimed_before_charge_once() {
    holds("claimed when accepted, one job twice");
}

/// The checker finds where a mistake leads to.
fn finds(rules: Rules, name: &'static str) {
    assert!(rules.wrong.is_some());
    let wanted = HasDiscoveries::AnyOf([name].into());
    let checker = rules.checker().finish_when(wanted).spawn_bfs().join();
    let path = checker.discovery(name).expect("a mistake that is not found");
    assert!(!path.into_actions().is_empty(), "a mistake takes a step");
}

#[test]
fn a_ticket_released_before_stripes_word_is_found() {
    let wrong = Some(Wrong::ReleasesBeforeStripesWord);
    let banks = &[model::rules::Bank::Challenges];
    finds(Rules { wrong, banks, shoppers: 1, ..Rules::CALM }, "nothing is released that can still be paid");
}

#[test]
fn a_new_key_for_a_request_that_nobody_answered_is_found() {
    finds(
        Rules {
            wrong: Some(Wrong::NewKeyOnRetry),
            shoppers: 1,
            mishaps: Mishaps { silences: 1, ..Mishaps::NONE },
            ..Rules::CALM
        },
        "an order is charged once at most",
    );
}

#[test]
fn silence_that_is_taken_for_no_is_found() {
    finds(
        Rules {
            wrong: Some(Wrong::SilenceIsNo),
            cards: 2,
            shoppers: 1,
            mishaps: Mishaps { silences: 1, ..Mishaps::NONE },
            ..Rules::CALM
        },
        "an order is charged once at most",
    );
}

#[test]
fn a_ledger_that_believes_the_stock_is_found() {
    finds(Rules { wrong: Some(Wrong::NoSecondGate), gate_lies: true, ..Rules::CALM }, "no ticket is sold twice");
}

#[test]
fn a_stock_that_believes_whoever_speaks_last_is_found() {
    finds(
        Rules { wrong: Some(Wrong::NoVersions), shoppers: 1, cards: 2, ..Rules::CALM },
        "at rest the stock shows what the ledger says",
    );
}
