//! The kernel's side of the agent: the programs, their maps and the links that they are attached to. Only here are
//! aya's types named.

pub mod maps;
pub mod object;
pub mod placement;
