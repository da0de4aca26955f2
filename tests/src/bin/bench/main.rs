//! What kxdns costs and gains, measured beside what it is compared with: one page of code for each benchmark.

#![forbid(unsafe_code)]

mod bench;
mod effort;
mod latency;
mod machine;
mod neighbours;
mod page;
mod path;
mod pod;
mod processors;
mod program;
mod records;
mod results;
mod rivals;
mod scale;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use kxdns_tests::ending::run_and_close;
use kxdns_tests::figures::tell;

use crate::bench::Bench;
use crate::effort::Effort;
use crate::machine::Machine;
use crate::results::{Report, Run};

/// Measures kxdns. Needs root, and what `cargo xtask bench` tells by the environment.
#[derive(Parser)]
struct Arguments {
    /// What is measured; all of it unless some is named.
    names: Vec<Name>,
    /// Everything once, in less than three minutes: shows that it works, not how fast.
    #[arg(long)]
    quick: bool,
    /// Figures to publish, in about forty minutes.
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Where the page, the pictures and the samples are written.
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
}

/// A benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    Program,
    Pod,
    Rivals,
    Workload,
    Scale,
    Neighbours,
}

fn main() -> ExitCode {
    run_and_close(|| run(&Arguments::parse()).map(|()| true))
}

impl Name {
    fn measure(self, bench: &Bench) -> Result<Report> {
        match self {
            Self::Program => program::measure(bench),
            Self::Pod => pod::measure(bench),
            Self::Rivals => rivals::measure(bench),
            Self::Workload => workload::measure(bench),
            Self::Scale => scale::measure(bench),
            Self::Neighbours => neighbours::measure(bench),
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let effort = match arguments {
        Arguments { quick: true, .. } => Effort::Quick,
        Arguments { full: true, .. } => Effort::Full,
        _ => Effort::Usual,
    };
    let names = match &arguments.names[..] {
        [] => Name::value_variants(),
        names => names,
    };
    let mut run = Run {
        commit: machine::commit(),
        began: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        effort,
        machine: Machine::find()?,
        versions: machine::versions()?,
        reports: Vec::new(),
    };
    for name in names {
        let value = name.to_possible_value();
        let name_text = value.as_ref().map_or("", |value| value.get_name());
        let start = Instant::now();
        let bench = Bench::start(name_text, effort)?;
        let mut report = name.measure(&bench).with_context(|| name_text.to_owned())?;
        report.seconds = start.elapsed().as_secs_f64();
        name_text.clone_into(&mut report.name);
        tell(&page::section(&report))?;
        run.reports.push(report);
    }
    page::write(&run, &arguments.output)
}
