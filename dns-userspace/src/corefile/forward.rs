//! The `forward` directive: which questions go to which upstreams, and how.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::base::iana::Rcode;

use super::duration::read_duration;
use super::error::{Error, Errors, Problem, Span};
use super::files;
use super::lexer::Word;
use super::number::{read_number, read_rcode};
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape, option};
use super::zones::{read_zone, read_zones, refuse_transport};
use crate::name::Name;

const DNS_PORT: u16 = 53;
const DNS_OVER_TLS_PORT: u16 = 853;
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
    /// In which order the upstreams are tried.
    pub policy: Policy,
    /// Over what they are asked.
    pub transport: Transport,
    /// How long a connection may be idle before it is closed.
    pub expire: Duration,
    /// How old a connection may be when it is used again; of any age if `None`.
    pub max_age: Option<Duration>,
    /// How many idle connections to one upstream are kept for each transport; any number if `None`.
    pub max_idle_conns: Option<usize>,
    /// How long one try may take.
    pub read_timeout: Duration,
    /// With more failures in a row than this an upstream is down; never if 0.
    pub max_fails: u32,
    /// How many tries a query has; as many as time allows if 0, twice the number of upstreams if `None`.
    pub max_connect_attempts: Option<u32>,
    /// How many queries may wait at a time; any number if `None`.
    pub max_concurrent: Option<usize>,
    /// How an upstream that failed is checked.
    pub health_check: HealthCheck,
    /// Whether queries fail at once while all upstreams are down.
    pub failfast: bool,
    /// With these codes in its reply the next upstream is tried.
    pub failover: Vec<Rcode>,
    /// With these codes in its reply the next `forward` is asked.
    pub next: Vec<Rcode>,
    /// Whether the next `forward` is asked also where a reply is without answer.
    pub next_on_nodata: bool,
    /// The address that upstreams are asked from, if not any.
    pub source_address: Option<IpAddr>,
    /// How upstreams over TLS are spoken to.
    pub tls: Tls,
    /// Where it stands.
    pub span: Span,
}

/// Where questions are forwarded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// A server.
    Server(Server),
    /// The nameservers of a file like `/etc/resolv.conf`, and where the file is named.
    File(PathBuf, Span),
}

/// An upstream server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it speaks DNS over TLS.
    pub tls: bool,
    /// The name that its certificate is to have, where it is given with the address.
    pub name: Option<String>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.tls { "tls://" } else { "" }, self.address)
    }
}

/// An order of upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Another one for each query.
    Random,
    /// The first takes turns.
    RoundRobin,
    /// That of the Corefile.
    Sequential,
}

/// Over what upstreams are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over what the client asks.
    AsClient,
    /// Over TCP.
    Tcp,
    /// Over UDP, and over TCP what did not fit.
    UdpFirst,
}

/// How an upstream that failed is checked: it is asked for the NS records of a domain, until it replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// How long to wait between two checks.
    pub interval: Duration,
    /// Whether RD is set.
    pub recursion_desired: bool,
    /// The domain.
    pub domain: Name,
}

/// How upstreams over TLS are spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The certificate and the key that we show, files in PEM form.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The authorities that may sign certificates, a file in PEM form; those that the host trusts if `None`.
    pub authorities: Option<PathBuf>,
    /// The name that certificates are to have, if not the upstream's address.
    pub server_name: Option<String>,
    /// Where the files are named.
    pub span: Option<Span>,
}

impl Forward {
    /// Whether questions for this name are forwarded.
    pub fn takes(&self, name: &Name) -> bool {
        name == &self.from || name.is_within(&self.from) && !self.except.iter().any(|zone| name.is_within(zone))
    }

    /// Finds the upstreams: reads the files among them; each once, in the order of the Corefile.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or names no nameserver.
    pub fn find_servers(&self) -> Result<Vec<Server>, Errors> {
        let mut servers = Vec::new();
        for upstream in &self.to {
            let found = match upstream {
                Upstream::Server(server) => vec![server.clone()],
                Upstream::File(path, span) => read_nameservers(path, span).map_err(Errors::one)?,
            };
            for server in found {
                if !servers.contains(&server) {
                    servers.push(server);
                }
            }
        }
        Ok(servers)
    }
}

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::between(2, 1 + MAX_UPSTREAMS),
    options: &[
        option("doh_method", Count::ONE).in_force(),
        option("except", Count::SOME).in_force().repeated(),
        option("expire", Count::ONE).in_force(),
        option("failfast_all_unhealthy_upstreams", Count::NONE).in_force(),
        option("failover", Count::SOME).in_force().repeated(),
        option("force_tcp", Count::NONE).in_force(),
        option("health_check", Count::between(1, 4)).in_force(),
        option("max_age", Count::ONE).in_force(),
        option("max_concurrent", Count::ONE).in_force(),
        option("max_connect_attempts", Count::ONE).in_force(),
        option("max_fails", Count::ONE).in_force(),
        option("max_idle_conns", Count::ONE).in_force(),
        option("next", Count::SOME).in_force().repeated(),
        option("next_on_nodata", Count::NONE).in_force(),
        option("policy", Count::ONE).in_force(),
        option("prefer_udp", Count::NONE).in_force(),
        option("read_timeout", Count::ONE).in_force(),
        option("resolver", Count::SOME).in_force(),
        option("source_address", Count::ONE).in_force(),
        option("tls", Count::between(0, 3)).in_force(),
        option("tls_servername", Count::ONE).in_force(),
    ],
};

