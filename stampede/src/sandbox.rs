//! `stampede sandbox …`: tells a sandbox that runs what should go wrong, over its own HTTP.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use shared::config::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a sandbox may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes: a full log.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// `stampede sandbox …`
#[derive(Debug, Args)]
#[command(after_help = "Without a command it starts a sandbox. Everything here can be done at \
http://127.0.0.1:12111/_sandbox in a browser as well.")]
pub(crate) struct Sandbox {
    /// Where the sandbox listens [default: SANDBOX_BIND]
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    at: Option<SocketAddr>,
    #[command(subcommand)]
    what: Option<What>,
}

/// What a sandbox is told.
#[derive(Debug, Subcommand)]
enum What {
    /// Prints what it has counted: charges, refunds, orders charged twice, webhooks
    Stats {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints the last requests, the newest last, with the faults that met them
    Log {
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Makes webhooks go astray; `GET /v1/events` still lists all that happened
    #[command(subcommand)]
    Webhooks(Webhooks),
    /// Sets how long the calls take that ask a bank, as SANDBOX_LATENCY: `0`, `lognormal:1200ms:0.5`
    Latency {
        /// As in SANDBOX_LATENCY
        latency: String,
    },
    /// Sets the requests per endpoint and second; what is above gets 429 `endpoint-rate`. 0 is any number
    RateLimit {
        /// Stripe's own default is 25
        per_second: u32,
    },
    /// Makes the next matching requests go wrong
    Fault {
        /// What goes wrong
        kind: Fault,
        /// How many requests it meets
        #[arg(long, default_value_t = 1)]
        count: u32,
        /// Only requests of this method
        #[arg(long)]
        method: Option<String>,
        /// Only paths that begin like this, as /v1/payment_intents
        #[arg(long)]
        path: Option<String>,
        /// Which of its limits Stripe names, for `throttled`
        #[arg(long, default_value = "endpoint-rate")]
        reason: Reason,
    },
    /// Takes back the faults that have met nobody yet, and lets held answers go
    Clear,
    /// Moves its clock forward: after 24 h idempotency keys are forgotten, after 30 days events. Webhooks are still
    /// signed with the real time, since that is what a shop compares
    Forward {
        /// How far, in seconds
        seconds: u32,
    },
    /// Gives every refund that is pending its last state, and those of the failing card their failure
    SettleRefunds,
    /// Opens and closes disputes: `charge.dispute.created`, `charge.dispute.closed`
    #[command(subcommand)]
    Dispute(Dispute),
    /// Forgets every payment, key, fault and counter
    Reset,
}

/// `stampede sandbox webhooks …`
#[derive(Debug, Subcommand)]
enum Webhooks {
    /// The next events are told to nobody, ever
    Drop {
        /// How many
        events: u32,
    },
    /// The next events are told twice
    Duplicate {
        /// How many
        events: u32,
    },
    /// Keeps events back until `release`
    Hold,
    /// Tells what was held, the newest first
    Release,
    /// Tells every event so much later, from now on; 0 is at once
    Delay {
        /// In milliseconds
        milliseconds: u64,
    },
}

/// `stampede sandbox dispute …`
#[derive(Debug, Subcommand)]
enum Dispute {
    /// A cardholder disputes a charge that was paid
    Open {
        /// `ch_…`
        charge: String,
    },
    /// The bank decides
    Close {
        /// `ch_…`
        charge: String,
        /// In the shop's favour
        #[arg(long)]
        won: bool,
    },
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Fault {
    /// The connection is cut before anything happens
    AnswerLostBefore,
    /// It happens, and the connection is cut before the answer
    AnswerLostAfterCommit,
    /// 500, nothing happens, and the key answers 500 for ever
    #[value(name = "http-500")]
    Http500,
    /// 500 although it happened, and the key answers 500 for ever
    #[value(name = "http-500-after-commit")]
    Http500AfterCommit,
    /// 503 with a page instead of JSON, as a proxy would answer; nothing happens
    #[value(name = "http-503-html")]
    Http503Html,
    /// 429 by --reason; nothing happens
    Throttled,
    /// 429 `lock_timeout`: another request works on the object; nothing happens
    LockTimeout,
    /// 409 `idempotency_key_in_use`; nothing happens
    KeyInUse,
    /// It happens, and the answer waits for `clear`
    Hang,
}

impl Fault {
    fn word(self) -> &'static str {
        match self {
            Self::AnswerLostBefore => "answer_lost_before",
            Self::AnswerLostAfterCommit => "answer_lost_after_commit",
            Self::Http500 => "http_500",
            Self::Http500AfterCommit => "http_500_after_commit",
            Self::Http503Html => "http_503_html",
            Self::Throttled => "http_429",
            Self::LockTimeout => "lock_timeout",
            Self::KeyInUse => "key_in_use",
            Self::Hang => "hang",
        }
    }
}

/// The values of `Stripe-Rate-Limited-Reason`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Reason {
    EndpointRate,
    EndpointConcurrency,
    GlobalRate,
    GlobalConcurrency,
    ResourceSpecific,
}

/// What is sent to a sandbox.
#[derive(Debug)]
pub(crate) struct Request {
    at: Option<SocketAddr>,
    path: String,
    /// None reads.
    body: Option<Value>,
    json: bool,
}

impl Sandbox {
    /// What is to be sent; none when a sandbox is to be started.
    pub(crate) fn request(self) -> Option<Request> {
        let at = self.at;
        let read = |path: String, json| Request { at, path, body: None, json };
        let control = |body| Request { at, path: "/_sandbox/control".into(), body: Some(body), json: false };
        Some(match self.what? {
            What::Stats { json } => read("/_sandbox/stats".into(), json),
            What::Log { limit, json } => read(format!("/_sandbox/log?limit={limit}"), json),
            What::Webhooks(Webhooks::Drop { events }) => control(json!({"webhooks": {"drop": events}})),
            What::Webhooks(Webhooks::Duplicate { events }) => control(json!({"webhooks": {"duplicate": events}})),
            What::Webhooks(Webhooks::Hold) => control(json!({"webhooks": {"hold": true}})),
            What::Webhooks(Webhooks::Release) => control(json!({"webhooks": {"hold": false}})),
            What::Webhooks(Webhooks::Delay { milliseconds }) => {
                control(json!({"webhooks": {"delay_ms": milliseconds}}))
            }
            What::Latency { latency } => control(json!({"latency": latency})),
            What::RateLimit { per_second } => control(json!({"rate_limit": per_second})),
            What::Fault { kind, count, method, path, reason } => {
                let reason = reason.to_possible_value().map(|value| value.get_name().to_owned());
                let fault =
                    json!({"fault": kind.word(), "count": count, "method": method, "path": path, "reason": reason});
                control(json!({"faults": [fault]}))
            }
            What::Clear => control(json!({"clear_faults": true, "release": true})),
            What::Forward { seconds } => control(json!({"forward_seconds": seconds})),
            What::SettleRefunds => control(json!({"settle_refunds": true})),
            What::Dispute(Dispute::Open { charge }) => control(json!({"open_dispute": charge})),
            What::Dispute(Dispute::Close { charge, won }) => {
                control(json!({"close_dispute": {"charge": charge, "won": won}}))
            }
            What::Reset => Request { path: "/_sandbox/reset".into(), ..control(json!({})) },
        })
    }
}

/// Sends it, and prints what the sandbox says.
///
/// # Errors
/// When there is no sandbox.
pub(crate) async fn send(settings: &Settings, request: &Request) -> anyhow::Result<ExitCode> {
    let at = request.at.unwrap_or(settings.sandbox.bind);
    let exchanged = tokio::time::timeout(PATIENCE, exchange(at, request)).await;
    let (status, body) = exchanged
        .context("it did not answer in time")
        .flatten()
        .with_context(|| format!("the sandbox at {at} cannot be reached; is it running? (--at, or SANDBOX_BIND)"))?;
    if status != 200 {
        eprintln!("stampede: the sandbox refuses: {}", body["error"].as_str().unwrap_or("no reason given"));
        return Ok(ExitCode::FAILURE);
    }
    print!("{}", if request.json { format!("{body:#}\n") } else { in_words(&body) });
    Ok(ExitCode::SUCCESS)
}

/// One request over a connection of its own. The sandbox speaks plain HTTP on this host.
async fn exchange(at: SocketAddr, request: &Request) -> anyhow::Result<(u16, Value)> {
    let (method, body) = request.body.as_ref().map_or(("GET", String::new()), |body| ("POST", body.to_string()));
    let head = format!(
        "{method} {} HTTP/1.1\r\nhost: {at}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        request.path,
        body.len()
    );
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("that is no HTTP")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("that is no HTTP")?;
    Ok((status, serde_json::from_str(body).context("that is no sandbox")?))
}

fn in_words(body: &Value) -> String {
    let mut text = String::new();
    if let Some(requests) = body["requests"].as_array() {
        for line in requests {
            let word = |name: &str| line[name].as_str().unwrap_or_default();
            let (id, method, path, status) = (word("id"), word("method"), word("path"), &line["status"]);
            let replayed = if line["replayed"] == true { " replayed" } else { "" };
            let fault = line["fault"].as_str().map(|fault| format!(" fault {fault}")).unwrap_or_default();
            let took = &line["milliseconds"];
            let _ = writeln!(text, "{id}  {status}  {method:<6} {path}  {took} ms{replayed}{fault}");
        }
    } else if body["ok"] == true {
        text.push_str("Done.\n");
    } else {
        for (name, value) in body.as_object().into_iter().flatten() {
            let _ = writeln!(text, "{:<30} {value}", name.replace('_', " "));
        }
    }
    text
}
