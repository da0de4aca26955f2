//! `cargo xtask build`: the agent as `target/release/kxdns`; its build script builds the BPF programs into it.

use std::process::Command;

use anyhow::Result;

use crate::setup::{self, Need};
use crate::step::Steps;
use crate::workspace;

/// Builds the agent.
pub(crate) fn run(steps: &Steps) -> Result<()> {
    setup::provide(steps, &[Need::Toolchain])?;
    build_release(steps, &["kxdns"])
}

/// Builds the agent and `program`, of the package of the tests, and returns the command that runs it on the agent.
pub(crate) fn build_companion(steps: &Steps, program: &str) -> Result<Command> {
    build_release(steps, &["kxdns", program])?;
    let mut command = Command::new(workspace::release_program(program));
    command.arg("--kxdns").arg(workspace::release_program("kxdns"));
    Ok(command)
}

/// Builds `programs` with optimization.
///
/// Both packages are named whatever is built of them: that settles the features of their dependencies, so that these
/// are built once and not once for each selection.
pub(crate) fn build_release(steps: &Steps, programs: &[&str]) -> Result<()> {
    let mut command = workspace::cargo("build");
    command.args(["--release", "--package", "dns-userspace", "--package", "kxdns-tests"]);
    for program in programs {
        command.args(["--bin", program]);
    }
    steps.show(&format!("build {}", programs.join(" and ")), command)
}

/// The targets whose C libraries' resolvers the tests ask by.
const LIBRARIES: [&str; 2] = ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"];

/// Builds the program that resolves names, for each C library. They stand in cargo's folders of their targets.
pub(crate) fn build_lookups(steps: &Steps) -> Result<()> {
    let mut command = workspace::cargo("build");
    command.args(["--release", "--package", "kxdns-lookup"]);
    command.args(LIBRARIES.iter().flat_map(|target| ["--target", target]));
    steps.show("build kxdns-lookup", command)
}
