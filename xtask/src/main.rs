//! The commands that set up, build, check, test and show kxdns: `cargo xtask <command>`.
//!
//! Every command brings what it needs by itself (see [`setup`]) and does nothing that plain cargo does as well. It
//! knows nothing of what kxdns is: it depends on none of the other crates.

#![forbid(unsafe_code)]
// Talking to the person at the terminal is what this program is for.
#![allow(clippy::print_stderr)]

mod bench;
mod build;
mod ci;
mod demo;
mod differential;
mod fuzz;
mod hostile;
mod kernels;
mod lint;
mod setup;
mod step;
mod test;
mod truth;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::step::Steps;

/// The commands that set up, build, check, test and show kxdns.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    /// Shows the output of every program that runs, not only of those that fail.
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs everything that the other commands need; each also brings its own part by itself.
    ///
    /// Rust components by rustup, bpf-linker and the lint tools by `cargo install`, the control plane and the rivals
    /// that the tests run by `go build` or out of Debian's packages, programs by apt-get (as root). What is built or
    /// unpacked goes to `$XDG_CACHE_HOME/kxdns` (`~/.cache/kxdns` by default), keyed by version, so that further clones
    /// share it.
    Setup,
    /// Builds the agent, with the BPF programs inside, as `target/release/kxdns`.
    Build,
    /// Checks formatting, clippy (host and BPF), rustdoc, dependencies (licences, sources, advisories) and spelling.
    Lint,
    /// Runs every test, as root: they make network namespaces and load BPF programs.
    Test {
        /// Runs the tests of the programs and of the hooks instead on Linux 6.1 and 6.12, in emulated machines.
        ///
        /// Needs Debian 12, whose kernels they are, and root only for packages that are missing.
        #[arg(long, conflicts_with = "arguments")]
        kernels: bool,
        /// Handed to `cargo test --workspace`: a part of the tests' names, or `--test control_plane`, and so on.
        #[arg(last = true, value_name = "ARGUMENT")]
        arguments: Vec<String>,
    },
    /// Shows a small cluster's DNS answered by the kernel, as root: no cluster needed, nothing left behind.
    Demo {
        /// Leaves the cluster running and prints how to enter it.
        #[arg(long)]
        keep: bool,
    },
    /// Sends kxdns and CoreDNS the same hostile messages, as root.
    Hostile(hostile::Messages),
    /// Measures kxdns beside what it is compared with, as root, and writes a page with pictures of it.
    Bench(bench::Benchmarks),
    /// Asks kxdns and a running CoreDNS the same about random clusters, as root, and fails if their replies differ.
    Differential {
        #[command(flatten)]
        scope: differential::Scope,
    },
    /// Changes Services as fast as the API server takes it while pods ask about them, as root, and fails if a reply is
    /// not true at the time.
    Truth {
        #[command(flatten)]
        scope: truth::Scope,
    },
    /// Fuzzes what reads bytes: the Corefile, objects, names, frames, the rules. The ordinary tests replay its corpora.
    Fuzz {
        /// One of `tests/fuzz/fuzz_targets`; all of them unless it is given.
        target: Option<String>,
        /// How long each target is fuzzed.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Runs lint, test, test --kernels and demo, one after the other: what the continuous build runs.
    Ci,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let steps = Steps::new(arguments.verbose);
    match arguments.command {
        Task::Setup => setup::run(&steps),
        Task::Build => build::run(&steps),
        Task::Lint => lint::run(&steps),
        Task::Test { kernels: true, .. } => kernels::run(&steps),
        Task::Test { arguments, .. } => test::run(&steps, &arguments),
        Task::Demo { keep } => demo::run(&steps, keep),
        Task::Hostile(messages) => hostile::run(&steps, &messages),
        Task::Bench(benchmarks) => bench::run(&steps, &benchmarks),
        Task::Differential { scope } => differential::run(&steps, &scope),
        Task::Truth { scope } => truth::run(&steps, &scope),
        Task::Fuzz { target, seconds } => fuzz::run(&steps, target.as_deref(), seconds),
        Task::Ci => ci::run(&steps),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
