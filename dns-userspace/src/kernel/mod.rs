//! The kernel's side of the agent: loading the programs, keeping their tables, attaching them to links.

pub mod attach;
pub mod attach_error;
mod clsact;
pub mod hook;
pub mod link;
pub mod links;
pub mod netdev;
mod netlink;
pub mod object;
pub mod selection;
