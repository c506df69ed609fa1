//! The keys of a queue in Redis: all there is.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `stampede:{queue}:<name>:line` | stream | jobs that wait, and jobs that run: those are pending in the group `workers` |
//! | `stampede:{queue}:<name>:jobs` | hash | every unfinished job by its key; what it says depends on where the job is |
//! | `stampede:{queue}:<name>:delayed` | sorted set | keys of jobs to be delivered later, by the ms when they are due |
//! | `stampede:{queue}:<name>:dead` | sorted set | keys of dead letters, by the ms when they died |
//! | `stampede:{queue}:<name>:front` | list | entries of the line that were handed back, the next one first |
//!
//! An entry of the line has the fields `key`, `payload`, `pushed_at` (ms), `deliveries` and `retries`; those two are
//! what came before the entry was made. Its own deliveries are counted by Redis in the group's list of pending entries.
//! As long as a job is in the line, its field in `jobs` says how many of those do not count, since they were handed
//! back. A job that is delayed or dead is in `jobs` as a whole, packed by the scripts, and not in the line.
//!
//! A finished job leaves nothing behind. An idle queue is an empty stream with its group.
//!
//! All queues share one hash tag, and so one slot of a cluster: to finish a job of one queue and to push its follow-up
//! to another is one script.

/// How many keys a queue has.
pub(super) const KEYS: usize = 5;

/// The keys of a queue, in the order in which scripts are given them.
pub(super) fn of(queue: &str) -> [String; KEYS] {
    ["line", "jobs", "delayed", "dead", "front"].map(|part| format!("stampede:{{queue}}:{queue}:{part}"))
}

/// The stream of a queue.
pub(super) fn line(queue: &str) -> String {
    let [line, ..] = of(queue);
    line
}

/// The group that all workers of a queue are in.
pub(super) const GROUP: &str = "workers";
