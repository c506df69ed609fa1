//! Who may do what no shopper may: whoever has the operator's key.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use shared::guards::Guard;

use crate::app::App;
use crate::problem::Problem;

/// Knows the operator's key again without keeping it.
pub struct OperatorKey(Option<[u8; 32]>);

impl OperatorKey {
    /// The key, if there is one.
    #[must_use]
    pub fn new(key: Option<&str>) -> Self {
        Self(key.map(|key| tag(key).finalize().into_bytes().into()))
    }

    /// Whether this is the key; it takes as long whatever was sent.
    fn is(&self, sent: &str) -> bool {
        self.0.is_some_and(|expected| Guard::OperatorKey.holds(tag(sent).verify_slice(&expected).is_ok()))
    }
}

fn tag(key: &str) -> Hmac<Sha256> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block[..32].copy_from_slice(&Sha256::digest(key.as_bytes()));
    let mut mac = Hmac::<Sha256>::new(&block);
    mac.update(b"operator");
    mac
}

/// An operator who has proved to be one.
#[derive(Clone, Copy, Debug)]
pub struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if app.operator.0.is_none() {
            return Err(Problem::not_found());
        }
        let sent = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let sent = sent.and_then(|value| value.strip_prefix("Bearer "));
        if sent.is_some_and(|sent| app.operator.is(sent.trim())) { Ok(Self) } else { Err(Problem::no_operator()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_opens_and_no_key_opens_nothing() {
        let key = "0123456789abcdef0123456789abcdef";
        let operator = OperatorKey::new(Some(key));
        assert!(operator.is(key));
        for wrong in ["", "0", &key[1..], &key[..31], &format!("{key}0"), &key.to_uppercase()] {
            assert!(!operator.is(wrong), "{wrong}");
        }
        assert!(!OperatorKey::new(None).is("") && !OperatorKey::new(None).is(key));
    }
}
