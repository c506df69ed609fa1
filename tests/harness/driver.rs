//! The load driver of the benchmarks, against a shop of a test.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use super::desk::binary;
use super::shop::Shop;

const ADAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bench/adapters/stampede.toml");

/// Runs the driver with these options besides, and returns its report.
pub async fn drive(shop: &Shop, sale: &str, options: &[&str]) -> Value {
    let host = shop.url().trim_start_matches("http://").to_owned();
    let mut command = Command::new(binary("STAMPEDE_FLASHBENCH_BIN"));
    command.args(["--adapter", ADAPTER, "--settle", "0", "--linger", "50", "--json", "-"]);
    command.arg("--set").arg(format!("host={host}")).arg("--set").arg(format!("sale={sale}"));
    command.arg("--proc").arg(format!("web={}", shop.process().pid())).args(options);
    let output = command.kill_on_drop(true).output().await.expect("the driver starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(Path::new(ADAPTER).is_file() && output.status.success(), "{}: {said}", output.status);
    serde_json::from_slice(&output.stdout).expect("a report in JSON")
}

/// What the driver has seen, by these names.
pub fn numbers<const N: usize>(report: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| report["seen"][name].as_u64().unwrap_or_else(|| panic!("{name} in {report}")))
}
