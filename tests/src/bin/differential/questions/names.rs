//! The names that questions are about, sorted by what one would ask of them.

use std::net::IpAddr;

use serde_json::Value;

use super::Snapshot;
use crate::corefiles::Corefile;
use crate::dice::Dice;
use crate::generate::slices::{IMPORT_NAME, SERVICE_NAME, SOURCE_CLUSTER};
use crate::generate::words;
use crate::upstream::WORDS;
use kxdns_tests::question::Name;

/// What kind of question suits a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Addresses, and anything else.
    #[default]
    Other,
    /// A port's name.
    Port,
    /// An address's name.
    Reverse,
    /// A level of the tree above the Services.
    Tree,
    /// What an upstream tells in TXT records.
    Text,
}

/// All names, in groups that are asked with equal chances.
pub(crate) struct Names {
    groups: Vec<Vec<(Sort, String)>>,
    /// Those that the Corefile speaks of, which are asked more often than all others.
    own: Vec<(Sort, String)>,
}

/// The share of the questions that are about what the Corefile speaks of, in percent.
const OWN: u32 = 60;
/// How many names are made of an upstream's words at a time: few, so that they are asked again.
const SCRIPTED: usize = 60;

impl Names {
    pub(crate) fn of(snapshot: &Snapshot) -> Names {
        let services: Vec<String> = snapshot.services.iter().map(service_name).collect();
        let mut groups = vec![
            sorted(Sort::Other, services.clone()),
            sorted(
                Sort::Port,
                snapshot
                    .services
                    .iter()
                    .flat_map(|it| port_names(it, &service_name(it))),
            ),
            sorted(Sort::Port, snapshot.slices.iter().flat_map(slice_port_names)),
            sorted(Sort::Other, snapshot.slices.iter().flat_map(endpoint_names)),
            sorted(Sort::Other, snapshot.pods.iter().flat_map(pod_names)),
            sorted(Sort::Tree, tree(snapshot)),
            sorted(Sort::Reverse, reverse_names(snapshot)),
            sorted(Sort::Other, words::OUTSIDE.map(str::to_owned)),
            sorted(Sort::Other, services.iter().flat_map(|service| zonal_names(service))),
        ];
        if !snapshot.imports.is_empty() {
            groups.extend(imported(snapshot));
        }
        Names {
            groups: groups.into_iter().filter(|group| !group.is_empty()).collect(),
            own: Vec::new(),
        }
    }

    /// Adds the names that a Corefile speaks of, and some of those that its upstreams answer by their words.
    pub(crate) fn add_own(&mut self, dice: &mut Dice, corefile: &Corefile) {
        self.own = corefile
            .names
            .iter()
            .map(|name| (sort_of(name), (*name).to_owned()))
            .collect();
        if !corefile.domains.is_empty() {
            let scripted = (0..SCRIPTED).map(|_| scripted_name(dice, corefile.domains));
            self.own.extend(scripted.map(|name| (sort_of(&name), name)));
        }
    }

    pub(crate) fn pick(&self, dice: &mut Dice) -> (Sort, Name) {
        let is_own = !self.own.is_empty() && dice.percent(OWN);
        let group = if is_own {
            &self.own
        } else {
            &self.groups[dice.below(self.groups.len())]
        };
        let (sort, name) = dice.pick(group);
        (sort, Name::new(&name))
    }
}

/// A name of one to three of an upstream's words.
fn scripted_name(dice: &mut Dice, domains: &[&str]) -> String {
    let number = 1 + dice.weighted(&[50, 35, 15]);
    let words: Vec<String> = (0..number).map(|_| dice.word(&WORDS)).collect();
    format!("{}.{}", words.join("-"), dice.word(domains))
}

fn sort_of(name: &str) -> Sort {
    if name.starts_with("echo") {
        Sort::Text
    } else if name.ends_with("arpa") {
        Sort::Reverse
    } else {
        Sort::Other
    }
}

