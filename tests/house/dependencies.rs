//! Every dependency that a manifest names is used: the others cost build time and trust for nothing.

use super::imports::{crate_names, metadata};
use super::rust::words;
use super::{expect_none, files_below, read};

/// Packages whose library has another name than theirs.
const LIBRARIES: [(&str, &str); 5] = [
    ("async-stripe", "stripe"),
    ("async-stripe-client-core", "stripe_client_core"),
    ("async-stripe-core", "stripe_core"),
    ("async-stripe-shared", "stripe_shared"),
    ("async-stripe-types", "stripe_types"),
];

/// Dependencies that no code names, and what they are for.
const UNNAMED: [(&str, &str); 0] = [];

fn unused(dependencies: &[String], words_in_code: &[String]) -> Vec<String> {
    let library = |package: &str| {
        let other = LIBRARIES.iter().find(|(name, _)| *name == package);
        other.map_or_else(|| package.replace('-', "_"), |(_, library)| (*library).to_owned())
    };
    let unnamed = |package: &str| UNNAMED.iter().any(|(name, _)| *name == package);
    let unused = dependencies.iter().filter(|name| !unnamed(name) && !words_in_code.contains(&library(name)));
    unused.cloned().collect()
}

#[test]
fn every_dependency_is_used() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let mut found = Vec::new();
    for name in crate_names() {
        let package = packages.iter().find(|package| package["name"] == name).expect("the crate is in the workspace");
        let dependencies = package["dependencies"].as_array().expect("a list of dependencies");
        let names: Vec<String> = dependencies.iter().filter_map(|d| d["name"].as_str().map(str::to_owned)).collect();
        let files = files_below(name).into_iter().filter(|path| path.ends_with(".rs"));
        let words: Vec<String> = files.flat_map(|path| words(&read(&path))).collect();
        found.extend(unused(&names, &words).iter().map(|dependency| format!("{name} does not use {dependency}")));
    }
    expect_none(&found);
}

#[test]
fn an_unused_dependency_is_found() {
    let names = ["serde", "tokio-util", "async-stripe"].map(ToOwned::to_owned);
    assert_eq!(unused(&names, &words("use tokio_util::sync; fn f(x: stripe::Id) {} // serde")), ["serde"]);
    assert!(unused(&names, &words("use {serde::Serialize, tokio_util::sync, stripe::Id};")).is_empty());
}
