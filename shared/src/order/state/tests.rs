//! The whole table, written out: every state with every event.

use Event as E;
use State as S;

use super::super::Closing;
use super::*;

fn facts(state: State) -> Facts {
    let closing = (state == S::Closing).then_some(Closing { from: S::Declined, to: S::Expired });
    Facts { state, closing, current_attempt: true, paid_by_another: false }
}

/// What each event leads to from each state, for the current attempt: a target's first letters, `=` for "stays",
/// `-` for "refused", `late` and `close` for the two detours.
#[rustfmt::skip]
const TABLE: [(Event, [&str; 9]); 13] = [
    //                        accepted    charging    req_action  declined    closing     review      paid  expired canceled
    (E::Claimed,            ["charging", "=",        "-",        "-",        "-",        "-",        "-",  "-",    "-"]),
    (E::NextAttempt,        ["-",        "-",        "-",        "accepted", "-",        "-",        "-",  "-",    "-"]),
    (E::Succeeded,          ["paid",     "paid",     "paid",     "paid",     "paid",     "paid",     "=",  "late", "late"]),
    (E::SucceededOtherwise, ["review",   "review",   "review",   "review",   "review",   "=",        "=",  "back", "back"]),
    (E::ActionRequired,     ["=",        "requires_action", "=", "=",        "=",        "=",        "=",  "=",    "="]),
    (E::Processing,         ["=",        "=",        "charging", "=",        "charging", "=",        "=",  "=",    "="]),
    (E::Declined,           ["=",        "declined", "declined", "=",        "=",        "=",        "=",  "=",    "="]),
    (E::CanceledAtStripe,   ["=",        "declined", "declined", "=",        "expired",  "=",        "=",  "=",    "="]),
    (E::Stuck,              ["review",   "review",   "=",        "=",        "=",        "=",        "=",  "=",    "="]),
    (E::TimeOver,           ["-",        "-",        "close",    "close",    "=",        "-",        "-",  "=",    "="]),
    (E::CalledOff,          ["close",    "-",        "close",    "close",    "=",        "-",        "-",  "=",    "="]),
    (E::Approved,           ["-",        "-",        "-",        "-",        "-",        "accepted", "-",  "-",    "-"]),
    (E::Rejected,           ["-",        "-",        "-",        "-",        "-",        "canceled", "-",  "-",    "="]),
];

fn written(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Moves(to, _) => to.as_str(),
        Verdict::Closes(_) => "close",
        Verdict::Stays => "=",
        Verdict::Refused => "-",
        Verdict::PaidLate => "late",
        Verdict::PaidTwice => "back",
    }
}

#[test]
fn every_state_and_event_has_the_answer_of_the_table() {
    assert_eq!(TABLE.len(), Event::ALL.len());
    for (event, row) in TABLE {
        for (state, expected) in State::ALL.into_iter().zip(row) {
            assert_eq!(written(apply(facts(state), event)), expected, "{state} on {event:?}");
        }
    }
}

#[test]
fn a_success_is_never_downgraded() {
    for event in Event::ALL {
        for current_attempt in [true, false] {
            let verdict = apply(Facts { current_attempt, ..facts(S::Paid) }, event);
            assert!(matches!(verdict, Verdict::Stays | Verdict::Refused), "paid on {event:?}: {verdict:?}");
        }
    }
}

#[test]
fn while_a_request_is_unanswered_other_attempts_failures_settle_nothing() {
    for event in [E::Declined, E::CanceledAtStripe, E::ActionRequired, E::Processing, E::Stuck] {
        for state in State::ALL {
            let verdict = apply(Facts { current_attempt: false, ..facts(state) }, event);
            assert_eq!(verdict, Verdict::Stays, "{state} on {event:?} of another attempt");
        }
    }
    let another = Facts { current_attempt: false, ..facts(S::Charging) };
    assert_eq!(apply(another, E::Succeeded), Verdict::Moves(S::Paid, Duty::Issue));
}

#[test]
fn a_second_success_of_another_payment_is_money_to_give_back() {
    for state in State::ALL {
        let verdict = apply(Facts { paid_by_another: true, ..facts(state) }, E::Succeeded);
        assert_eq!(verdict, Verdict::PaidTwice, "{state}");
    }
}

#[test]
fn stock_is_released_only_through_closing_or_by_a_person() {
    for state in State::ALL {
        for event in Event::ALL {
            if let Verdict::Moves(to, duty) = apply(facts(state), event) {
                let releases = to.stock() == StockEffect::Released;
                assert_eq!(releases, duty == Duty::Release, "{state} on {event:?}");
                assert!(!releases || matches!(state, S::Closing | S::Review), "{state} on {event:?}");
            }
        }
    }
}

#[test]
fn closing_that_stripe_refuses_goes_back_or_on_but_never_releases() {
    assert_eq!(apply(facts(S::Closing), E::Succeeded), Verdict::Moves(S::Paid, Duty::Issue));
    assert_eq!(apply(facts(S::Closing), E::Processing), Verdict::Moves(S::Charging, Duty::None));
    assert_eq!(apply(facts(S::Closing), E::Declined), Verdict::Stays);
}

#[test]
fn words_read_back_as_the_states_they_name() {
    for state in State::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
    }
    assert!("done".parse::<State>().is_err());
}
