//! What a test does to a shop from outside, whatever it is made of: the command line, the sandbox, the metrics.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Output, Stdio};

use http_body_util::Full;
use hyper::Request;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::client::{Reply, exchange, get, post};
use super::kept;
use super::ports::free_port;
use super::process::READY_WITHIN;

/// Unless a test says otherwise, our own crates say all that they can: it is looked through for secrets.
const LOG: &str = "info,shared=debug,web=debug,worker=debug,stampede=debug,sandbox=debug";

/// The settings of a shop, and a folder for what it keeps.
pub struct Desk {
    data: TempDir,
    sandbox_port: u16,
    settings: Vec<(String, String)>,
}

/// The path of a binary that `cargo xtask test` built.
#[must_use]
pub fn binary(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable}: run the tests by `cargo xtask test`"))
}

/// The sum of a counter over all its labels at one address; 0 when it never counted.
pub async fn counter_at(url: &str, name: &str) -> u64 {
    let request = Request::get(format!("{url}/metrics")).body(Full::default()).expect("a request");
    let text = exchange(request).await.expect("the shop").text();
    kept::latest(&format!("metrics-{}", url.rsplit(':').next().unwrap_or_default()), &text);
    let of_it = text
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' ')));
    of_it.map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a whole number")).sum()
}

impl Desk {
    /// A folder, and a sandbox at latency 0 to come.
    #[must_use]
    pub fn new(settings: &[(&str, &str)]) -> Self {
        let mut all = vec![("SANDBOX_LATENCY".to_owned(), "0".to_owned()), ("LOG".to_owned(), LOG.to_owned())];
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        settings.iter().for_each(|(name, value)| kept::setting(name, value));
        let data = tempfile::Builder::new().prefix("stampede-test-").tempdir().expect("a temporary directory");
        Self { data, sandbox_port: free_port(), settings: all }
    }

    /// Changes a setting of whatever is started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        kept::setting(name, value);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.data.path()
    }

    /// One of our binaries under these settings and no others.
    #[must_use]
    pub fn command(&self, binary: &str) -> Command {
        let mut command = Command::new(binary);
        command
            .env_clear()
            // A guard that was taken away is so in every process.
            .envs(std::env::var("STAMPEDE_MUTANT").ok().map(|named| ("STAMPEDE_MUTANT", named)))
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("SANDBOX_BIND", format!("127.0.0.1:{}", self.sandbox_port))
            .env("DATA_DIR", self.data.path())
            .current_dir(self.data.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a sub-command of the binary against this shop.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(&binary("STAMPEDE_BIN"));
        let ended = tokio::time::timeout(READY_WITHIN, command.args(arguments).kill_on_drop(true).output()).await;
        let output = ended.unwrap_or_else(|_| panic!("stampede {arguments:?} did not end"));
        let output = output.expect("STAMPEDE_BIN starts");
        // What it prints may be a secret that was asked for; what it complains of may not.
        kept::text("command", &String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Runs a sub-command that must succeed, with `--json`; what it prints.
    pub async fn cli_json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["--json"]].concat()).await;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "stampede {arguments:?}: {}\n{out}{err}", output.status);
        let reply: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
        for name in ["password", "key"] {
            if let Some(secret) = reply[name].as_str() {
                kept::secret(secret);
            }
        }
        reply
    }

    /// Makes a sale with one tier `std` at 25.00 USD.
    pub async fn sale(&self, slug: &str, capacity: u32, more: &[&str]) {
        let tier = format!("std:Standard:2500:{capacity}");
        self.sale_of(slug, &[&["--tier", &tier], more].concat()).await;
    }

    /// Makes a sale in USD with these tiers and options.
    pub async fn sale_of(&self, slug: &str, options: &[&str]) {
        let create = ["sale", "create", "--slug", slug, "--name", slug, "--currency", "usd"];
        self.cli_json(&[&create, options].concat()).await;
    }

    /// Asserts that conservation holds and stock and ledger agree.
    pub async fn check(&self, sale: &str) -> Value {
        self.cli_json(&["stock", "check", sale]).await
    }

    // --- The sandbox

    /// The sandbox's address.
    #[must_use]
    pub fn sandbox_url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.sandbox_port)
    }

    /// What the sandbox counts.
    pub async fn stats(&self) -> Value {
        get(&format!("{}/_sandbox/stats", self.sandbox_url())).await.expect("the sandbox").1
    }

    /// Asserts that so many charges succeeded, and each order was charged once at most.
    pub async fn expect_charges(&self, charges: u64) {
        let stats = self.stats().await;
        assert_eq!(stats["charges_succeeded"], charges, "{stats}");
        assert_eq!(stats["orders_charged_more_than_once"], 0, "{stats}");
    }

    /// The paths of the last requests that the sandbox got.
    pub async fn sandbox_log(&self) -> Vec<String> {
        let (_, log) = get(&format!("{}/_sandbox/log", self.sandbox_url())).await.expect("the sandbox");
        let paths = log["requests"].as_array().expect("a list").iter().map(|request| request["path"].as_str());
        paths.map(|path| path.expect("a path").to_owned()).collect()
    }

    /// Answers the bank's challenge of a payment, as the window that the page opens does: `complete`, `fail`, `cancel`.
    pub async fn answer_challenge(&self, client_secret: &str, outcome: &str) {
        let payment_intent = client_secret.split("_secret_").next().unwrap_or_default();
        let form = format!("client_secret={client_secret}&outcome={outcome}");
        let reply = self.form(&format!("/_sandbox/3ds/{payment_intent}"), form).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// A payment for an order that the shop did not ask for, in USD.
    pub async fn pay_elsewhere(&self, order: &str, amount: u32) {
        let form = format!(
            "amount={amount}&currency=usd&confirm=true&payment_method=pm_card_visa&metadata[order]={order}\
             &allowed_payment_method_types[]=card"
        );
        let reply = self.form("/v1/payment_intents", form).await;
        assert_eq!(reply.json()["status"], "succeeded", "{}", reply.text());
    }

    /// Sends a form to the sandbox, as a shop does.
    pub async fn form(&self, path: &str, form: String) -> Reply {
        let request = Request::post(format!("{}{path}", self.sandbox_url()))
            .header("authorization", "Bearer sk_test_sandbox")
            .header("content-type", "application/x-www-form-urlencoded");
        exchange(request.body(Full::from(form)).expect("a request")).await.expect("the sandbox")
    }

    /// Tells the sandbox to behave in some way.
    pub async fn control_sandbox(&self, what: Value) -> Value {
        let url = format!("{}/_sandbox/control", self.sandbox_url());
        let (status, body) = post(&url, None, &what).await.expect("the sandbox");
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Waits until the sandbox has met a fault `hang`.
    pub async fn until_the_sandbox_holds_an_answer(&self) {
        let held = async { while self.stats().await["answers_held"] == 0 {} };
        tokio::time::timeout(READY_WITHIN, held).await.expect("an answer that is held");
    }
}
