//! The `kubernetes` directive: its zones, how to reach the API server, and which names exist.

use std::path::PathBuf;
use std::time::Duration;

use super::duration::read_duration;
use super::error::{Error, Problem, Span};
use super::lexer::Word;
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape, option};
use super::zones::{is_reverse, read_zones};
use crate::name::Name;

const DEFAULT_TTL: u32 = 5;
const MAX_TTL: u32 = 3600;

/// The longest TTL of an SOA record, in seconds.
const MAX_SOA_TTL: u32 = 300;
/// How long the start waits for the objects, unless another time is given.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The `kubernetes` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// The zones served, reverse zones among them; at least one is not a reverse zone.
    pub zones: Vec<Name>,
    /// How to reach the API server.
    pub api_server: ApiServer,
    /// The TTL of answers, in seconds: 0 to 3600.
    pub ttl: u32,
    /// Which names of Pods exist.
    pub pods: Pods,
    /// `namespaces`: the only ones whose names exist; all if empty.
    pub namespaces: Vec<String>,
    /// Whether endpoints without hostname are named after their Pods.
    pub endpoint_pod_names: bool,
    /// Whether there are no endpoints: `noendpoints`.
    pub noendpoints: bool,
    /// Whether Services without ready endpoints do not exist: `ignore empty_service`.
    pub ignore_empty: bool,
    /// Whether headless Services have names for topology zones: `zonal`.
    pub zonal: bool,
    /// The zones that speak of ServiceImports instead of Services: `multicluster`.
    pub multicluster: Vec<Name>,
    /// What becomes of names that do not exist.
    pub fallthrough: Fallthrough,
    /// `labels`: only Services, EndpointSlices and Pods that match count; all if empty.
    pub labels: String,
    /// `namespace_labels`: only Namespaces that match count; all if empty.
    pub namespace_labels: String,
    /// How long the start waits for all objects to be known: `startup_timeout`.
    pub startup_timeout: Duration,
    /// Where it stands.
    pub span: Span,
}

impl Kubernetes {
    /// The zone in which PTR targets lie: the first that is no reverse zone. As in CoreDNS, `in-addr.arpa` and `ip6.arpa`
    /// themselves count as none.
    pub fn primary_zone(&self) -> Option<&Name> {
        let is_root = |zone: &Name| zone.labels().count() == 2;
        self.zones.iter().find(|zone| !is_reverse(zone) || is_root(zone))
    }
}

/// The TTL of the SOA record of a zone whose answers have this one, in seconds.
pub fn soa_ttl(ttl: u32) -> u32 {
    ttl.min(MAX_SOA_TTL)
}

/// How to reach the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiServer {
    /// As a Pod: by the environment and the mounted service account.
    InCluster,
    /// By URL.
    Endpoint {
        /// `http://..` or `https://..`.
        url: String,
        /// Credentials, if any.
        tls: Option<TlsFiles>,
    },
    /// By a kubeconfig file.
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// One of its contexts; else its current one.
        context: Option<String>,
    },
}

/// Files in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The client's certificate.
    pub certificate: PathBuf,
    /// The client's key.
    pub key: PathBuf,
    /// The authority that signed the server's certificate.
    pub authority: PathBuf,
}

/// Which names of Pods exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// None.
    Disabled,
    /// Any IP address in any namespace that exists.
    Insecure,
    /// Those of Pods that exist.
    Verified,
}

/// What becomes of names that do not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallthrough {
    /// They get NXDOMAIN.
    None,
    /// They go on to the next plugin.
    All,
    /// They go on if they lie in one of these zones.
    Zones(Vec<Name>),
}

