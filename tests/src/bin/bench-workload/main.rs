//! What kxdns does for a pod that resolves names as Kubernetes sets it up, with a search list and `ndots:5`: the resolvers of
//! glibc and musl look the same names up, with CoreDNS on another node behind kube-proxy, and with kxdns on their own besides.
//!
//! Every address is checked. What leaves the node is counted where it leaves, what the kernel answers by its own counters;
//! nothing but the pod's resolvers asks.

#![forbid(unsafe_code)]

mod mix;
mod report;
mod round;
mod stage;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use kxdns_tests::ending::run_and_close;
use kxdns_tests::figures::tell;

use crate::report::Report;
use crate::round::LIBRARIES;
use crate::stage::Stage;

/// Measures an `ndots:5` workload with and without kxdns. Needs root.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many names each resolver looks up in a round.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    lookups: usize,
    /// How many rounds there are, each without kxdns and then with it.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
}

fn main() -> ExitCode {
    run_and_close(|| run(&Arguments::parse()))
}

/// False if a lookup found what it should not, or did not find what it should.
fn run(arguments: &Arguments) -> Result<bool> {
    let stage = Stage::build()?;
    let entries = mix::draw(arguments.lookups);
    let mut reports = LIBRARIES.map(|library| Report::new(library, arguments.lookups));
    for _ in 0..arguments.rounds {
        for report in &mut reports {
            report.without.push(stage.look_up(report.library, &entries, None)?);
        }
        let agent = stage.start_agent()?;
        for report in &mut reports {
            report.with.push(stage.look_up(report.library, &entries, Some(&agent))?);
        }
        agent.stop()?;
    }
    tell(&mix::describe())?;
    for report in &reports {
        tell(&report.to_string())?;
    }
    Ok(reports.iter().all(Report::is_right))
}
