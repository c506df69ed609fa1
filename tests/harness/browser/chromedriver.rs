//! A private chromedriver: its start, its port, and its end together with every Chromium that it started.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// The names under which distributions install Chromium and Chrome.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A running chromedriver; stopped when dropped, after a panic too.
pub(super) struct Chromedriver {
    child: Child,
    port: u16,
    /// Kept open: a process whose standard output is closed dies at its next word.
    _stdout: BufReader<ChildStdout>,
}

impl Chromedriver {
    /// Starts one on a port that it chooses itself, so that two tests can never ask for the same.
    pub(super) fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .args(["--port=0", "--allowed-ips=127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver should start; `cargo xtask test` installs it");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut said = String::new();
        let port = loop {
            let mut line = String::new();
            if stdout.read_line(&mut line).unwrap_or(0) == 0 {
                panic!("chromedriver ended before it listened; it said: {said}");
            }
            said.push_str(&line);
            if let Some(port) = port_in(&line) {
                break port;
            }
        };
        Self { child, port, _stdout: stdout }
    }

    /// Where it listens.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Chromedriver {
    /// Killing chromedriver would leave its Chromium behind; asked to shut down, it ends both.
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
            let _ = stream.read(&mut [0; 256]);
        } else {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn port_in(line: &str) -> Option<u16> {
    line.trim().strip_prefix("ChromeDriver was started successfully on port ")?.trim_end_matches('.').parse().ok()
}

/// What a session asks of chromedriver: Chromium without a screen, with an empty profile, quiet, and with its logs.
pub(super) fn capabilities(profile: &Path) -> serde_json::Map<String, Value> {
    let profile = format!("--user-data-dir={}", profile.display());
    let mut options = json!({
        "args": [
            "--headless=new",
            // Chromium's own sandbox refuses root and many containers; only pages of our own are opened.
            "--no-sandbox",
            // Containers often give 64 MB of shared memory, less than one page wants.
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            // Spoken to through a pipe, Chromium ends when its chromedriver does, however that ended.
            "--remote-debugging-pipe",
            "--lang=en-US",
            "--force-color-profile=srgb",
            profile,
        ],
        "perfLoggingPrefs": {"enableNetwork": true, "enablePage": false},
    });
    if let Some(browser) = BROWSERS.iter().find_map(|name| on_path(name)) {
        options["binary"] = json!(browser);
    }
    let all = json!({
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
        "timeouts": {"script": 30_000, "pageLoad": 60_000},
    });
    let Value::Object(map) = all else { unreachable!("an object was written above") };
    map
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}
