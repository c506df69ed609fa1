//! Named points on the path of a purchase at which a test can have the process killed.
//!
//! Compiled in only with the feature `crash-points`; otherwise a point is nothing at all. With it, the process kills
//! itself with `SIGKILL` when it reaches the point that `STAMPEDE_CRASH_AT` names: no destructor, no flush.

/// Every point, in the order of a purchase and of its refund.
pub const POINTS: [&str; 9] = [
    "after_pin",
    "after_commit",
    "after_push",
    "after_claim",
    "after_stripe_answer",
    "after_settle",
    "before_publish",
    "after_publish",
    "after_refund_answer",
];

/// Dies here, if a test asked for it.
#[cfg(feature = "crash-points")]
pub fn point(name: &'static str) {
    static AT: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    debug_assert!(POINTS.contains(&name), "an unknown crash point: {name}");
    if AT.get_or_init(|| std::env::var("STAMPEDE_CRASH_AT").ok()).as_deref() == Some(name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Dies here, if a test asked for it; this build has no such points.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn point(_name: &'static str) {}
