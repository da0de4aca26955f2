//! The plugins of a server block: what becomes of a query that the block takes.
//!
//! A plugin serves a query by itself, or lets those after it do so and changes the query on its way there or the reply on its
//! way back. Their order is that of the table of directives, whatever their order in the Corefile. A new plugin is a file here,
//! a line in [`build`], and its directive in the Corefile's table.

mod acl;
mod any;
mod autopath;
mod bufsize;
mod cache;
mod dns64;
mod errors;
mod file;
mod forward;
mod hosts;
mod kubernetes;
mod loadbalance;
mod log;
mod looping;
mod prometheus;
mod rewrite;
mod template;

use std::future::ready;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Result;
use domain::base::iana::{OptRcode, Rtype};
use tracing::warn;

use super::Context;
use super::endpoints::Block;
use super::message::Message;
use super::query::Query;
use super::reader::WireName;
use super::respond::Responder;
use crate::corefile::{PathSource, ServerBlock};
use crate::name::Name;
use crate::zone::SharedZoneTable;

pub(super) use acl::AclMetrics;
pub(super) use autopath::AutopathMetrics;
pub(super) use cache::{CacheMetrics, pass};
pub(super) use dns64::Dns64Metrics;
pub(super) use forward::ForwardMetrics;
pub(super) use hosts::HostsMetrics;
pub use looping::Fatal;
pub(super) use prometheus::{DROPPED, DnsMetrics, Recorder};
pub(super) use template::TemplateMetrics;

/// A plugin of one server block.
pub(super) trait Plugin: Send + Sync {
    /// Serves a query, perhaps by what is `next`.
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a>;

    /// Begins what is to be done beside, now that the server listens at this address, perhaps one of several.
    fn start(&self, _address: SocketAddr) {}

    /// The most that it lets a client's OPT record give as payload size, in bytes.
    fn payload_limit(&self) -> Option<u16> {
        None
    }
}

/// What comes of a query, some time.
pub(super) type Serving<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// What comes of a query.
pub(super) enum Outcome {
    /// A plugin's reply.
    Reply(Reply),
    /// No plugin made one; the server itself replies with a code alone.
    Failure(Failure),
    /// The client is told nothing.
    Silence,
}

/// A plugin's reply to a query.
pub(super) struct Reply {
    pub(super) message: Message,
    /// The name of the plugin that made it.
    pub(super) source: &'static str,
}

/// Why no plugin made a reply.
pub(super) struct Failure {
    pub(super) rcode: OptRcode,
    /// What went wrong; `None` where nothing did.
    pub(super) error: Option<String>,
}

/// The plugins of a block that are still to come, and the server that it is part of.
#[derive(Clone, Copy)]
pub(super) struct Next<'a> {
    block: &'a Arc<Block>,
    /// How many have had their turn.
    passed: usize,
    /// Whether upstreams are asked with AD: for clients that want to know.
    pub(super) authentic: bool,
    server: &'a Arc<Responder>,
}

/// The same, for what goes on when the client has its reply.
pub(super) struct Detached {
    block: Arc<Block>,
    passed: usize,
    authentic: bool,
    server: Arc<Responder>,
}

/// Where a block answers, as metrics tell it.
pub(super) struct Site {
    /// Its first address, as `dns://:53`.
    pub(super) server: Arc<str>,
    /// Its zones, separated by commas.
    pub(super) zones: Arc<str>,
}

/// Makes the plugins of a server block, in the order in which queries pass them.
///
/// # Errors
///
/// A file that a plugin needs and that cannot be read, as errors of the Corefile.
pub(super) fn build(block: &ServerBlock, site: &Site, context: &Context) -> Result<Vec<Box<dyn Plugin>>> {
    let mut plugins: Vec<Box<dyn Plugin>> = Vec::new();
    let zones: Vec<_> = block.keys.iter().map(|key| key.zone.clone()).collect();
    if let Some(size) = block.bufsize {
        plugins.push(Box::new(bufsize::BufferSize(size)));
    }
    if block.prometheus.is_some() {
        plugins.push(Box::new(prometheus::Measuring::new(&zones, site, &context.metrics.dns)));
    }
    if let Some(errors) = &block.errors {
        plugins.push(Box::new(errors::Errors::new(errors, &context.journal)));
    }
    if !block.log.is_empty() {
        plugins.push(Box::new(log::Logging::new(&block.log, &context.journal)));
    }
    if let Some(dns64) = &block.dns64 {
        plugins.push(Box::new(dns64::Translating::new(dns64, site, &context.metrics.dns64)));
    }
    if block.has("any") {
        plugins.push(Box::new(any::Any));
    }
    if block.has("loadbalance") {
        plugins.push(Box::new(loadbalance::LoadBalance));
    }
    if !block.rewrite.is_empty() {
        plugins.push(Box::new(rewrite::Rewriting::new(&block.rewrite, context)));
    }
    if let Some(autopath) = &block.autopath {
        match autopath.source {
            PathSource::Nothing => warn!(
                "{}: `autopath @kubernetes` has no effect without `pods verified`",
                autopath.span
            ),
            _ => plugins.push(Box::new(autopath::Completing::new(autopath, site, context)?)),
        }
    }
    if !block.acl.is_empty() {
        plugins.push(Box::new(acl::AccessControl::new(
            &block.acl,
            site,
            &context.metrics.acl,
        )));
    }
    if let Some(cache) = &block.cache {
        plugins.push(Box::new(cache::Caching::new(cache, site, context)));
    }
    if !block.template.is_empty() {
        plugins.push(Box::new(template::Templating::new(&block.template, site, context)));
    }
    if let Some(hosts) = &block.hosts {
        plugins.push(Box::new(hosts::Hosts::new(hosts, context)?));
    }
    if block.kubernetes.is_some() {
        plugins.push(kubernetes(context.zones.clone()));
    }
    if !block.file.is_empty() {
        plugins.push(Box::new(file::File::new(&block.file, context)?));
    }
    if let Some(zone) = zones.first().filter(|_| block.has("loop")) {
        plugins.push(Box::new(looping::Looping::new(zone, context)));
    }
    for (index, forward) in block.forward.iter().enumerate() {
        let has_successor = index + 1 < block.forward.len();
        plugins.push(Box::new(forward::Forwarding::new(forward, has_successor, context)?));
    }
    Ok(plugins)
}

