//! Thousands of hostile messages, to CoreDNS 1.14.7 and to kxdns beside it on the same API server: what they disagree on
//! is shrunk and shown as bytes, with both replies.

#![forbid(unsafe_code)]
// Telling is what this program is for.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use kxdns_tests::hostile::compare::Comparison;
use kxdns_tests::hostile::stage::Stage;

/// Asks both the same hostile messages.
#[derive(Parser)]
struct Options {
    /// What the messages are made of.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many messages go over each transport.
    #[arg(long, default_value_t = 6000)]
    messages: u16,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let datagrams = |comparison: &mut Comparison<'_>| comparison.send_datagrams(options.messages);
    let connections = |comparison: &mut Comparison<'_>| comparison.send_streams(options.messages);
    let oddities = |comparison: &mut Comparison<'_>| comparison.ask_for_oddities();
    let agree = [
        compare(options.seed, "datagrams", datagrams)?,
        compare(options.seed, "connections", connections)?,
        compare(options.seed, "odd replies of an upstream", oddities)?,
    ];
    Ok(match agree.into_iter().all(|agree| agree) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Says whether both did the same.
fn compare(seed: u64, what: &str, send: impl FnOnce(&mut Comparison<'_>) -> Result<()>) -> Result<bool> {
    let stage = Stage::build()?;
    let agent = stage.start_agent()?;
    let mut comparison = Comparison::new(&stage, seed);
    send(&mut comparison)?;
    let report = &comparison.report;
    match report.is_empty() {
        true => println!("{what}: no difference"),
        false => println!("{what}:\n{report}"),
    }
    agent.stop()?;
    Ok(report.is_empty())
}
