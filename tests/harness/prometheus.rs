//! A Prometheus of the test's own on a free port, with the rules that operators are given, in a hurry.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::client::get;
use super::kept;
use super::ports::free_port;
use super::process::Process;

/// The sample of what is scraped, in the workspace.
pub const CONFIG: &str = "ops/prometheus/prometheus.yml";
/// The rules, in the workspace.
pub const RULES: &str = "ops/prometheus/alerts.yml";

/// How many times shorter a test waits than the rules say.
pub const HURRY: u64 = 60;
/// How many times more often it scrapes and evaluates. A scrape may take as long as lies between two.
pub const HURRY_OF_SCRAPES: u64 = 30;

/// What rules compare with an age in seconds, and in a hurry. How often payments and events are compared, and the inbox
/// tidied, does not change, so that their limits stay as they are.
const AGES: [(&str, &str); 4] = [
    (r#"{queue="create_charge"}) > 900"#, r#"{queue="create_charge"}) > 15"#),
    (r#"{queue=~"process_response|authentication"}) > 60"#, r#"{queue=~"process_response|authentication"}) > 1"#),
    (r#"{queue="webhook"}) > 60"#, r#"{queue="webhook"}) > 1"#),
    ("\n          ) > 300\n", "\n          ) > 5\n"),
];

/// A text in pieces: words of letters and digits, and what is between them.
#[must_use]
pub fn words(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Milliseconds, if this is a time in Prometheus's language.
#[must_use]
pub fn millis(word: &str) -> Option<u64> {
    let unit = word.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = word.split_at(unit);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(number.parse::<u64>().ok()? * unit)
}

/// The same with every time shortened, and every age that is waited for in the rules.
#[must_use]
pub fn hurried(text: &str, hurry: u64) -> String {
    let shorter = |word: &str| millis(word).map_or_else(|| word.to_owned(), |ms| format!("{}ms", ms / hurry));
    let text: String = words(text).into_iter().map(shorter).collect();
    AGES.iter().fold(text, |text, (long, short)| text.replace(long, short))
}

/// A file of the workspace.
#[must_use]
pub fn of_the_workspace(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie within the workspace");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A running Prometheus; killed with this value.
pub struct Prometheus {
    _folder: TempDir,
    port: u16,
    process: Process,
}

impl Prometheus {
    /// Starts one by the sample's settings, in a hurry, that scrapes these web processes and these workers.
    pub async fn start(webs: &[String], workers: &[String]) -> Self {
        let folder = tempfile::Builder::new().prefix("stampede-prometheus-").tempdir().expect("a temporary directory");
        let mut config = hurried(&of_the_workspace(CONFIG), HURRY_OF_SCRAPES);
        for (sample, ours) in [
            ("[127.0.0.1:9093]", String::from("[]")),
            ("[127.0.0.1:3000]", format!("[{}]", webs.join(", "))),
            ("[127.0.0.1:9464, 127.0.0.2:9464]", format!("[{}]", workers.join(", "))),
        ] {
            assert_eq!(config.matches(sample).count(), 1, "{CONFIG} has {sample} once");
            config = config.replace(sample, &ours);
        }
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
        put("prometheus.yml", &config);
        put("alerts.yml", &hurried(&of_the_workspace(RULES), HURRY));
        let port = free_port();
        let mut command = Command::new("prometheus");
        command.arg("--config.file=prometheus.yml").arg("--storage.tsdb.path=data").arg("--log.level=warn");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).current_dir(folder.path());
        let process = Process::launch(command, &folder.path().join("prometheus.log"));
        let mut started = Self { _folder: folder, port, process };
        let ready = format!("{}/-/ready", started.url());
        started.process.until_answers(&ready).await;
        started
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What the API answers to a path, as `targets`.
    pub async fn ask(&self, path: &str) -> Value {
        let (status, answer) = get(&format!("{}/api/v1/{path}", self.url())).await.expect("Prometheus");
        assert_eq!((status, &answer["status"]), (200, &"success".into()), "{path}: {answer}\n{}", self.process.log());
        kept::latest(&format!("prometheus-{}", path.split('?').next().unwrap_or_default()), &answer.to_string());
        answer["data"].clone()
    }

    /// The series that an expression has now.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let query: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let answer = self.ask(&format!("query?query={query}")).await;
        answer["result"].as_array().cloned().unwrap_or_default()
    }

    /// Alerts that are firing now.
    pub async fn firing(&self) -> BTreeSet<String> {
        self.alerts(r#"ALERTS{alertstate="firing"}"#).await
    }

    /// Alerts that have fired so far.
    pub async fn fired(&self) -> BTreeSet<String> {
        self.alerts(r#"max_over_time(ALERTS{alertstate="firing"}[1h])"#).await
    }

    async fn alerts(&self, expression: &str) -> BTreeSet<String> {
        let series = self.query(expression).await;
        series.iter().filter_map(|series| series["metric"]["alertname"].as_str().map(ToOwned::to_owned)).collect()
    }
}
