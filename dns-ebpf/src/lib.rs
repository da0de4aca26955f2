//! What kxdns runs per packet, and the contract between it and the agent.
//!
//! The library is compiled twice: into the programs that run in the kernel (`main.rs`), over BPF maps, and into the
//! agent, over its own tables. It has no dependencies, never allocates, never panics on input and has no loop without
//! a constant bound; it knows neither aya nor Kubernetes.
//!
//! A packet's way through it: [`query`] reads and checks it, [`mod@decide`] looks its name up ([`maps`]) and says what to
//! answer, [`reply`] writes it. [`outcome`] names every way in which that can end, and [`packet`] is the only room
//! where packet memory is touched.

#![cfg_attr(not(test), no_std)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod decide;
pub mod headers;
pub mod maps;
pub mod outcome;
pub mod packet;
pub mod query;
pub mod reply;
pub mod words;

use decide::{Tables, decide};
use outcome::Outcome;
use packet::Frame;
use query::{Query, QuestionName, Served};

/// Answers the query in `frame`, in place, or leaves it untouched and says why.
#[inline(always)]
pub fn answer<F, T>(frame: &mut F, tables: &T) -> Outcome
where
    F: Frame,
    T: Served + for<'a> Tables<QuestionName<'a>>,
{
    match try_answer(frame, tables) {
        Ok(outcome) => outcome,
        Err(reason) => Outcome::Pass(reason),
    }
}

#[inline(always)]
fn try_answer<F, T>(frame: &mut F, tables: &T) -> Result<Outcome, outcome::Pass>
where
    F: Frame,
    T: Served + for<'a> Tables<QuestionName<'a>>,
{
    let packet = frame.packet();
    let query = Query::parse(packet, tables)?;
    let verdict = decide(tables, &query.name(packet), query.qtype);
    reply::write(frame, &query, verdict, tables.serial())
}
