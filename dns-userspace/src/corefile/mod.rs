//! The Corefile: from its text to a typed configuration, with an error for everything that is not understood.
//!
//! The grammar is that of CoreDNS 1.14 (Caddyfile v1): `lexer` makes words and braces, `parser` makes blocks of
//! statements and takes imports in, `config` gives the statements their meaning, `plan` says what the kernel may
//! answer under them, and `explain` who has a say in a question. Nothing here opens a socket or knows a running agent.
//!
//! Stricter than CoreDNS, each time with an error that says what to write instead: a `#` inside a word (CoreDNS drops the
//! rest of that word only), options given twice, surplus arguments, `endpoint` with `kubeconfig`, upstreams by host name,
//! `bind` by the name of an interface, ports by name, negative durations, imports that do not close their own braces, a
//! block whose keys are all empty (CoreDNS drops it without a word), `kubernetes` for `in-addr.arpa` and `ip6.arpa` alone.
//! More lenient: options may stand on the line of their braces, keys may be separated by a comma alone, and a quoted brace
//! is a word, and selectors may be anything that the API server understands.

mod acl;
mod address;
mod autopath;
mod bufsize;
mod cache;
mod config;
mod cursor;
mod directives;
mod dns64;
mod duration;
mod error;
mod errors;
mod explain;
mod file;
mod files;
mod follow;
mod forward;
mod hosts;
mod import;
mod kubernetes;
mod lexer;
mod log;
mod network;
mod number;
mod parser;
mod plan;
mod reload;
mod report;
pub mod rewrite;
mod shape;
mod template;
mod web;
mod zones;

use std::path::Path;
use std::sync::Arc;

pub use acl::{Acl, Action as AclAction};
pub use autopath::{Autopath, PathSource};
pub use cache::{Cache, Keeping, Prefetch, Stale, limit_ttl};
pub use config::{Config, Directive, Key, ServerBlock};
pub use directives::Effect;
pub use dns64::Dns64;
pub use duration::describe_duration;
pub use error::{Error, Errors, Problem, Span};
pub use errors::{Consolidate, ErrorLevel, ErrorLog};
pub use explain::{Explanation, explain};
pub use file::ZoneFile;
pub use follow::{Follower, Noticed};
pub use forward::{
    Forward, HealthCheck, Policy, Server, Tls, Transport as UpstreamTransport, Upstream, parse_nameservers,
};
pub use hosts::{HostEntry, Hosts};
pub use kubernetes::{ApiServer, Fallthrough, Kubernetes, Pods, TlsFiles, soa_ttl};
pub use log::{Class, Log};
pub use plan::{Reason, Verdict, ZonePlan, plan};
pub use reload::Reload;
pub use rewrite::Rewrite;
pub use template::{ExtendedError, Template, class_name};
pub use web::Health;
pub use zones::{is_reverse, route};

use lexer::Environment;
use report::Report;

/// Reads a Corefile and everything that it imports.
///
/// # Errors
///
/// All that is wrong with it, one error a line, in the order of the file where that is possible.
pub fn load(path: &Path) -> Result<Config, Errors> {
    let file: Arc<Path> = path.into();
    let unreadable = |error: std::io::Error| {
        let reason = error.to_string();
        Errors::one(Span::whole(&file).error(Problem::Unreadable { reason }))
    };
    let bytes = files::read(path).map_err(unreadable)?;
    let text = files::decode(&file, bytes).map_err(Errors::one)?;
    parse(path, &text)
}

/// Makes a configuration of a Corefile's text. `file` names it in errors, and its folder is where relative imports begin.
///
/// # Errors
///
/// As [`load`].
pub fn parse(file: &Path, text: &str) -> Result<Config, Errors> {
    parse_in(file, text, &|name| std::env::var(name).ok())
}

fn parse_in(file: &Path, text: &str, environment: Environment<'_>) -> Result<Config, Errors> {
    let blocks = parser::parse(&file.into(), text, environment)?;
    let mut report = Report::default();
    let servers = config::read(&file.into(), &blocks, &mut report);
    let unsupported = report.finish()?;
    let digest = parser::digest(&blocks);
    Ok(Config {
        servers,
        unsupported,
        digest,
    })
}

#[cfg(test)]
mod tests;
