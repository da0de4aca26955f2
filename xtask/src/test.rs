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

/// Provides and builds what the tests need, and returns the command that runs them.
pub(crate) fn prepare(steps: &Steps, arguments: &[String]) -> Result<Command> {
    workspace::require_root("test")?;
    setup::provide(steps, &[Need::Programs(PROGRAMS), Need::Toolchain, Need::Peers])?;
    build::build_release(steps, &["kxdns"])?;
    let mut command = workspace::cargo("test");
    command
        .arg("--workspace")
        .args(arguments)
        .env("KXDNS_BIN", workspace::release_program("kxdns"))
        .env("KXDNS_PEERS", setup::peers_folder()?);
    Ok(command)
}
