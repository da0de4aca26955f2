//! What kxdns runs per packet, and the contract between it and the agent.
//!
//! The library is compiled twice: into the programs that run in the kernel (`main.rs`), over BPF maps, and into the
//! agent, over its own tables. It has no dependencies, never allocates, never panics on input and has no loop without
//! a constant bound; it knows neither aya nor Kubernetes.
//!
//! A packet's way through it: [`query`] reads and checks it, [`mod@decide`] looks its name up ([`maps`]) and says what to
//! answer, [`reply`] writes it. [`outcome`] names every way in which that can end. [`packet`] is the only room where packet
//! memory is touched, and [`maps`] the only one where the tables' is.

#![cfg_attr(target_arch = "bpf", no_std)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![deny(unsafe_code)]

pub mod decide;
#[allow(unsafe_code)] // Nothing but the promise that a header is plain bytes.
pub mod headers;
#[allow(unsafe_code)]
pub mod maps;
pub mod outcome;
#[allow(unsafe_code)]
pub mod packet;
pub mod query;
pub mod record;
pub mod reply;
pub mod words;
pub mod zone;

use decide::decide;
use maps::Maps;
use outcome::{Outcome, Pass};
use packet::Frame;
use query::Query;

/// Answers the query in `frame`, in place, or leaves it untouched and says why.
#[inline(always)]
pub fn answer(frame: &mut impl Frame, maps: &impl Maps) -> Outcome {
    match try_answer(frame, maps) {
        Ok(outcome) => outcome,
        Err(reason) => Outcome::Pass(reason),
    }
}

#[inline(always)]
fn try_answer(frame: &mut impl Frame, maps: &impl Maps) -> Result<Outcome, Pass> {
    let packet = frame.packet();
    let query = Query::parse(packet, maps)?;
    let verdict = decide(maps, &query.name(packet), query.qtype)?;
    reply::write(frame, &query, verdict, || maps.random())
}

/// Never called: nothing in the programs panics, and the verifier would refuse a call to here.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
