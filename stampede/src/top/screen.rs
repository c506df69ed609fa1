//! An overview in lines. A state is always a word; colours only repeat it, and only where they are wanted
//! (<https://no-color.org>).

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use rustix::termios::tcgetwinsize;
use serde_json::Value;
use shared::env::Timestamp;

/// Where nobody knows better.
const SIZE: (usize, usize) = (100, 40);
/// Stock and ledger that agreed so lately agree.
const AGREE_WITHIN: Duration = Duration::from_secs(7);
/// Cells of a bar.
const BAR: usize = 24;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// Columns and rows of the terminal.
pub(super) fn size() -> (usize, usize) {
    let size = tcgetwinsize(std::io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    size.map_or(SIZE, |size| (size.ws_col.into(), size.ws_row.into()))
}

/// How lines are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    width: usize,
    colours: bool,
}

impl Screen {
    /// For a file or a pipe.
    pub(super) fn plain() -> Self {
        Self { width: usize::MAX, colours: false }
    }

    /// For whoever sits there.
    pub(super) fn of_terminal() -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        Self { width: size().0, colours }
    }

    /// The lines.
    pub(super) fn show(self, overview: &Value) -> String {
        let mut lines = vec![(BOLD, format!("Stampede  {}", word(&overview["at"])))];
        lines.extend(sales(overview));
        lines.extend(flow(overview));
        lines.extend(queues(overview));
        lines.extend(times(overview));
        lines.extend(processes(overview));
        let mut text = String::new();
        for (style, line) in lines {
            let cut: String = line.chars().take(self.width).collect();
            let _ = if self.colours && !style.is_empty() {
                writeln!(text, "\x1b[{style}m{cut}\x1b[0m")
            } else {
                writeln!(text, "{cut}")
            };
        }
        text
    }
}

