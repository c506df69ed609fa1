//! What operators are given to watch: a rule or a panel about a metric that nobody counts would be silent for ever, and
//! an alert without an entry in the runbook leaves a person alone at night.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::telemetry::names::{Kind, METRICS};

use super::{expect_none, files_below, read};

const RULES: &str = "ops/prometheus/alerts.yml";
const TESTS_OF_RULES: &str = "ops/prometheus/alerts_test.yml";
const DASHBOARD: &str = "ops/grafana/stampede.json";
const RUNBOOK: &str = "docs/OPERATING.md";

/// What counts, and how.
const MACROS: [(&str, Kind); 3] =
    [("counter!(", Kind::Counter), ("gauge!(", Kind::Gauge), ("histogram!(", Kind::Summary)];

/// What Prometheus makes itself.
const OF_PROMETHEUS: [&str; 2] = ["up", "ALERTS"];

/// Words of its language that are neither functions nor metrics.
const KEYWORDS: [&str; 7] = ["and", "or", "unless", "offset", "bool", "Inf", "NaN"];

/// Words of its language that a list of labels follows.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The metrics that a file counts.
fn counted(source: &str) -> Vec<(Kind, String)> {
    let mut found = Vec::new();
    for (call, kind) in MACROS {
        for (at, _) in source.match_indices(call) {
            // To describe a metric is not to count.
            if source[..at].ends_with("describe_") {
                continue;
            }
            let name = first_argument(source, source[at + call.len()..].trim_start());
            found.extend(name.map(|name| (kind, name)));
        }
    }
    found
}

/// What can be asked for then: times are told as summaries.
fn names_of((kind, name): &(Kind, String)) -> Vec<String> {
    let endings: &[&str] = if *kind == Kind::Summary { &["", "_sum", "_count"] } else { &[""] };
    endings.iter().map(|ending| format!("{name}{ending}")).collect()
}

/// The text that these arguments begin with, or that of a constant of the same file.
fn first_argument(source: &str, arguments: &str) -> Option<String> {
    let text = |after_quote: &str| after_quote.split('"').next().map(ToOwned::to_owned);
    if let Some(literal) = arguments.strip_prefix('"') {
        return text(literal);
    }
    let name = arguments.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
    let (_, value) = source.split_once(&format!("const {name}: &str = \""))?;
    text(value)
}

/// The metrics of an expression of Prometheus's language.
fn asked(expression: &str) -> Vec<String> {
    let plain = [('"', '"'), ('{', '}'), ('[', ']')];
    let plain = plain.into_iter().fold(expression.to_owned(), |text, (open, close)| without(&text, open, close));
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let mut found = Vec::new();
    let mut rest = plain.as_str();
    while let Some(start) = rest.find(is_word) {
        let from_word = &rest[start..];
        let end = from_word.find(|c: char| !is_word(c)).unwrap_or(from_word.len());
        let (word, after) = from_word.split_at(end);
        let has_list = after.trim_start().starts_with('(');
        let labels_follow = has_list && BEFORE_LABELS.contains(&word);
        rest = if labels_follow { after.split_once(')').map_or("", |(_, rest)| rest) } else { after };
        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
        // As in `sum by (tier) (…)`.
        let aggregates = ["by", "without"].contains(&after.split_whitespace().next().unwrap_or_default());
        if !has_list && !aggregates && !is_number && !KEYWORDS.contains(&word) {
            found.push(word.to_owned());
        }
    }
    found
}

/// A text without what stands between two signs.
fn without(text: &str, open: char, close: char) -> String {
    let (mut kept, mut within) = (String::new(), false);
    for c in text.chars() {
        if within {
            within = c != close;
        } else if c == open {
            within = true;
        } else {
            kept.push(c);
        }
    }
    kept
}

/// What rules ask: the text behind `expr:`, and the lines below that stand further to the right.
fn expressions_of_rules(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut within = None;
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        if let Some(first) = line.trim().strip_prefix("expr:") {
            found.push(first.trim().trim_start_matches(">-").to_owned());
            within = Some(depth);
        } else if within.is_some_and(|start| depth > start) {
            if let Some(expression) = found.last_mut() {
                expression.push(' ');
                expression.push_str(line.trim());
            }
        } else {
            within = None;
        }
    }
    found
}

/// What panels ask: every text called `expr`.
fn expressions_of_panels(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("expr").and_then(Value::as_str).map(ToOwned::to_owned);
            own.into_iter().chain(fields.values().flat_map(expressions_of_panels)).collect()
        }
        Value::Array(values) => values.iter().flat_map(expressions_of_panels).collect(),
        _ => Vec::new(),
    }
}

