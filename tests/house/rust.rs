//! As much of Rust's grammar as the rules need: which paths a file speaks of, outside comments, text and tests.

/// A path such as `tokio::time::sleep`, and the line it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) line: usize,
    pub(super) path: Vec<String>,
    /// Whether it stands in a `use` declaration, where a first word is the name of a crate.
    pub(super) imported: bool,
}

impl Mention {
    /// Whether the path begins with these words, given with `::` between them.
    pub(super) fn starts_with(&self, words: &str) -> bool {
        self.path.iter().map(String::as_str).zip(words.split("::")).filter(|(a, b)| a == b).count()
            == words.split("::").count()
    }

    /// Whether these words follow each other somewhere in the path.
    pub(super) fn contains(&self, words: &str) -> bool {
        let words: Vec<&str> = words.split("::").collect();
        self.path.windows(words.len()).any(|window| window == words)
    }
}

impl std::fmt::Display for Mention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path.join("::"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    PathSeparator,
    Sign(char),
}

/// Every path in a file's code; imports in braces are written out one by one. Items for tests only are left out.
pub(super) fn mentions(source: &str) -> Vec<Mention> {
    paths(&without_tests(&tokens(source)))
}

/// Every word of a file's code, tests included.
pub(super) fn words(source: &str) -> Vec<String> {
    let word = |(_, token)| if let Token::Word(word) = token { Some(word) } else { None };
    tokens(source).into_iter().filter_map(word).collect()
}

/// The modules that a file declares for tests only, and whose files are therefore tests too.
pub(super) fn test_modules(source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    for at in (0..tokens.len()).filter(|&at| test_attribute(&tokens, at).is_some()) {
        let end = item_end(&tokens, at);
        if let [.., (_, Token::Word(keyword)), (_, Token::Word(name)), (_, Token::Sign(';'))] = &tokens[at..end]
            && keyword == "mod"
        {
            found.push(name.clone());
        }
    }
    found
}

fn paths(tokens: &[(usize, Token)]) -> Vec<Mention> {
    let (mut found, mut at, mut in_use) = (Vec::new(), 0, false);
    while at < tokens.len() {
        match &tokens[at].1 {
            Token::Word(word) if word == "use" => (in_use, at) = (true, at + 1),
            Token::Word(_) => {
                // After a dot it is a method or a field, which no import rule speaks of.
                let method = at > 0 && tokens[at - 1].1 == Token::Sign('.');
                let before = found.len();
                at = path(tokens, at, &[], in_use, &mut found);
                if method {
                    found.truncate(before);
                }
            }
            Token::Sign(';') => (in_use, at) = (false, at + 1),
            _ => at += 1,
        }
    }
    found
}

/// Reads the path at `at`, behind a prefix, and returns the place after it.
fn path(
    tokens: &[(usize, Token)],
    mut at: usize,
    prefix: &[String],
    imported: bool,
    found: &mut Vec<Mention>,
) -> usize {
    let (line, mut words) = (tokens[at].0, prefix.to_vec());
    loop {
        match tokens.get(at).map(|(_, token)| token) {
            Some(Token::Word(word)) => (words, at) = ([words, vec![word.clone()]].concat(), at + 1),
            Some(Token::Sign('{')) if imported => {
                at += 1;
                while at < tokens.len() && tokens[at].1 != Token::Sign('}') {
                    at = match tokens[at].1 {
                        Token::Word(_) | Token::Sign('{') => path(tokens, at, &words, true, found),
                        _ => at + 1,
                    };
                }
                return at + 1;
            }
            _ => break,
        }
        if tokens.get(at).is_none_or(|(_, token)| *token != Token::PathSeparator) {
            break;
        }
        at += 1;
    }
    // `use a::b as c` gives another name, which is no path of its own.
    if imported && tokens.get(at).is_some_and(|(_, token)| *token == Token::Word("as".to_owned())) {
        at += 2;
    }
    found.push(Mention { line, path: words, imported });
    at
}

