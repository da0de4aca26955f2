//! What a benchmark has found must hold on every machine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The least share of the questions about the cluster's names.
const ANSWERED: f64 = 0.99;

#[test]
fn the_kernel_answers_nearly_all_that_resolvers_ask_about_the_cluster() -> Result<()> {
    // It fails by itself where a lookup finds anything but what it should.
    let run = measure("workload")?;
    let table = &run["reports"][0]["tables"][1];
    let columns = table["columns"].as_array().context("no columns")?;
    let share = columns
        .iter()
        .position(|column| column["name"] == "of those about the cluster's names");
    let share = share.context("no share")?;
    let rows = table["rows"].as_array().context("no rows")?;
    let with_kxdns = rows
        .iter()
        .filter(|row| row["name"].as_str().is_some_and(|name| name.ends_with(", with kxdns")));
    let shares: Vec<f64> = with_kxdns.filter_map(|row| row["cells"][share][0].as_f64()).collect();
    assert!(
        shares.len() == 2 && shares.iter().all(|share| *share >= ANSWERED),
        "{table}"
    );
    Ok(())
}

/// A quick run of one benchmark, as it writes it down.
fn measure(name: &str) -> Result<Value> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    let output = command.args([name, "--quick", "--output"]).arg(&folder).output()?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{text}");
    Ok(serde_json::from_str(&fs::read_to_string(
        folder.join("benchmarks/run.json"),
    )?)?)
}