/// `kubernetes` over these zones.
pub(super) fn kubernetes(zones: SharedZoneTable) -> Box<dyn Plugin> {
    Box::new(kubernetes::Kubernetes::new(zones))
}

impl<'a> Next<'a> {
    /// All plugins of a block.
    pub(super) fn all(block: &'a Arc<Block>, server: &'a Arc<Responder>) -> Self {
        Self {
            block,
            passed: 0,
            authentic: false,
            server,
        }
    }

    /// Lets the plugins that are still to come serve a query. Where there is none, it fails, as CoreDNS does.
    pub(super) fn serve(self, query: &'a Query) -> Serving<'a> {
        match self.block.plugins.get(self.passed) {
            Some(plugin) => {
                let passed = self.passed + 1;
                plugin.serve(query, Self { passed, ..self })
            }
            None => fail(OptRcode::SERVFAIL, "no next plugin found"),
        }
    }

    /// Whether no plugin is still to come.
    pub(super) fn is_last(self) -> bool {
        self.passed >= self.block.plugins.len()
    }

    /// The same plugins, for a task of its own.
    pub(super) fn detach(self) -> Detached {
        Detached {
            block: self.block.clone(),
            passed: self.passed,
            authentic: self.authentic,
            server: self.server.clone(),
        }
    }

    /// Asks the whole server for another name what was asked for this one, in class IN, as a client would; `None` where it was
    /// asked for too many names already, or does not reply.
    pub(super) async fn resolve(self, query: &Query, name: WireName) -> Option<Message> {
        self.resolve_type(query, name, query.message.question.qtype).await
    }

    /// The same for records of a type.
    pub(super) async fn resolve_type(self, query: &Query, name: WireName, qtype: Rtype) -> Option<Message> {
        let query = query.of_name(name, qtype)?;
        self.server.answer(&query).await
    }
}

impl Detached {
    /// The plugins that are still to come.
    pub(super) fn next(&self) -> Next<'_> {
        Next {
            block: &self.block,
            passed: self.passed,
            authentic: self.authentic,
            server: &self.server,
        }
    }
}

/// Zones as metrics tell them.
pub(super) fn join(zones: &[Name]) -> Arc<str> {
    let zones: Vec<_> = zones.iter().map(Name::to_string).collect();
    zones.join(",").into()
}

impl Outcome {
    /// A failure with an error.
    pub(super) fn failure(rcode: OptRcode, error: impl Into<String>) -> Self {
        let error = Some(error.into());
        Self::Failure(Failure { rcode, error })
    }

    /// The same with its reply changed, if it is one.
    pub(super) fn map(self, change: impl FnOnce(Message) -> Message) -> Self {
        match self {
            Self::Reply(Reply { message, source }) => Self::Reply(Reply {
                message: change(message),
                source,
            }),
            other => other,
        }
    }
}

/// What is known at once.
pub(super) fn at_once<'a>(outcome: Outcome) -> Serving<'a> {
    Box::pin(ready(outcome))
}

/// A reply that is known at once.
pub(super) fn reply<'a>(source: &'static str, message: Message) -> Serving<'a> {
    at_once(Outcome::Reply(Reply { message, source }))
}

/// A failure that is known at once.
pub(super) fn fail<'a>(rcode: OptRcode, error: &str) -> Serving<'a> {
    at_once(Outcome::failure(rcode, error))
}

#[cfg(test)]
mod testing;
