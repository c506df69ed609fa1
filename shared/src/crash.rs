//! Named points on the path of a purchase at which a test can have the process killed, or the handler panic.
//!
//! Compiled in only with the feature `crash-points`; otherwise a point is nothing at all. With it, the process kills
//! itself with `SIGKILL` when it reaches the point that `STAMPEDE_CRASH_AT` names: no destructor, no flush. At the one
//! that `STAMPEDE_PANIC_AT` names it panics, as a bug would.

/// Every point: in the order of a purchase and of its refund, then when a dead job was discarded.
pub const POINTS: [&str; 10] = [
    "after_pin",
    "after_commit",
    "after_push",
    "after_claim",
    "after_stripe_answer",
    "after_settle",
    "before_publish",
    "after_publish",
    "after_refund_answer",
    "after_discard",
];

/// Dies here, if a test asked for it.
///
/// # Panics
/// If a test asked for that.
#[cfg(feature = "crash-points")]
pub fn point(name: &'static str) {
    use std::sync::LazyLock;
    static CRASH_AT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("STAMPEDE_CRASH_AT").ok());
    static PANIC_AT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("STAMPEDE_PANIC_AT").ok());
    debug_assert!(POINTS.contains(&name), "an unknown crash point: {name}");
    if CRASH_AT.as_deref() == Some(name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    assert!(PANIC_AT.as_deref() != Some(name), "a test asked for a panic at {name}");
}

/// Dies here, if a test asked for it; this build has no such points.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn point(_name: &'static str) {}
