//! The name of a request: in every line that is logged of it, in its answer, and in the body of a refusal, so that a buyer
//! who reads it out is found.
//!
//! Whoever asks may choose it (`X-Request-Id`), as a proxy in front does that names requests itself.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use shared::env::Env;

/// The header, in questions and answers.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The least and the most characters of one that somebody else chose. It goes into logs: no longer than needed.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=64;

tokio::task_local! {
    /// The request that this task answers.
    static CURRENT: RequestId;
}

/// The name of a request; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// What the request is called already, if that is well-formed, else a new name.
    #[must_use]
    pub fn of(headers: &HeaderMap, env: &Env) -> Self {
        let given = headers.get(HEADER).and_then(|value| value.to_str().ok()).filter(|id| is_well_formed(id));
        Self(given.map_or_else(|| env.uuid_v7().to_string().into(), Into::into))
    }

    /// Answers within this request.
    pub async fn within<T>(self, answering: impl Future<Output = T>) -> T {
        CURRENT.scope(self, answering).await
    }

    /// That of the request which is being answered here.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// For the answer.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Letters, digits, `-` and `_`: nothing that a log or a header could take for something else.
fn is_well_formed(id: &str) -> bool {
    LENGTH.contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use shared::env::Seeded;

    use super::*;

    fn named(given: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(given.as_bytes()).unwrap());
        RequestId::of(&headers, &Seeded::new(1).env()).to_string()
    }

    #[test]
    fn a_name_that_is_well_formed_is_kept_and_any_other_makes_a_new_one() {
        let longest = "x".repeat(64);
        for good in ["0199d8a0-3f5e-7cc2-b6a5-0123456789ab", "edge_01234567", longest.as_str()] {
            assert_eq!(named(good), good);
        }
        let longer = "x".repeat(65);
        for bad in ["", "short", "a name with spaces", "a.b@example.com", "12345678\u{e4}", longer.as_str()] {
            assert_ne!(named(bad), bad);
            assert_eq!(named(bad).len(), 36, "a UUID");
        }
        assert_eq!(RequestId::of(&HeaderMap::new(), &Seeded::new(1).env()).to_string().len(), 36);
    }

    #[tokio::test]
    async fn it_is_known_while_its_request_is_answered_and_nowhere_else() {
        let id = RequestId("edge_01234567".into());
        assert_eq!(id.clone().within(async { RequestId::current() }).await, Some(id));
        assert_eq!(RequestId::current(), None);
    }
}
