//! The `forward` directive: which questions go to which upstreams.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::error::{Error, Errors, Problem, Span};
use super::files;
use super::lexer::Word;
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape, option};
use super::zones::{read_zone, read_zones, refuse_transport};
use crate::name::Name;

const DNS_PORT: u16 = 53;
const MAX_UPSTREAMS: usize = 15;

/// The `forward` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Names in this zone are forwarded.
    pub from: Name,
    /// Except those in these zones.
    pub except: Vec<Name>,
    /// Where to, as it is written: 1 to 15.
    pub to: Vec<Upstream>,
    /// Where it stands.
    pub span: Span,
}

/// Where questions are forwarded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// A server, over plain DNS.
    Server(SocketAddr),
    /// The nameservers of a file like `/etc/resolv.conf`, and where the file is named.
    File(PathBuf, Span),
}

impl Forward {
    /// Whether questions for this name are forwarded.
    pub fn takes(&self, name: &Name) -> bool {
        name.is_within(&self.from) && !self.except.iter().any(|zone| name.is_within(zone))
    }

    /// Finds the upstreams' addresses: reads the files among them; each address once, in the order of the Corefile.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or names no nameserver.
    pub fn find_servers(&self) -> Result<Vec<SocketAddr>, Errors> {
        let mut servers = Vec::new();
        for upstream in &self.to {
            let found = match upstream {
                Upstream::Server(address) => vec![*address],
                Upstream::File(path, span) => read_nameservers(path, span).map_err(Errors::one)?,
            };
            for address in found {
                if !servers.contains(&address) {
                    servers.push(address);
                }
            }
        }
        Ok(servers)
    }
}

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::between(2, 1 + MAX_UPSTREAMS),
    options: &[
        option("doh_method", Count::ONE),
        option("except", Count::SOME).in_force().repeated(),
        option("expire", Count::ONE),
        option("failfast_all_unhealthy_upstreams", Count::NONE),
        option("failover", Count::SOME).repeated(),
        option("force_tcp", Count::NONE),
        option("health_check", Count::between(1, 4)),
        option("max_age", Count::ONE),
        option("max_concurrent", Count::ONE),
        option("max_connect_attempts", Count::ONE),
        option("max_fails", Count::ONE),
        option("max_idle_conns", Count::ONE),
        option("next", Count::SOME).repeated(),
        option("next_on_nodata", Count::NONE),
        option("policy", Count::ONE),
        option("prefer_udp", Count::NONE),
        option("read_timeout", Count::ONE),
        option("resolver", Count::SOME),
        option("source_address", Count::ONE),
        option("tls", Count::between(0, 3)),
        option("tls_servername", Count::ONE),
    ],
};

/// Reads `forward FROM TO.. { except ZONES.. }`.
pub(super) fn read(statement: &Statement, report: &mut Report) -> Option<Forward> {
    let (from, to) = statement.arguments.split_first()?;
    let from = report.keep(read_from(from));
    let to: Vec<_> = to.iter().map(|word| report.keep(read_upstream(word))).collect();
    let except = report.keep(read_zones(&statement.values("except")));
    Some(Forward {
        from: from?,
        except: except?,
        to: to.into_iter().collect::<Option<_>>()?,
        span: statement.name.span.clone(),
    })
}

/// Finds the nameservers in the text of a file like `/etc/resolv.conf` (resolv.conf(5)), at port 53.
///
/// Lines that name no plain IP address are left out, among them scoped ones such as `fe80::1%eth0`.
pub fn parse_nameservers(text: &str) -> Vec<SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words
            .next()
            .filter(|keyword| *keyword == "nameserver")
            .and(words.next())?;
        address.parse::<IpAddr>().ok()
    });
    addresses.map(|address| (address, DNS_PORT).into()).collect()
}

/// CoreDNS forwards the first only of several reverse zones, which nobody can have meant.
fn read_from(word: &Word) -> Result<Name, Error> {
    match &read_zone(word)?[..] {
        [zone] => Ok(zone.clone()),
        _ => Err(word.unexpected("one zone: a name, or a network on an octet (IPv4) or nibble (IPv6) boundary")),
    }
}

fn read_upstream(word: &Word) -> Result<Upstream, Error> {
    let text = match word.text.split_once("://") {
        Some(("dns", rest)) => rest,
        Some((scheme, _)) => return Err(word.span.error(refuse_transport(scheme))),
        None => &word.text,
    };
    if let Some(address) = parse_server(text) {
        return Ok(Upstream::Server(address));
    }
    if text.contains('/') {
        return Ok(Upstream::File(text.into(), word.span.clone()));
    }
    Err(word.unexpected("an IP address with or without a port, or the path of a resolv.conf with a `/` in it"))
}

fn parse_server(text: &str) -> Option<SocketAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    text.parse()
        .ok()
        .or_else(|| Some((bare.parse::<IpAddr>().ok()?, DNS_PORT).into()))
}

fn read_nameservers(path: &Path, span: &Span) -> Result<Vec<SocketAddr>, Error> {
    let bytes = files::read(path).map_err(|error| span.error(Problem::unreadable(path, &error)))?;
    let servers = parse_nameservers(&String::from_utf8_lossy(&bytes));
    if servers.is_empty() {
        let file = path.display().to_string();
        return Err(span.error(Problem::NoNameserver { file }));
    }
    Ok(servers)
}
