//! Hostile messages: bytes that no resolver sends, for tests that want two servers to treat them alike.
//!
//! [`message`] makes messages and [`conversation`] what is written to a TCP connection, both of a seed. [`exchange`] and
//! [`talk`] send them and say what came back, [`meaning`] reads a reply as far as two servers must agree on it,
//! [`deviations`] names what they need not agree on, and [`shrink`] takes away what a disagreement does not need.
//! [`compare`] puts these together over a [`stage`]. [`upstream`] stands behind both servers, for names that are not
//! the cluster's, and tells in its answers what it was asked; [`oddities`] are replies of its that are wrong.

pub mod compare;
pub mod conversation;
pub mod deviations;
pub mod draft;
pub mod edns;
pub mod exchange;
pub mod meaning;
pub mod message;
pub mod names;
pub mod oddities;
pub mod random;
pub mod record;
pub mod report;
pub mod shrink;
pub mod stage;
pub mod talk;
pub mod upstream;
