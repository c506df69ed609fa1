//! The page of edge cases has every line, and each names tests that exist, or says what it waits for.

use super::invariants::missing_tests;
use super::{expect_none, read};

const PAGE: &str = "docs/EDGE-CASES.md";
/// Lines that there are.
const LINES: usize = 70;

/// What is wrong with the table's lines.
fn breaches(page: &str, lines: usize) -> Vec<String> {
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && line[2..].starts_with(|c: char| c.is_ascii_digit()))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let mut found = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let [number, _, must, shown_by] = row[..] else {
            found.push(format!("{PAGE}: {row:?} has not four columns"));
            continue;
        };
        if number != (at + 1).to_string() {
            found.push(format!("{PAGE}: line {} is called {number}", at + 1));
        }
        if !shown_by.contains('`') && !must.starts_with("waits for: ") {
            found.push(format!("{PAGE}: line {number} names no test, and does not say what it waits for"));
        }
    }
    if rows.len() != lines {
        found.push(format!("{PAGE} has {} lines of {lines}", rows.len()));
    }
    found
}

#[test]
fn every_edge_case_is_shown_by_a_test_or_says_what_it_waits_for() {
    let page = read(PAGE);
    expect_none(&breaches(&page, LINES));
    expect_none(&missing_tests(PAGE, &page));
}

#[test]
fn a_line_without_test_or_reason_or_out_of_its_place_is_found() {
    let row = |number: u32, must: &str, shown: &str| format!("| {number} | it happens | {must} | {shown} |\n");
    let good = row(1, "that", "`a_test`") + &row(2, "waits for: seat maps", "");
    assert!(breaches(&good, 2).is_empty());
    assert_eq!(breaches(&good, 3).len(), 1, "a line is missing");
    assert_eq!(breaches(&row(2, "that", "`a_test`"), 1).len(), 1, "it is not the first");
    assert_eq!(breaches(&row(1, "that", ""), 1).len(), 1, "nothing shows it");
    assert_eq!(breaches("| 1 | too | few |\n", 1).len(), 1);
}
