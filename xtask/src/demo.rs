//! `cargo xtask demo`: a small cluster in network namespaces, its DNS answered by the kernel.

use std::process::Command;

use anyhow::Result;

use crate::setup::{self, Need, Program};
use crate::step::{self, Steps};
use crate::{build, workspace};

/// What the demo calls.
pub(crate) const PROGRAMS: &[Program] = &[
    Program::new("curl", "curl"),
    Program::new("ip", "iproute2"),
    Program::new("nft", "nftables"),
    Program::new("nsenter", "util-linux"),
    Program::new("unshare", "util-linux"),
];

/// Shows the demo; with `keep` it leaves the cluster running.
pub(crate) fn run(steps: &Steps, keep: bool) -> Result<()> {
    let mut command = prepare(steps)?;
    command.args(keep.then_some("--keep"));
    step::become_program(command)
}

/// Provides and builds what the demo needs, and returns the command that shows it.
pub(crate) fn prepare(steps: &Steps) -> Result<Command> {
    workspace::require_root("demo")?;
    setup::provide(steps, &[Need::Programs(PROGRAMS), Need::Toolchain])?;
    build::build_companion(steps, "demo")
}
