//! Every setting, read once from the environment and checked before a port is bound.
//!
//! [`SETTINGS`] is the documentation: `stampede --help` prints it, and a test holds `.env.sample` to it. A value that
//! cannot be understood names its variable, and the process does not start. Secrets have no `Debug` of their own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::budget::Limits;
use crate::ledger::book::Terms;
use crate::telemetry::traces::{Sampling, Traces};

/// Name, default (empty: none) and meaning of every setting.
pub const SETTINGS: [(&str, &str, &str); 33] = [
    ("BIND", "127.0.0.1:3000", "address and port of the shop"),
    (
        "PUBLIC_URL",
        "",
        "how shoppers reach the shop, as https://tickets.example.com; cookies are Secure when it is https",
    ),
    ("DATA_DIR", "./data", "where the embedded ledger, the sandbox and the session secret are kept"),
    ("DATABASE_URL", "", "ledger in PostgreSQL (postgres://…) or in another SQLite file (sqlite://…)"),
    ("REDIS_URL", "", "redis://…: stock, queue and rooms shared by several processes"),
    ("STRIPE_SECRET_KEY", "", "sk_…: charge at Stripe instead of at the built-in sandbox"),
    ("STRIPE_PUBLISHABLE_KEY", "", "pk_…: for the page; needed together with the secret key"),
    ("STRIPE_WEBHOOK_SECRET", "", "whsec_…, comma-separated while rotating"),
    ("STRIPE_API_BASE", "", "any Stripe-compatible server, as http://127.0.0.1:12111"),
    (
        "STRIPE_RATE_PER_SECOND",
        "",
        "requests a second that Stripe allows to each endpoint, and so charges; default 25 with a secret key, SANDBOX_RATE_LIMIT \
         with the sandbox; 0 is no limit",
    ),
    (
        "STRIPE_TOTAL_PER_SECOND",
        "",
        "requests a second that Stripe allows in all; default four times the above; 0 is no limit",
    ),
    (
        "SESSION_SECRET",
        "",
        "signs cookies and tokens, 32 characters or more; without REDIS_URL one is made and kept in DATA_DIR",
    ),
    (
        "OPERATOR_KEY",
        "",
        "32 characters or more: whoever sends it (Authorization: Bearer …) may look and refund; `stampede key` makes others",
    ),
    (
        "WORKER_CONCURRENCY",
        "",
        "charges under way at the same time in this process, at most; when not set, as many as the budget and the time that \
         Stripe takes call for, and 500 without a limit",
    ),
    (
        "METRICS_BIND",
        "",
        "address and port at which a worker process tells its metrics, as 127.0.0.1:9464; nowhere when not set",
    ),
    ("SANDBOX_BIND", "127.0.0.1:12111", "address and port of the sandbox"),
    ("SANDBOX_LATENCY", "", "0, 600ms, or a distribution as lognormal:600ms:0.4"),
    ("SANDBOX_RATE_LIMIT", "", "requests a second and endpoint that the sandbox allows; no limit when not set"),
    ("RETRY_SECONDS", "120", "after a decline the buyer has at least this long to try another card"),
    (
        "AUTHENTICATE_SECONDS",
        "300",
        "how long the buyer has to pass the bank's challenge (3-D Secure), also beyond ORDER_SECONDS",
    ),
    (
        "CHECKOUT_SECONDS",
        "600",
        "how long the buyer has on Stripe's own payment page (hosted Checkout), also beyond ORDER_SECONDS",
    ),
    (
        "ORDER_SECONDS",
        "900",
        "until when, from its acceptance, an order leaves its buyer more than RETRY_SECONDS after a decline",
    ),
    ("TRUSTED_PROXIES", "", "addresses whose X-Forwarded-For counts, comma-separated"),
    ("LIMIT_LOOPBACK", "false", "apply the limits per client address to loopback addresses, too"),
    ("PURCHASES_AT_ONCE", "512", "purchases and holds that a web process works on at the same time"),
    ("PURCHASES_WAITING", "16384", "purchases and holds that wait for that; more are told when to come again"),
    ("DEMO", "true", "make the sale `demo` when there is no sale yet (embedded only)"),
    ("LOG", "info,sea_orm_migration=warn", "tracing filter, as info,shared=debug"),
    ("LOG_FORMAT", "text", "text or json"),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "where traces are sent (OTLP over HTTP), as http://127.0.0.1:4318; without it there are none",
    ),
    ("OTEL_EXPORTER_OTLP_HEADERS", "", "what the collector wants to see with them, as api-key=…"),
    ("OTEL_TRACES_SAMPLER", "parentbased_always_on", "which traces are kept, by OpenTelemetry's names"),
    ("OTEL_TRACES_SAMPLER_ARG", "", "for parentbased_traceidratio and traceidratio: which share, as 0.01"),
];

