//! The scripts, and how they are called.
//!
//! Redis does nothing else while a script runs, so a call is bounded in items and in bytes: [`Call::is_full`].

use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{FromRedisValue, RedisResult, Script};

use super::keys;
use crate::guards::{Guard, in_text};

/// Most items in one call. 200 ends take Redis about 2 ms.
pub(super) const CALL_ITEMS: usize = 200;
/// A call that holds so many bytes takes no further item.
const CALL_BYTES: usize = 1 << 20;

macro_rules! script {
    ($name:ident, $file:literal $(, $guard:expr)*) => {
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| {
                let guarded: &[(Guard, &str, &str)] = &[$($guard),*];
                Script::new(&[&*in_text(include_str!("queue.lua"), &GUARDED), &*in_text(include_str!($file), guarded)].concat())
            });
    };
}

/// The guards in the scripts, and what is in their place in a build that has taken them away.
const GUARDED: [(Guard, &str, &str); 1] =
    [(Guard::Fence, "consumer == lease.consumer and fence == lease.fence", "consumer ~= nil")];
const JOB_ONCE: (Guard, &str, &str) =
    (Guard::JobOnce, "if redis.call('HEXISTS', q.jobs, job.key) == 1 then", "if false then");
const LEASE: (Guard, &str, &str) = (Guard::Lease, "GROUP, consumer, lease, cursor", "GROUP, consumer, 0, cursor");

script!(PUSH, "push.lua", JOB_ONCE);
script!(TAKE, "take.lua", LEASE);
script!(PROMOTE, "promote.lua");
script!(RENEW, "renew.lua");
script!(HAND_BACK, "hand_back.lua");
script!(FINISH, "finish.lua");
script!(GAUGES, "gauges.lua");
script!(DEAD, "dead.lua");
script!(RETRY_DEAD, "retry_dead.lua");
script!(DISCARD_DEAD, "discard_dead.lua");
script!(TIDY, "tidy.lua");

/// A call of a script, in the making.
pub(super) struct Call {
    script: &'static Script,
    queues: Vec<&'static str>,
    arguments: Vec<Vec<u8>>,
    items: usize,
    bytes: usize,
}

impl Call {
    pub(super) fn new(script: &'static Script) -> Self {
        Self { script, queues: Vec::new(), arguments: Vec::new(), items: 0, bytes: 0 }
    }

    /// A call about one queue.
    pub(super) fn of(script: &'static Script, queue: &'static str) -> Self {
        let mut call = Self::new(script);
        call.queues.push(queue);
        call
    }

    pub(super) fn arg(&mut self, argument: impl Into<Vec<u8>>) -> &mut Self {
        let argument = argument.into();
        self.bytes += argument.len();
        self.arguments.push(argument);
        self
    }

    pub(super) fn number(&mut self, number: impl ToString) -> &mut Self {
        self.arg(number.to_string())
    }

    /// Names a queue by its place among the call's.
    pub(super) fn queue(&mut self, queue: &'static str) -> &mut Self {
        let place = self.queues.iter().position(|known| *known == queue).unwrap_or_else(|| {
            self.queues.push(queue);
            self.queues.len() - 1
        });
        self.number(place + 1)
    }

    /// Says that another item is complete.
    pub(super) fn item(&mut self) {
        self.items += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.items >= CALL_ITEMS || self.bytes >= CALL_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Makes the call.
    ///
    /// # Errors
    /// The script's, the server's, or the network's.
    pub(super) async fn invoke<T: FromRedisValue>(self, connection: &mut impl ConnectionLike) -> RedisResult<T> {
        let mut call = self.script.prepare_invoke();
        for queue in &self.queues {
            call.key(&keys::of(queue));
        }
        for argument in self.arguments {
            call.arg(argument);
        }
        call.invoke_async(connection).await
    }
}
