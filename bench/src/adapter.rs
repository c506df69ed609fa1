//! An adapter (one TOML file) says how a system is spoken to: its session, its socket, its purchase, its outcomes.
//!
//! Texts may hold `{names}`: `uuid` (the shopper), `order` (the purchase), `token`, `i` (the shopper's number),
//! `cookies`, whatever `[session]` captured, and the adapter's own `[vars]`. Other braces stay, so that JSON needs no
//! escaping.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Values for the names in a template.
pub type Vars = BTreeMap<String, String>;

/// How a system is spoken to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    /// What it is called in reports.
    pub name: String,
    /// Names for the templates; the command line may override them.
    #[serde(default)]
    pub vars: Vars,
    /// A request that each shopper makes before its socket.
    pub session: Option<Session>,
    /// The socket.
    pub ws: Ws,
    /// The purchase.
    pub post: Post,
    /// Refusals that are a final answer.
    pub refused: Option<Refused>,
    /// What the socket says in the end.
    pub result: Outcome,
    /// What all sockets are told.
    pub broadcast: Option<Broadcast>,
}

/// A request before the socket: `Set-Cookie` is collected, and its answer read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// `GET` unless said otherwise.
    #[serde(default = "get")]
    pub method: String,
    /// Where.
    pub url: String,
    /// Header lines.
    #[serde(default)]
    pub headers: Vars,
    /// What is sent.
    #[serde(default)]
    pub body: String,
    /// Name of a variable, and the JSON pointer to its value in the answer.
    #[serde(default)]
    pub capture: Vars,
}

/// The dialect of a socket.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Engine.IO 4 and Socket.IO 5.
    Socketio,
    /// JSON in text frames.
    Plain,
}

/// A socket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ws {
    /// Its dialect.
    pub kind: Dialect,
    /// Where.
    pub url: String,
    /// Header lines of the upgrade.
    #[serde(default)]
    pub headers: Vars,
    /// Sent once it is open; in Socket.IO an event, as `["join",{"uuid":"{uuid}"}]`.
    #[serde(default)]
    pub send: Vec<String>,
    /// Socket.IO: ask for an acknowledgement of the last message, and count the socket as joined only then.
    #[serde(default)]
    pub ack: bool,
    /// Plain: joined once a message matches; without any, as soon as it is open.
    #[serde(default)]
    pub ready: Vec<Match>,
}

/// A purchase.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Post {
    /// Where.
    pub url: String,
    /// Header lines.
    #[serde(default)]
    pub headers: Vars,
    /// What is sent.
    pub body: String,
    /// Statuses that accept it; every 2xx when there are none.
    #[serde(default)]
    pub ok_status: Vec<u16>,
}

/// A refusal that is a final answer: nothing will be pushed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Its statuses.
    pub status: Vec<u16>,
    /// JSON pointer to the machine word.
    pub code: String,
    /// The words that count.
    pub codes: Vec<String>,
}

/// What the socket says in the end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Socket.IO: the event's name; its first argument is the message.
    pub event: Option<String>,
    /// All must hold for a message to be final.
    pub is_final: Vec<Match>,
    /// All must hold for it to be a success; otherwise the card was declined.
    pub success: Vec<Match>,
    /// JSON pointer to the purchase (or shopper) that the message names; another one's is a wrong delivery.
    pub order: Option<String>,
}

/// A message for every socket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broadcast {
    /// All must hold.
    pub matches: Vec<Match>,
}

/// A condition on a JSON value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// Any of these; without them the pointer need only lead somewhere.
    #[serde(default, rename = "in")]
    pub any: Vec<Value>,
}

impl Match {
    fn holds(&self, value: &Value) -> bool {
        value.pointer(&self.pointer).is_some_and(|found| self.any.is_empty() || self.any.contains(found))
    }
}

/// Whether all conditions hold.
#[must_use]
pub fn all(conditions: &[Match], value: &Value) -> bool {
    conditions.iter().all(|condition| condition.holds(value))
}

impl Adapter {
    /// Reads an adapter.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Whether a shopper may buy more than once: the purchase has a name of its own in the request and in the outcome.
    #[must_use]
    pub fn tells_purchases_apart(&self) -> bool {
        self.post.body.contains("{order}") && self.result.order.is_some()
    }
}

impl Refused {
    /// The machine word of a final refusal.
    #[must_use]
    pub fn word(&self, status: u16, body: &[u8]) -> Option<&str> {
        if !self.status.contains(&status) {
            return None;
        }
        let answer: Value = serde_json::from_slice(body).ok()?;
        let word = answer.pointer(&self.code)?.as_str()?;
        self.codes.iter().find(|code| *code == word).map(String::as_str)
    }
}