/// A value that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself; not for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Keys that the sandbox accepts from everybody.
pub const SANDBOX_KEYS: (&str, &str) = ("sk_test_sandbox", "pk_test_sandbox");

/// Stripe, or what stands in for it.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Where its API is.
    pub api_base: String,
    /// What our requests are signed with.
    pub keys: StripeKeys,
    /// Whether it is Stripe itself, and real money may move.
    pub real: bool,
}

/// Every setting, understood.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the shop listens.
    pub bind: SocketAddr,
    /// How shoppers reach it; `None` when it was not said.
    pub public_url: Option<String>,
    /// Where embedded things are kept.
    pub data_dir: PathBuf,
    /// The ledger's database; `None` is SQLite in the data directory.
    pub database_url: Option<Secret>,
    /// The Redis server.
    pub redis_url: Option<Secret>,
    /// Keys of a Stripe account; `None` is the sandbox.
    pub stripe: Option<StripeKeys>,
    /// Secrets of the webhook endpoint, all of which are accepted.
    pub webhook_secrets: Vec<Secret>,
    /// Another server than Stripe's.
    pub stripe_api_base: Option<String>,
    /// Requests a second to each endpoint of Stripe's; `None` is unlimited.
    pub stripe_rate: Option<u32>,
    /// Requests a second to Stripe in all; `None` is unlimited.
    pub stripe_total: Option<u32>,
    /// Signs cookies and tokens.
    pub session_secret: Option<Secret>,
    /// A key that may look and refund.
    pub operator_key: Option<Secret>,
    /// Most charges under way at the same time in a process; `None` leaves it to the budget.
    pub worker_concurrency: Option<usize>,
    /// Where a worker process answers operators; `None` is nowhere.
    pub metrics_bind: Option<SocketAddr>,
    /// The sandbox's settings.
    pub sandbox: SandboxSettings,
    /// See [`crate::ledger::book::Terms::retry`].
    pub retry: Duration,
    /// See [`crate::ledger::book::Terms::authenticate`].
    pub authenticate: Duration,
    /// See [`crate::ledger::book::Terms::hosted`].
    pub hosted: Duration,
    /// See [`crate::ledger::book::Terms::order`].
    pub order: Duration,
    /// Proxies whose word about the client's address counts.
    pub trusted_proxies: Vec<IpAddr>,
    /// Whether loopback addresses are limited, too.
    pub limit_loopback: bool,
    /// Purchases that a web process works on at the same time.
    pub purchases_at_once: usize,
    /// Purchases that wait for that at most.
    pub purchases_waiting: usize,
    /// Whether to make a demo sale when there is none.
    pub demo: bool,
    /// Tracing filter.
    pub log: String,
    /// Logs as JSON lines.
    pub log_json: bool,
    /// Where traces are sent; `None` is nowhere. What the collector wants to see with them is the exporter's to read.
    pub traces: Option<Traces>,
}

/// Keys of a Stripe account.
#[derive(Clone, Debug)]
pub struct StripeKeys {
    /// `sk_…` or `rk_…`.
    pub secret: Secret,
    /// `pk_…`, which the page may know.
    pub publishable: String,
}

impl StripeKeys {
    /// Whether they move real money, and so which events are meant for this shop (`livemode`).
    #[must_use]
    pub fn live(&self) -> bool {
        let secret = self.secret.expose();
        secret.starts_with("sk_live_") || secret.starts_with("rk_live_")
    }
}

/// The sandbox's settings, as the sandbox reads them.
#[derive(Clone, Debug)]
pub struct SandboxSettings {
    /// Where it listens.
    pub bind: SocketAddr,
    /// Its latency, in its own notation.
    pub latency: Option<String>,
    /// Requests a second and endpoint.
    pub rate_limit: Option<u32>,
}

/// What is wrong with the settings: a sentence each, naming the variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(pub Vec<String>);

/// Reads values and collects complaints.
struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    wrong: Vec<String>,
}

