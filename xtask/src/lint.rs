//! `cargo xtask lint`: everything that can be judged without running kxdns. Warnings are errors.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::setup::{self, LintTool, Need};
use crate::step::{self, Steps};
use crate::workspace;

/// How long fetching the advisories may take, in seconds: where nothing answers, git alone would wait for minutes.
const FETCH_TIMEOUT: &str = "60";

/// Runs every check, and fails in the end where any has.
pub(crate) fn run(steps: &Steps) -> Result<()> {
    setup::provide(steps, &[Need::Toolchain, Need::LintTools])?;
    let mut checks = vec![
        ("formatting", check_formatting()),
        ("clippy for the host", check_host()),
        ("clippy for the BPF target", check_bpf()),
        ("rustdoc", check_documentation()),
        ("dependencies", check_dependencies(&["bans", "licenses", "sources"])?),
        ("spelling", check_spelling()?),
    ];
    let advisories = steps.time("fetch advisories on dependencies", fetch_advisories);
    if advisories.is_ok() {
        checks.push(("advisories on dependencies", check_dependencies(&["advisories"])?));
    }
    let failed = run_all(steps, checks);
    if let Err(error) = advisories {
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default();
        steps.say(&format!(
            "advisories on dependencies: NOT CHECKED, their database is out of reach: {reason}"
        ));
    }
    ensure!(failed.is_empty(), "lint found faults: {}", failed.join(", "));
    Ok(())
}

/// Returns the names of the checks that failed.
fn run_all(steps: &Steps, checks: Vec<(&'static str, Command)>) -> Vec<&'static str> {
    let failed = checks.into_iter().filter_map(|(name, command)| {
        let error = steps.run(name, command).err()?;
        steps.say(&format!("{name}: {error:#}"));
        Some(name)
    });
    failed.collect()
}

fn check_formatting() -> Command {
    let mut command = workspace::cargo("fmt");
    command.args(["--all", "--check"]);
    command
}

fn check_host() -> Command {
    let mut command = workspace::cargo("clippy");
    command.args(["--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"]);
    command
}

/// Checks the programs as they are compiled for the kernel; `core` is built from source, which the stable compiler
/// does only when told that it is a nightly.
fn check_bpf() -> Command {
    let mut command = workspace::cargo("clippy");
    command
        .args(["--quiet", "--release", "--package", "dns-ebpf"])
        .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(workspace::target().join("bpf-lint"))
        .args(["--", "--deny", "warnings"])
        .env("RUSTC_BOOTSTRAP", "1");
    command
}

fn check_documentation() -> Command {
    let mut command = workspace::cargo("doc");
    command
        .args(["--quiet", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "--deny warnings");
    command
}

fn check_dependencies(checks: &[&str]) -> Result<Command> {
    let mut command = deny()?;
    command.arg("check").args(checks);
    Ok(command)
}

fn check_spelling() -> Result<Command> {
    let mut command = Command::new(LintTool::Typos.program()?);
    command.current_dir(workspace::root());
    Ok(command)
}

/// Brings the database of advisories up to date; it is a git repository on the internet.
fn fetch_advisories() -> Result<()> {
    let deny = deny()?;
    let mut command = Command::new("timeout");
    command
        .arg(FETCH_TIMEOUT)
        .arg(deny.get_program())
        .args(["--log-level", "error", "fetch", "db"]);
    command.current_dir(workspace::root());
    step::read_output(&mut command).map(|_| ())
}

fn deny() -> Result<Command> {
    let mut command = Command::new(LintTool::Deny.program()?);
    command.current_dir(workspace::root());
    Ok(command)
}