/// Names of the zone that speaks of ServiceImports.
fn imported(snapshot: &Snapshot) -> Vec<Vec<(Sort, String)>> {
    let abroad = |name: String| name.replace(".cluster.local", ".clusterset.local");
    let imports: Vec<(&Value, String)> = snapshot
        .imports
        .iter()
        .map(|import| (import, abroad(service_name(import))))
        .collect();
    let slices: Vec<&Value> = snapshot
        .slices
        .iter()
        .filter(|slice| !slice["metadata"]["labels"][IMPORT_NAME].is_null())
        .collect();
    let names = imports.iter().map(|(_, name)| name.clone());
    let level = tree(snapshot)
        .into_iter()
        .filter(|name| name.ends_with("cluster.local"));
    let level =
        level.map(|name| name.strip_suffix("cluster.local").unwrap_or_default().to_owned() + "clusterset.local");
    vec![
        sorted(
            Sort::Other,
            names.chain(snapshot.services.iter().map(service_name).map(abroad)),
        ),
        sorted(
            Sort::Port,
            imports.iter().flat_map(|(import, name)| port_names(import, name)),
        ),
        sorted(
            Sort::Port,
            slices
                .iter()
                .flat_map(|slice| ports_at(&slice["ports"], &import_name(slice))),
        ),
        sorted(
            Sort::Other,
            slices.iter().flat_map(|slice| imported_endpoint_names(slice)),
        ),
        sorted(Sort::Other, snapshot.pods.iter().flat_map(pod_names).map(abroad)),
        sorted(Sort::Tree, level),
        sorted(Sort::Other, imports.iter().flat_map(|(_, name)| zonal_names(name))),
    ]
}