impl Reader<'_> {
    /// The value, or its default; `None` when there is neither. Empty counts as not set.
    fn text(&self, name: &str) -> Option<String> {
        let given = (self.get)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let default = SETTINGS.iter().find(|(known, ..)| *known == name).map(|(_, default, _)| (*default).to_owned());
        debug_assert!(default.is_some(), "{name} is missing from SETTINGS");
        given.or(default.filter(|default| !default.is_empty()))
    }

    fn parsed<T: FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        let text = self.text(name)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.wrong.push(format!("{name} should be {expected}"));
        }
        parsed
    }

    fn list<T: FromStr>(&mut self, name: &str, expected: &str) -> Vec<T> {
        let text = self.text(name).unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let parsed: Result<Vec<T>, _> = parts.map(str::parse).collect();
        parsed.unwrap_or_else(|_| {
            self.wrong.push(format!("{name} should be {expected}"));
            Vec::new()
        })
    }

    fn check(&mut self, name: &str, value: Option<&str>, good: impl Fn(&str) -> bool, expected: &str) {
        if value.is_some_and(|value| !good(value)) {
            self.wrong.push(format!("{name} should be {expected}"));
        }
    }
}

impl Settings {
    /// Reads the settings from the process's environment.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::read(&|name| std::env::var(name).ok())
    }

    /// Reads the settings from anywhere.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader { get, wrong: Vec::new() };
        let r = &mut reader;
        let localhost = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = "an address and a port, as 127.0.0.1:3000";
        let seconds = "a number of seconds";
        let stripe = read_keys(r);
        let sandbox_limit = r.parsed("SANDBOX_RATE_LIMIT", "a number").filter(|rate| *rate > 0);
        let default_rate = stripe.as_ref().map_or(sandbox_limit, |_| Some(25));
        let rate: Option<u32> =
            r.parsed("STRIPE_RATE_PER_SECOND", "a number").or(default_rate).filter(|rate| *rate > 0);
        let total = rate.map(|rate| rate.saturating_mul(4));
        let settings = Self {
            bind: r.parsed("BIND", address).unwrap_or(localhost),
            public_url: r.text("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            data_dir: r.text("DATA_DIR").unwrap_or_default().into(),
            database_url: r.text("DATABASE_URL").map(Secret),
            redis_url: r.text("REDIS_URL").map(Secret),
            webhook_secrets: r.list::<String>("STRIPE_WEBHOOK_SECRET", "").into_iter().map(Secret).collect(),
            stripe_api_base: r.text("STRIPE_API_BASE").map(|url| url.trim_end_matches('/').to_owned()),
            stripe_rate: rate,
            stripe_total: r.parsed("STRIPE_TOTAL_PER_SECOND", "a number").or(total).filter(|rate| *rate > 0),
            session_secret: r.text("SESSION_SECRET").map(Secret),
            operator_key: r.text("OPERATOR_KEY").map(Secret),
            worker_concurrency: r.parsed("WORKER_CONCURRENCY", "a number from 1 to 10000"),
            metrics_bind: r.parsed("METRICS_BIND", "an address and a port, as 127.0.0.1:9464"),
            sandbox: SandboxSettings {
                bind: r.parsed("SANDBOX_BIND", address).unwrap_or(localhost),
                latency: r.text("SANDBOX_LATENCY"),
                rate_limit: sandbox_limit,
            },
            retry: Duration::from_secs(r.parsed("RETRY_SECONDS", seconds).unwrap_or(0)),
            authenticate: Duration::from_secs(r.parsed("AUTHENTICATE_SECONDS", seconds).unwrap_or(0)),
            hosted: Duration::from_secs(r.parsed("CHECKOUT_SECONDS", seconds).unwrap_or(0)),
            order: Duration::from_secs(r.parsed("ORDER_SECONDS", seconds).unwrap_or(0)),
            trusted_proxies: r.list("TRUSTED_PROXIES", "IP addresses, comma-separated"),
            limit_loopback: r.parsed("LIMIT_LOOPBACK", "true or false").unwrap_or(false),
            purchases_at_once: r.parsed("PURCHASES_AT_ONCE", "a number from 1 on").unwrap_or(0),
            purchases_waiting: r.parsed("PURCHASES_WAITING", "a number").unwrap_or(0),
            demo: r.parsed("DEMO", "true or false").unwrap_or(false),
            log: r.text("LOG").unwrap_or_default(),
            log_json: r.text("LOG_FORMAT").as_deref() == Some("json"),
            traces: read_traces(r),
            stripe,
        };
        settings.check(r);
        if reader.wrong.is_empty() { Ok(settings) } else { Err(SettingsError(reader.wrong)) }
    }

    /// Who charges, by these settings: Stripe, a server that looks like it, or the sandbox at its address.
    #[must_use]
    pub fn provider(&self) -> Provider {
        let sandbox = || {
            let (secret, publishable) = SANDBOX_KEYS;
            StripeKeys { secret: Secret::new(secret), publishable: publishable.to_owned() }
        };
        let (api_base, real) = match (&self.stripe, &self.stripe_api_base) {
            (None, _) => (format!("http://{}", self.sandbox.bind), false),
            (Some(_), Some(base)) => (base.clone(), false),
            (Some(_), None) => ("https://api.stripe.com".to_owned(), true),
        };
        Provider { api_base, keys: self.stripe.clone().unwrap_or_else(sandbox), real }
    }

    /// The ledger's address.
    #[must_use]
    pub fn ledger_url(&self) -> Secret {
        let file = || format!("sqlite://{}?mode=rwc", self.data_dir.join("ledger.sqlite").display());
        self.database_url.clone().unwrap_or_else(|| Secret::new(file()))
    }

    /// How often Stripe may be asked.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { endpoint: self.stripe_rate, total: self.stripe_total }
    }

    /// How long orders may wait.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms { retry: self.retry, authenticate: self.authenticate, hosted: self.hosted, order: self.order }
    }

    /// What cannot be seen from the form of a single value.
    fn check(&self, r: &mut Reader<'_>) {
        let http = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        r.check("PUBLIC_URL", self.public_url.as_deref(), http, "an http:// or https:// address");
        r.check("STRIPE_API_BASE", self.stripe_api_base.as_deref(), http, "an http:// or https:// address");
        let database = self.database_url.as_ref().map(Secret::expose);
        let known = |url: &str| ["postgres://", "postgresql://", "sqlite://"].iter().any(|kind| url.starts_with(kind));
        r.check("DATABASE_URL", database, known, "postgres://… or sqlite://…");
        for (name, secret) in [("SESSION_SECRET", &self.session_secret), ("OPERATOR_KEY", &self.operator_key)] {
            let long = |secret: &str| secret.len() >= 32;
            let expected = "32 characters or more, as `openssl rand -hex 32` makes them";
            r.check(name, secret.as_ref().map(Secret::expose), long, expected);
        }
        let format = r.text("LOG_FORMAT");
        r.check("LOG_FORMAT", format.as_deref(), |word| matches!(word, "text" | "json"), "text or json");
        if self.purchases_at_once == 0 {
            r.wrong.push("PURCHASES_AT_ONCE should be a number from 1 on".into());
        }
        if self.worker_concurrency.is_some_and(|most| !(1..=10_000).contains(&most)) {
            r.wrong.push("WORKER_CONCURRENCY should be a number from 1 to 10000".into());
        }
        if self.stripe.is_none() && self.stripe_api_base.is_some() {
            r.wrong.push("STRIPE_API_BASE needs STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY".into());
        }
        if let (Some(rate), Some(total)) = (self.stripe_rate, self.stripe_total)
            && total < rate
        {
            r.wrong.push("STRIPE_TOTAL_PER_SECOND should not be less than STRIPE_RATE_PER_SECOND".into());
        }
        if self.order < self.retry {
            r.wrong.push("ORDER_SECONDS should not be less than RETRY_SECONDS".into());
        }
    }
}

