//! The benchmarks that check what they measure, each a bounded part of `cargo xtask bench`.

use std::process::Command;

use anyhow::{Context, Result};
use kxdns_tests::peers::find_agent;

/// The least share of the questions about the cluster's names.
const ANSWERED: f64 = 0.99;

#[test]
fn the_kernel_answers_nearly_all_that_resolvers_ask_about_the_cluster() -> Result<()> {
    // It fails by itself where a lookup finds anything but what it should.
    let text = run(Command::new(env!("CARGO_BIN_EXE_bench-workload")).args(["--lookups", "200", "--rounds", "1"]))?;
    for library in ["glibc", "musl"] {
        let (_, rest) = text
            .split_once(&format!("{library}: 1 rounds of 200 lookups, 0 wrong"))
            .context(library)?;
        let share = rest.split(['(', ')']).nth(1).context(library)?;
        assert!(share.parse::<f64>()? >= ANSWERED, "{text}");
    }
    Ok(())
}

#[test]
fn a_pod_is_answered_by_the_kernel_and_by_the_reflector_beside_it_at_each_hook() -> Result<()> {
    // It checks every reply.
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-pod"));
    let text = run(command.arg("--kxdns").arg(find_agent()?).args(["--questions", "1000"]))?;
    assert_eq!(text.matches("reflector").count(), 6, "{text}");
    Ok(())
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    Ok(text)
}
