//! The configuration: what the statements of each server block mean.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use super::acl::{self, Acl};
use super::autopath::{self, Autopath, PathSource};
use super::bufsize;
use super::cache::{self, Cache};
use super::directives::{self, Effect, Known};
use super::dns64::{self, Dns64};
use super::error::{Error, Errors, Problem, Span};
use super::errors::{self, ErrorLog};
use super::file::{self, ZoneFile};
use super::forward::{self, Forward};
use super::hosts::{self, Hosts};
use super::kubernetes::{self, Kubernetes, Pods};
use super::lexer::Word;
use super::log::{self, Log};
use super::parser::{Block, Statement};
use super::reload::{self, Reload};
use super::report::Report;
use super::rewrite::{self, Rewrite};
use super::template::{self, Template};
use super::web::{self, Health};
use super::zones::read_key;
use crate::name::Name;

/// A Corefile's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The server blocks, in the order of the file; at least one.
    pub servers: Vec<ServerBlock>,
    /// What kxdns does not support of what stands in the file: an error for who serves by it.
    pub unsupported: Vec<Error>,
    /// The SHA-512 of what the file says, comments and layout aside, in hexadecimal.
    pub digest: String,
}

impl Config {
    /// Checks that kxdns supports all of it.
    ///
    /// # Errors
    ///
    /// One for each directive and option that it does not.
    pub fn check_support(&self) -> Result<(), Errors> {
        Errors::check(self.unsupported.clone())
    }

    /// The `reload` of the first block that has one.
    pub fn reload(&self) -> Option<&Reload> {
        self.servers.iter().find_map(|server| server.reload.as_ref())
    }
}

/// A server block: the zones that it takes questions for, and what it does with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerBlock {
    /// Its zones and ports; at least one.
    pub keys: Vec<Key>,
    /// The addresses to listen on; all if empty.
    pub bind: Vec<IpAddr>,
    /// `kubernetes`.
    pub kubernetes: Option<Kubernetes>,
    /// `file`, in the order of the file.
    pub file: Vec<ZoneFile>,
    /// `forward`, in the order of the file.
    pub forward: Vec<Forward>,
    /// `errors`.
    pub errors: Option<ErrorLog>,
    /// The rules of `log`, in the order of the file.
    pub log: Vec<Log>,
    /// `template`, in the order of the file.
    pub template: Vec<Template>,
    /// `hosts`.
    pub hosts: Option<Hosts>,
    /// `acl`, in the order of the file.
    pub acl: Vec<Acl>,
    /// `autopath`.
    pub autopath: Option<Autopath>,
    /// `bufsize`, in bytes.
    pub bufsize: Option<u16>,
    /// `cache`.
    pub cache: Option<Cache>,
    /// `dns64`.
    pub dns64: Option<Dns64>,
    /// Where `prometheus` serves `/metrics`; `[::]` stands for all addresses of both families.
    pub prometheus: Option<SocketAddr>,
    /// `reload`.
    pub reload: Option<Reload>,
    /// The rules of `rewrite`, in the order of the file.
    pub rewrite: Vec<Rewrite>,
    /// `health`.
    pub health: Option<Health>,
    /// Where `ready` serves `/ready`; `[::]` stands for all addresses of both families.
    pub ready: Option<SocketAddr>,
    /// Every directive in it, in the order of the file.
    pub directives: Vec<Directive>,
}

impl ServerBlock {
    /// Whether a directive stands in it.
    pub fn has(&self, directive: &str) -> bool {
        self.directives.iter().any(|given| given.name == directive)
    }

    /// Its zones; one that it serves at several ports comes once for each.
    fn zones(&self) -> Vec<Name> {
        self.keys.iter().map(|key| key.zone.clone()).collect()
    }
}

/// A zone and the port at which questions for it are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The zone.
    pub zone: Name,
    /// The port, of UDP and TCP.
    pub port: u16,
    /// Where it stands.
    pub span: Span,
}

/// A directive that stands in a server block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its name.
    pub name: &'static str,
    /// What it may do to the cluster's answers, its arguments considered.
    pub effect: Effect,
    /// Where it stands.
    pub span: Span,
}

/// Reads the server blocks of a Corefile.
pub(super) fn read(file: &Arc<Path>, blocks: &[Block], report: &mut Report) -> Vec<ServerBlock> {
    if blocks.is_empty() {
        report.add(&Span::whole(file), Problem::NoServerBlock);
    }
    let servers: Vec<_> = blocks.iter().map(|block| read_block(block, report)).collect();
    for (index, server) in servers.iter().enumerate() {
        check_keys(server, &servers[..index], report);
    }
    servers
}

fn read_block(block: &Block, report: &mut Report) -> ServerBlock {
    let mut server = ServerBlock {
        keys: read_keys(&block.keys, report),
        ..ServerBlock::default()
    };
    for (index, statement) in block.statements.iter().enumerate() {
        let Some(known) = directives::find(&statement.name.text) else {
            let Word { text, span } = &statement.name;
            report.add(span, Problem::unknown("directive", text, directives::names()));
            continue;
        };
        check_directive(known, statement, &block.statements[..index], report);
        read_directive(&mut server, statement, report);
        let effect = find_effect(known, statement);
        server.directives.push(Directive {
            name: known.name,
            effect,
            span: statement.name.span.clone(),
        });
    }
    check_autopath(&mut server);
    server
}

