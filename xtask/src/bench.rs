//! `cargo xtask bench`: what kxdns costs and gains. The measuring itself is in the package of the tests.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::step::{self, Steps};
use crate::{build, test, workspace};

/// What is measured, and how long.
#[derive(Args)]
pub(crate) struct Benchmarks {
    /// What is measured; all of it unless some is named.
    #[arg(value_name = "NAME")]
    names: Vec<Name>,
    /// Everything once, in less than three minutes: shows that it works, not how fast.
    #[arg(long)]
    quick: bool,
    /// Figures to publish, in about forty minutes.
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Where the page, the pictures and the samples are written [default: target/bench].
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// A benchmark.
#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// The BPF programs alone, by test runs: time and instructions of each.
    Program,
    /// A pod's questions over a veth, beside a program at the same hook that sends them back.
    Pod,
    /// The same load against CoreDNS in three places, unbound, dnsmasq, Knot DNS, and kxdns in its own.
    Rivals,
    /// Lookups by the resolvers of glibc and musl, with a search list and `ndots:5`, with and without kxdns.
    Workload,
    /// Large clusters on a real API server: first sync, memory, a relist, how fast changes get through.
    Scale,
    /// What the pod's other traffic pays for each hook.
    Neighbours,
}

impl Benchmarks {
    /// All of them, each for a moment.
    pub(crate) const QUICK: Self = Self {
        names: Vec::new(),
        quick: true,
        full: false,
        output: None,
    };
}

/// Measures.
pub(crate) fn run(steps: &Steps, benchmarks: &Benchmarks) -> Result<()> {
    step::become_program(prepare(steps, benchmarks)?)
}

/// Provides and builds what the benchmarks need, and returns the command that runs them.
pub(crate) fn prepare(steps: &Steps, benchmarks: &Benchmarks) -> Result<Command> {
    let mut command = test::prepare_companion(steps, "bench")?;
    build::build_lookups(steps)?;
    let names = benchmarks.names.iter().filter_map(Name::to_possible_value);
    command.args(names.map(|name| name.get_name().to_owned()));
    command.args(benchmarks.quick.then_some("--quick"));
    command.args(benchmarks.full.then_some("--full"));
    let output = benchmarks.output.clone();
    let output = output.unwrap_or_else(|| workspace::target().join("bench"));
    command.arg("--output").arg(output);
    Ok(command)
}
