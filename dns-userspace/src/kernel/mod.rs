//! The kernel's side of the agent: the programs, their maps and the links that they are attached to. Only here are
//! aya's types named.

pub mod attach;
pub mod attach_error;
pub mod clock;
mod clsact;
mod heap;
pub mod hook;
pub mod link;
pub mod links;
pub mod maps;
pub mod memory;
pub mod netdev;
mod netlink;
pub mod object;
pub mod pins;
pub mod record;
pub mod selection;
pub mod table;
pub mod trace;
pub mod zones;