fn read_keys(words: &[Word], report: &mut Report) -> Vec<Key> {
    let mut keys = Vec::new();
    for word in words {
        if let Some((zones, port)) = report.keep(read_key(word)) {
            keys.extend(zones.into_iter().map(|zone| Key {
                zone,
                port,
                span: word.span.clone(),
            }));
        }
    }
    keys
}

fn check_directive(known: &Known, statement: &Statement, before: &[Statement], report: &mut Report) {
    let Word { text, span } = &statement.name;
    let first = before.iter().find(|earlier| earlier.name.text == *text);
    if let Some(first) = first.filter(|_| !known.repeats) {
        report.add(
            span,
            Problem::Twice {
                word: text.clone(),
                first: first.name.span.clone(),
            },
        );
    }
    if let Some(shape) = known.shape {
        shape.check(statement, report);
    }
    match known.shape {
        Some(shape) if known.in_force => shape.refuse_options(statement, report),
        _ => report.refuse(text, span),
    }
}

fn read_directive(server: &mut ServerBlock, statement: &Statement, report: &mut Report) {
    match statement.name.text.as_str() {
        "acl" => server.acl.push(acl::read(statement, &server.zones(), report)),
        "autopath" => server.autopath = autopath::read(statement, &server.zones(), report),
        "bufsize" => server.bufsize = Some(bufsize::read(statement, report)),
        "dns64" => server.dns64 = Some(dns64::read(statement, report)),
        "cache" => server.cache = Some(cache::read(statement, report)),
        "bind" => server.bind.extend(read_bind(statement, report)),
        "errors" => server.errors = Some(errors::read(statement, report)),
        "log" => server.log.extend(log::read(statement, report)),
        "file" => {
            let file = file::read(statement, server, report);
            server.file.extend(file);
        }
        "forward" => server.forward.extend(forward::read(statement, report)),
        "health" => server.health = Some(web::read_health(statement, report)),
        "hosts" => server.hosts = Some(hosts::read(statement, &server.zones(), report)),
        "kubernetes" => server.kubernetes = Some(kubernetes::read(statement, &server.zones(), report)),
        "prometheus" => server.prometheus = Some(web::read_prometheus(statement, report)),
        "reload" => server.reload = reload::read(statement, report),
        "rewrite" => server.rewrite.extend(rewrite::read(statement, report)),
        "template" => server
            .template
            .extend(template::read(statement, &server.zones(), report)),
        "ready" => server.ready = Some(web::read_ready(statement, report)),
        _ => {}
    }
}

fn read_bind(statement: &Statement, report: &mut Report) -> Vec<IpAddr> {
    let except = read_addresses(&statement.values("except"), report);
    let mut addresses = read_addresses(&statement.arguments, report);
    let given = addresses.len();
    addresses.retain(|address| !except.contains(address));
    // No addresses at all would stand for every address.
    if addresses.is_empty() && given > 0 {
        report.add(&statement.name.span, Problem::NothingToBind);
    }
    addresses
}

fn read_addresses(words: &[Word], report: &mut Report) -> Vec<IpAddr> {
    words
        .iter()
        .filter_map(|word| report.keep(read_address(word)))
        .collect()
}

fn read_address(word: &Word) -> Result<IpAddr, Error> {
    word.text
        .parse()
        .map_err(|_| word.unexpected("an IP address (kxdns does not bind by the name of an interface)"))
}

/// Notes where `autopath @kubernetes` has no effect. As in CoreDNS, it needs a `kubernetes` of the same block that knows the
/// Pods.
fn check_autopath(server: &mut ServerBlock) {
    let knows_pods = server.kubernetes.as_ref().is_some_and(|it| it.pods == Pods::Verified);
    let Some(autopath) = &mut server.autopath else { return };
    if autopath.source == PathSource::Pods && !knows_pods {
        autopath.source = PathSource::Nothing;
        for directive in server.directives.iter_mut().filter(|it| it.name == "autopath") {
            directive.effect = Effect::LeavesAlone;
        }
    }
}

fn find_effect(known: &Known, statement: &Statement) -> Effect {
    let random = statement
        .arguments
        .first()
        .is_none_or(|policy| policy.text == "round_robin");
    if known.name == "loadbalance" && !(random && statement.options().is_empty()) {
        return Effect::Orders;
    }
    known.effect
}

/// Reports keys that an earlier block or the same block serves already.
fn check_keys(server: &ServerBlock, earlier: &[ServerBlock], report: &mut Report) {
    for (index, key) in server.keys.iter().enumerate() {
        let others = earlier
            .iter()
            .filter(|other| overlap(server, other))
            .flat_map(|other| &other.keys);
        let mut taken = others.chain(&server.keys[..index]);
        if let Some(first) = taken.find(|other| (&other.zone, other.port) == (&key.zone, key.port)) {
            let name = format!("{}:{}", key.zone, key.port);
            report.add(
                &key.span,
                Problem::ZoneTaken {
                    key: name,
                    first: first.span.clone(),
                },
            );
        }
    }
}

/// Whether two blocks with the same key would take the same questions: `bind` and `view` can keep them apart.
fn overlap(one: &ServerBlock, other: &ServerBlock) -> bool {
    let apart =
        !one.bind.is_empty() && !other.bind.is_empty() && one.bind.iter().all(|address| !other.bind.contains(address));
    !apart && !one.has("view") && !other.has("view")
}