fn sorted(sort: Sort, names: impl IntoIterator<Item = String>) -> Vec<(Sort, String)> {
    names.into_iter().map(|name| (sort, name)).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn service_name(service: &Value) -> String {
    let metadata = &service["metadata"];
    format!(
        "{}.{}.svc.cluster.local",
        text(&metadata["name"]),
        text(&metadata["namespace"])
    )
}

fn port_names(service: &Value, name: &str) -> Vec<String> {
    let mut names = ports_at(&service["spec"]["ports"], name);
    let wild = [
        "_._",
        "_._tcp",
        "_http._",
        "_http._tcp",
        "http.udp",
        "_tcp",
        "_http",
        "_nothing._tcp",
        "_p._sctp",
    ];
    names.extend(wild.map(|prefix| format!("{prefix}.{name}")));
    names
}

fn ports_at(ports: &Value, name: &str) -> Vec<String> {
    let mut names = Vec::new();
    for port in elements(ports) {
        let protocol = port["protocol"].as_str().unwrap_or("TCP").to_ascii_lowercase();
        let port = text(&port["name"]);
        names.push(format!("_{port}._{protocol}.{name}"));
        names.push(format!("_{port}._{protocol}.{name}"));
        if !port.is_empty() {
            names.push(format!("{port}.{protocol}.{name}"));
        }
    }
    names
}

/// The name of the Service that a slice says to belong to.
fn owner_name(slice: &Value) -> String {
    let metadata = &slice["metadata"];
    let service = metadata["labels"][SERVICE_NAME].as_str().unwrap_or("nobody");
    format!("{service}.{}.svc.cluster.local", text(&metadata["namespace"]))
}

fn slice_port_names(slice: &Value) -> Vec<String> {
    ports_at(&slice["ports"], &owner_name(slice))
}

fn endpoint_names(slice: &Value) -> Vec<String> {
    let service = owner_name(slice);
    let labels = endpoint_labels(slice).into_iter();
    let names = labels.map(|label| format!("{label}.{service}"));
    [service.clone()].into_iter().chain(names).collect()
}

/// The name of the ServiceImport that a slice says to belong to.
pub(crate) fn import_name(slice: &Value) -> String {
    let metadata = &slice["metadata"];
    let import = text(&metadata["labels"][IMPORT_NAME]);
    format!("{import}.{}.svc.clusterset.local", text(&metadata["namespace"]))
}

/// The names of endpoints in their clusters, and what looks like them.
fn imported_endpoint_names(slice: &Value) -> Vec<String> {
    let import = import_name(slice);
    let cluster = text(&slice["metadata"]["labels"][SOURCE_CLUSTER]);
    let mut names = vec![import.clone()];
    for label in endpoint_labels(slice) {
        names.extend([
            format!("{label}.{cluster}.{import}"),
            format!("{label}.{cluster}.{import}"),
            format!("{label}.{import}"),
            format!("{label}.west.{import}"),
            format!("_{label}.{cluster}.{import}"),
            format!("{label}._{cluster}.{import}"),
            format!("x.{label}.{cluster}.{import}"),
        ]);
    }
    names
}

/// The labels that a slice's endpoints may be called by.
fn endpoint_labels(slice: &Value) -> Vec<String> {
    let mut labels = Vec::new();
    for endpoint in elements(&slice["endpoints"]) {
        let pod = text(&endpoint["targetRef"]["name"]);
        let known = [text(&endpoint["hostname"]), pod].into_iter().map(str::to_owned);
        let dashed = elements(&endpoint["addresses"]).map(|address| dash(text(address)));
        labels.extend(known.chain(dashed).filter(|label| !label.is_empty()));
    }
    labels
}

/// An address as a label.
fn dash(address: &str) -> String {
    let label = address.replace(['.', ':'], "-");
    if label.ends_with('-') { label + "0" } else { label }
}

fn pod_names(pod: &Value) -> Vec<String> {
    let odd = [
        "1-2-3-4",
        "010-1-2-3",
        "300-1-1-1",
        "1-2-3",
        "1--2",
        "fd00--1",
        "fd00-0-0-0-0-0-0-1",
        "a-b-c-d",
        "10-244-0-8",
    ];
    let mut names = pod_addresses(pod);
    names.extend(odd.map(|label| pod_name(pod, label)));
    names
}

/// The names that a Pod has by its addresses.
pub(crate) fn pod_addresses(pod: &Value) -> Vec<String> {
    let addresses = elements(&pod["status"]["podIPs"]).map(|address| dash(text(&address["ip"])));
    addresses.map(|label| pod_name(pod, &label)).collect()
}

fn pod_name(pod: &Value, label: &str) -> String {
    format!("{label}.{}.pod.cluster.local", text(&pod["metadata"]["namespace"]))
}

fn tree(snapshot: &Snapshot) -> Vec<String> {
    let fixed = [
        "",
        "svc.",
        "pod.",
        "dns.",
        "ns.dns.",
        "dns-version.",
        "hostmaster.",
        "nothing.",
        "a.b.c.d.",
        "apex.dns.",
    ];
    let mut names: Vec<String> = fixed.iter().map(|prefix| format!("{prefix}cluster.local")).collect();
    let known = snapshot
        .namespaces
        .iter()
        .map(|namespace| text(&namespace["metadata"]["name"]).to_owned());
    let all = known
        .chain(words::NAMESPACES.map(str::to_owned))
        .chain(["missing".to_owned()]);
    names.extend(all.flat_map(|name| ["svc", "pod"].map(|level| format!("{name}.{level}.cluster.local"))));
    names.extend(
        [
            "local",
            "in-addr.arpa",
            "ip6.arpa",
            "svc.in-addr.arpa",
            "pod.ip6.arpa",
            "apple.svc.ip6.arpa",
            "ns.dns.in-addr.arpa",
            "dns-version.ip6.arpa",
            "10.in-addr.arpa",
            "arpa",
            ".",
            "version.bind",
        ]
        .map(str::to_owned),
    );
    names
}

fn reverse_names(snapshot: &Snapshot) -> Vec<String> {
    let cluster_ips = snapshot
        .services
        .iter()
        .flat_map(|service| elements(&service["spec"]["clusterIPs"]));
    // CoreDNS says nothing at all about an address that only a ServiceImport's slice has, and silence takes long.
    let is_imported = |slice: &&Value| {
        slice["metadata"]["labels"].get(IMPORT_NAME).is_some() && owner_name(slice).starts_with("nobody.")
    };
    let slices = snapshot.slices.iter().filter(|slice| !is_imported(slice));
    let endpoints = slices.flat_map(|slice| elements(&slice["endpoints"]));
    let endpoint_ips = endpoints.flat_map(|endpoint| elements(&endpoint["addresses"]));
    let unknown = ["10.9.9.9", "10.9.9.1", "fd00:dead::1", "127.0.0.1", "::"];
    let all = cluster_ips.chain(endpoint_ips).map(text).chain(unknown);
    let mut names: Vec<String> = all.filter_map(reverse).collect();
    let odd = [
        "244.10.in-addr.arpa",
        "1.1.0.244.10.in-addr.arpa",
        "01.0.244.10.in-addr.arpa",
        "x.0.244.10.in-addr.arpa",
        "0.d.f.ip6.arpa",
    ];
    names.extend(odd.map(str::to_owned));
    // No object has a name there.
    let services = snapshot.services.iter().map(service_name);
    names.extend(services.map(|name| name.replace("cluster.local", "in-addr.arpa")));
    names
}

/// The name of an address.
pub(crate) fn reverse(address: &str) -> Option<String> {
    match address.parse().ok()? {
        IpAddr::V4(ipv4) => {
            let [a, b, c, d] = ipv4.octets();
            Some(format!("{d}.{c}.{b}.{a}.in-addr.arpa"))
        }
        IpAddr::V6(ipv6) => {
            let nibbles = ipv6
                .octets()
                .into_iter()
                .rev()
                .map(|byte| format!("{:x}.{:x}.", byte & 15, byte >> 4));
            Some(nibbles.collect::<String>() + "ip6.arpa")
        }
    }
}

fn zonal_names(service: &str) -> Vec<String> {
    let prefixes = [
        "eu-1a.pin",
        "eu-1a.prefer",
        "eu.1b.pin",
        "eu.1b.prefer",
        "mars.pin",
        "venus.pin",
        "moon.prefer",
        "moon.pin",
        "mars.other",
        "pin",
    ];
    prefixes.map(|prefix| format!("{prefix}._zone.{service}")).to_vec()
}
