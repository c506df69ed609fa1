//! Migrations only ever expand: they run in the release phase, while processes of the version before still sell, and those
//! must be able to read and write what they always did. What nobody reads any more may be taken away one release later, by a
//! migration that is named in [`CONTRACTS`]. (Expand and contract, also known as parallel change:
//! <https://martinfowler.com/bliki/ParallelChange.html>.)

use super::{expect_none, files_below, read};

const FOLDER: &str = "shared/src/ledger/sql/migrations";

/// Migrations that take something away, and since which release nothing reads or writes it.
const CONTRACTS: [(&str, &str); 0] = [];

/// What takes something away, or changes what was there.
const TAKES_AWAY: [&str; 9] = [
    "DROP TABLE",
    "DROP COLUMN",
    "DROP CONSTRAINT",
    "DROP INDEX",
    "DROP DEFAULT",
    "RENAME",
    "ALTER COLUMN",
    "ADD CONSTRAINT",
    "TRUNCATE TABLE",
];

/// The breaches of one file.
fn breaches(path: &str, sql: &str) -> Vec<String> {
    let uncommented: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let mut found = Vec::new();
    for statement in uncommented.join(" ").split(';') {
        let words = statement.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
        for taken in TAKES_AWAY.into_iter().filter(|taken| words.contains(taken)) {
            found.push(format!("{path}: {taken}, while the version before still runs"));
        }
        // The version before names its columns, and not this one.
        if words.contains("ADD COLUMN") && words.contains("NOT NULL") && !words.contains("DEFAULT") {
            found.push(format!("{path}: a column that must be filled, by a version that does not know it: {words}"));
        }
    }
    found
}

#[test]
fn a_migration_leaves_the_version_before_what_it_reads_and_writes() {
    let files = files_below(FOLDER).into_iter().filter(|path| path.ends_with(".sql"));
    let contracts = |path: &str| CONTRACTS.iter().any(|(name, _)| path.contains(name));
    // The first one finds nothing that it could take away.
    let later: Vec<String> = files.filter(|path| !path.contains("/m0001_") && !contracts(path)).collect();
    assert!(later.len() >= 5, "{later:?}");
    expect_none(&later.iter().flat_map(|path| breaches(path, &read(path))).collect::<Vec<_>>());
}

#[test]
fn what_takes_something_away_is_found_and_what_adds_is_not() {
    let found = |sql| breaches("m", sql).len();
    assert_eq!(found("ALTER TABLE orders\n  DROP COLUMN note;"), 1);
    assert_eq!(found("alter table orders rename to purchases"), 1);
    assert_eq!(found("ALTER TABLE orders ADD COLUMN note TEXT NOT NULL"), 1);
    assert_eq!(found("ALTER TABLE orders ALTER COLUMN note TYPE BIGINT; DROP TABLE x"), 2);
    assert_eq!(found("ALTER TABLE orders ADD COLUMN note TEXT NOT NULL DEFAULT ''; -- DROP TABLE x"), 0);
    assert_eq!(found("CREATE TABLE notes (id UUID NOT NULL); CREATE INDEX i ON notes (id)"), 0);
}
