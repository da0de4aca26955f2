//! `cargo xtask test`: every test, from unit tests to a real control plane.

use std::process::Command;

use anyhow::Result;

use crate::setup::{self, Need, Program};
use crate::step::{self, Steps};
use crate::{build, workspace};

/// What the tests and their harness call.
pub(crate) const PROGRAMS: &[Program] = &[
    Program::new("bpftool", "bpftool"),
    Program::new("conntrack", "conntrack"),
    Program::new("curl", "curl"),
    Program::new("dnsperf", "dnsperf"),
    Program::new("ethtool", "ethtool"),
    Program::new("ip", "iproute2"),
    Program::new("iperf3", "iperf3"),
    Program::new("nft", "nftables"),
    Program::new("nsenter", "util-linux"),
    Program::new("openssl", "openssl"),
    Program::new("ss", "iproute2"),
    Program::new("tc", "iproute2"),
    Program::new("unshare", "util-linux"),
];

/// Runs the tests that `arguments`, handed to `cargo test`, select.
pub(crate) fn run(steps: &Steps, arguments: &[String]) -> Result<()> {
    step::become_program(prepare(steps, arguments)?)
}

/// Provides and builds a program of the tests' package that asks the control plane and the rivals; it is called as the
/// task that it is for.
pub(crate) fn prepare_companion(steps: &Steps, program: &str) -> Result<Command> {
    provide(steps, program)?;
    build::build_release(steps, &["kxdns", program])?;
    let mut command = Command::new(workspace::release_program(program));
    tell_programs(&mut command)?;
    Ok(command)
}

fn provide(steps: &Steps, task: &str) -> Result<()> {
    workspace::require_root(task)?;
    let needs = [Need::Programs(PROGRAMS), Need::Toolchain, Need::Peers, Need::Servers];
    setup::provide(steps, &needs)
}

/// Provides and builds what the tests need, and returns the command that runs them.
pub(crate) fn prepare(steps: &Steps, arguments: &[String]) -> Result<Command> {
    provide(steps, "test")?;
    build::build_release(steps, &["kxdns"])?;
    build::build_lookups(steps)?;
    let mut command = workspace::cargo("test");
    command.arg("--workspace").args(arguments);
    tell_programs(&mut command)?;
    Ok(command)
}

/// Tells the harness where the programs are that it runs.
fn tell_programs(command: &mut Command) -> Result<()> {
    command
        .env("KXDNS_BIN", workspace::release_program("kxdns"))
        .env("KXDNS_LOOKUPS", workspace::target())
        .env("KXDNS_PEERS", setup::peers_folder()?)
        .env("KXDNS_SERVERS", setup::servers_folder()?);
    Ok(())
}
