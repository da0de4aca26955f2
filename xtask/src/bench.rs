//! `cargo xtask bench`: what kxdns costs and gains. The measuring itself is in the package of the tests.

use anyhow::Result;
use clap::Subcommand;

use crate::setup::{self, Need};
use crate::step::{self, Steps};
use crate::{build, workspace};

/// What can be measured.
#[derive(Subcommand)]
pub(crate) enum Benchmark {
    /// The BPF programs alone, by test runs: nanoseconds and verified instructions of each.
    Program,
}

/// Measures `benchmark`.
pub(crate) fn run(steps: &Steps, benchmark: &Benchmark) -> Result<()> {
    match benchmark {
        Benchmark::Program => measure_program(steps),
    }
}

fn measure_program(steps: &Steps) -> Result<()> {
    workspace::require_root("bench program")?;
    setup::provide(steps, &[Need::Toolchain])?;
    step::become_program(build::build_companion(steps, "bench-program")?)
}