fn without_tests(tokens: &[(usize, Token)]) -> Vec<(usize, Token)> {
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if test_attribute(tokens, at).is_some() {
            at = item_end(tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Where an attribute at `at` ends, if it says that what follows is for tests only: `#[test]`, `#[tokio::test]`,
/// `#[cfg(test)]`, `#[cfg(all(test, …))]`.
fn test_attribute(tokens: &[(usize, Token)], at: usize) -> Option<usize> {
    let end = attribute_end(tokens, at)?;
    let has = |word: &str| tokens[at..end].iter().any(|(_, token)| *token == Token::Word(word.to_owned()));
    let kind = tokens[at..end].iter().find_map(|(_, token)| match token {
        Token::Word(word) => Some(word.as_str()),
        _ => None,
    })?;
    let only_tests = match kind {
        "cfg" => has("test") && !has("not") && !has("any"),
        "test" | "tokio" => has("test"),
        _ => false,
    };
    only_tests.then_some(end)
}

/// Where the attribute that starts at `at` ends: after its closing bracket.
fn attribute_end(tokens: &[(usize, Token)], at: usize) -> Option<usize> {
    if tokens.get(at)?.1 != Token::Sign('#') || tokens.get(at + 1)?.1 != Token::Sign('[') {
        return None;
    }
    let mut depth = 0;
    for (place, (_, token)) in tokens.iter().enumerate().skip(at + 1) {
        match token {
            Token::Sign('[') => depth += 1,
            Token::Sign(']') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(place + 1);
        }
    }
    None
}

/// Where the item whose attributes start at `at` ends: after its block, or its semicolon.
fn item_end(tokens: &[(usize, Token)], at: usize) -> usize {
    let mut start = at;
    while let Some(end) = attribute_end(tokens, start) {
        start = end;
    }
    let mut depth = 0_i32;
    for (place, (_, token)) in tokens.iter().enumerate().skip(start) {
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}') if depth == 1 => return place + 1,
            Token::Sign('}' | ')' | ']') => depth -= 1,
            Token::Sign(';') if depth == 0 => return place + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Words and signs with their lines, without comments, text and characters.
fn tokens(source: &str) -> Vec<(usize, Token)> {
    let characters: Vec<char> = source.chars().collect();
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < characters.len() {
        let rest = &characters[at..];
        let length = skipped(rest);
        if length > 0 {
            line += rest[..length].iter().filter(|&&c| c == '\n').count();
            at += length;
            continue;
        }
        let character = rest[0];
        let (token, length) = if is_word(character) {
            let length = rest.iter().take_while(|&&c| is_word(c)).count();
            (Token::Word(rest[..length].iter().collect()), length)
        } else if rest.starts_with(&[':', ':']) {
            (Token::PathSeparator, 2)
        } else {
            (Token::Sign(character), 1)
        };
        found.push((line, token));
        at += length;
    }
    found
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of the white space, comment or literal text that starts here; 0 when code does.
fn skipped(rest: &[char]) -> usize {
    match rest {
        [c, ..] if c.is_whitespace() => 1,
        ['/', '/', ..] => rest.iter().take_while(|&&c| c != '\n').count(),
        ['/', '*', ..] => block_comment(rest),
        ['"', ..] => quoted(rest, '"'),
        ['b' | 'c', '"', ..] => 1 + quoted(&rest[1..], '"'),
        ['r', '"' | '#', ..] => raw_text(rest, 1),
        ['b' | 'c', 'r', '"' | '#', ..] => raw_text(rest, 2),
        ['\'', '\\', ..] => quoted(rest, '\''),
        ['\'', _, '\'', ..] => 3,
        // A lifetime.
        ['\'', ..] => 1 + rest[1..].iter().take_while(|&&c| is_word(c)).count(),
        _ => 0,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// `r#"…"#`; a raw identifier such as `r#type` loses its mark only.
fn raw_text(rest: &[char], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|&&c| c == '#').count();
    if rest.get(prefix + hashes) != Some(&'"') {
        return prefix + hashes;
    }
    let mut at = prefix + hashes + 1;
    while at < rest.len() {
        if rest[at] == '"' && rest[at + 1..].iter().take_while(|&&c| c == '#').count() >= hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::{mentions, test_modules};

    fn said(source: &str) -> Vec<String> {
        mentions(source).iter().map(ToString::to_string).filter(|path| path.contains("::")).collect()
    }

    #[test]
    fn imports_in_braces_are_written_out() {
        let source = "use tokio::{time::{self, sleep}, spawn as go}; use a::b::*;";
        assert_eq!(said(source), ["tokio::time::self", "tokio::time::sleep", "tokio::spawn", "a::b"]);
    }

    #[test]
    fn comments_texts_and_tests_do_not_count() {
        let source = r##"
            // tokio::time
            /* tokio::spawn /* nested */ tokio::spawn */
            const A: &str = "tokio::time \" tokio::spawn";
            const B: &str = r#"tokio::spawn " "#;
            fn f<'a>(x: &'a str) -> char { '"' }
            #[cfg(test)] mod tests { fn g() { tokio::spawn(async {}) } }
            #[tokio::test] async fn h() { tokio::spawn(async {}); }
            fn i() { real::path() }
        "##;
        assert_eq!(said(source), ["real::path"]);
    }

    #[test]
    fn code_for_everything_but_tests_counts() {
        assert_eq!(said("#[cfg(not(test))] fn f() { tokio::spawn(x) }"), ["tokio::spawn"]);
        assert_eq!(said("#[cfg(any(test, feature))] fn f() { tokio::spawn(x) }"), ["tokio::spawn"]);
    }

    #[test]
    fn a_module_of_tests_in_its_own_file_is_known() {
        assert_eq!(
            test_modules("mod a; #[cfg(test)] mod stories; #[cfg(test)] pub(crate) mod model;"),
            ["stories", "model"]
        );
    }
}
