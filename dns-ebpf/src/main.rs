//! The programs: thin entry points, one for each hook, over the library's one core.
//!
//! None of them ever drops a packet: what is not answered goes on as it came.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod bpf;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