/// Reads `forward FROM TO.. { OPTIONS }`.
pub(super) fn read(statement: &Statement, report: &mut Report) -> Option<Forward> {
    let (from, to) = statement.arguments.split_first()?;
    let from = report.keep(read_from(from));
    let to: Vec<_> = to.iter().map(|word| report.keep(read_upstream(word))).collect();
    let except = report.keep(read_zones(&statement.values("except")));
    refuse_options(statement, report);
    let duration = |option, report: &mut Report| {
        statement
            .value(option)
            .and_then(|word| report.keep(read_duration(word)))
    };
    let expire = duration("expire", report).unwrap_or(Duration::from_secs(10));
    let max_age = duration("max_age", report).filter(|age| !age.is_zero());
    if let Some(word) = statement
        .value("max_age")
        .filter(|_| max_age.is_some_and(|age| age < expire))
    {
        report.keep::<()>(Err(
            word.unexpected(format!("a duration of at least `expire`, {expire:?}"))
        ));
    }
    let read_timeout = statement
        .value("read_timeout")
        .and_then(|word| report.keep(read_timeout(word)));
    let count = |option, report: &mut Report| {
        let word = statement.value(option)?;
        report.keep(read_number::<u32>(word, .., "a number, from 0"))
    };
    let max_idle_conns = count("max_idle_conns", report).filter(|most| *most > 0);
    let max_concurrent = count("max_concurrent", report).filter(|most| *most > 0);
    let forward = Forward {
        policy: statement
            .value("policy")
            .and_then(|word| report.keep(read_policy(word)))
            .unwrap_or(Policy::Random),
        // As in CoreDNS: who asks for both gets TCP.
        transport: match (statement.option("force_tcp"), statement.option("prefer_udp")) {
            (Some(_), _) => Transport::Tcp,
            (None, Some(_)) => Transport::UdpFirst,
            (None, None) => Transport::AsClient,
        },
        expire,
        max_age,
        max_idle_conns: max_idle_conns.map(|most| most as usize),
        read_timeout: read_timeout.unwrap_or(Duration::from_secs(2)),
        max_fails: count("max_fails", report).unwrap_or(2),
        max_connect_attempts: count("max_connect_attempts", report),
        max_concurrent: max_concurrent.map(|most| most as usize),
        health_check: read_health_check(statement, report),
        failfast: statement.option("failfast_all_unhealthy_upstreams").is_some(),
        failover: read_rcodes(statement, "failover", report),
        next: read_rcodes(statement, "next", report),
        next_on_nodata: statement.option("next_on_nodata").is_some(),
        source_address: statement
            .value("source_address")
            .and_then(|word| report.keep(read_source(word))),
        tls: read_tls(statement),
        from: from?,
        except: except?,
        to: to.into_iter().collect::<Option<_>>()?,
        span: statement.name.span.clone(),
    };
    check_names(&forward, statement, report);
    Some(forward)
}

/// Refuses what CoreDNS can do and kxdns cannot.
fn refuse_options(statement: &Statement, report: &mut Report) {
    for (name, way_out) in [
        ("doh_method", "no upstream is asked over HTTPS: remove it"),
        ("resolver", "name upstreams by their IP addresses, and remove it"),
    ] {
        if let Some(option) = statement.option(name) {
            let what = format!("`{name}`");
            report.add(&option.name.span, Problem::NotSupported { what, way_out });
        }
    }
    for word in statement
        .option("failover")
        .into_iter()
        .flat_map(|option| &option.arguments)
    {
        if word.text.eq_ignore_ascii_case("NOERROR") {
            report.keep::<()>(Err(word.unexpected("a response code that is an error")));
        }
    }
}

fn read_policy(word: &Word) -> Result<Policy, Error> {
    match word.text.as_str() {
        "random" => Ok(Policy::Random),
        "round_robin" => Ok(Policy::RoundRobin),
        "sequential" => Ok(Policy::Sequential),
        other => {
            let known = ["random", "round_robin", "sequential"];
            Err(word.span.error(Problem::unknown("policy", other, known)))
        }
    }
}

fn read_timeout(word: &Word) -> Result<Duration, Error> {
    let timeout = read_duration(word)?;
    match timeout.is_zero() {
        true => Err(word.unexpected("a duration that is not 0")),
        false => Ok(timeout),
    }
}

