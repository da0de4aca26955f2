//! The resolvers of glibc and musl in a pod, with and without kxdns: a bounded part of `cargo xtask bench workload`.

use std::process::Command;

use anyhow::{Context, Result};

/// The least share of the questions about the cluster's names.
const ANSWERED: f64 = 0.99;

#[test]
fn the_kernel_answers_nearly_all_that_resolvers_ask_about_the_cluster() -> Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_bench-workload"))
        .args(["--lookups", "200", "--rounds", "1"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // It fails by itself where a lookup finds anything but what it should.
    assert!(output.status.success(), "{text}");
    for library in ["glibc", "musl"] {
        let (_, rest) = text
            .split_once(&format!("{library}: 1 rounds of 200 lookups, 0 wrong"))
            .context(library)?;
        let share = rest.split(['(', ')']).nth(1).context(library)?;
        assert!(share.parse::<f64>()? >= ANSWERED, "{text}");
    }
    Ok(())
}
