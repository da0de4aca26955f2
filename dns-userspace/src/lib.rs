//! The kxdns agent: it watches the API server, keeps the kernel's tables true, serves what the kernel passes up and
//! forwards the rest.
//!
//! A Service's way through it: [`watch`] or [`manifests`] -> [`cluster`] -> [`rules`] -> [`zone`] -> [`kernel`], and
//! [`server`] answers from the same zone table.

#![deny(unsafe_code)]

pub mod check;
pub mod cli;
pub mod cluster;
pub mod collect;
pub mod corefile;
pub mod gotemplate;
pub mod health;
pub mod http;
pub mod kernel;
pub mod manifests;
pub mod metrics;
pub mod name;
pub mod names;
pub mod parts;
pub mod publish;
pub mod reload;
pub mod rules;
pub mod run;
pub mod server;
pub mod settings;
pub mod sources;
pub mod watch;
pub mod zone;
pub mod zonefile;
