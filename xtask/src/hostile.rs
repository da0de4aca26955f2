//! `cargo xtask hostile`: kxdns and CoreDNS are sent the same hostile messages. The work itself is in the package of the
//! tests.

use anyhow::Result;
use clap::Args;

use crate::step::{self, Steps};
use crate::test;

/// What is sent. What is not given is as the program itself has it.
#[derive(Args)]
pub(crate) struct Messages {
    /// What the messages are made of.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many messages go over each transport.
    #[arg(long, value_name = "N")]
    messages: Option<u16>,
}

/// Sends both the same.
pub(crate) fn run(steps: &Steps, messages: &Messages) -> Result<()> {
    let mut command = test::prepare_companion(steps, "hostile")?;
    let seed = messages.seed.map(|seed| ["--seed".to_owned(), seed.to_string()]);
    let count = messages
        .messages
        .map(|count| ["--messages".to_owned(), count.to_string()]);
    command.args(seed.into_iter().chain(count).flatten());
    step::become_program(command)
}
