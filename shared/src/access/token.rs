//! Cookies and keys: 256 random bits that are given out once, and the digest by which they are known again.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::env::Env;

/// What every key begins with, so that a search for lost secrets finds it.
pub const KEY_PREFIX: &str = "stk_";
/// Hexadecimal digits of 256 bits.
const DIGITS: usize = 64;

/// A secret that its holder alone has. It is shown to nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// What is kept of a token: its SHA-256. Of 256 random bits that tells nothing, and it can be looked up as it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Token {
    /// A new session's.
    #[must_use]
    pub fn session(env: &Env) -> Self {
        Self((0..4).map(|_| format!("{:016x}", env.random_u64())).collect())
    }

    /// A new key.
    #[must_use]
    pub fn key(env: &Env) -> Self {
        Self(format!("{KEY_PREFIX}{}", Self::session(env).0))
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl Digest {
    fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Of what a browser sent as its session, if it can be one.
    #[must_use]
    pub fn of_session(sent: &str) -> Option<Self> {
        is_random(sent).then(|| Self::of(sent))
    }

    /// Of what a machine sent as its key, if it can be one.
    #[must_use]
    pub fn of_key(sent: &str) -> Option<Self> {
        sent.strip_prefix(KEY_PREFIX).is_some_and(is_random).then(|| Self::of(sent))
    }

    /// In hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn is_random(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Seeded;

    #[test]
    fn a_token_is_known_by_its_digest_and_nothing_else_is() {
        let env = Seeded::new(1).env();
        let (session, key) = (Token::session(&env), Token::key(&env));
        assert_eq!(Digest::of_session(session.expose()), Some(session.digest()));
        assert_eq!(Digest::of_key(key.expose()), Some(key.digest()));
        assert_ne!(session.digest(), Token::session(&env).digest());
        assert_eq!(Digest::of_session(key.expose()), None, "a key is no session");
        assert_eq!(Digest::of_key(session.expose()), None, "a session is no key");
        let bare = &key.expose()[4..];
        for wrong in ["", "stk_", bare, &format!("{bare}0"), &bare[1..], &bare.to_uppercase(), &"g".repeat(64)] {
            assert_eq!(Digest::of_key(wrong), None, "{wrong}");
        }
        assert_eq!(session.digest().to_hex().len(), DIGITS);
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = Token::key(&Seeded::new(2).env());
        let shown = format!("{token:?} {:?}", token.digest());
        assert!(!shown.contains(&token.expose()[4..12]) && !shown.contains(&token.digest().to_hex()[..8]), "{shown}");
    }
}
