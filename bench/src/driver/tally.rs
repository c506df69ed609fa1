//! Counting what a wave did.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::crowd::Crowd;
use super::in_turn;
use super::shopper::Shopper;
use crate::measure::again::Second;
use crate::measure::processes::{Cpu, Group, Looks};
use crate::measure::seen::{Part, Seen, Span};
use crate::measure::spectrum::Spectrum;

/// CPU and memory of all groups at one moment.
pub(super) struct Look(Vec<(Cpu, u64, u64)>);

impl Look {
    pub(super) fn at(groups: &[Group]) -> Self {
        Self(groups.iter().map(|group| (group.cpu(), group.proportional(), group.resident())).collect())
    }
}

/// Puts four looks together: before the sockets, before the purchases, after the last outcome, at the end.
pub(super) fn parts(groups: &[Group], looks: [Look; 4], resident: &[Looks]) -> Vec<Part> {
    let [before, joined, end, tail] = looks;
    let memory = |look: &Look, at: usize| (look.0[at].1, look.0[at].2);
    let span = |from: &Look, to: &Look, at: usize| Span { from: from.0[at].0, to: to.0[at].0 };
    let part = |(at, group): (usize, &Group)| Part {
        name: group.name.clone(),
        processes: group.members().len() as u64,
        connecting: span(&before, &joined, at),
        charging: span(&joined, &end, at),
        tail: span(&end, &tail, at),
        before: memory(&before, at),
        joined: memory(&joined, at),
        end: memory(&end, at),
        peak: resident.get(at).map_or(0, |looks| looks.peak),
        looks: resident.get(at).map(|looks| looks.kept.clone()).unwrap_or_default(),
    };
    groups.iter().enumerate().map(part).collect()
}

/// Counts purchases and messages; times are relative to `go`.
pub(super) fn count(crowd: &Crowd, shoppers: &[Arc<Shopper>], go: u64) -> Seen {
    let (options, load) = (&crowd.options, |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Acquire));
    let mut seen = Seen {
        shoppers: u64::from(options.shoppers),
        joined: shoppers.len() as u64,
        go,
        sent_away: load(&crowd.sent_away),
        misdelivered: load(&crowd.misdelivered),
        unreadable: load(&crowd.unreadable),
        sockets_lost: load(&crowd.sockets_lost),
        connects_repeated: crowd.sources.repeated(),
        errors: crowd.errors.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        ..Seen::default()
    };
    if options.connect_only {
        for at in crowd.heard.iter().map(load).filter(|at| *at > 0) {
            let after = at.saturating_sub(go).max(1);
            seen.broadcast.record(after);
            let (first, last) = seen.broadcast_ns;
            seen.broadcast_ns = (if first == 0 { after } else { first.min(after) }, last.max(after));
        }
        return seen;
    }
    let all_shoppers = usize::try_from(options.shoppers).unwrap_or(usize::MAX);
    seen.purchases = options.count(all_shoppers);
    crowd.count_again(|again| seen.again = std::mem::take(again));
    let mut course = Course::default();
    let mut unanswered = 0;
    for (shopper, number) in in_turn(options, shoppers) {
        unanswered += u64::from(count_one(crowd, shopper, number, &mut seen, &mut course));
    }
    if unanswered > 0 {
        seen.errors.insert("purchase: no answer in time".to_owned(), unanswered);
    }
    course.write(&mut seen);
    // Who never joined never bought.
    seen.lost += seen.purchases - options.count(shoppers.len());
    seen
}

/// Latencies by the second in which a purchase was asked for.
#[derive(Default)]
struct Course(Vec<(Spectrum, Spectrum)>);

impl Course {
    fn at(&mut self, nanoseconds: u64) -> &mut (Spectrum, Spectrum) {
        let at = usize::try_from(nanoseconds / 1_000_000_000).unwrap_or(0);
        if self.0.len() <= at {
            self.0.resize_with(at + 1, Default::default);
        }
        &mut self.0[at]
    }

    fn write(self, seen: &mut Seen) {
        let again = &mut seen.again;
        again.course.resize(again.course.len().max(self.0.len()), Second::default());
        for (second, (answer, result)) in again.course.iter_mut().zip(&self.0) {
            (second.answer_ms, second.result_ms) = (answer.percentiles(), result.percentiles());
            if second.sent_away > 0 {
                again.answer.merge(answer);
                again.result.merge(result);
            }
        }
    }
}

/// Returns whether nobody answered at all.
fn count_one(crowd: &Crowd, shopper: &Shopper, number: u32, seen: &mut Seen, course: &mut Course) -> bool {
    let purchase = crowd.purchase(shopper, number);
    let [made, tried, accepted, ended, messages, refused] =
        [&purchase.made, &purchase.tried, &purchase.accepted, &purchase.ended, &purchase.messages, &purchase.refused]
            .map(|number| number.load(Ordering::Acquire));
    let go = seen.go;
    let since_go = |at: u64| at.saturating_sub(go).max(1);
    let (accepted_after, ended_after) = (since_go(accepted), since_go(ended));
    // Who was sent away before asked once more: what counts is how long those wait who are let in.
    let asked = if crowd.options.again { tried } else { made };
    *seen.again.times.entry(purchase.turned.load(Ordering::Acquire)).or_default() += 1;
    if purchase.left.load(Ordering::Acquire) {
        seen.again.left += 1;
        return false;
    }
    if accepted > 0 {
        seen.accepted += 1;
        seen.answer.record(accepted.saturating_sub(asked));
        seen.again.through.record(accepted.saturating_sub(made));
        seen.again.at(accepted_after).accepted += 1;
        course.at(since_go(asked)).0.record(accepted.saturating_sub(asked));
        seen.accepting_ns = seen.accepting_ns.max(accepted_after);
    }
    let in_time = ended > 0 && ended.saturating_sub(asked) <= crowd.options.timeout_ns();
    if !in_time {
        seen.lost += 1;
        seen.late += u64::from(ended > 0);
        seen.lost_though_accepted += u64::from(accepted > 0);
        return made > 0 && accepted == 0 && ended == 0;
    }
    seen.answering_ns = seen.answering_ns.max(ended_after);
    if messages == 0 {
        let codes = crowd.adapter.refused.as_ref().map_or(&[][..], |refused| &refused.codes);
        let word = codes.get((refused as usize).wrapping_sub(1)).cloned().unwrap_or_default();
        *seen.refused.entry(word).or_default() += 1;
        seen.refusal.record(ended.saturating_sub(made));
        return false;
    }
    let succeeded = purchase.succeeded.load(Ordering::Acquire);
    *(if succeeded { &mut seen.succeeded } else { &mut seen.declined }) += 1;
    seen.result.record(ended.saturating_sub(asked));
    seen.again.at(ended_after).completed += 1;
    course.at(since_go(asked)).1.record(ended.saturating_sub(asked));
    seen.finishing_ns = seen.finishing_ns.max(ended_after);
    seen.wrong_outcome += u64::from(succeeded == shopper.declines);
    seen.pushed_twice += u64::from(messages > 1);
    false
}
