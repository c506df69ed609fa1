//! The guards: each has a mutant that somebody notices, and no build but that of the tests can take one away.

use serde_json::Value;
use shared::guards::Guard;
use xtask::mutants::{MUTANTS, page_rows};

use super::imports::{crate_names, metadata};
use super::{expect_none, files_below, read};

const PAGE: &str = "docs/PROOF.md";

/// What only tests are built with.
const FOR_TESTS: [&str; 2] = ["crash-points", "mutants"];

#[test]
fn every_guard_has_a_mutant_that_is_noticed() {
    let mut found = Vec::new();
    for guard in Guard::ALL {
        let noticed = MUTANTS.iter().any(|mutant| mutant.off.contains(&guard.name()));
        if !noticed {
            found.push(format!("{} is never taken away: give it a row in xtask/src/mutants/table.rs", guard.name()));
        }
    }
    let names: Vec<&str> = Guard::ALL.iter().map(|guard| guard.name()).collect();
    for mutant in MUTANTS {
        let unknown = mutant.off.iter().filter(|name| !names.contains(name));
        found.extend(unknown.map(|name| format!("a mutant takes {name} away, which is no guard")));
        if mutant.seeds.is_none() && mutant.tests.is_empty() {
            found.push(format!("nobody is asked to notice {:?}", mutant.off));
        }
    }
    expect_none(&found);
}

#[test]
fn the_tests_that_notice_a_mutant_exist() {
    let files = ["shared", "web", "worker", "simulation", "tests", "stampede"].into_iter().flat_map(files_below);
    let code: String = files.filter(|path| path.ends_with(".rs")).map(|path| read(&path)).collect();
    let names = MUTANTS.iter().flat_map(|mutant| mutant.tests);
    let last = |name: &&str| name.rsplit("::").next().unwrap_or_default().to_owned();
    let missing = names.filter(|name| !code.contains(&format!("fn {}(", last(name))));
    expect_none(&missing.map(|name| format!("{name} is no test")).collect::<Vec<_>>());
}

#[test]
fn every_guard_is_used_and_on_the_page_of_proofs() {
    let page = read(PAGE);
    let files = ["shared/src", "web/src", "worker/src"].into_iter().flat_map(files_below);
    let files = files.filter(|path| path.ends_with(".rs") && !path.ends_with("guards.rs"));
    let code: String = files.map(|path| read(&path)).collect();
    let mut found = Vec::new();
    for guard in Guard::ALL {
        let name = guard.name();
        // The parts of the sweep are guarded by one line for all.
        if !name.starts_with("Sweep") && !code.contains(&format!("Guard::{name}")) {
            found.push(format!("{name} guards nothing"));
        }
        let row = page.lines().find(|line| line.starts_with("| ") && line.contains(&format!("`{name}`")));
        if !row.is_some_and(|row| row.contains(guard.protects())) {
            found.push(format!("{PAGE} does not say what {name} protects: run `cargo xtask mutants`"));
        }
    }
    let rows = page_rows(&page).len();
    if rows != MUTANTS.len() {
        found.push(format!("{PAGE} has {rows} mutants of {}: run `cargo xtask mutants`", MUTANTS.len()));
    }
    expect_none(&found);
}

/// Where a manifest turns on by itself what only tests are built with.
fn built_with_guards_loose(package: &Value) -> Vec<String> {
    let name = &package["name"];
    let words = |value: &Value| {
        let all = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        all.filter(|word| FOR_TESTS.iter().any(|own| word.rsplit('/').next() == Some(own))).count()
    };
    let mut found = Vec::new();
    for (feature, implied) in package["features"].as_object().into_iter().flatten() {
        if !FOR_TESTS.contains(&feature.as_str()) && words(implied) > 0 {
            found.push(format!("{name}: the feature {feature} turns on what only tests may ask for"));
        }
    }
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        if words(&dependency["features"]) > 0 {
            found.push(format!("{name}: the dependency {} has what only tests may ask for", dependency["name"]));
        }
    }
    found
}

#[test]
fn a_build_that_does_not_ask_for_it_has_neither_crash_points_nor_mutants() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() >= crate_names().count());
    expect_none(&packages.iter().flat_map(built_with_guards_loose).collect::<Vec<_>>());
}

#[test]
fn a_manifest_that_asks_for_mutants_is_found() {
    let found = |text: &str| built_with_guards_loose(&serde_json::from_str(text).expect("JSON")).len();
    assert_eq!(found(r#"{"features": {"default": ["shared/mutants"]}, "dependencies": []}"#), 1);
    assert_eq!(found(r#"{"features": {}, "dependencies": [{"name": "shared", "features": ["crash-points"]}]}"#), 1);
    assert_eq!(found(r#"{"features": {"crash-points": ["shared/crash-points", "mutants"]}}"#), 0);
}

/// The tests themselves are built with the mutants; this is what every other build compiles.
#[test]
fn without_the_feature_a_guard_is_a_constant() {
    let code = read("shared/src/guards.rs");
    let (_, production) = code.split_once("#[cfg(not(feature = \"mutants\"))]").expect("a build without mutants");
    let (production, _) = production.split_once("#[cfg(").expect("a build with mutants");
    assert!(production.contains("pub const fn is_on(self) -> bool {\n        true\n    }"), "{production}");
    assert_eq!(code.matches("STAMPEDE_MUTANT\")").count(), 1, "it is read in one place, in a build with mutants");
}
