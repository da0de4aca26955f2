//! What kxdns runs per packet, and the contract between it and the agent.
//!
//! The library is compiled twice: into the programs that run in the kernel (`main.rs`), over BPF maps, and into the
//! agent, over its own tables. It has no dependencies, never allocates, never panics on input and has no loop without
//! a constant bound; it knows neither aya nor Kubernetes.
//!
//! A packet's way through it: [`query`] reads and checks it, [`maps`] finds its name, [`decide`] says what to answer,
//! [`reply`] writes it. [`outcome`] names every way in which that can end.

#![cfg_attr(not(test), no_std)]

pub mod decide;
pub mod outcome;
