//! How long the session of an operator's browser is good.

use std::time::Duration;

use crate::env::Timestamp;
use crate::guards::Guard;

/// A session that nobody uses ends after this.
pub const IDLE: Duration = Duration::from_secs(30 * 60);
/// And every session after this, however much it is used.
pub const LONGEST: Duration = Duration::from_secs(12 * 3_600);
/// That a session or a key is used is written down this often at most: each time is a write.
pub const NOTED_EVERY: Duration = Duration::from_secs(60);

/// What a session is at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Good, and used a moment ago.
    Good,
    /// Good, and it is time to write down that it is used.
    Used,
    /// Not good any more.
    Over,
}

/// What a session is now that was begun and last seen at these times.
#[must_use]
pub fn standing(created_at: Timestamp, seen_at: Timestamp, now: Timestamp) -> Standing {
    if Guard::SessionEnds.refuses(now >= created_at.plus(LONGEST) || now >= seen_at.plus(IDLE)) {
        Standing::Over
    } else if is_worth_noting(Some(seen_at), now) {
        Standing::Used
    } else {
        Standing::Good
    }
}

/// Whether it is time to write down a use after the one that was written down last.
#[must_use]
pub fn is_worth_noting(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_none_or(|last| now >= last.plus(NOTED_EVERY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_idles_and_at_its_longest() {
        let (at, ms) = (Timestamp(1_000_000), Duration::from_millis(1));
        assert_eq!(standing(at, at, at), Standing::Good);
        assert_eq!(standing(at, at, at.plus(NOTED_EVERY).minus(ms)), Standing::Good);
        assert_eq!(standing(at, at, at.plus(NOTED_EVERY)), Standing::Used);
        assert_eq!(standing(at, at, at.plus(IDLE).minus(ms)), Standing::Used);
        assert_eq!(standing(at, at, at.plus(IDLE)), Standing::Over);
        let late = at.plus(LONGEST).minus(ms);
        assert_eq!(standing(at, late, late), Standing::Good);
        assert_eq!(standing(at, late, late.plus(ms)), Standing::Over);
    }
}
