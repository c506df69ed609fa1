//! What a process that goes down tells its rooms: to connect again, elsewhere, and not all at once.

use std::sync::OnceLock;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use shared::message::Message;

use crate::app::App;

/// Connections that come again in a second, about: each of them is a handshake and a snapshot for whoever takes it.
const AGAIN_PER_SECOND: u64 = 2_000;
/// They are spread over at least, and at most, so long. Nobody who waits for news should wait for longer.
const WITHIN: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(9));
/// Nobody comes again before this: a balancer needs a moment to see that the process goes.
const NOT_BEFORE: Duration = Duration::from_millis(200);

/// Over how long the connections of a process are spread that goes down; all of them over the same.
#[derive(Debug, Default)]
pub struct Farewell(OnceLock<Duration>);

impl Farewell {
    /// What a connection is told; the first one that asks says how many there are.
    #[must_use]
    pub fn say(&self, app: &App) -> Utf8Bytes {
        let window = *self.0.get_or_init(|| spread(app.hub.connections()));
        let retry = NOT_BEFORE + app.env.jitter(window);
        Message::Reconnect { retry_in_ms: i64::try_from(retry.as_millis()).unwrap_or(0) }.to_json().into()
    }
}

fn spread(connections: usize) -> Duration {
    let connections = u64::try_from(connections).unwrap_or(u64::MAX);
    Duration::from_millis(connections.saturating_mul(1_000) / AGAIN_PER_SECOND).clamp(WITHIN.0, WITHIN.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_there_are_the_longer_they_are_spread_within_bounds() {
        let seconds = [0, 100, 6_000, 10_000, 18_000, 1_000_000].map(|many| spread(many).as_secs());
        assert_eq!(seconds, [3, 3, 3, 5, 9, 9]);
    }
}