fn read_traces(r: &mut Reader<'_>) -> Option<Traces> {
    let name = "OTEL_TRACES_SAMPLER";
    let sampler = r.text(name).unwrap_or_default();
    let sampling = Sampling::read(&sampler, r.text("OTEL_TRACES_SAMPLER_ARG").as_deref());
    if sampling.is_none() {
        r.wrong.push(format!("{name} should be a sampler, and {name}_ARG a share from 0 to 1"));
    }
    let endpoint = r.text("OTEL_EXPORTER_OTLP_ENDPOINT")?;
    let http = |url: &str| url.starts_with("http://") || url.starts_with("https://");
    r.check("OTEL_EXPORTER_OTLP_ENDPOINT", Some(&endpoint), http, "an http:// or https:// address");
    Some(Traces { endpoint, sampling: sampling? })
}

fn read_keys(r: &mut Reader<'_>) -> Option<StripeKeys> {
    let (secret, publishable) = (r.text("STRIPE_SECRET_KEY"), r.text("STRIPE_PUBLISHABLE_KEY"));
    r.check(
        "STRIPE_SECRET_KEY",
        secret.as_deref(),
        |key| key.starts_with("sk_") || key.starts_with("rk_"),
        "sk_… or rk_…",
    );
    r.check("STRIPE_PUBLISHABLE_KEY", publishable.as_deref(), |key| key.starts_with("pk_"), "pk_…");
    match (secret, publishable) {
        (Some(secret), Some(publishable)) => Some(StripeKeys { secret: Secret(secret), publishable }),
        (None, None) => None,
        _ => {
            r.wrong.push("STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY are needed together".into());
            None
        }
    }
}

#[cfg(test)]
mod tests;
