//! Everything that reads what others write, as functions of bytes: the same targets for property tests, for libFuzzer
//! (the folder `fuzz`), and for the long runs of `cargo xtask fuzz`.
//!
//! A target returns when the bytes were taken or refused as they should be, and panics when they were not. What it asks
//! for, beyond that nothing panics, is written on each of them in [`targets`].

pub mod corpus;
pub mod mutate;
pub mod router;
pub mod targets;

#[cfg(test)]
mod tests;

/// What is done with one input.
pub type Target = fn(&[u8]);

/// A target, and how it is fed.
pub struct Fed {
    /// Its name.
    pub name: &'static str,
    /// What is done with an input.
    pub target: Target,
    /// Valid examples.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Of a thousand inputs of a run, so many are for it.
    pub share: u32,
}

/// Every target.
pub const ALL: [Fed; 12] = [
    Fed { name: "webhook_event", target: targets::webhook_event, corpus: corpus::events, share: 130 },
    Fed { name: "webhook_signature", target: targets::webhook_signature, corpus: corpus::signatures, share: 100 },
    Fed { name: "stripe_reply", target: targets::stripe_reply, corpus: corpus::replies, share: 130 },
    Fed { name: "job", target: targets::job, corpus: corpus::jobs, share: 120 },
    Fed { name: "room_message", target: targets::room_message, corpus: corpus::room_messages, share: 80 },
    Fed { name: "socket_frame", target: targets::socket_frame, corpus: corpus::frames, share: 80 },
    Fed { name: "settings", target: targets::settings, corpus: corpus::settings, share: 80 },
    Fed { name: "sale", target: targets::sale, corpus: corpus::sales, share: 80 },
    Fed { name: "word", target: targets::word, corpus: corpus::words, share: 100 },
    Fed { name: "router_buying", target: router::request, corpus: corpus::buying, share: 40 },
    Fed { name: "router_reading", target: router::request, corpus: corpus::reading, share: 30 },
    Fed { name: "router_webhook", target: router::request, corpus: corpus::webhooks, share: 30 },
];
