//! Passwords: how they are hashed, verified, and kept from being shown.
//!
//! Argon2id with 19 MiB, two passes and one lane, as the OWASP recommends
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>). The hash is kept as a PHC string
//! that names its own parameters, so that they can be raised later. Twelve characters at least and no rules about which,
//! as NIST SP 800-63B has it; 1024 bytes at most, so that nobody can have us hash a book.

use std::fmt;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::Deserialize;

use crate::env::Env;
use crate::guards::Guard;

/// Characters of a password at least.
pub const CHARS_MIN: usize = 12;
/// Bytes of a password at most.
pub const BYTES_MAX: usize = 1_024;

/// Memory of one verification, in KiB.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// The hash of no password, at the same price as every other one: for names that nobody has.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// What passwords are made of: five bits each, none like another to the eye.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A password, as it was typed or sent. It is shown to nobody.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

/// What of a password is kept. It is shown to nobody either.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl Password {
    /// Wraps a password.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A password of 120 random bits, in groups that can be typed.
    #[must_use]
    pub fn generate(env: &Env) -> Self {
        let mut text = String::new();
        for group in 0..4 {
            let bits = env.random_u64();
            text.extend((group > 0).then_some('-'));
            text.extend((0..6).map(|place| char::from(ALPHABET[usize::from((bits >> (5 * place)) as u8 & 31)])));
        }
        Self(text)
    }

    /// The password itself; to be shown once to whoever had it made.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it can be somebody's password.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn check(&self) -> Result<(), String> {
        if self.0.chars().count() < CHARS_MIN {
            return Err(format!("a password has {CHARS_MIN} characters at least"));
        }
        if self.0.len() > BYTES_MAX {
            return Err(format!("a password has {BYTES_MAX} bytes at most"));
        }
        Ok(())
    }

    /// What is kept of it. Takes some hundredths of a second and 19 MiB: not for a thread that others wait for.
    ///
    /// # Errors
    /// A sentence when it cannot be somebody's password.
    pub fn hash(&self, env: &Env) -> Result<PasswordHash, String> {
        self.check()?;
        let mut salt = [0; 16];
        salt[..8].copy_from_slice(&env.random_u64().to_be_bytes());
        salt[8..].copy_from_slice(&env.random_u64().to_be_bytes());
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| error.to_string())?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = hasher.hash_password_with_salt(self.0.as_bytes(), &salt).map_err(|error| error.to_string())?;
        Ok(PasswordHash(hash.to_string()))
    }
}

impl PasswordHash {
    /// The hash that no password has, and that takes as long as any other to find that out.
    #[must_use]
    pub fn of_nobody() -> Self {
        Self(NOBODY.to_owned())
    }

    /// Whether this is the password. Costs as much as [`Password::hash`], whatever was sent.
    #[must_use]
    pub fn is_of(&self, password: &Password) -> bool {
        let fits = password.check().is_ok();
        let text = if fits { password.0.as_bytes() } else { b"" };
        let Ok(hash) = Phc::new(&self.0) else { return false };
        // Its parameters are those that the hash names.
        let is_it = Argon2::default().verify_password(text, &hash).is_ok();
        Guard::RightPassword.holds(fits && is_it)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn kept(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Seeded;

    const GOOD: &str = "correct horse battery";

    #[test]
    fn only_the_very_password_is_verified_and_each_hash_has_its_own_salt() {
        let env = Seeded::new(1).env();
        let (hash, again) = (Password::new(GOOD).hash(&env).unwrap(), Password::new(GOOD).hash(&env).unwrap());
        assert!(hash.is_of(&Password::new(GOOD)) && again.is_of(&Password::new(GOOD)));
        assert!(hash != again, "two operators with one password cannot be seen to have it");
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        let long = format!("{GOOD}{}", "x".repeat(BYTES_MAX));
        for wrong in ["", "correct horse batterY", "correct horse battery ", &GOOD[1..], &long] {
            assert!(!hash.is_of(&Password::new(wrong)), "{wrong}");
        }
        assert!(!PasswordHash::kept("plain".into()).is_of(&Password::new("plain")));
    }

    #[test]
    fn nobodys_hash_can_be_read_costs_the_same_and_fits_no_password() {
        let nobody = PasswordHash::of_nobody();
        let parsed = Phc::new(nobody.as_str()).unwrap();
        let hashed = Password::new(GOOD).hash(&Seeded::new(2).env()).unwrap();
        let real = Phc::new(hashed.as_str()).unwrap();
        assert_eq!((&parsed.algorithm, parsed.version, &parsed.params), (&real.algorithm, real.version, &real.params));
        let bytes = |hash: &Phc| hash.hash.map(|output| output.as_bytes().len());
        assert_eq!(bytes(&parsed), bytes(&real));
        assert!(!nobody.is_of(&Password::new(GOOD)) && !nobody.is_of(&Password::new("")));
    }

    #[test]
    fn a_password_is_of_twelve_characters_and_1024_bytes_at_most() {
        let check = |text: String| Password::new(text).check();
        assert!(check("a".repeat(11)).is_err() && check("ä".repeat(11)).is_err());
        assert!(check("a".repeat(12)).is_ok() && check("ä".repeat(12)).is_ok());
        assert!(
            check("a".repeat(1_024)).is_ok() && check("a".repeat(1_025)).is_err() && check("ä".repeat(600)).is_err()
        );
        assert!(Password::new("short").hash(&Seeded::new(3).env()).is_err());
    }

    #[test]
    fn a_password_that_was_made_is_long_enough_and_made_once() {
        let env = Seeded::new(4).env();
        let (one, other) = (Password::generate(&env), Password::generate(&env));
        assert!(one.check().is_ok() && one.expose() != other.expose());
        assert_eq!(one.expose().len(), 27);
        assert!(one.expose().bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)), "{}", one.expose());
    }

    #[test]
    fn neither_password_nor_hash_is_shown() {
        let password = Password::new(GOOD);
        let hash = password.hash(&Seeded::new(5).env()).unwrap();
        let shown = format!("{password:?} {hash:?} {:?}", (&password, &hash));
        assert!(!shown.contains("horse") && !shown.contains("argon2id"), "{shown}");
    }
}
