//! The harness of the end-to-end tests and the demo: nodes, pods and a real control plane in network namespaces.
//!
//! Everything that it makes belongs to one process and goes with it, even when that process is killed: see
//! [`namespace`]. It contains no assertion; the tests do.
//! [`frames`] and [`program`] stand apart: they run the programs on single frames, with no network at all.

#![forbid(unsafe_code)]

pub mod agent;
pub mod attachments;
pub mod baseline;
pub mod bulk;
pub mod client;
pub mod cluster;
pub mod coredns;
pub mod counters;
pub mod dns;

pub mod ending;
pub mod figures;
pub mod frames;
pub mod fuzzing;
pub mod histogram;
pub mod hostile;
pub mod http;
pub mod kube_proxy;
pub mod load;
pub mod meaning;
pub mod metrics;
pub mod namespace;
pub mod node;
pub mod offers;
pub mod peers;
pub mod pod;
pub mod process;
pub mod program;
pub mod question;
pub mod servers;
pub mod tables;
pub mod usage;
pub mod wait;