impl Fallthrough {
    /// Whether a name that does not exist goes on to the next plugin.
    pub fn takes(&self, name: &Name) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Zones(zones) => zones.iter().any(|zone| name.is_within(zone)),
        }
    }

    /// Whether any name of a zone goes on.
    pub fn concerns(&self, zone: &Name) -> bool {
        match self {
            Self::Zones(zones) => zones.iter().any(|taken| taken.is_within(zone) || zone.is_within(taken)),
            Self::None | Self::All => self.takes(zone),
        }
    }
}

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::ANY,
    options: &[
        // Whatever they allow is more than one list and one watch of each kind.
        option("apiserver_burst", Count::ONE).in_force(),
        option("apiserver_max_inflight", Count::ONE).in_force(),
        option("apiserver_qps", Count::ONE).in_force(),
        option("endpoint", Count::ONE).in_force(),
        option("endpoint_pod_names", Count::NONE).in_force(),
        option("fallthrough", Count::ANY).in_force(),
        option("ignore", Count::ONE).in_force(),
        option("kubeconfig", Count::between(1, 2)).in_force(),
        option("labels", Count::SOME).in_force(),
        option("multicluster", Count::SOME).in_force(),
        option("namespace_labels", Count::SOME).in_force(),
        option("namespaces", Count::SOME).in_force().repeated(),
        option("noendpoints", Count::NONE).in_force(),
        option("pods", Count::ONE).in_force(),
        option("startup_timeout", Count::ONE).in_force(),
        option("tls", Count::between(3, 3)).in_force(),
        option("ttl", Count::ONE).in_force(),
        option("zonal", Count::NONE).in_force(),
    ],
};

/// Reads `kubernetes [ZONES..] { OPTIONS }`; without zones it serves those of its server block.
pub(super) fn read(statement: &Statement, block_zones: &[Name], report: &mut Report) -> Kubernetes {
    let zones = if statement.arguments.is_empty() {
        block_zones.to_vec()
    } else {
        report.keep(read_zones(&statement.arguments)).unwrap_or_default()
    };
    let zones = without_repeats(zones);
    // No zones at all are an error that is reported where they stand.
    if !zones.is_empty() && zones.iter().all(is_reverse) {
        report.add(&statement.name.span, Problem::OnlyReverseZones);
    }
    check_values(statement, report);
    let multicluster = read_multicluster(statement, &zones, report);
    check_contradictions(statement, report);
    Kubernetes {
        api_server: read_api_server(statement, report),
        ttl: statement
            .value("ttl")
            .and_then(|word| report.keep(read_ttl(word)))
            .unwrap_or(DEFAULT_TTL),
        pods: statement
            .value("pods")
            .and_then(|word| report.keep(read_pods(word)))
            .unwrap_or(Pods::Disabled),
        namespaces: statement
            .values("namespaces")
            .iter()
            .map(|word| word.text.clone())
            .collect(),
        endpoint_pod_names: statement.option("endpoint_pod_names").is_some(),
        noendpoints: statement.option("noendpoints").is_some(),
        ignore_empty: statement.option("ignore").is_some(),
        zonal: statement.option("zonal").is_some(),
        multicluster,
        fallthrough: read_fallthrough(statement, report),
        labels: read_selector(statement, "labels"),
        namespace_labels: read_selector(statement, "namespace_labels"),
        startup_timeout: statement
            .value("startup_timeout")
            .and_then(|word| report.keep(read_duration(word)))
            .unwrap_or(STARTUP_TIMEOUT),
        span: statement.name.span.clone(),
        zones,
    }
}

/// A block that serves a zone at several ports names it once for each.
fn without_repeats(zones: Vec<Name>) -> Vec<Name> {
    let mut unique = Vec::with_capacity(zones.len());
    for zone in zones {
        if !unique.contains(&zone) {
            unique.push(zone);
        }
    }
    unique
}

fn read_ttl(word: &Word) -> Result<u32, Error> {
    let ttl = word.text.parse().ok().filter(|ttl| *ttl <= MAX_TTL);
    ttl.ok_or_else(|| word.unexpected(format!("a TTL from 0 to {MAX_TTL} seconds")))
}

fn read_pods(word: &Word) -> Result<Pods, Error> {
    match word.text.as_str() {
        "disabled" => Ok(Pods::Disabled),
        "insecure" => Ok(Pods::Insecure),
        "verified" => Ok(Pods::Verified),
        other => Err(word.span.error(Problem::unknown(
            "mode of `pods`",
            other,
            ["disabled", "insecure", "verified"],
        ))),
    }
}

