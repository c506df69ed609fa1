//! What must never stand in a log, in a trace or in an answer to Prometheus, and a search for it.
//!
//! The tests keep what every process of theirs wrote in one folder, and beside it the secrets that they themselves handed
//! out. [`search`] looks for both: for words that have the form of a secret, whoever made it, and for those very words.

mod forms;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub use forms::found_in;

/// The file, among what was kept, with the secrets that were handed out, one a line.
pub const KNOWN: &str = "known-secrets";
/// Shorter ones are not looked for word by word: too much looks like them.
const SHORTEST: usize = 8;

/// What was found, without the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, within the folder.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What kind of secret.
    pub kind: &'static str,
    /// The line around it.
    pub around: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file.display(), self.line, self.kind, self.around)
    }
}

/// What was looked through, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Files.
    pub files: usize,
    /// Bytes.
    pub bytes: usize,
    /// Lines of level DEBUG, without which a search would say little.
    pub debug_lines: usize,
    /// What should not be there.
    pub findings: Vec<Finding>,
}

/// The secrets that tests handed out.
#[derive(Debug, Default)]
pub struct Known {
    /// Thousands, most of them mail addresses: each line is taken apart once, and not searched for each of them.
    words: HashSet<String>,
    /// Those that are more than one word.
    phrases: Vec<String>,
}

impl Known {
    /// One a line.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut known = Self::default();
        let secrets: HashSet<&str> = text.lines().filter(|secret| secret.len() >= SHORTEST).collect();
        for secret in secrets {
            if forms::words(secret).eq([secret]) || forms::addresses(secret).eq([secret]) {
                known.words.insert(secret.to_owned());
            } else {
                known.phrases.push(secret.to_owned());
            }
        }
        known
    }

    fn is_in(&self, line: &str) -> bool {
        forms::words(line).chain(forms::addresses(line)).any(|word| self.words.contains(word))
            || self.phrases.iter().any(|phrase| line.contains(phrase.as_str()))
    }
}

/// Looks through every file of a folder.
///
/// # Errors
/// When a file cannot be read.
pub fn search(folder: &Path) -> Result<Search> {
    let known = Known::read(&std::fs::read_to_string(folder.join(KNOWN)).unwrap_or_default());
    let mut search = Search::default();
    let entries = std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    for path in files.iter().filter(|path| path.is_file() && !path.ends_with(KNOWN)) {
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let name = path.strip_prefix(folder).unwrap_or(path);
        search.files += 1;
        search.bytes += bytes.len();
        search_text(&mut search, &known, name, &String::from_utf8_lossy(&bytes));
    }
    Ok(search)
}

fn search_text(search: &mut Search, known: &Known, file: &Path, text: &str) {
    for (number, line) in text.lines().enumerate() {
        search.debug_lines += usize::from(line.contains("DEBUG"));
        let kind = found_in(line).or_else(|| known.is_in(line).then_some("a secret that a test handed out"));
        if let Some(kind) = kind {
            let around: String = line.chars().take(300).collect();
            search.findings.push(Finding { file: file.to_owned(), line: number + 1, kind, around });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(known: &str, text: &str) -> Vec<(usize, &'static str)> {
        let mut search = Search::default();
        search_text(&mut search, &Known::read(known), Path::new("log"), text);
        search.findings.iter().map(|finding| (finding.line, finding.kind)).collect()
    }

    #[test]
    fn what_tests_handed_out_is_found_wherever_it_stands() {
        let known = "correct horse battery staple\nAbCdEf123456\nann+7@host\nshort\n";
        let log = "INFO all is well\nDEBUG name=ann typed=correct horse battery staple\nWARN key=\"AbCdEf123456\"\n\
            INFO xAbCdEf123456 is another word, and short is one\nINFO a mail to=ann+7@host.\n";
        let handed_out = "a secret that a test handed out";
        assert_eq!(kinds(known, log), [(2, handed_out), (3, handed_out), (5, handed_out)]);
        assert_eq!(kinds("", log), []);
    }

    #[test]
    fn a_planted_secret_is_found_in_a_folder_and_the_list_of_secrets_is_not_looked_through() {
        let folder = std::env::temp_dir().join(format!("stampede-secrets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        put(KNOWN, "sk_test_1234567890\nAbCdEf123456\n");
        put("1-web.log", "DEBUG all is well\n");
        let clean = search(&folder).unwrap();
        put("2-worker.log", "INFO fine\nERROR Stripe refuses our key sk_test_1234567890\n");
        put("3-metrics", "stock_units{sale=\"AbCdEf123456\"} 1\n");
        let dirty = search(&folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((clean.files, clean.debug_lines, clean.findings.len()), (1, 1, 0));
        let found: Vec<(String, usize)> =
            dirty.findings.iter().map(|finding| (finding.file.display().to_string(), finding.line)).collect();
        assert_eq!(found, [("2-worker.log".to_owned(), 2), ("3-metrics".to_owned(), 1)]);
    }
}
