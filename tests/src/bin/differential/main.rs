//! The differential test: kxdns and a running CoreDNS, fed by the same real API server under the same Corefile, are
//! asked the same, and their replies compared by meaning.
//!
//! Clusters, changes and questions are random and follow from a seed. Nothing is ever slept for: see `settle.rs`.

#![forbid(unsafe_code)]

mod api;
mod apply;
mod ask;
mod chain;
mod compare;
mod controller;
mod corefiles;
mod deviations;
mod dice;
mod generate;
mod imports;
mod known;
mod questions;
mod report;
mod round;
mod settle;
mod share;
mod shrink;
mod stage;
mod tcp;
mod totals;
mod upstream;
mod world;
mod writer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use dns_userspace::kernel::hook::Hook;
use kxdns_tests::ending::run_and_close;
use kxdns_tests::figures::tell;

use crate::corefiles::Corefile;
use crate::known::Known;
use crate::report::Report;
use crate::round::{Plan, play};
use crate::stage::{Program, Stage};
use crate::totals::Totals;
use crate::writer::Writer;

/// Compares kxdns with CoreDNS. Needs root.
#[derive(Debug, Parser)]
struct Arguments {
    /// The seed of the first cluster; each has the next one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many questions are asked, of all clusters together.
    #[arg(long, default_value_t = 1_000_000)]
    questions: usize,
    /// How many clusters are made, one after the other.
    #[arg(long, default_value_t = 60)]
    clusters: u64,
    /// The Corefiles that take turns; by default those of the cluster's zone.
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', value_parser = corefile_names(),
          default_values = Corefile::TURNS)]
    corefile: Vec<String>,
    /// The hooks through which kxdns is asked, in turns: names of `kxdns run --attach`, or `all`. By default its server
    /// is asked alone.
    #[arg(long, value_name = "HOOK", num_args = 1.., value_delimiter = ',', value_parser = hook_names())]
    hook: Vec<String>,
    /// Where each difference is written into a file, too.
    #[arg(long, value_name = "FOLDER")]
    reports: Option<PathBuf>,
    /// Compares CoreDNS with itself, which shows that the comparison is sound.
    #[arg(long, conflicts_with = "hook")]
    itself: bool,
}

const ALL_HOOKS: &str = "all";

fn corefile_names() -> Vec<&'static str> {
    Corefile::all().map(|corefile| corefile.name).collect()
}

fn hook_names() -> Vec<&'static str> {
    Hook::ALL.map(Hook::name).into_iter().chain([ALL_HOOKS]).collect()
}

impl Arguments {
    /// What is compared with CoreDNS in the cluster of this seed.
    fn other(&self, seed: usize) -> Program {
        if self.itself {
            return Program::CoreDns;
        }
        let is_named = |hook: &Hook| self.hook.iter().any(|name| name == hook.name() || name == ALL_HOOKS);
        let hooks: Vec<Hook> = Hook::ALL.into_iter().filter(is_named).collect();
        // Each Corefile meets each hook: the turns are shifted whenever those of the Corefiles begin anew.
        let turn = seed + seed / Corefile::TURNS.len();
        Program::Kxdns(hooks.get(turn % hooks.len().max(1)).copied())
    }
}

fn main() -> ExitCode {
    run_and_close(|| run(&Arguments::parse()))
}

/// Plays all clusters. False if there were differences.
fn run(arguments: &Arguments) -> Result<bool> {
    let start = Instant::now();
    let stage = Stage::build()?;
    let mut writer = Writer::new(&stage.cluster);
    let (mut report, mut totals) = (Report::new(arguments.reports.clone()), Totals::default());
    for seed in arguments.seed..arguments.seed + arguments.clusters {
        let mut plan = plan(arguments, seed)?;
        let outcome = play(&stage, &mut writer, &mut plan, &mut report, &mut totals);
        outcome.with_context(|| format!("seed {seed}, Corefile {}", plan.corefile.name))?;
        tell(&format!(
            "seed {seed}, Corefile {}, {}: {} questions, {} differences after {:.0} s",
            plan.corefile.name,
            plan.other,
            totals.questions,
            totals.differences,
            start.elapsed().as_secs_f64()
        ))?;
    }
    for (sort, number) in report.sorts() {
        tell(&format!("{number} times {sort}"))?;
    }
    tell(&totals.to_string())?;
    Ok(totals.differences == 0)
}

fn plan(arguments: &Arguments, seed: u64) -> Result<Plan<'static>> {
    let name = &arguments.corefile[seed as usize % arguments.corefile.len()];
    let corefile = Corefile::find(name).context("no such Corefile")?;
    Ok(Plan {
        seed,
        corefile,
        other: arguments.other(seed as usize),
        questions: arguments.questions / arguments.clusters.max(1) as usize,
        known: Known::default(),
    })
}