/// Words of which a frame must hold one of each set if it is to match: a look that costs a fraction of parsing, and lets
/// the driver pass over what cannot count.
#[derive(Debug)]
pub struct Words(Vec<Vec<String>>);

impl Words {
    /// The words that the conditions ask for. A condition on anything but plain text asks for none.
    #[must_use]
    pub fn of(conditions: &[Match]) -> Self {
        let plain =
            |value: &Value| value.as_str().filter(|text| !text.contains(['"', '\\'])).map(|t| format!("\"{t}\""));
        let set = |condition: &Match| condition.any.iter().map(plain).collect::<Option<Vec<_>>>();
        let sets: Vec<Vec<String>> = conditions.iter().filter_map(set).filter(|set| !set.is_empty()).collect();
        // The last condition is usually the narrowest: ask it first.
        Self(sets.into_iter().rev().collect())
    }

    /// Whether a frame may match.
    #[must_use]
    pub fn may_match(&self, frame: &str) -> bool {
        self.0.iter().all(|set| set.iter().any(|word| frame.contains(word.as_str())))
    }
}

fn get() -> String {
    "GET".to_owned()
}

/// Puts the values of known names into a template.
#[must_use]
pub fn fill(template: &str, vars: &Vars) -> String {
    let mut filled = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];
        let close = rest[1..].find(['{', '}']).map(|at| at + 1).filter(|at| rest.as_bytes()[*at] == b'}');
        match close.and_then(|close| vars.get(&rest[1..close]).map(|value| (close, value))) {
            Some((close, value)) => {
                filled.push_str(value);
                rest = &rest[close + 1..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHIPPED: [&str; 4] = [
        include_str!("../adapters/stampede.toml"),
        include_str!("../adapters/celery.toml"),
        include_str!("../adapters/bullmq.toml"),
        include_str!("../adapters/null.toml"),
    ];

    #[test]
    fn only_known_names_are_filled_and_json_braces_stay() {
        let vars: Vars = [("uuid".to_owned(), "U".to_owned())].into();
        let filled = fill(r#"{"uuid": "{uuid}", "a": {"b": "{nope}"}}"#, &vars);
        assert_eq!(filled, r#"{"uuid": "U", "a": {"b": "{nope}"}}"#);
        assert_eq!(fill("ws://h/{uuid}", &vars), "ws://h/U");
        assert_eq!(fill("{", &vars), "{");
    }

    #[test]
    fn a_condition_looks_where_its_pointer_leads() {
        let adapter = Adapter::parse(SHIPPED[0]).unwrap();
        let message = |state: &str| json!({"type": "order", "order": {"id": "x", "state": state}});
        assert!(all(&adapter.result.is_final, &message("paid")));
        assert!(all(&adapter.result.success, &message("paid")));
        assert!(
            all(&adapter.result.is_final, &message("declined")) && !all(&adapter.result.success, &message("declined"))
        );
        assert!(!all(&adapter.result.is_final, &message("charging")));
        assert!(!all(&adapter.result.is_final, &json!({"type": "order"})));
    }

    #[test]
    fn a_frame_that_lacks_the_words_is_never_one_that_matches() {
        for adapter in SHIPPED.map(|text| Adapter::parse(text).unwrap()) {
            let words = Words::of(&adapter.result.is_final);
            for state in ["paid", "declined", "succeeded", "charging", "accepted"] {
                let order = json!({"id": "o", "state": state});
                let message = json!({"type": "order", "status": state, "order": order});
                let matches = all(&adapter.result.is_final, &message);
                assert!(!matches || words.may_match(&message.to_string()), "{} {message}", adapter.name);
            }
            assert!(!words.may_match(r#"{"type":"order","order":{"state":"charging"},"status":"queued"}"#));
        }
        let numbers = Words::of(&[Match { pointer: "/a".into(), any: vec![json!(1)] }]);
        assert!(numbers.may_match("{}"), "a condition on a number excludes nothing");
    }

    #[test]
    fn a_refusal_counts_by_status_and_word() {
        let refused = Adapter::parse(SHIPPED[0]).unwrap().refused.unwrap();
        assert_eq!(refused.word(409, br#"{"code":"sold_out"}"#), Some("sold_out"));
        assert_eq!(refused.word(409, br#"{"code":"limit_reached"}"#), None);
        assert_eq!(refused.word(503, br#"{"code":"sold_out"}"#), None);
        assert_eq!(refused.word(409, b"gone"), None);
    }

    #[test]
    fn only_a_system_that_names_purchases_can_sell_several_to_one_shopper() {
        let apart = SHIPPED.map(|text| Adapter::parse(text).unwrap().tells_purchases_apart());
        assert_eq!(apart, [true, false, false, true]);
    }
}
