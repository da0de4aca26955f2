//! What the tests and the demo of kxdns share.

#![forbid(unsafe_code)]

pub mod frames;
pub mod program;
