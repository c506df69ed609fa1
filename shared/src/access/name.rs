//! What operators and keys are called.

use std::fmt;
use std::str::FromStr;

/// Characters of a name at most.
pub const CHARS_MAX: usize = 64;

/// The name of an operator or of a key: lower-case letters, digits and `. _ - + @`, so that a mail address is one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    /// Capital letters are taken for small ones: nobody should be two operators.
    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let begins = name.starts_with(plain);
        if !begins || name.len() > CHARS_MAX || !name.chars().all(|c| plain(c) || "._-+@".contains(c)) {
            return Err(format!(
                "a name begins with a letter or digit, and has letters, digits and . _ - + @, {CHARS_MAX} at most"
            ));
        }
        Ok(Self(name))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_short_and_cannot_pass_for_something_else() {
        assert_eq!("Alice@Example.com".parse::<Name>().unwrap().as_str(), "alice@example.com");
        let long = "a".repeat(CHARS_MAX + 1);
        for wrong in ["", " alice", "alice ", "key:alice", "a/b", "-a", ".a", "@a", "a\nb", "a\0", "älice", &long] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong:?}");
        }
        assert!(long[1..].parse::<Name>().is_ok());
        assert_eq!(format!("{:<6}|", "ann".parse::<Name>().unwrap()), "ann   |", "in columns");
    }
}
