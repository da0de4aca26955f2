//! `cargo xtask bench`: what kxdns costs and gains. The measuring itself is in the package of the tests.

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::setup::{self, Need};
use crate::step::{self, Steps};
use crate::{build, test, workspace};

/// What can be measured.
#[derive(Subcommand)]
pub(crate) enum Benchmark {
    /// The BPF programs alone, by test runs: nanoseconds and verified instructions of each.
    Program,
    /// What a pod waits for the kernel's answer, one question at a time, beside a program that sends questions back: by tcx
    /// and by generic XDP.
    Pod,
    /// A large cluster on a real API server, beside CoreDNS: the first sync, memory, a relist, changes of endpoints.
    ///
    /// Takes about seven minutes.
    Scale(Size),
    /// The lookups of a pod by the resolvers of glibc and musl, with a search list and `ndots:5`, with and without kxdns.
    ///
    /// Tells what the kernel answers, what leaves the node, and how long a lookup takes. Takes about two minutes.
    Workload(Lookups),
}

/// How much is looked up. What is not given is as the program itself has it.
#[derive(Args)]
pub(crate) struct Lookups {
    /// How many names each resolver looks up in a round.
    #[arg(long, value_name = "N")]
    lookups: Option<usize>,
    /// How many rounds there are, each without kxdns and then with it.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
}

/// How large the cluster is.
#[derive(Args)]
pub(crate) struct Size {
    /// How many Services there are; half of them are headless.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    services: usize,
    /// How many endpoints there are, evenly distributed over the Services.
    #[arg(long, value_name = "N", default_value_t = 150_000)]
    endpoints: usize,
}

/// Measures `benchmark`.
pub(crate) fn run(steps: &Steps, benchmark: &Benchmark) -> Result<()> {
    match benchmark {
        Benchmark::Program => measure_program(steps),
        Benchmark::Pod => measure_pod(steps),
        Benchmark::Scale(size) => measure_scale(steps, size),
        Benchmark::Workload(lookups) => measure_workload(steps, lookups),
    }
}

fn measure_program(steps: &Steps) -> Result<()> {
    workspace::require_root("bench program")?;
    setup::provide(steps, &[Need::Toolchain])?;
    step::become_program(build::build_companion(steps, "bench-program")?)
}

fn measure_pod(steps: &Steps) -> Result<()> {
    workspace::require_root("bench pod")?;
    setup::provide(steps, &[Need::Programs(test::PROGRAMS), Need::Toolchain])?;
    step::become_program(build::build_companion(steps, "bench-pod")?)
}

fn measure_scale(steps: &Steps, size: &Size) -> Result<()> {
    workspace::require_root("bench scale")?;
    setup::provide(steps, &[Need::Programs(test::PROGRAMS), Need::Toolchain, Need::Peers])?;
    let mut command = build::build_companion(steps, "bench-scale")?;
    command
        .env("KXDNS_PEERS", setup::peers_folder()?)
        .args(["--services", &size.services.to_string()])
        .args(["--endpoints", &size.endpoints.to_string()]);
    step::become_program(command)
}

fn measure_workload(steps: &Steps, lookups: &Lookups) -> Result<()> {
    workspace::require_root("bench workload")?;
    let mut command = test::prepare_companion(steps, "bench-workload")?;
    build::build_lookups(steps)?;
    for (option, value) in [("--lookups", lookups.lookups), ("--rounds", lookups.rounds)] {
        command.args(value.map(|value| format!("{option}={value}")));
    }
    step::become_program(command)
}
