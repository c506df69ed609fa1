//! Every alert of ops/prometheus fires once, because of the fault that it is about, in a real Prometheus that scrapes a
//! shop in processes while it sells. And a Prometheus that scrapes a crowd's sale has nothing to complain of.
//!
//! Whoever waits ten minutes in production waits ten seconds here: waiting times are sixty times shorter, and nothing else
//! is changed.

mod load;
mod money;
mod servers;
mod stage;
mod stripe;
mod table;

use std::collections::BTreeSet;

use tests::harness::prometheus::{CONFIG, HURRY, HURRY_OF_SCRAPES, RULES, hurried, millis, of_the_workspace, words};
use tokio::process::Command;

use self::stage::Stage;
use self::table::{CAUSES, Cause};

fn alerts() -> BTreeSet<String> {
    let rules = of_the_workspace(RULES);
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ").map(ToOwned::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_fires_when_its_fault_is_caused_and_none_before() {
    let mut stage = Stage::set().await;
    load::a_sale_goes_well(&stage).await;
    assert_eq!(stage.prometheus.fired().await, BTreeSet::new(), "nothing is wrong yet");
    futures::join!(money::stories(&stage), servers::stories_of_one_web_process(&stage));
    stripe::stories(&stage).await;
    stripe::stories_without_workers(&mut stage).await;
    servers::stories_of_redis(&mut stage).await;
    servers::stories_of_the_ledger(&stage).await;
    let caused: BTreeSet<String> = CAUSES.iter().map(|(alert, ..)| (*alert).to_owned()).collect();
    assert_eq!(stage.fired(), caused, "each was waited for");
}

#[test]
fn every_alert_has_its_cause_in_the_table_and_stand_ins_have_a_reason() {
    let caused: Vec<String> = CAUSES.iter().map(|(alert, ..)| (*alert).to_owned()).collect();
    assert_eq!(caused.iter().cloned().collect::<BTreeSet<String>>(), alerts());
    assert_eq!(caused.len(), alerts().len(), "each once");
    for (alert, cause, story) in CAUSES {
        assert!(!story.is_empty(), "{alert} has no story");
        if let Cause::StandIn(reason) = cause {
            assert!(reason.len() > 20, "{alert}: why can it not be caused?");
        }
    }
}

/// Seconds may stand without a unit, where ages are compared.
fn time(word: &str) -> Option<u64> {
    millis(word).or_else(|| word.parse::<u64>().ok().map(|seconds| seconds * 1_000))
}

#[test]
fn a_hurry_changes_the_waiting_times_of_rules_and_nothing_else() {
    for (path, hurry, ages) in [(RULES, HURRY, 4), (CONFIG, HURRY_OF_SCRAPES, 0)] {
        let text = of_the_workspace(path);
        let short = hurried(&text, hurry);
        let (before, after) = (words(&text), words(&short));
        assert_eq!(before.len(), after.len(), "{path}");
        let mut changed_ages = 0;
        for (before, after) in before.into_iter().zip(after) {
            if before == after {
                assert_eq!(millis(before), None, "{path}: {before} was left as it is");
                continue;
            }
            let times = time(before).zip(time(after));
            let (long, short) = times.unwrap_or_else(|| panic!("{path}: {before} became {after}"));
            assert_eq!(long, short * hurry, "{path}: {before} became {after}");
            changed_ages += usize::from(millis(before).is_none());
        }
        assert_eq!(changed_ages, ages, "{path}");
    }
}

#[tokio::test]
async fn promtool_finds_the_rules_good_in_their_own_cases_and_in_a_hurry() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.yml");
    std::fs::write(&file, hurried(&of_the_workspace(RULES), HURRY)).unwrap();
    let hurried = file.to_str().unwrap();
    let ops = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/prometheus");
    for arguments in
        [["check", "config", "prometheus.yml"], ["check", "rules", hurried], ["test", "rules", "alerts_test.yml"]]
    {
        let ran = Command::new("promtool").args(arguments).current_dir(ops).output().await.expect("promtool");
        let said = [ran.stdout, ran.stderr].concat();
        assert!(ran.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
    }
}
