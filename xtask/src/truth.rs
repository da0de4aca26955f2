//! `cargo xtask truth`: what pods are told while objects change is checked against the history of the objects. The work
//! itself is in the package of the tests.

use anyhow::Result;
use clap::Args;

use crate::step::{self, Steps};
use crate::test;

/// What is checked. What is not given is as the program itself has it.
#[derive(Args)]
pub(crate) struct Scope {
    /// For how long objects change, over all hooks.
    #[arg(long, value_name = "N")]
    seconds: Option<u32>,
    /// The hooks that take turns: names of `kxdns run --attach`; all of them by default.
    #[arg(long, value_name = "HOOK", num_args = 1.., value_delimiter = ',')]
    hook: Vec<String>,
    /// What the changes and the questions follow from.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Checks what pods are told.
pub(crate) fn run(steps: &Steps, scope: &Scope) -> Result<()> {
    let mut command = test::prepare_companion(steps, "truth")?;
    let seconds = scope.seconds.map(|seconds| format!("--seconds={seconds}"));
    let seed = scope.seed.map(|seed| format!("--seed={seed}"));
    let hooks = scope.hook.iter().map(|hook| format!("--hook={hook}"));
    command.args(seconds.into_iter().chain(seed).chain(hooks));
    step::become_program(command)
}
