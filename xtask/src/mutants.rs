//! Mutants: the shop with guards taken away, and who has to notice. `cargo xtask mutants` looks whether they do.

mod table;

pub use table::MUTANTS;

/// A shop without some of its guards.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// The names of the guards that are off, as `shared/src/guards.rs` has them.
    pub off: &'static [&'static str],
    /// The simulation notices it within so many seeds; `None` when it cannot.
    pub seeds: Option<u64>,
    /// The tests that fail: the crate (`tests` for the integration suite), and the path that the test has in it.
    pub tests: &'static [&'static str],
}

impl Mutant {
    /// As `STAMPEDE_MUTANT` has it.
    #[must_use]
    pub fn name(&self) -> String {
        self.off.join(",")
    }
}

/// Mutants that the simulation notices within so many seeds are played in each `cargo xtask test`, in the slow build that
/// the tests use; the others by `cargo xtask mutants` alone.
pub const QUICK_SEEDS: u64 = 12;

/// Between these the page of proofs has its table.
pub const PAGE_BEGIN: &str = "<!-- written by `cargo xtask mutants` -->";
/// See [`PAGE_BEGIN`].
pub const PAGE_END: &str = "<!-- until here -->";

/// The rows of the page's table, one for each mutant.
#[must_use]
pub fn page_rows(page: &str) -> Vec<&str> {
    let table = page.split_once(PAGE_BEGIN).and_then(|(_, rest)| rest.split_once(PAGE_END));
    table.map_or("", |(table, _)| table).lines().filter(|line| line.starts_with("| `")).collect()
}

/// What each guard protects, from the text in which they are listed: the sentence before each name.
#[must_use]
pub fn sentences(guards: &str) -> Vec<(String, String)> {
    let list =
        guards.split_once("\nguards! {").and_then(|(_, rest)| rest.split_once("\n}")).map_or("", |(list, _)| list);
    let lines: Vec<&str> = list.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter_map(|pair| Some((pair[1].strip_suffix(',')?, pair[0].strip_prefix("/// ")?)));
    pairs.map(|(name, sentence)| (name.to_owned(), sentence.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_and_rows_are_read() {
        let text = "macro\n\nguards! {\n    /// Units stay.\n    Units,\n    /// So do keys, of all.\n    Keys,\n}\n";
        let read = sentences(text);
        assert_eq!(
            read,
            [("Units", "Units stay."), ("Keys", "So do keys, of all.")].map(|(a, b)| (a.into(), b.into()))
        );
        let page = format!("| `x` |\n{PAGE_BEGIN}\n| guard |\n| --- |\n| `Units` | a |\n{PAGE_END}\n| `y` |");
        assert_eq!(page_rows(&page), ["| `Units` | a |"]);
    }
}
