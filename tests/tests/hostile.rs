//! Hostile messages to two CoreDNS 1.14.7 on the same API server: what one of them answers, passes over in silence or
//! hangs up on, the other does too. This shows that `cargo xtask hostile`, which asks kxdns instead of the second, finds
//! only what is there.
//!
//! The messages are made of a seed, which `KXDNS_SEED` changes.

use std::env;

use anyhow::{Context, Result};
use kxdns_tests::hostile::compare::Comparison;
use kxdns_tests::hostile::stage::Stage;

/// How many messages go over each transport.
const MESSAGES: u16 = 600;
/// How many connections carry several of them.
const CONVERSATIONS: u16 = 60;

/// Without this, a disagreement might be the test's own doing.
#[test]
fn coredns_agrees_with_itself() -> Result<()> {
    let stage = Stage::build()?;
    let _twin = stage.start_twin()?;
    let mut comparison = Comparison::new(&stage, seed()?);
    comparison.send_datagrams(MESSAGES)?;
    comparison.send_messages(MESSAGES)?;
    comparison.have_conversations(CONVERSATIONS)?;
    comparison.ask_for_oddities()?;
    check(&comparison)
}

fn check(comparison: &Comparison<'_>) -> Result<()> {
    let report = &comparison.report;
    assert!(report.is_empty(), "with KXDNS_SEED={}:\n{report}", seed()?);
    Ok(())
}

fn seed() -> Result<u64> {
    match env::var("KXDNS_SEED") {
        Ok(seed) => seed.parse().context("KXDNS_SEED is no number"),
        Err(_) => Ok(1),
    }
}
