//! Truth under change: Services and EndpointSlices come, change and go as fast as the API server takes it, pods ask about
//! them without pause through the kernel, and every reply is checked against the history of what was written.
//!
//! A reply is right if it is what the rules say to versions of the objects that were current at the API server at some
//! time between [`check::BOUND`] before the question and the reply. For one name, versions never go back: once a newer
//! one was told in a reply that was there before another question was sent, an older one is wrong. A version has addresses
//! and ports that no other has, so that a mixture of two is the answer to none. Nothing is lost: a question without a
//! reply is wrong, too.
//!
//! The objects of a Service are watched by themselves and come in any order, as in Kubernetes: versions are those of an
//! object.

#![forbid(unsafe_code)]

mod asker;
mod check;
mod delays;
mod history;
mod reading;
mod round;
mod rules;
mod stage;
mod state;
mod subject;
mod window;
mod writer;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use dns_userspace::kernel::hook::Hook;
use kxdns_tests::ending::run_and_close;
use kxdns_tests::figures::tell;

use crate::round::play;
use crate::stage::Stage;

/// The longest that is asked before it is checked: the replies are kept until then.
const LONGEST_ROUND: Duration = Duration::from_secs(15);

/// Checks that what a pod is told is true while it changes. Needs root.
#[derive(Debug, Parser)]
struct Arguments {
    /// For how long objects change, over all hooks.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// The hooks that take turns, by their names for `kxdns run --attach`; all of them by default.
    #[arg(long, value_name = "HOOK", num_args = 1.., value_delimiter = ',', value_parser = Hook::ALL.map(Hook::name))]
    hook: Vec<String>,
    /// What the changes and the questions follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Arguments {
    fn hooks(&self) -> Vec<Hook> {
        let is_named = |hook: &Hook| self.hook.is_empty() || self.hook.iter().any(|name| name == hook.name());
        Hook::ALL.into_iter().filter(is_named).collect()
    }
}

fn main() -> ExitCode {
    run_and_close(|| run(&Arguments::parse()))
}

/// Plays rounds of equal length, at least one for each hook. False if a reply was wrong.
fn run(arguments: &Arguments) -> Result<bool> {
    let hooks = arguments.hooks();
    let whole = Duration::from_secs(arguments.seconds.into());
    let turns = whole
        .div_duration_f64(LONGEST_ROUND * hooks.len() as u32)
        .ceil()
        .max(1.0) as usize;
    let length = whole / (turns * hooks.len()) as u32;
    let stage = Stage::build()?;
    let mut violations = 0;
    for (number, hook) in hooks.iter().cycle().take(turns * hooks.len()).enumerate() {
        let outcome = play(&stage, *hook, length, arguments.seed + number as u64)?;
        tell(&outcome.to_string())?;
        violations += outcome.violations();
    }
    tell(&format!("violations: {violations}"))?;
    Ok(violations == 0)
}
