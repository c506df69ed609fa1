//! What a single file may be: short enough to be read in one sitting, and, when it holds tests, honest about them.

use super::{expect_none, files_below, read};

/// A file that wants more lines wants a second idea.
const MOST_LINES: usize = 500;

const WRITTEN_BY_HAND: [&str; 13] =
    ["rs", "js", "mjs", "ts", "css", "html", "lua", "py", "sh", "sql", "md", "toml", "yml"];

/// Files, or folders with a `/` at the end, that may be longer, and why.
const LONGER: [(&str, &str); 2] = [
    ("tests/sdk/types/recorded.ts", "is written by the check of the types"),
    ("static/vendor/", "is what others wrote, unchanged"),
];

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > MOST_LINES).then(|| format!("{path} has {lines} lines; {MOST_LINES} are the most"))
}

/// A test that does not run is a promise that nobody keeps.
fn ignored_tests(path: &str, text: &str) -> Vec<String> {
    let ignored = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("#[ignore"));
    ignored.map(|(at, _)| format!("{path}:{} ignores a test", at + 1)).collect()
}

fn ends_with_one_of(path: &str, endings: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    let may_be_longer = |path: &str| LONGER.iter().any(|(longer, _)| path.starts_with(longer));
    let files = files_below("").into_iter().filter(|path| ends_with_one_of(path, &WRITTEN_BY_HAND));
    let found: Vec<_> = files.filter(|path| !may_be_longer(path)).filter_map(|p| too_long(&p, &read(&p))).collect();
    expect_none(&found);
}

#[test]
fn no_test_is_ignored() {
    let files = files_below("").into_iter().filter(|path| ends_with_one_of(path, &["rs"]));
    expect_none(&files.flat_map(|path| ignored_tests(&path, &read(&path))).collect::<Vec<_>>());
}

#[test]
fn a_long_file_and_an_ignored_test_are_found() {
    assert!(too_long("a.rs", &"line\n".repeat(500)).is_none());
    assert!(too_long("a.rs", &"line\n".repeat(501)).is_some());
    assert_eq!(ignored_tests("a.rs", "#[test]\n    #[ignore = \"slow\"]\nfn f() {}"), ["a.rs:2 ignores a test"]);
}
