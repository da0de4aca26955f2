//! Thousands of hostile messages, to CoreDNS 1.14.7 and to kxdns beside it on the same API server: what one of them
//! answers, passes over in silence or hangs up on, the other does too.
//!
//! The messages are made of a seed, which `KXDNS_SEED` changes. What they disagree on is shrunk and shown as bytes, with
//! both replies.

use std::env;

use anyhow::{Context, Result};
use kxdns_tests::hostile::compare::Comparison;
use kxdns_tests::hostile::stage::Stage;

/// How many messages go over each transport.
const MESSAGES: u16 = 6000;

#[test]
fn datagrams_are_answered_as_by_coredns() -> Result<()> {
    compare_with_kxdns(|comparison| comparison.send_datagrams(MESSAGES))
}

#[test]
fn connections_are_answered_as_by_coredns() -> Result<()> {
    compare_with_kxdns(|comparison| comparison.send_streams(MESSAGES))
}

#[test]
fn odd_replies_of_an_upstream_are_treated_as_by_coredns() -> Result<()> {
    compare_with_kxdns(|comparison| comparison.ask_for_oddities())
}

/// Without this, a disagreement might be the test's own doing.
#[test]
fn coredns_agrees_with_itself() -> Result<()> {
    let stage = Stage::build()?;
    let _twin = stage.start_twin()?;
    compare(&stage, |comparison| {
        comparison.send_datagrams(MESSAGES / 10)?;
        comparison.send_streams(MESSAGES / 10)?;
        comparison.ask_for_oddities()
    })
}

fn compare_with_kxdns(send: impl FnOnce(&mut Comparison<'_>) -> Result<()>) -> Result<()> {
    let stage = Stage::build()?;
    let agent = stage.start_agent()?;
    compare(&stage, send)?;
    agent.stop()
}

fn compare(stage: &Stage, send: impl FnOnce(&mut Comparison<'_>) -> Result<()>) -> Result<()> {
    let seed = seed()?;
    let mut comparison = Comparison::new(stage, seed);
    send(&mut comparison)?;
    let report = &comparison.report;
    assert!(report.is_empty(), "with KXDNS_SEED={seed}:\n{report}");
    Ok(())
}

fn seed() -> Result<u64> {
    match env::var("KXDNS_SEED") {
        Ok(seed) => seed.parse().context("KXDNS_SEED is no number"),
        Err(_) => Ok(1),
    }
}
