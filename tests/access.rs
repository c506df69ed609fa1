//! Who may steer the shop: operators at its doors, keys of machines, and the commands that make both.

mod command_line;
mod doors;
mod permissions;
mod store;

use std::process::{Output, Stdio};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use tests::harness::client::{Reply, exchange};
use tests::harness::desk::{Desk, binary};
use tokio::io::AsyncWriteExt as _;

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Runs a command that reads a password from its standard input.
pub(crate) async fn with_password(desk: &Desk, arguments: &[&str], password: &str) -> Output {
    let mut command = desk.command(&binary("STAMPEDE_BIN"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("STAMPEDE_BIN starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that refuses its arguments has ended before it reads.
    let _ = stdin.write_all(format!("{password}\n").as_bytes()).await;
    drop(stdin);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), child.wait_with_output()).await;
    ended.unwrap_or_else(|_| panic!("stampede {arguments:?} did not end")).expect("an output")
}

/// What a command said, and how it ended.
pub(crate) fn said(output: &Output) -> (Option<i32>, String) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), format!("{out}{err}"))
}

/// Adds an operator with [`PASSWORD`].
pub(crate) async fn add(desk: &Desk, name: &str, role: &str) {
    let added = with_password(desk, &["operator", "add", name, "--role", role], PASSWORD).await;
    assert_eq!(said(&added).0, Some(0), "{}", said(&added).1);
}

/// Sends a request to a door.
pub(crate) async fn ask(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Reply {
    let mut request = Request::builder().method(method).uri(format!("{base}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    exchange(request.body(Full::new(body.into())).expect("a request")).await.expect("the shop")
}

/// Tries to log in from a page of the shop's own, with these headers besides.
pub(crate) async fn try_log_in(base: &str, name: &str, password: &str, more: &[(&str, &str)]) -> Reply {
    let headers = [&[("content-type", "application/json"), ("origin", base)], more].concat();
    ask(base, "POST", "/ops/api/login", &headers, json!({"name": name, "password": password}).to_string()).await
}

/// Logs in with [`PASSWORD`]; the cookie, as a browser sends it back.
pub(crate) async fn log_in(base: &str, name: &str) -> String {
    let reply = try_log_in(base, name, PASSWORD, &[]).await;
    assert_eq!(reply.status, 204, "{name}: {}", reply.text());
    cookie_of(&reply)
}

pub(crate) fn cookie_of(reply: &Reply) -> String {
    reply.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
}

/// Who a door takes the holder of this cookie for.
pub(crate) async fn me(base: &str, cookie: &str) -> Reply {
    ask(base, "GET", "/ops/api/me", &[("cookie", cookie)], "").await
}

/// Asserts that a door knows this cookie as an operator's.
pub(crate) async fn is_known(base: &str, cookie: &str, name: &str) {
    let reply = me(base, cookie).await;
    assert_eq!((reply.status, &reply.json()["name"]), (200, &name.into()), "{}", reply.text());
}

/// Asserts that a door does not know this cookie.
pub(crate) async fn is_nobody(base: &str, cookie: &str) {
    let reply = me(base, cookie).await;
    assert_eq!((reply.status, reply.refusal("me").as_str()), (401, "no_operator"));
}

/// Logs out, from a page of the shop's own.
pub(crate) async fn log_out(base: &str, cookie: &str) -> Reply {
    ask(base, "POST", "/ops/api/logout", &[("cookie", cookie), ("origin", base)], "").await
}

/// What the trail says: what, by whom, to whom; the oldest first.
pub(crate) async fn trail(desk: &Desk) -> Vec<(String, String, Value)> {
    let log = desk.cli_json(&["operator", "log", "--most", "1000"]).await;
    let lines = log["log"].as_array().expect("a list").iter().rev();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    lines.map(|line| (text(&line["what"]), text(&line["who"]), line["whom"].clone())).collect()
}