fn read_rcodes(statement: &Statement, option: &str, report: &mut Report) -> Vec<Rcode> {
    let words = statement.values(option);
    words.iter().filter_map(|word| report.keep(read_rcode(word))).collect()
}

fn read_source(word: &Word) -> Result<IpAddr, Error> {
    word.text.parse().map_err(|_| word.unexpected("an IP address"))
}

/// Reads `health_check DURATION [no_rec] [domain NAME]`.
fn read_health_check(statement: &Statement, report: &mut Report) -> HealthCheck {
    let mut check = HealthCheck {
        interval: Duration::from_millis(500),
        recursion_desired: true,
        domain: Name::root(),
    };
    let Some((interval, mut words)) = statement
        .option("health_check")
        .and_then(|option| option.arguments.split_first())
    else {
        return check;
    };
    if let Some(interval) = report.keep(read_duration(interval)) {
        check.interval = interval;
    }
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        match (word.text.as_str(), rest.split_first()) {
            ("no_rec", _) => check.recursion_desired = false,
            ("domain", Some((domain, rest))) => {
                words = rest;
                let name = Name::parse(&domain.text).ok_or_else(|| domain.unexpected("a domain name"));
                check.domain = report.keep(name).unwrap_or_else(Name::root);
            }
            ("domain", None) => {
                report.keep::<()>(Err(word.unexpected("`domain` with a name behind it")));
            }
            (other, _) => {
                let known = ["no_rec", "domain"];
                report.add(&word.span, Problem::unknown("option of `health_check`", other, known));
            }
        }
    }
    check
}

/// Reads `tls [CERTIFICATE KEY] [AUTHORITIES]` and `tls_servername NAME`.
fn read_tls(statement: &Statement) -> Tls {
    let option = statement.option("tls");
    let paths = option.into_iter().flat_map(|option| &option.arguments);
    let paths: Vec<PathBuf> = paths.map(|word| word.text.clone().into()).collect();
    let (identity, authorities) = match &paths[..] {
        [authorities] => (None, Some(authorities.clone())),
        [certificate, key, rest @ ..] => (Some((certificate.clone(), key.clone())), rest.first().cloned()),
        [] => (None, None),
    };
    Tls {
        identity,
        authorities,
        server_name: statement.value("tls_servername").map(|word| word.text.clone()),
        span: option.map(|option| option.name.span.clone()),
    }
}

/// Checks that no upstream's name is given twice.
fn check_names(forward: &Forward, statement: &Statement, report: &mut Report) {
    let is_named = |upstream: &Upstream| matches!(upstream, Upstream::Server(Server { name: Some(_), .. }));
    if let Some(word) = statement
        .value("tls_servername")
        .filter(|_| forward.to.iter().any(is_named))
    {
        report.keep::<()>(Err(
            word.unexpected("no `tls_servername` where an upstream has its name behind a `%`")
        ));
    }
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
    let (tls, text) = match word.text.split_once("://") {
        Some(("dns", rest)) => (false, rest),
        Some(("tls", rest)) => (true, rest),
        Some((scheme, _)) => return Err(word.span.error(refuse_transport(scheme))),
        None => (false, &*word.text),
    };
    // Behind a `%` stands the name of a server over TLS, and the scope of an address else.
    let (address, name) = match text.split_once('%') {
        Some((address, rest)) if tls => {
            let (name, port) = rest
                .split_once(':')
                .map_or((rest, String::new()), |(name, port)| (name, format!(":{port}")));
            let bracket = if address.starts_with('[') && !address.ends_with(']') {
                "]"
            } else {
                ""
            };
            (
                format!("{address}{bracket}{port}"),
                Some(name.trim_end_matches(']').to_owned()),
            )
        }
        _ => (text.to_owned(), None),
    };
    let port = if tls { DNS_OVER_TLS_PORT } else { DNS_PORT };
    if let Some(address) = parse_server(&address, port) {
        return Ok(Upstream::Server(Server { address, tls, name }));
    }
    if text.contains('/') && !tls {
        return Ok(Upstream::File(text.into(), word.span.clone()));
    }
    Err(word.unexpected("an IP address with or without a port, or the path of a resolv.conf with a `/` in it"))
}

fn parse_server(text: &str, port: u16) -> Option<SocketAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    text.parse()
        .ok()
        .or_else(|| Some((bare.parse::<IpAddr>().ok()?, port).into()))
}

fn read_nameservers(path: &Path, span: &Span) -> Result<Vec<Server>, Error> {
    let bytes = files::read(path).map_err(|error| span.error(Problem::unreadable(path, &error)))?;
    let servers = parse_nameservers(&String::from_utf8_lossy(&bytes));
    if servers.is_empty() {
        let file = path.display().to_string();
        return Err(span.error(Problem::NoNameserver { file }));
    }
    let plain = |address| Server {
        address,
        tls: false,
        name: None,
    };
    Ok(servers.into_iter().map(plain).collect())
}