fn read_fallthrough(statement: &Statement, report: &mut Report) -> Fallthrough {
    match statement.option("fallthrough") {
        None => Fallthrough::None,
        Some(option) if option.arguments.is_empty() => Fallthrough::All,
        Some(option) => Fallthrough::Zones(report.keep(read_zones(&option.arguments)).unwrap_or_default()),
    }
}

fn read_api_server(statement: &Statement, report: &mut Report) -> ApiServer {
    if let Some(url) = statement.value("endpoint").and_then(|word| report.keep(read_url(word))) {
        return ApiServer::Endpoint {
            url,
            tls: read_tls(statement),
        };
    }
    match &statement.values("kubeconfig")[..] {
        [] => ApiServer::InCluster,
        [file, context @ ..] => {
            let context = context.first().map(|word| word.text.clone());
            ApiServer::Kubeconfig {
                file: file.text.clone().into(),
                context,
            }
        }
    }
}

fn read_url(word: &Word) -> Result<String, Error> {
    let rest = word
        .text
        .strip_prefix("https://")
        .or_else(|| word.text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with(['/', ':']) => Ok(word.text.clone()),
        _ => Err(word.unexpected("a URL such as `https://10.0.0.1:6443`")),
    }
}

fn read_tls(statement: &Statement) -> Option<TlsFiles> {
    let path = |word: &Word| word.text.clone().into();
    match &statement.option("tls")?.arguments[..] {
        [certificate, key, authority] => Some(TlsFiles {
            certificate: path(certificate),
            key: path(key),
            authority: path(authority),
        }),
        _ => None,
    }
}

/// A selector may be written in one word or in several.
fn read_selector(statement: &Statement, option: &str) -> String {
    let words: Vec<_> = statement.values(option).into_iter().map(|word| word.text).collect();
    words.join(" ")
}

/// Checks the values of options that are not in force or say only one thing.
fn check_values(statement: &Statement, report: &mut Report) {
    for name in ["apiserver_burst", "apiserver_max_inflight"] {
        if let Some(word) = statement.value(name).filter(|word| word.text.parse::<u32>().is_err()) {
            report.keep::<()>(Err(word.unexpected("a whole number from 0")));
        }
    }
    if let Some(word) = statement.value("apiserver_qps").filter(|word| !is_rate(&word.text)) {
        report.keep::<()>(Err(word.unexpected("a number from 0")));
    }
    if let Some(word) = statement.value("ignore").filter(|word| word.text != "empty_service") {
        report.add(
            &word.span,
            Problem::unknown("thing to `ignore`", &word.text, ["empty_service"]),
        );
    }
}

fn is_rate(text: &str) -> bool {
    text.parse::<f32>().is_ok_and(|rate| rate.is_finite() && rate >= 0.0)
}

fn read_multicluster(statement: &Statement, zones: &[Name], report: &mut Report) -> Vec<Name> {
    let mut multicluster = Vec::new();
    for word in statement.values("multicluster") {
        let named = report.keep(read_zones(std::slice::from_ref(&word))).unwrap_or_default();
        if !named.iter().all(|zone| zones.contains(zone)) {
            report.keep::<()>(Err(word.unexpected("one of the zones of `kubernetes` itself")));
        }
        multicluster.extend(named);
    }
    multicluster
}

fn check_contradictions(statement: &Statement, report: &mut Report) {
    for (word, other) in [
        ("endpoint", "kubeconfig"),
        ("namespaces", "namespace_labels"),
        ("zonal", "noendpoints"),
    ] {
        if let (Some(one), Some(first)) = (statement.option(word), statement.option(other)) {
            report.add(
                &one.name.span,
                Problem::Exclusive {
                    word,
                    other,
                    first: first.name.span.clone(),
                },
            );
        }
    }
    if let (Some(tls), None) = (statement.option("tls"), statement.option("endpoint")) {
        report.add(
            &tls.name.span,
            Problem::Lonely {
                word: "tls",
                other: "endpoint",
            },
        );
    }
}