type Line = (&'static str, String);

fn sales(overview: &Value) -> Vec<Line> {
    let Some(sales) = overview["sales"].as_array() else { return vec![("", "The sales could not be read.".into())] };
    let mut lines = vec![("", String::new())];
    for sale in sales {
        let status = word(&sale["status"]);
        let style = if status == "paused" { YELLOW } else { BOLD };
        let waiting = match sale["waiting"].as_u64() {
            Some(0) | None => String::new(),
            Some(waiting) => format!(", {} wait for their charge", grouped(waiting)),
        };
        lines.push((style, format!("{}  {} ({}){waiting}", word(&sale["sale"]), status, word(&sale["name"]))));
        lines.push((DIM, format!("  {:<16} {:>11} {:>11} {:>11} {:>11}", "tier", "free", "held", "sold", "of")));
        for tier in sale["tiers"].as_array().into_iter().flatten() {
            let cells = ["free", "held", "sold", "capacity"].map(|name| number(&tier[name]));
            let [free, held, sold, capacity] = cells;
            let name = word(&tier["id"]);
            let line = format!("  {name:<16} {free:>11} {held:>11} {sold:>11} {capacity:>11}  {}", bar(tier));
            lines.push(("", line));
        }
        lines.push(conservation(&sale["conservation"], &overview["at"]));
    }
    if sales.is_empty() {
        lines.push(("", "No sale is current.".into()));
    }
    lines
}

/// Sold, held, free: `####++....`; whatever there is of a shelf has a cell.
fn bar(tier: &Value) -> String {
    let units = |name: &str| tier[name].as_u64().and_then(|units| usize::try_from(units).ok()).unwrap_or(0);
    let capacity = units("capacity").max(1);
    let cells = |name: &str| (units(name) * BAR / capacity).max(usize::from(units(name) > 0));
    let (sold, held) = (cells("sold").min(BAR), cells("held").min(BAR));
    let taken = (sold + held).min(BAR);
    format!("[{}{}{}]", "#".repeat(sold), "+".repeat(taken - sold), ".".repeat(BAR - taken))
}

fn conservation(check: &Value, at: &Value) -> Line {
    if check["holds"] != true {
        let wrong = check["wrong"].as_array().into_iter().flatten().map(word);
        return (RED, format!("  NOT RIGHT: {}", wrong.collect::<Vec<_>>().join("; ")));
    }
    let time = |value: &Value| value.as_str().and_then(|text| Timestamp::parse_rfc3339(text).ok());
    let agreed = match (time(&check["agreed_at"]), time(at)) {
        // They are compared every few seconds.
        (Some(agreed), Some(now)) if now.since(agreed) < AGREE_WITHIN => "stock and ledger agree".to_owned(),
        (Some(agreed), Some(now)) => format!("stock and ledger agreed {} ago", span(now.since(agreed).as_millis())),
        _ => "stock and ledger are being compared".to_owned(),
    };
    (GREEN, format!("  every unit has its place; {agreed}"))
}

fn flow(overview: &Value) -> Vec<Line> {
    let (rates, budget, forecast) = (&overview["rates"], &overview["budget"], &overview["forecast"]);
    let rate = |name: &str| figure(&rates[name]);
    let orders = format!(
        "orders   {} in, {} out, {} paid, {} declined a second",
        rate("accepted_per_second"),
        rate("settled_per_second"),
        rate("paid_per_second"),
        rate("declined_per_second")
    );
    let ends = |name: &str| forecast[name].as_u64().map_or_else(|| "–".into(), |ms| span(ms.into()));
    let queue = format!(
        "queue    {} wait, ends in {}; {} unsold, gone in {} if wanted",
        number(&forecast["waiting"]),
        ends("ends_in_ms"),
        number(&forecast["unsold"]),
        ends("all_sold_in_ms")
    );
    let allowed = match &budget["allowed_per_second"] {
        Value::Null => "no limit set".to_owned(),
        allowed => format!("of {} allowed", figure(allowed)),
    };
    let cut = if budget["is_cut"] == true { "; Stripe has refused lately" } else { "" };
    let stripe = format!(
        "stripe   {} charges a second, {allowed}, {} under way{cut}",
        figure(&budget["used_per_second"]),
        number(&budget["concurrency"])
    );
    let rooms = format!("sockets  {} in {} rooms", number(&overview["sockets"]), number(&overview["rooms"]));
    let mut lines = vec![("", String::new()), ("", orders), ("", queue)];
    lines.push((if cut.is_empty() { "" } else { YELLOW }, stripe));
    lines.push(("", rooms));
    for (name, counted) in [("429      ", &budget["throttled"]), ("declines ", &overview["declines"])] {
        let words: Vec<String> =
            counted.as_object().into_iter().flatten().map(|(word, n)| format!("{word} {}", number(n))).collect();
        if !words.is_empty() {
            lines.push(("", format!("{name}{}", words.join(", "))));
        }
    }
    if let Some(reviews) = overview["reviews"].as_u64().filter(|reviews| *reviews > 0) {
        lines.push((YELLOW, format!("reviews  {reviews} orders wait for a decision")));
    }
    lines
}

fn queues(overview: &Value) -> Vec<Line> {
    let Some(queues) = overview["queues"].as_array() else { return vec![("", "The queues could not be read.".into())] };
    let head =
        format!("{:<18} {:>9} {:>9} {:>9} {:>6} {:>12}", "queue", "waiting", "running", "delayed", "dead", "oldest");
    let mut lines = vec![("", String::new()), (DIM, head)];
    for queue in queues {
        let cells = ["waiting", "running", "delayed", "dead"].map(|name| number(&queue[name]));
        let [waiting, running, delayed, dead] = cells;
        let oldest = match queue["oldest_age_ms"].as_u64() {
            Some(ms) if queue["waiting"].as_u64() > Some(0) => span(ms.into()),
            _ => "–".into(),
        };
        let style = if queue["dead"].as_u64() > Some(0) { RED } else { "" };
        let name = word(&queue["queue"]);
        lines.push((style, format!("{name:<18} {waiting:>9} {running:>9} {delayed:>9} {dead:>6} {oldest:>12}")));
    }
    lines
}

fn times(overview: &Value) -> Vec<Line> {
    let mut lines = vec![("", String::new()), (DIM, format!("{:<18} {:>9} {:>9}", "ms", "half", "99 of 100"))];
    for step in ["accept", "queue_wait", "stripe", "settle", "push"] {
        let times = &overview["latency"][step];
        lines.push(("", format!("{step:<18} {:>9} {:>9}", figure(&times["p50_ms"]), figure(&times["p99_ms"]))));
    }
    lines
}

fn processes(overview: &Value) -> Vec<Line> {
    let Some(processes) = overview["processes"].as_array() else { return Vec::new() };
    let head = format!("{:<28} {:<7} {:<9} {:<10} load", "process", "kind", "state", "version");
    let mut lines = vec![("", String::new()), (DIM, head)];
    for process in processes {
        let [name, kind, state, version] = ["name", "kind", "state", "version"].map(|part| word(&process[part]));
        let style = if state == "running" { "" } else { YELLOW };
        lines.push((style, format!("{name:<28} {kind:<7} {state:<9} {version:<10} {}", load(&process["load"]))));
    }
    let recommended = &overview["recommended_workers"];
    if let Some(workers) = recommended["workers"].as_u64() {
        lines.push(("", format!("{workers} workers are enough: {}", word(&recommended["why"]))));
    }
    lines
}

/// The numbers that a process tells of its work.
fn load(load: &Value) -> String {
    let told = ["sockets", "rooms", "accepted_total", "concurrency", "in_hand", "charged_total"];
    let halves = [load, &load["web"], &load["worker"]];
    let of = |name: &&str| halves.iter().find_map(|half| half[*name].as_u64()).map(|n| (name.replace('_', " "), n));
    let parts: Vec<String> = told.iter().filter_map(of).map(|(name, n)| format!("{} {name}", grouped(n))).collect();
    parts.join(", ")
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> String {
    value.as_u64().map_or_else(|| "–".into(), grouped)
}

fn figure(value: &Value) -> String {
    value.as_f64().map_or_else(|| "–".into(), |value| format!("{value:.1}"))
}

/// 12,345
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 400,000 ms are 6 min 40 s.
fn span(ms: u128) -> String {
    match ms / 1_000 {
        0 => format!("{ms} ms"),
        seconds @ 1..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn overview() -> Value {
        json!({
            "at": "2026-11-22T05:00:10.000Z",
            "sales": [{
                "sale": "gala", "name": "Gala", "status": "open", "waiting": 1200,
                "tiers": [{"id": "std", "capacity": 10_000, "free": 7_500, "held": 1, "sold": 2_499}],
                "conservation": {"holds": true, "agreed_at": "2026-11-22T05:00:02.000Z", "wrong": []},
            }],
            "rates": {"accepted_per_second": 41.25, "settled_per_second": 25.0},
            "queues": [{"queue": "create_charge", "waiting": 1200, "running": 31, "delayed": 0, "dead": 2, "oldest_age_ms": 48_100}],
            "latency": {"accept": {"p50_ms": 1.5, "p99_ms": 9.25}},
            "declines": {"card_declined": 12},
            "budget": {"used_per_second": 25.0, "allowed_per_second": 25.0, "throttled": {}, "concurrency": 31},
            "forecast": {"waiting": 1200, "ends_in_ms": 48_600, "unsold": 7501, "all_sold_in_ms": 348_640},
        })
    }

    #[test]
    fn everything_is_said_in_words_and_nothing_unknown_is_told_as_nothing() {
        let text = Screen::plain().show(&overview());
        for line in [
            "gala  open (Gala), 1,200 wait for their charge",
            "  every unit has its place; stock and ledger agreed 8 s ago",
            "orders   41.2 in, 25.0 out, – paid, – declined a second",
            "queue    1,200 wait, ends in 48 s; 7,501 unsold, gone in 5 min 48 s if wanted",
            "stripe   25.0 charges a second, of 25.0 allowed, 31 under way",
            "sockets  – in – rooms",
            "declines card_declined 12",
            "accept                   1.5       9.2",
            "stripe                     –         –",
        ] {
            assert!(text.lines().any(|told| told == line), "{line:?} in\n{text}");
        }
        assert!(text.contains("[#####+..................]") && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn what_does_not_add_up_is_said_so_and_a_narrow_terminal_cuts_lines() {
        let mut broken = overview();
        broken["sales"][0]["conservation"] = json!({"holds": false, "wrong": ["std: 2 and 2 are not 5"]});
        let screen = Screen { width: 20, colours: true };
        let text = screen.show(&broken);
        assert!(text.contains("\x1b[1;31m  NOT RIGHT: std: 2 \x1b[0m\n"), "{text}");
    }
}
