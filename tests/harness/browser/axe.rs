//! The accessibility audit: axe-core, run inside the page.

use std::path::Path;

use serde_json::Value;

/// One rule of axe-core that the page breaks.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The rule's name, such as `color-contrast`.
    pub id: String,
    /// `minor`, `moderate`, `serious` or `critical`.
    pub impact: String,
    /// What the rule asks for, in a sentence.
    pub help: String,
    /// The elements that break it, as their HTML.
    pub nodes: Vec<String>,
}

impl Violation {
    /// Whether it keeps somebody from using the page.
    #[must_use]
    pub fn is_serious(&self) -> bool {
        matches!(self.impact.as_str(), "serious" | "critical")
    }
}

/// Runs in the page once axe-core is there. Frames are left out: one of another origin is audited by opening it.
pub(super) const RUN: &str = "axe.run(document, {resultTypes: ['violations'], iframes: false})
    .then(r => r.violations.map(v => ({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map(n => n.html)})))";

/// The source of axe-core.
pub(super) fn source() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(&path)
        .unwrap_or_else(|_| panic!("axe-core is not installed; run `cargo xtask test`, or `npm ci` in tests/tools"))
}

/// Reads the audit's answer.
pub(super) fn violations(answer: &Value) -> Vec<Violation> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    answer
        .as_array()
        .expect("the audit answers with a list")
        .iter()
        .map(|violation| Violation {
            id: text(&violation["id"]),
            impact: text(&violation["impact"]),
            help: text(&violation["help"]),
            nodes: violation["nodes"].as_array().into_iter().flatten().map(text).collect(),
        })
        .collect()
}