fn alerts(rules: &str) -> Vec<&str> {
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

fn not_counted(place: &str, expressions: &[String], counted: &BTreeSet<String>) -> Vec<String> {
    let names: BTreeSet<String> = expressions.iter().flat_map(|expression| asked(expression)).collect();
    let known = |name: &String| counted.contains(name) || OF_PROMETHEUS.contains(&name.as_str());
    let unknown = names.into_iter().filter(|name| !known(name));
    unknown.map(|name| format!("{place} asks for {name}, which nobody counts")).collect()
}

fn counted_by_the_shop() -> BTreeSet<(Kind, String)> {
    let files = ["shared/src", "web/src", "worker/src", "stampede/src"].into_iter().flat_map(files_below);
    files.filter(|path| path.ends_with(".rs")).flat_map(|path| counted(&read(&path))).collect()
}

#[test]
fn rules_and_panels_ask_for_what_is_counted() {
    let counted: BTreeSet<String> = counted_by_the_shop().iter().flat_map(names_of).collect();
    let rules = expressions_of_rules(&read(RULES));
    assert_eq!(rules.len(), alerts(&read(RULES)).len(), "every rule has its expression");
    let panels: Value = serde_json::from_str(&read(DASHBOARD)).expect("the dashboard is JSON");
    let panels = expressions_of_panels(&panels);
    assert!(!panels.is_empty());
    expect_none(&[not_counted(RULES, &rules, &counted), not_counted(DASHBOARD, &panels, &counted)].concat());
}

#[test]
fn every_metric_has_its_meaning_and_none_is_explained_that_nobody_counts() {
    let counted = counted_by_the_shop();
    let explained: BTreeSet<(Kind, String)> =
        METRICS.iter().map(|(kind, name, _)| (*kind, (*name).to_owned())).collect();
    let mute = counted.difference(&explained).map(|(kind, name)| format!("no meaning of {name} ({kind:?})"));
    let idle = explained.difference(&counted).map(|(kind, name)| format!("nobody counts {name} ({kind:?})"));
    expect_none(&mute.chain(idle).collect::<Vec<_>>());
    assert_eq!(explained.len(), METRICS.len(), "each once");
    let wrong = |kind: Kind, name: &str| (kind == Kind::Counter) != name.ends_with("_total");
    let wrong = METRICS.iter().filter(|(kind, name, meaning)| wrong(*kind, name) || !meaning.ends_with('.'));
    expect_none(
        &wrong
            .map(|(_, name, _)| format!("{name}: only counters end in _total, meanings in a full stop"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_alert_has_a_test_and_an_entry_in_the_runbook() {
    let (rules, tests, runbook) = (read(RULES), read(TESTS_OF_RULES), read(RUNBOOK));
    let mut found = Vec::new();
    for alert in alerts(&rules) {
        if !tests.contains(&format!("alertname=\"{alert}\"")) {
            found.push(format!("{TESTS_OF_RULES} has no case in which {alert} fires"));
        }
        if !runbook.contains(&format!("| `{alert}` |")) {
            found.push(format!("{RUNBOOK} does not say what to do about {alert}"));
        }
    }
    let entries = runbook.lines().filter_map(|line| line.strip_prefix("| `Stampede")?.split('`').next());
    let gone = entries.map(|rest| format!("Stampede{rest}")).filter(|entry| !alerts(&rules).contains(&entry.as_str()));
    found.extend(gone.map(|entry| format!("{RUNBOOK} has an entry for {entry}, which is no alert")));
    expect_none(&found);
}

#[test]
fn the_alert_about_sockets_comes_at_85_in_100_of_what_a_process_takes() {
    let hub = read("web/src/hub.rs");
    let (_, limit) = hub.split_once("\nconst CONNECTIONS: usize = ").expect("the limit of a web process");
    let limit: u32 = limit.split(';').next().unwrap_or_default().replace('_', "").parse().expect("a number");
    let rules = read(RULES);
    assert!(rules.contains(&format!("(room_connections) > {}\n", limit * 85 / 100)), "{limit} sockets are the most");
    assert!(rules.contains(&format!("sockets of {limit}\"\n")), "{limit} sockets are the most");
}

#[test]
fn a_rule_about_a_metric_that_nobody_counts_is_found() {
    let code = "const WAIT: &str = \"wait_seconds\"; describe_counter!(\"told_total\", \"a metric\");
        fn f() { metrics::counter!(\n  \"sold_total\", \"tier\" => t).increment(1); histogram!(WAIT).record(1.0); }";
    let counted: BTreeSet<String> = counted(code).iter().flat_map(names_of).collect();
    let names = ["sold_total", "wait_seconds", "wait_seconds_count", "wait_seconds_sum"];
    assert_eq!(counted, BTreeSet::from(names.map(String::from)));
    let rules = "- alert: A\n  expr: >-\n    sum by (tier, x) (rate(sold_total{a=\"b\"}[5m])) / 2e3 > 0.1\n\
        \x20   unless on () time() - max(wait_seconds{quantile=\"1\"}) > +Inf\n  for: 1m\n- alert: B\n  expr: up == 0\n";
    assert_eq!(alerts(rules), ["A", "B"]);
    let expressions = expressions_of_rules(rules);
    let names: Vec<String> = expressions.iter().flat_map(|text| asked(text)).collect();
    assert_eq!(names, ["sold_total", "wait_seconds", "up"]);
    assert!(not_counted("a", &expressions, &counted).is_empty());
    let wrong = ["rate(wait_seconds_bucket[5m])", "told_total offset 15m or sold_total > 1"].map(ToOwned::to_owned);
    assert_eq!(not_counted("a", &wrong, &counted).len(), 2);
}
