//! The names that questions are about, sorted by what one would ask of them.

use std::net::IpAddr;

use serde_json::Value;

use super::Snapshot;
use crate::dice::Dice;
use crate::generate::slices::SERVICE_NAME;
use crate::generate::words;
use crate::question::Name;

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
}

/// All names, in groups that are asked with equal chances.
pub(crate) struct Names {
    groups: Vec<Vec<(Sort, String)>>,
}

impl Names {
    pub(crate) fn of(snapshot: &Snapshot) -> Names {
        let services: Vec<String> = snapshot.services.iter().map(service_name).collect();
        let groups = vec![
            sorted(Sort::Other, services.clone()),
            sorted(Sort::Port, snapshot.services.iter().flat_map(port_names)),
            sorted(Sort::Port, snapshot.slices.iter().flat_map(slice_port_names)),
            sorted(Sort::Other, snapshot.slices.iter().flat_map(endpoint_names)),
            sorted(Sort::Other, snapshot.pods.iter().flat_map(pod_names)),
            sorted(Sort::Tree, tree(snapshot)),
            sorted(Sort::Reverse, reverse_names(snapshot)),
            sorted(Sort::Other, words::OUTSIDE.map(str::to_owned)),
            sorted(Sort::Other, services.iter().flat_map(|service| zonal_names(service))),
        ];
        Names {
            groups: groups.into_iter().filter(|group| !group.is_empty()).collect(),
        }
    }

    pub(crate) fn pick(&self, dice: &mut Dice) -> (Sort, Name) {
        let group = &self.groups[dice.below(self.groups.len())];
        let (sort, name) = dice.pick(group);
        (sort, Name::new(&name))
    }
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

fn port_names(service: &Value) -> Vec<String> {
    let name = service_name(service);
    let mut names = ports_at(&service["spec"]["ports"], &name);
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
    let mut names = vec![service.clone()];
    for endpoint in elements(&slice["endpoints"]) {
        let pod = text(&endpoint["targetRef"]["name"]);
        let known = [text(&endpoint["hostname"]), pod].into_iter().map(str::to_owned);
        let dashed = elements(&endpoint["addresses"]).map(|address| dash(text(address)));
        names.extend(
            known
                .chain(dashed)
                .filter(|label| !label.is_empty())
                .map(|label| format!("{label}.{service}")),
        );
    }
    names
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
    let endpoints = snapshot.slices.iter().flat_map(|slice| elements(&slice["endpoints"]));
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
