//! The page of promises names only tests that exist: a promise without its test is a wish.

use super::{expect_none, files_below, read};

const PAGE: &str = "docs/INVARIANTS.md";

/// Names in backticks in the tables of a page that are no test of the code.
pub(super) fn missing_tests(name: &str, page: &str) -> Vec<String> {
    let files = ["shared", "web", "worker", "simulation", "tests"].into_iter().flat_map(files_below);
    let code: String = files.filter(|path| path.ends_with(".rs")).map(|path| read(&path)).collect();
    breaches(name, page, &code)
}

fn breaches(page_name: &str, page: &str, code: &str) -> Vec<String> {
    let names = page.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`').skip(1).step_by(2));
    let missing = names.filter(|name| !["(", "<"].iter().any(|end| code.contains(&format!("fn {name}{end}"))));
    missing.map(|name| format!("{page_name} names {name}, which is no test")).collect()
}

#[test]
fn every_promise_names_tests_that_exist() {
    expect_none(&missing_tests(PAGE, &read(PAGE)));
}

#[test]
fn a_promise_without_its_test_is_found() {
    let page = "| 1 | holds | `it_holds`, `it_is_kept` |";
    assert_eq!(breaches(PAGE, page, "async fn it_holds() {}").len(), 1);
    assert!(breaches(PAGE, page, "fn it_holds() {} fn it_is_kept<F>() {}").is_empty());
}
