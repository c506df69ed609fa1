//! Documents name only paths that exist: the reader of a map should not look for a street that was torn down.

use super::{expect_none, files_below, read, root};

/// First folders that exist only once something was built, started or installed.
const MADE_LATER: [&str; 3] = ["target", "data", "node_modules"];

const ENDINGS: [&str; 15] = [
    ".rs", ".js", ".mjs", ".ts", ".css", ".html", ".lua", ".py", ".sh", ".sql", ".md", ".toml", ".yml", ".json", ".txt",
];

/// What a document calls a path and is none. `exists` is asked with paths from the workspace's root.
fn breaches(document: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    for (number, line) in outside_fences(text) {
        for link in links(line) {
            if !exists(&joined(folder, &link)) {
                found.push(format!("{document}:{number} links to {link}, which does not exist"));
            }
        }
        for name in line.split('`').skip(1).step_by(2).filter(|name| is_path(name, &exists)) {
            if !exists(name.trim_end_matches('/')) && !exists(&joined(folder, name)) {
                found.push(format!("{document}:{number} names {name}, which does not exist"));
            }
        }
    }
    found
}

fn outside_fences(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The targets of `[text](target)` that lie in the workspace, without their `#section`.
fn links(line: &str) -> Vec<String> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let ours = targets.filter(|target| !target.contains("://") && !target.starts_with(['#', '/']));
    ours.filter_map(|target| target.split('#').next().map(ToOwned::to_owned)).filter(|t| !t.contains(':')).collect()
}

/// Whether a name in backticks means a file or folder: it has a slash and begins with one of our folders, or it ends
/// as our files do. Addresses (`/api/sales`), patterns and commands are not meant.
fn is_path(name: &str, exists: impl Fn(&str) -> bool) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/'));
    let first = name.trim_start_matches("./").split('/').next().unwrap_or_default();
    plain
        && name.contains('/')
        && !name.starts_with('/')
        && !MADE_LATER.contains(&first)
        && (exists(first) || ENDINGS.iter().any(|ending| name.ends_with(ending)))
}

fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn documents_name_only_paths_that_exist() {
    let exists = |path: &str| root().join(path).exists();
    let at_root = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(ToOwned::to_owned);
    let documents = files_below("docs").into_iter().filter(|path| path.ends_with(".md"));
    let documents = documents.chain(at_root.into_iter().filter(|path| exists(path)));
    let found: Vec<_> = documents.flat_map(|document| breaches(&document, &read(&document), exists)).collect();
    expect_none(&found);
}

#[test]
fn a_document_that_names_a_lost_path_is_found() {
    let exists = |path: &str| ["docs", "docs/map.md", "web", "web/src/lib.rs"].contains(&path);
    let found = |text: &str| breaches("docs/map.md", text, exists).len();
    assert_eq!(found("see `web/src/lib.rs`, [the map](map.md#top), [home](../web/src/lib.rs), `web/`"), 0);
    assert_eq!(found("`GET /api/sales`, `/healthz`, `tokio/time`, `target/release/web`, <https://a.example/b.rs>"), 0);
    assert_eq!(found("```\nweb/src/old.rs `web/src/old.rs`\n```"), 0);
    assert_eq!(found("see `web/src/old.rs`"), 1);
    assert_eq!(found("see `wbe/src/lib.rs`"), 1);
    assert_eq!(found("[gone](old.md) and [gone](../old.md)"), 2);
}
