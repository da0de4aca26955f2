//! The DNS rules of Kubernetes, in one place: what the cluster's objects say to a question.
//!
//! They are those of the Kubernetes DNS specification 1.1.0 as CoreDNS's `kubernetes` plugin 1.14 reads it, in two tables:
//! what a name is about ([`find`], one line for each shape of name), and what that says to a type of question
//! ([`Node::answer`]). Nothing here knows messages, TTLs, letter case or SOA records, does I/O or reads a clock. Whether all
//! objects are known is for the caller to ask: what is absent here is absent from the objects that there are.
//!
//! Where CoreDNS contradicts the specification or itself, it is followed but for five cases: TXT questions for levels
//! above the Services get NODATA as for every other type (CoreDNS: NXDOMAIN); letter case makes no difference to
//! NS of the apex and to `ns.dns` (CoreDNS: NODATA and NXDOMAIN); a Service without any address has no records (CoreDNS:
//! a CNAME to the root); a slice that belongs to no Service has no PTR record (CoreDNS: no reply at all); and a slice of a
//! ServiceImport that does not say its cluster has endpoints without one (CoreDNS: no reply to SRV at all).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

use hashbrown::{HashMap, HashSet};

use crate::cluster::object::{Endpoint, EndpointSlice, ObjectKey, Port, Reach, Service};
use crate::cluster::{Cluster, ServiceSet};
use crate::corefile::{Kubernetes, Pods};
use crate::name::Name;

/// Type codes of questions that the objects can answer (RFC 1035, 3.2.2; RFC 3596, 2.1; RFC 2782).
pub mod qtype {
    use dns_ebpf::outcome;

    /// An IPv4 address.
    pub const A: u16 = outcome::TYPE_A as u16;
    /// An IPv6 address.
    pub const AAAA: u16 = outcome::TYPE_AAAA as u16;
    /// A zone's data.
    pub const SOA: u16 = outcome::TYPE_SOA as u16;
    /// A name server.
    pub const NS: u16 = outcome::TYPE_NS as u16;
    /// An alias.
    pub const CNAME: u16 = outcome::TYPE_CNAME as u16;
    /// An address's name.
    pub const PTR: u16 = outcome::TYPE_PTR as u16;
    /// Text.
    pub const TXT: u16 = outcome::TYPE_TXT as u16;
    /// A port and where it is.
    pub const SRV: u16 = outcome::TYPE_SRV as u16;
}

/// The version of the specification that `dns-version` tells.
const SPECIFICATION: &str = "1.1.0";

/// The longest label, in bytes (RFC 1035, 2.3.4).
const MAX_LABEL_LEN: usize = 63;

/// How many aliases one question follows within the zone, as in CoreDNS.
const MAX_ALIASES: usize = 11;

/// The options of the `kubernetes` plugin that say which names there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `pods`.
    pub pods: Pods,
    /// `namespaces`: the only ones whose names exist, if any are given.
    pub namespaces: Vec<String>,
    /// `endpoint_pod_names`: an endpoint without hostname is named after its Pod.
    pub endpoint_pod_names: bool,
    /// `noendpoints`: there are no endpoints.
    pub noendpoints: bool,
    /// `ignore empty_service`: a Service with cluster IPs and without ready endpoints does not exist.
    pub ignore_empty: bool,
    /// `zonal`: a headless Service has names for the endpoints of a topology zone.
    pub zonal: bool,
    /// `multicluster`: the zones that speak of ServiceImports instead of Services.
    pub multicluster: Vec<Name>,
    /// The addresses of whoever answers, for the zone's NS record.
    pub local: Vec<IpAddr>,
    /// The Service that the zone's NS record names where none has an endpoint at those addresses, as none has on a host
    /// network.
    pub dns_service: Option<ObjectKey>,
}

impl Options {
    /// The options of this directive; `local` and `dns_service` tell where whoever answers is reached.
    pub fn new(kubernetes: &Kubernetes, local: Vec<IpAddr>, dns_service: Option<ObjectKey>) -> Self {
        Self {
            pods: kubernetes.pods,
            namespaces: kubernetes.namespaces.clone(),
            endpoint_pod_names: kubernetes.endpoint_pod_names,
            noendpoints: kubernetes.noendpoints,
            ignore_empty: kubernetes.ignore_empty,
            zonal: kubernetes.zonal,
            multicluster: kubernetes.multicluster.clone(),
            local,
            dns_service,
        }
    }

    /// Whether a zone speaks of ServiceImports: one that `multicluster` names, or one within it.
    pub fn imports(&self, zone: &Name) -> bool {
        self.multicluster.iter().any(|imported| zone.is_within(imported))
    }
}

/// What the objects say to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name does not exist.
    Absent,
    /// The name exists, with these records of the type; there may be none.
    Records(Records),
    /// The name is an alias of one outside the zone, whose records are to be found elsewhere.
    Elsewhere {
        /// The aliases on the way, the first of them at the name asked for; at least one.
        aliases: Vec<Record>,
        /// Where the last one leads, in the letter case of the object.
        target: String,
    },
}

/// A reply's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The answer section.
    pub answer: Vec<Record>,
    /// The addresses of targets, for the additional section.
    pub glue: Vec<(Target, IpAddr)>,
}

/// A record of the answer section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name that it stands at, or `None` for the name asked for.
    pub owner: Option<String>,
    /// What it says.
    pub data: Data,
}

/// A record's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// A.
    A(Ipv4Addr),
    /// AAAA.
    Aaaa(Ipv6Addr),
    /// CNAME, to an absolute name in the letter case of the object.
    Cname(String),
    /// NS.
    Ns(Target),
    /// PTR; its target lies in the primary zone.
    Ptr(Target),
    /// TXT.
    Txt(&'static str),
    /// SRV of priority 0.
    Srv {
        /// The weight.
        weight: u16,
        /// The port.
        port: u16,
        /// The target.
        target: Target,
    },
}

/// A name of the zone, as its labels left of the zone's: `web.default.svc`.
pub type Target = String;

/// Finds what a name of a zone that is no reverse zone is about, given its labels left of the zone, from the left and in
/// lower case.
pub fn find<'a>(cluster: &'a Cluster, options: &'a Options, zone: &'a Name, labels: &[&[u8]]) -> Node<'a> {
    let rules = Rules::new(cluster, options, options.imports(zone));
    Node {
        subject: rules.find(labels),
        rules,
        zone,
    }
}

/// Answers a PTR question for an address, from the names that objects give to it.
pub fn pointers(cluster: &Cluster, options: &Options, address: IpAddr) -> Answer {
    Rules::new(cluster, options, false).pointers(address)
}

/// Whether a name is one of the levels above Services and Pods, given its labels as to [`find`]: it has no records of its
/// own but the apex's.
pub fn is_level(labels: &[&[u8]]) -> bool {
    matches!(labels, [] | [b"svc" | b"pod"] | [_, b"svc" | b"pod"])
}

/// Whether a name is one that an object may have, given its labels as to [`find`].
pub fn is_of_an_object(labels: &[&[u8]]) -> bool {
    matches!(labels, [_, .., b"svc" | b"pod"])
}

/// Reads the address that a name of a reverse zone stands for: all four octets or all 32 nibbles (RFC 1035, 3.5; RFC
/// 3596, 2.5).
///
/// Like CoreDNS it takes the name's text apart, where a dot inside of a label stands behind a backslash, and overlooks up
/// to three parts left of the nibbles.
pub fn reverse_address(name: &Name) -> Option<IpAddr> {
    let labels: Vec<_> = name.labels().collect();
    let (rest, [zone @ (b"in-addr" | b"ip6"), b"arpa"]) = labels.split_last_chunk()? else {
        return None;
    };
    let text = rest.iter().map(|label| text(label)).collect::<Vec<_>>().join(".");
    let parts: Vec<_> = text.rsplit('.').collect();
    let is_ipv6 = *zone == b"ip6";
    let spelled = match is_ipv6 {
        true => {
            let (groups, _overlooked) = parts.as_chunks::<4>();
            groups.iter().map(|group| group.concat()).collect::<Vec<_>>().join(":")
        }
        false => parts.join("."),
    };
    let address = spelled.parse::<IpAddr>().ok()?.to_canonical();
    (is_ipv6 || address.is_ipv4()).then_some(address)
}

/// The name of a reverse zone that an address has: the one in the usual spelling.
pub fn reverse_name(address: IpAddr) -> Name {
    let (parts, zone): (Vec<String>, _) = match address {
        IpAddr::V4(address) => (
            address.octets().iter().rev().map(u8::to_string).collect(),
            "in-addr.arpa",
        ),
        IpAddr::V6(address) => {
            let nibbles = (0..32).map(|index| address.to_bits() >> (4 * index) & 0xf);
            (nibbles.map(|nibble| format!("{nibble:x}")).collect(), "ip6.arpa")
        }
    };
    Name::of_labels(&format!("{}.{zone}", parts.join(".")), &Name::root()).unwrap_or_else(Name::root)
}

/// An endpoint's label: its hostname, or the name of its Pod where that is asked for, or else its address.
fn endpoint_label(options: &Options, endpoint: &Endpoint) -> String {
    match given_name(options, endpoint) {
        Some(name) => name.to_ascii_lowercase(),
        None => dashed(endpoint.address),
    }
}

/// The label of a Pod with this address, as its object spells it.
pub fn pod_label(ip: &str) -> String {
    ip.replace(['.', ':'], "-")
}

/// A name of a zone and what it is about, to be asked for records of any type.
pub struct Node<'a> {
    rules: Rules<'a>,
    zone: &'a Name,
    subject: Subject<'a>,
}

impl Node<'_> {
    /// Answers a question for the name. Aliases are followed within the zone; one that leads to nothing is left out: the name
    /// then has no records.
    pub fn answer(&self, qtype: u16) -> Answer {
        let mut found = self.rules.records(&self.subject, qtype);
        let mut aliases = Vec::new();
        let mut owner = None;
        while let Found::Alias(target) = found {
            aliases.push(Record {
                owner: owner.replace(target.clone()),
                data: Data::Cname(target.clone()),
            });
            // A loop ends here too.
            let name = Name::parse(&target).filter(|_| aliases.len() <= MAX_ALIASES);
            let Some(name) = name else {
                return Answer::Records(Records::default());
            };
            let Some(labels) = name.labels_below(self.zone) else {
                return Answer::Elsewhere { aliases, target };
            };
            found = self.rules.records(&self.rules.find(&labels), qtype);
        }
        match found {
            Found::Records { data, .. } if data.is_empty() && !aliases.is_empty() => {
                Answer::Records(Records::default())
            }
            Found::Records { data, glue } => {
                let at_owner = |data| Record {
                    owner: owner.clone(),
                    data,
                };
                let answer = aliases.into_iter().chain(data.into_iter().map(at_owner)).collect();
                Answer::Records(Records { answer, glue })
            }
            _ if !aliases.is_empty() => Answer::Records(Records::default()),
            _ => Answer::Absent,
        }
    }

    /// Where the alias that stands at the name leads, and where the aliases there lead, as far as they lead within the zone:
    /// names that the answer depends on. Empty where no alias stands there.
    pub fn alias_targets(&self) -> Vec<Name> {
        let mut targets: Vec<Name> = Vec::new();
        let mut next = self.subject.alias();
        while let Some(target) = next {
            let name = Name::parse(target).filter(|name| targets.len() <= MAX_ALIASES && name.is_within(self.zone));
            let Some(name) = name else { break };
            next = self
                .rules
                .find(&name.labels_below(self.zone).unwrap_or_default())
                .alias();
            targets.push(name);
        }
        targets
    }
}

/// What a name is about.
enum Subject<'a> {
    /// Nothing: it does not exist.
    Nothing,
    /// A level of the tree, or a Service without addresses: it exists and has no records.
    Level,
    /// A ServiceImport without addresses: the same, but that CoreDNS denies it by TXT.
    Unassigned,
    /// The zone itself.
    Apex,
    /// The zone's name server.
    NameServer,
    /// The version of the specification.
    Version,
    /// Another name, as a Service has it.
    Alias(&'a str),
    /// A Service, an endpoint or a Pod, by the places at which it is reached, of which there is one at least.
    Places(Places<'a>),
}

impl<'a> Subject<'a> {
    fn exists(exists: bool) -> Self {
        if exists { Self::Level } else { Self::Nothing }
    }

    fn alias(&self) -> Option<&'a str> {
        match self {
            Self::Alias(target) => Some(target),
            _ => None,
        }
    }
}

struct Rules<'a> {
    cluster: &'a Cluster,
    /// The Services that the zone speaks of.
    services: &'a ServiceSet,
    /// Whether those are ServiceImports.
    imported: bool,
    options: &'a Options,
}

impl<'a> Rules<'a> {
    fn new(cluster: &'a Cluster, options: &'a Options, imported: bool) -> Self {
        Self {
            cluster,
            services: if imported { cluster.imported() } else { cluster.local() },
            imported,
            options,
        }
    }

    /// What a name is about: one line for each shape of name.
    fn find(&self, labels: &[&[u8]]) -> Subject<'a> {
        let labels: Vec<_> = labels.iter().map(|label| text(label)).collect();
        let labels: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
        match labels[..] {
            [] => Subject::Apex,
            ["svc"] | ["pod"] => Subject::Level,
            ["ns", "dns"] => Subject::NameServer,
            ["dns-version"] => Subject::Version,
            [namespace, "svc"] => Subject::exists(self.has_namespace(namespace)),
            [namespace, "pod"] => Subject::exists(self.options.pods != Pods::Disabled && self.has_namespace(namespace)),
            [service, namespace, "svc"] => self.service(key(namespace, service), Part::Whole),
            // Always an endpoint: a protocol alone is no name.
            [endpoint, service, namespace, "svc"] => self.service(
                key(namespace, service),
                Part::Endpoint(EndpointLabel::new(endpoint, None)),
            ),
            [endpoint, cluster, service, namespace, "svc"]
                if self.imported && !endpoint.starts_with('_') && !cluster.starts_with('_') =>
            {
                let part = Part::Endpoint(EndpointLabel::new(endpoint, Some(cluster)));
                self.service(key(namespace, service), part)
            }
            [port, protocol, service, namespace, "svc"] => {
                let part = match (without_underscore(port), without_underscore(protocol)) {
                    ("", "") => Part::Whole,
                    (port, protocol) => Part::Port(port, protocol),
                };
                self.service(key(namespace, service), part)
            }
            // A topology zone's name may have dots.
            [
                ref zone @ ..,
                directive @ ("pin" | "prefer"),
                "_zone",
                service,
                namespace,
                "svc",
            ] if self.options.zonal && !self.imported => {
                self.zonal(key(namespace, service), &zone.join("."), directive == "prefer")
            }
            // Up to two labels more make no difference.
            [.., pod, namespace, "pod"] if labels.len() <= 5 => self.pod(key(namespace, pod)),
            _ => Subject::Nothing,
        }
    }

    /// What a subject says to a type of question.
    fn records(&self, subject: &Subject<'_>, qtype: u16) -> Found {
        match (subject, qtype) {
            (Subject::Nothing, _) => Found::Absent,
            (Subject::Apex, qtype::NS) => self.name_servers(),
            (Subject::Level | Subject::Apex, _) => Found::NODATA,
            (Subject::Unassigned, qtype::TXT) => Found::Absent,
            (Subject::Unassigned, _) => Found::NODATA,
            (Subject::NameServer, qtype::A | qtype::AAAA) => {
                let addresses = self.name_server_addresses().into_iter().map(|(_, address)| address);
                Found::data(addresses.filter_map(|address| address_data(address, qtype)).collect())
            }
            // As CoreDNS has it.
            (Subject::NameServer, qtype::PTR | qtype::TXT) => Found::Absent,
            (Subject::NameServer, _) => Found::NODATA,
            (Subject::Version, qtype::TXT) => Found::one(Data::Txt(SPECIFICATION)),
            (Subject::Version, _) => Found::Absent,
            (Subject::Alias(target), qtype::CNAME) => Found::one(Data::Cname((*target).into())),
            (Subject::Alias(target), qtype::A | qtype::AAAA) => Found::Alias((*target).into()),
            (Subject::Alias(_), _) => Found::NODATA,
            (Subject::Places(places), qtype::A | qtype::AAAA) => Found::data(places.addresses(qtype)),
            (Subject::Places(places), qtype::SRV) => places.services(self.options),
            (Subject::Places(_), _) => Found::NODATA,
        }
    }

    fn service(&self, key: ObjectKey, part: Part<'_>) -> Subject<'a> {
        let Some(service) = self
            .services
            .service(&key)
            .filter(|_| self.has_namespace(&key.namespace))
        else {
            return Subject::Nothing;
        };
        if let Reach::ExternalName(target) = &service.reach {
            return match part {
                // An address is no name: a Service that is reached by one does not exist.
                Part::Whole if target.parse::<IpAddr>().is_err() => Subject::Alias(target),
                // Neither endpoints nor ports of what is elsewhere are known.
                Part::Whole | Part::Endpoint(_) | Part::Port(..) => Subject::Nothing,
            };
        }
        if service.reach != Reach::Headless && self.options.ignore_empty && self.endpoints(&key).next().is_none() {
            return Subject::Nothing;
        }
        match (&service.reach, part) {
            // As CoreDNS has it: an import is where its ports are.
            (Reach::ClusterIps(_), Part::Whole | Part::Port(..)) if self.imported && service.ports.is_empty() => {
                Subject::Nothing
            }
            (Reach::ClusterIps(addresses), Part::Whole | Part::Port(..)) => {
                self.cluster_ips(key, service, addresses, part)
            }
            _ => self.endpoint_places(key, part),
        }
    }

    fn cluster_ips(&self, key: ObjectKey, service: &'a Service, addresses: &[IpAddr], part: Part<'_>) -> Subject<'a> {
        let ports: Vec<_> = matching(&service.ports, part).collect();
        let at = |port| addresses.iter().map(move |address| Place::new(*address, port, None));
        let places = Places {
            key,
            level: "svc",
            places: ports.iter().copied().flat_map(at).collect(),
        };
        match places.subject() {
            Subject::Nothing if !ports.is_empty() && self.imported => Subject::Unassigned,
            Subject::Nothing => Subject::exists(!ports.is_empty()),
            subject => subject,
        }
    }

    /// All endpoints, those with a port, or those with a name.
    fn endpoint_places(&self, key: ObjectKey, part: Part<'_>) -> Subject<'a> {
        let is_meant = |slice: &EndpointSlice, endpoint: &Endpoint| match part {
            Part::Endpoint(label) => {
                let [given, asked] = [slice.cluster.as_deref(), label.cluster].map(Option::unwrap_or_default);
                given.eq_ignore_ascii_case(asked) && self.is_called(endpoint, &label)
            }
            Part::Whole | Part::Port(..) => true,
        };
        self.places(key, part, is_meant).subject()
    }

    /// A headless Service's endpoints in a topology zone: where there are none NODATA, or, where the zone is only preferred,
    /// all endpoints.
    fn zonal(&self, key: ObjectKey, zone: &str, prefer: bool) -> Subject<'a> {
        let is_headless = |service: &&Service| service.reach == Reach::Headless;
        if self.services.service(&key).filter(is_headless).is_none() || !self.has_namespace(&key.namespace) {
            return Subject::Nothing;
        }
        // In one slice an address stands in one zone, the last that is given to it, however often it stands there.
        let mut zones = HashMap::new();
        for (slice, endpoint) in self.endpoints(&key) {
            if let Some(zone) = endpoint.zone.as_deref() {
                zones.insert((ptr::from_ref(slice), endpoint.address), zone);
            }
        }
        let is_inside = |slice: &EndpointSlice, endpoint: &Endpoint| {
            zones.get(&(ptr::from_ref(slice), endpoint.address)) == Some(&zone)
        };
        let mut places = self.places(key, Part::Whole, is_inside);
        if places.places.is_empty() && prefer {
            places = self.places(places.key, Part::Whole, |_, _| true);
        }
        match places.subject() {
            Subject::Nothing => Subject::Level,
            subject => subject,
        }
    }

    fn places(
        &self,
        key: ObjectKey,
        part: Part<'_>,
        is_meant: impl Fn(&EndpointSlice, &Endpoint) -> bool,
    ) -> Places<'a> {
        let meant = self
            .endpoints(&key)
            .filter(|(slice, endpoint)| is_meant(slice, endpoint));
        let places = meant.flat_map(|(slice, endpoint)| {
            let ports = matching(&slice.ports, part);
            ports.map(move |port| Place::new(endpoint.address, port, Some((slice, endpoint))))
        });
        Places {
            places: places.collect(),
            key,
            level: "svc",
        }
    }

    fn is_called(&self, endpoint: &Endpoint, asked: &EndpointLabel<'_>) -> bool {
        match given_name(self.options, endpoint) {
            Some(name) => name.eq_ignore_ascii_case(asked.text),
            None => asked.address == Some(endpoint.address),
        }
    }

    /// A Service's endpoints, each with the slice that it stands in.
    fn endpoints<'k>(
        &self,
        key: &'k ObjectKey,
    ) -> impl Iterator<Item = (&'a EndpointSlice, &'a Endpoint)> + use<'a, 'k> {
        let noendpoints = self.options.noendpoints;
        let slices = self.services.slices(key).filter(move |_| !noendpoints);
        slices.flat_map(|slice| slice.endpoints.iter().map(move |endpoint| (slice, endpoint)))
    }

    /// A Pod, which `key` calls by the label that stands for its address.
    fn pod(&self, key: ObjectKey) -> Subject<'a> {
        let ObjectKey { namespace, name: label } = &key;
        let spelled = match label.matches('-').count() == 3 && !label.contains("--") {
            true => label.replace('-', "."),
            false => label.replace('-', ":"),
        };
        let count = match self.options.pods {
            _ if !self.has_namespace(namespace) => 0,
            Pods::Disabled => 0,
            Pods::Insecure => 1,
            Pods::Verified => self.cluster.pods_at(namespace, &spelled),
        };
        let address = spelled.parse::<IpAddr>().ok().filter(|_| count > 0);
        let Some(address) = address else {
            return Subject::Nothing;
        };
        let port = Port {
            name: String::new(),
            protocol: String::new(),
            number: Some(0),
        };
        // Pods that share an address, as on a host network, share the weight.
        let places = (0..count).map(|_| Place::new(address.to_canonical(), Some(&port), None));
        Subject::Places(Places {
            places: places.collect(),
            key,
            level: "pod",
        })
    }

    /// A Service's cluster IP has that one name; another address is named by each endpoint that has it. Whether Service
    /// and Namespace exist makes no difference, unless `namespaces` names those that do.
    fn pointers(&self, address: IpAddr) -> Answer {
        let exposed = |key: &&ObjectKey| self.options.namespaces.is_empty() || self.has_namespace(&key.namespace);
        if let Some(key) = self.cluster.local().services_at(address).find(exposed) {
            return pointer_records([service_target(key)].into());
        }
        let mut targets = Vec::new();
        for key in self.cluster.local().endpoint_services_at(address).filter(exposed) {
            let endpoints = self.endpoints(key);
            for (slice, endpoint) in endpoints.filter(|(_, endpoint)| endpoint.address == address) {
                let target = endpoint_target(self.options, slice, endpoint, &service_target(key));
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        match targets.is_empty() {
            true => Answer::Absent,
            false => pointer_records(targets),
        }
    }

    /// NS of the apex, and the addresses of its targets.
    fn name_servers(&self) -> Found {
        let glue = self.name_server_addresses();
        let mut targets: Vec<_> = glue.iter().map(|(target, _)| target.clone()).collect();
        targets.dedup();
        Found::Records {
            data: targets.into_iter().map(Data::Ns).collect(),
            glue,
        }
    }

    /// The names and addresses of the Services behind which whoever answers stands, be it in a zone of ServiceImports, in
    /// order; `ns.dns` if there are none.
    fn name_server_addresses(&self) -> Vec<(Target, IpAddr)> {
        let local = Self::new(self.cluster, self.options, false);
        let own = || self.options.local.iter().filter(|address| !address.is_loopback());
        let mut services: Vec<_> = own()
            .flat_map(|address| self.cluster.local().endpoint_services_at(*address))
            .collect();
        if services.is_empty() && !self.options.noendpoints {
            let exists = |key: &&ObjectKey| self.cluster.local().service(key).is_some();
            services.extend(self.options.dns_service.as_ref().filter(exists));
        }
        let mut glue: Vec<_> = match services.is_empty() {
            true => own().map(|address| ("ns.dns".to_owned(), *address)).collect(),
            false => services
                .into_iter()
                .flat_map(|key| local.service_addresses(key))
                .collect(),
        };
        glue.sort();
        glue.dedup();
        glue
    }

    /// The addresses by which a Service is reached, and the name of each.
    fn service_addresses(&self, key: &ObjectKey) -> Vec<(Target, IpAddr)> {
        match self.services.service(key).map(|service| &service.reach) {
            Some(Reach::ClusterIps(addresses)) => addresses
                .iter()
                .map(|address| (service_target(key), *address))
                .collect(),
            Some(Reach::Headless) => self
                .endpoints(key)
                .map(|(slice, endpoint)| {
                    let target = endpoint_target(self.options, slice, endpoint, &service_target(key));
                    (target, endpoint.address)
                })
                .collect(),
            Some(Reach::ExternalName(_)) | None => Vec::new(),
        }
    }

    fn has_namespace(&self, name: &str) -> bool {
        let exposed = &self.options.namespaces;
        (exposed.is_empty() || exposed.iter().any(|exposed| exposed == name)) && self.cluster.has_namespace(name)
    }
}

/// Which of a Service's names is asked for.
#[derive(Clone, Copy)]
enum Part<'q> {
    /// Its own.
    Whole,
    /// That of an endpoint.
    Endpoint(EndpointLabel<'q>),
    /// That of a port and its protocol; one of them may be empty, for any.
    Port(&'q str, &'q str),
}

/// A label that may be an endpoint's name.
#[derive(Clone, Copy)]
struct EndpointLabel<'q> {
    text: &'q str,
    /// The cluster that it is in, among ServiceImports.
    cluster: Option<&'q str>,
    /// The address that it spells, if it spells one.
    address: Option<IpAddr>,
}

impl<'q> EndpointLabel<'q> {
    fn new(text: &'q str, cluster: Option<&'q str>) -> Self {
        let spelled = [".", ":"]
            .into_iter()
            .find_map(|dash| text.replace('-', dash).parse::<IpAddr>().ok());
        Self {
            text,
            cluster,
            address: spelled.filter(|address| dashed(*address) == text),
        }
    }
}

/// What a name has of a type.
enum Found {
    Absent,
    Records {
        data: Vec<Data>,
        glue: Vec<(Target, IpAddr)>,
    },
    Alias(String),
}

impl Found {
    const NODATA: Self = Self::data(Vec::new());

    const fn data(data: Vec<Data>) -> Self {
        Self::Records { data, glue: Vec::new() }
    }

    fn one(data: Data) -> Self {
        Self::data(vec![data])
    }
}

/// Addresses with a port each, of which a Service, an endpoint or a Pod consists.
struct Places<'a> {
    /// Whose they are.
    key: ObjectKey,
    /// The level of the tree below which that is.
    level: &'static str,
    places: Vec<Place<'a>>,
}

struct Place<'a> {
    address: IpAddr,
    /// `None` where a Service has no port, or a slice leaves it open: there are addresses then, and no SRV record.
    port: Option<u16>,
    /// The endpoint that it is, where it is called by a name of its own.
    endpoint: Option<(&'a EndpointSlice, &'a Endpoint)>,
}

impl<'a> Place<'a> {
    fn new(address: IpAddr, port: Option<&Port>, endpoint: Option<(&'a EndpointSlice, &'a Endpoint)>) -> Self {
        Self {
            address,
            port: port.and_then(|port| port.number),
            endpoint,
        }
    }
}

impl<'a> Places<'a> {
    fn subject(self) -> Subject<'a> {
        match self.places.is_empty() {
            true => Subject::Nothing,
            false => Subject::Places(self),
        }
    }

    fn addresses(&self, qtype: u16) -> Vec<Data> {
        let mut seen = HashSet::new();
        let addresses = self.places.iter().map(|place| place.address);
        let fresh = addresses.filter(|address| seen.insert(*address));
        fresh.filter_map(|address| address_data(address, qtype)).collect()
    }

    /// One SRV record for each port of each target. The weight is shared by all places, repeated or not.
    fn services(&self, options: &Options) -> Found {
        let weight = (100 / self.places.len().max(1)).max(1) as u16;
        let whole = target(&self.key, self.level);
        let (mut data, mut glue) = (Vec::new(), Vec::new());
        let (mut services, mut addresses) = (HashSet::new(), HashSet::new());
        for Place {
            address,
            port,
            endpoint,
        } in &self.places
        {
            let Some(port) = *port else { continue };
            let target = match endpoint {
                Some((slice, endpoint)) => endpoint_target(options, slice, endpoint, &whole),
                None => whole.clone(),
            };
            if services.insert((target.clone(), port)) {
                data.push(Data::Srv {
                    weight,
                    port,
                    target: target.clone(),
                });
            }
            if addresses.insert((target.clone(), *address)) {
                glue.push((target, *address));
            }
        }
        Found::Records { data, glue }
    }
}

/// The ports that a question means. Without any port, there is one without name and number.
fn matching<'p>(ports: &'p [Port], part: Part<'_>) -> impl Iterator<Item = Option<&'p Port>> {
    let none = ports.is_empty().then_some(None);
    let is_meant = move |port: &Option<&Port>| match part {
        Part::Whole | Part::Endpoint(_) => true,
        Part::Port(name, protocol) => {
            let is = |asked: &str, given: &str| asked.is_empty() || asked.eq_ignore_ascii_case(given);
            let (given_name, given_protocol) = port.map_or(("", ""), |port| (&port.name, &port.protocol));
            is(name, given_name) && is(protocol, given_protocol)
        }
    };
    ports.iter().map(Some).chain(none).filter(is_meant)
}

/// An endpoint's hostname, or the name of its Pod where that is asked for; without either it is called by its address.
fn given_name<'e>(options: &Options, endpoint: &'e Endpoint) -> Option<&'e str> {
    let is_label = |pod: &&str| options.endpoint_pod_names && pod.len() <= MAX_LABEL_LEN;
    let pod = || endpoint.pod.as_deref().filter(is_label);
    endpoint.hostname.as_deref().or_else(pod)
}

fn pointer_records(targets: Vec<Target>) -> Answer {
    let record = |target| Record {
        owner: None,
        data: Data::Ptr(target),
    };
    Answer::Records(Records {
        answer: targets.into_iter().map(record).collect(),
        glue: Vec::new(),
    })
}

fn address_data(address: IpAddr, qtype: u16) -> Option<Data> {
    match address {
        IpAddr::V4(address) => (qtype == qtype::A).then_some(Data::A(address)),
        IpAddr::V6(address) => (qtype == qtype::AAAA).then_some(Data::Aaaa(address)),
    }
}

/// The name of a Service.
pub fn service_target(key: &ObjectKey) -> Target {
    target(key, "svc")
}

fn target(key: &ObjectKey, level: &str) -> Target {
    [&key.name, &key.namespace, level].join(".")
}

/// The name of an endpoint of a Service whose own name is given.
pub fn endpoint_target(options: &Options, slice: &EndpointSlice, endpoint: &Endpoint, service: &str) -> Target {
    let label = endpoint_label(options, endpoint);
    match &slice.cluster {
        Some(cluster) => [&label, &**cluster, service].join("."),
        None => [&label, service].join("."),
    }
}

/// An address as a label: no label ends in a dash.
fn dashed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{a}-{b}-{c}-{d}")
        }
        IpAddr::V6(address) => {
            let label = address.to_string().replace(['.', ':'], "-");
            if label.ends_with('-') { label + "0" } else { label }
        }
    }
}

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey {
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn without_underscore(label: &str) -> &str {
    label.strip_prefix('_').unwrap_or(label)
}

/// A label as text, with escapes where it is not made of letters, digits, dashes and underscores: no object is called so.
fn text(label: &[u8]) -> Cow<'_, str> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    match str::from_utf8(label) {
        Ok(text) if label.iter().all(is_plain) => text.into(),
        _ => label.escape_ascii().to_string().replace('.', "\\.").into(),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// `pods insecure`, and nothing else.
    pub(crate) const INSECURE: Options = Options {
        pods: Pods::Insecure,
        namespaces: Vec::new(),
        endpoint_pod_names: false,
        noendpoints: false,
        ignore_empty: false,
        zonal: false,
        multicluster: Vec::new(),
        local: Vec::new(),
        dns_service: None,
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::testing::INSECURE;
    use super::*;
    use crate::cluster::Event;
    use crate::cluster::object::{Kind, read};

    const ABSENT: &str = "absent";
    const NODATA: &str = "";

    #[test]
    fn the_tree_above_the_services() {
        check(
            &INSECURE,
            &[
                ("", "A", NODATA),
                ("", "TXT", NODATA),
                ("svc", "A", NODATA),
                ("pod", "A", NODATA),
                ("n1.svc", "TXT", NODATA),
                ("n1.pod", "A", NODATA),
                ("ghost.svc", "A", ABSENT),
                ("ghost.pod", "A", ABSENT),
                ("dns", "A", ABSENT),
                ("hostmaster", "A", ABSENT),
                ("dns-version", "TXT", "TXT 1.1.0"),
                ("dns-version", "A", ABSENT),
                ("example.com", "A", ABSENT),
                ("web.n1", "A", ABSENT),
            ],
        );
    }

    #[test]
    fn services_with_cluster_ips() {
        check(
            &INSECURE,
            &[
                ("web.n1.svc", "A", "A 10.96.0.1"),
                ("web.n1.svc", "AAAA", "AAAA fd00::1"),
                ("web.n1.svc", "MX", NODATA),
                // Two ports, two addresses: four places share the weight; one record for each port.
                (
                    "web.n1.svc",
                    "SRV",
                    "SRV 25 80 web.n1.svc; SRV 25 443 web.n1.svc; +10.96.0.1 +fd00::1",
                ),
                (
                    "_http._tcp.web.n1.svc",
                    "SRV",
                    "SRV 50 80 web.n1.svc; +10.96.0.1 +fd00::1",
                ),
                (
                    "http.TCP.web.n1.svc",
                    "SRV",
                    "SRV 50 80 web.n1.svc; +10.96.0.1 +fd00::1",
                ),
                ("_._tcp.web.n1.svc", "A", "A 10.96.0.1"),
                ("_http._udp.web.n1.svc", "A", ABSENT),
                ("_tcp.web.n1.svc", "A", ABSENT),
                ("a._http._tcp.web.n1.svc", "A", ABSENT),
                ("host-0.web.n1.svc", "A", "A 10.0.0.9"),
                ("10-0-0-9.web.n1.svc", "A", ABSENT),
                ("none.n1.svc", "A", NODATA),
                ("none.n1.svc", "SRV", NODATA),
                ("orphan.ghost.svc", "A", ABSENT),
            ],
        );
        let ignore_empty = Options {
            ignore_empty: true,
            ..INSECURE
        };
        check(
            &ignore_empty,
            &[
                ("web.n1.svc", "A", "A 10.96.0.1"),
                ("none.n1.svc", "A", ABSENT),
                ("alias.n1.svc", "SRV", NODATA),
            ],
        );
    }

    #[test]
    fn headless_services() {
        check(
            &INSECURE,
            &[
                ("db.n1.svc", "A", "A 10.0.0.1; A 10.0.0.2"),
                ("db.n1.svc", "AAAA", "AAAA fd00:1::"),
                (
                    "db.n1.svc",
                    "SRV",
                    "SRV 33 5432 a.db.n1.svc; SRV 33 5432 10-0-0-2.db.n1.svc; +10.0.0.1 +10.0.0.2",
                ),
                ("_sql._tcp.db.n1.svc", "A", "A 10.0.0.1; A 10.0.0.2"),
                ("_web._tcp.db.n1.svc", "SRV", ABSENT),
                ("a.db.n1.svc", "A", "A 10.0.0.1"),
                ("a.db.n1.svc", "AAAA", NODATA),
                ("10-0-0-1.db.n1.svc", "A", ABSENT),
                ("fd00-1--0.db.n1.svc", "AAAA", "AAAA fd00:1::"),
                // A slice without ports has addresses and no SRV records.
                ("fd00-1--0.db.n1.svc", "SRV", NODATA),
                ("empty.n1.svc", "A", ABSENT),
            ],
        );
        let pod_names = Options {
            endpoint_pod_names: true,
            ..INSECURE
        };
        check(
            &pod_names,
            &[("db-1.db.n1.svc", "A", "A 10.0.0.2"), ("db-0.db.n1.svc", "A", ABSENT)],
        );
        let noendpoints = Options {
            noendpoints: true,
            ..INSECURE
        };
        check(
            &noendpoints,
            &[("db.n1.svc", "A", ABSENT), ("host-0.web.n1.svc", "A", ABSENT)],
        );
    }

    #[test]
    fn the_endpoints_of_a_topology_zone() {
        let zonal = Options {
            zonal: true,
            ..INSECURE
        };
        let all = "A 10.0.0.1; A 10.0.0.2";
        check(
            &zonal,
            &[
                ("eu.west.pin._zone.db.n1.svc", "A", "A 10.0.0.2"),
                ("eu.west.pin._zone.db.n1.svc", "AAAA", NODATA),
                (
                    "eu.west.prefer._zone.db.n1.svc",
                    "SRV",
                    "SRV 100 5432 10-0-0-2.db.n1.svc; +10.0.0.2",
                ),
                ("mars.pin._zone.db.n1.svc", "A", NODATA),
                ("mars.prefer._zone.db.n1.svc", "A", all),
                ("mars.prefer._zone.empty.n1.svc", "A", NODATA),
                ("mars.other._zone.db.n1.svc", "A", ABSENT),
                ("eu.west.pin._zone.web.n1.svc", "A", ABSENT),
                ("eu.west.pin._zone.nothing.n1.svc", "A", ABSENT),
                // Without a zone it is a port and a protocol.
                ("pin._zone.db.n1.svc", "A", ABSENT),
            ],
        );
        check(&INSECURE, &[("eu.west.pin._zone.db.n1.svc", "A", ABSENT)]);
    }

    #[test]
    fn an_address_is_in_one_topology_zone_of_each_slice() {
        let zonal = Options {
            zonal: true,
            ..INSECURE
        };
        check(
            &zonal,
            &[
                // Twice there, though it is given the zone only once.
                (
                    "mars.pin._zone.twice.n1.svc",
                    "SRV",
                    "SRV 50 5432 10-0-0-4.twice.n1.svc; +10.0.0.4",
                ),
                // Three places: one address twice, and the other by the slice that has no ports.
                (
                    "west.pin._zone.twice.n1.svc",
                    "SRV",
                    "SRV 33 5432 10-0-0-5.twice.n1.svc; +10.0.0.5",
                ),
                ("west.pin._zone.twice.n1.svc", "A", "A 10.0.0.5; A 10.0.0.4"),
            ],
        );
    }

    #[test]
    fn bytes_that_no_object_is_called_by() {
        let zonal = Options {
            zonal: true,
            ..INSECURE
        };
        let (cluster, zone) = (cluster(), Name::parse("cluster.local").unwrap());
        for (name, expected) in [
            (b"web\xff/n1/svc" as &[u8], ABSENT),
            // A zone without endpoints, as any other that there is not.
            (b"\xff/pin/_zone/db/n1/svc", NODATA),
            (b"eu.west/pin/_zone/db/n1/svc", NODATA),
            (b"eu/west/pin/_zone/db/n1/svc", "A 10.0.0.2"),
            (b"\xff/10-1-2-3/n1/pod", "A 10.1.2.3"),
        ] {
            let labels: Vec<_> = name.split(|byte| *byte == b'/').collect();
            let said = describe(&find(&cluster, &zonal, &zone, &labels).answer(qtype::A));
            assert_eq!(said, expected, "{labels:?}");
        }
    }

    #[test]
    fn imports_from_other_clusters() {
        // A zone within one of those that are named is one of them.
        let multicluster = Options {
            multicluster: vec![Name::parse("local").unwrap()],
            zonal: true,
            local: vec![[10, 0, 0, 9].into()],
            ..INSECURE
        };
        check(
            &multicluster,
            &[
                ("shop.n1.svc", "A", "A 10.97.0.1"),
                ("_http._tcp.shop.n1.svc", "SRV", "SRV 100 80 shop.n1.svc; +10.97.0.1"),
                ("_http.tcp.shop.n1.svc", "A", "A 10.97.0.1"),
                // Without an underscore it is an endpoint and its cluster.
                ("http.tcp.shop.n1.svc", "A", ABSENT),
                ("portless.n1.svc", "A", ABSENT),
                ("unassigned.n1.svc", "A", NODATA),
                ("unassigned.n1.svc", "TXT", ABSENT),
                ("shop.n1.svc", "TXT", NODATA),
                ("far.n1.svc", "A", "A 10.1.0.1; A 10.2.0.1"),
                ("a.c2.far.n1.svc", "A", "A 10.2.0.1"),
                ("a.c1.far.n1.svc", "A", "A 10.1.0.1"),
                ("a.c3.far.n1.svc", "A", ABSENT),
                ("a.far.n1.svc", "A", ABSENT),
                (
                    "far.n1.svc",
                    "SRV",
                    "SRV 50 80 a.C1.far.n1.svc; SRV 50 80 a.c2.far.n1.svc; +10.1.0.1 +10.2.0.1",
                ),
                ("web.n1.svc", "A", ABSENT),
                ("n1.svc", "A", NODATA),
                ("eu.pin._zone.far.n1.svc", "A", ABSENT),
                ("", "NS", "NS web.n1.svc; +10.96.0.1 +fd00::1"),
            ],
        );
        check(&INSECURE, &[("shop.n1.svc", "A", ABSENT)]);
        assert_eq!(pointers_to("10.97.0.1", &multicluster), ABSENT);
    }

    #[test]
    fn aliases() {
        check(
            &INSECURE,
            &[
                ("alias.n1.svc", "CNAME", "CNAME WWW.example.com"),
                ("alias.n1.svc", "A", "CNAME WWW.example.com -> elsewhere"),
                ("alias.n1.svc", "SRV", NODATA),
                ("a.alias.n1.svc", "A", ABSENT),
                ("_._tcp.alias.n1.svc", "CNAME", ABSENT),
                ("_._.alias.n1.svc", "CNAME", "CNAME WWW.example.com"),
                (
                    "inner.n1.svc",
                    "A",
                    "CNAME web.n1.svc.cluster.local; web.n1.svc.cluster.local A 10.96.0.1",
                ),
                ("inner.n1.svc", "TXT", NODATA),
                ("dangling.n1.svc", "A", NODATA),
                ("loop.n1.svc", "A", NODATA),
                ("loop.n1.svc", "CNAME", "CNAME loop.n1.svc.cluster.local"),
                ("number.n1.svc", "A", ABSENT),
                ("number.n1.svc", "CNAME", ABSENT),
            ],
        );
    }

    #[test]
    fn follows_eleven_aliases_and_no_more() {
        let (cluster, zone) = (cluster(), Name::parse("cluster.local").unwrap());
        let follow = |labels: [&[u8]; 3]| find(&cluster, &INSECURE, &zone, &labels).answer(qtype::A);
        let Answer::Records(Records { answer: eleven, .. }) = follow([b"chain-11", b"n1", b"svc"]) else {
            panic!("no records");
        };
        assert_eq!(eleven.len(), 12, "eleven aliases and an address: {eleven:?}");
        assert_eq!(describe(&follow([b"chain-12", b"n1", b"svc"])), NODATA);
    }

    #[test]
    fn pods() {
        let of = |pods| Options { pods, ..INSECURE };
        check(
            &of(Pods::Insecure),
            &[
                ("10-1-2-3.n1.pod", "A", "A 10.1.2.3"),
                ("10-1-2-3.n1.pod", "AAAA", NODATA),
                ("10-1-2-3.n1.pod", "SRV", "SRV 100 0 10-1-2-3.n1.pod; +10.1.2.3"),
                ("fd00--1.n1.pod", "AAAA", "AAAA fd00::1"),
                ("x.y.10-1-2-3.n1.pod", "A", "A 10.1.2.3"),
                ("x.y.z.10-1-2-3.n1.pod", "A", ABSENT),
                ("010-1-2-3.n1.pod", "A", ABSENT),
                ("10-1-2-300.n1.pod", "A", ABSENT),
                ("10-1-2-3.ghost.pod", "A", ABSENT),
                ("10.1.2.3.n1.pod", "A", ABSENT),
            ],
        );
        check(
            &of(Pods::Verified),
            &[
                ("10-0-0-7.n1.pod", "A", "A 10.0.0.7"),
                ("10-0-0-7.n1.pod", "SRV", "SRV 100 0 10-0-0-7.n1.pod; +10.0.0.7"),
                ("10-0-0-8.n1.pod", "A", "A 10.0.0.8"),
                // Each Pod has a share, and they have one name.
                ("10-0-0-8.n1.pod", "SRV", "SRV 50 0 10-0-0-8.n1.pod; +10.0.0.8"),
                ("10-0-0-7.n2.pod", "A", ABSENT),
                ("10-1-2-3.n1.pod", "A", ABSENT),
                ("n1.pod", "A", NODATA),
            ],
        );
        check(
            &of(Pods::Disabled),
            &[
                ("10-0-0-7.n1.pod", "A", ABSENT),
                ("n1.pod", "A", ABSENT),
                ("pod", "A", NODATA),
            ],
        );
    }

    #[test]
    fn namespaces_that_are_not_exposed_do_not_exist() {
        let exposed = Options {
            namespaces: vec!["n2".into()],
            ..INSECURE
        };
        check(
            &exposed,
            &[
                ("web.n1.svc", "A", ABSENT),
                ("n1.svc", "A", ABSENT),
                ("n2.svc", "A", NODATA),
                ("10-1-2-3.n1.pod", "A", ABSENT),
                ("10-1-2-3.n2.pod", "A", "A 10.1.2.3"),
            ],
        );
        assert_eq!(pointers_to("10.96.0.1", &exposed), ABSENT);
    }

    #[test]
    fn the_name_of_an_address() {
        assert_eq!(pointers_to("10.96.0.1", &INSECURE), "PTR web.n1.svc");
        assert_eq!(pointers_to("fd00::1", &INSECURE), "PTR web.n1.svc");
        assert_eq!(pointers_to("10.0.0.1", &INSECURE), "PTR a.db.n1.svc");
        assert_eq!(
            pointers_to("10.0.0.9", &INSECURE),
            "PTR 10-0-0-9.other.n1.svc; PTR host-0.web.n1.svc"
        );
        assert_eq!(
            pointers_to("10.0.0.7", &INSECURE),
            ABSENT,
            "a Pod's address has no name by itself"
        );
    }

    #[test]
    fn the_name_server_stands_behind_its_service_or_has_its_own_addresses() {
        let at = |address: &str| Options {
            local: vec![address.parse().unwrap()],
            ..INSECURE
        };
        check(
            &at("10.0.0.9"),
            &[
                ("", "NS", "NS web.n1.svc; +10.96.0.1 +fd00::1"),
                ("ns.dns", "A", "A 10.96.0.1"),
            ],
        );
        check(
            &at("192.0.2.1"),
            &[
                ("", "NS", "NS ns.dns; +192.0.2.1"),
                ("ns.dns", "A", "A 192.0.2.1"),
                ("ns.dns", "AAAA", NODATA),
                ("ns.dns", "TXT", ABSENT),
                ("ns.dns", "SRV", NODATA),
            ],
        );
        check(&at("10.0.0.1"), &[("ns.dns", "A", "A 10.0.0.2; A 10.0.0.1")]);
        check(&at("127.0.0.1"), &[("", "NS", NODATA), ("ns.dns", "A", NODATA)]);
    }

    #[test]
    fn the_name_server_is_the_dns_service_where_nobody_has_its_addresses() {
        let options = Options {
            local: vec![[192, 0, 2, 1].into()],
            dns_service: Some(key("n1", "web")),
            ..INSECURE
        };
        check(
            &options,
            &[
                ("", "NS", "NS web.n1.svc; +10.96.0.1 +fd00::1"),
                (
                    "server.n1.svc",
                    "A",
                    "CNAME ns.dns.cluster.local; ns.dns.cluster.local A 10.96.0.1",
                ),
                ("ns.dns", "PTR", ABSENT),
            ],
        );
        let noendpoints = Options {
            noendpoints: true,
            ..options.clone()
        };
        check(&noendpoints, &[("", "NS", "NS ns.dns; +192.0.2.1")]);
        let gone = Options {
            dns_service: Some(key("n1", "gone")),
            ..options
        };
        check(&gone, &[("", "NS", "NS ns.dns; +192.0.2.1")]);
    }

    #[test]
    fn the_name_of_an_address_leads_back_to_it() {
        let (cluster, zone, options) = (cluster(), Name::parse("cluster.local").unwrap(), INSECURE);
        for address in ["10.96.0.1", "fd00::1", "10.0.0.1", "10.0.0.2", "fd00:1::"] {
            let address: IpAddr = address.parse().unwrap();
            let Answer::Records(found) = pointers(&cluster, &options, address) else {
                panic!("{address} has no name");
            };
            for Record { data, .. } in found.answer {
                let Data::Ptr(target) = data else { panic!("{data:?}") };
                let labels: Vec<_> = target.split('.').map(str::as_bytes).collect();
                let node = find(&cluster, &options, &zone, &labels);
                let back = [qtype::A, qtype::AAAA].map(|qtype| node.answer(qtype));
                assert!(
                    format!("{back:?}").contains(&format!("({address})")),
                    "{address}: {back:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_name_gets_records_of_the_type_asked_for_or_none(
            labels in proptest::collection::vec(label(), 0..8),
            qtype in prop_oneof![Just(qtype::A), Just(qtype::AAAA), Just(qtype::SRV), Just(qtype::TXT), 0..300u16],
            zonal: bool,
        ) {
            let zone = Name::parse("cluster.local").unwrap();
            let options = Options { zonal, local: vec![[192, 0, 2, 1].into()], ..INSECURE };
            let labels: Vec<_> = labels.iter().map(Vec::as_slice).collect();
            let cluster = cluster();
            let Answer::Records(records) = find(&cluster, &options, &zone, &labels).answer(qtype) else { return Ok(()) };
            for Record { data, .. } in records.answer {
                let (expected, is_address) = match data {
                    Data::A(_) => (qtype::A, true),
                    Data::Aaaa(_) => (qtype::AAAA, true),
                    Data::Cname(_) if matches!(qtype, qtype::A | qtype::AAAA) => (qtype, false),
                    Data::Cname(_) => (qtype::CNAME, false),
                    Data::Ns(_) => (qtype::NS, false),
                    Data::Ptr(_) => (qtype::PTR, false),
                    Data::Txt(_) => (qtype::TXT, false),
                    Data::Srv { weight, .. } => {
                        prop_assert!((1..=100).contains(&weight));
                        (qtype::SRV, false)
                    }
                };
                prop_assert_eq!(qtype, expected);
                prop_assert!(!is_address || records.glue.is_empty());
            }
        }
    }

    fn label() -> impl Strategy<Value = Vec<u8>> {
        let words = [
            "svc",
            "pod",
            "n1",
            "ghost",
            "web",
            "db",
            "alias",
            "inner",
            "loop",
            "a",
            "_http",
            "_tcp",
            "_",
            "pin",
            "prefer",
            "_zone",
            "10-0-0-2",
            "fd00-1--0",
            "ns",
            "dns",
            "dns-version",
        ];
        prop_oneof![
            9 => proptest::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 1..64),
        ]
    }

    #[test]
    fn reads_the_address_of_a_reverse_name() {
        let nibbles = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
        for (name, expected) in [
            ("1.0.96.10.IN-ADDR.arpa", Some("10.96.0.1")),
            (nibbles, Some("fd00::1")),
            (&nibbles[2..], None),
            // `@` is a dot inside of a label, which takes a nibble's place.
            (&nibbles.replacen('1', "1@", 1), Some("fd00::")),
            (&nibbles.replacen("f.", "f@.", 1), None),
            ("1@0.96.10.in-addr.arpa", None),
            (&format!("a.b.c.{nibbles}"), Some("fd00::1")),
            (&format!("a.b.c.d.{nibbles}"), None),
            ("0.96.10.in-addr.arpa", None),
            ("300.0.96.10.in-addr.arpa", None),
            ("01.0.96.10.in-addr.arpa", None),
            ("1.0.96.10.cluster.local", None),
        ] {
            let mut wire = Name::parse(name).unwrap().as_wire().to_vec();
            for byte in wire.iter_mut().filter(|byte| **byte == b'@') {
                *byte = b'.';
            }
            let address = reverse_address(&Name::from_wire(&wire));
            assert_eq!(address, expected.map(|it| it.parse().unwrap()), "{name}");
        }
    }

    fn check(options: &Options, cases: &[(&str, &str, &str)]) {
        let cluster = cluster();
        let zone = Name::parse("cluster.local").unwrap();
        for (name, qtype, expected) in cases {
            let labels = Name::parse(name).unwrap();
            let labels: Vec<_> = labels.labels().collect();
            let qtype = match *qtype {
                "A" => qtype::A,
                "AAAA" => qtype::AAAA,
                "CNAME" => qtype::CNAME,
                "MX" => 15,
                "NS" => qtype::NS,
                "PTR" => qtype::PTR,
                "SRV" => qtype::SRV,
                "TXT" => qtype::TXT,
                other => panic!("no type: {other}"),
            };
            let said = describe(&find(&cluster, options, &zone, &labels).answer(qtype));
            assert_eq!(said, *expected, "{name} {qtype}");
        }
    }

    fn pointers_to(address: &str, options: &Options) -> String {
        describe(&pointers(&cluster(), options, address.parse().unwrap()))
    }

    fn describe(answer: &Answer) -> String {
        let line = |Record { owner, data }: &Record| {
            let owner = owner.as_ref().map(|owner| format!("{owner} ")).unwrap_or_default();
            owner
                + &match data {
                    Data::A(address) => format!("A {address}"),
                    Data::Aaaa(address) => format!("AAAA {address}"),
                    Data::Cname(target) => format!("CNAME {target}"),
                    Data::Ns(target) => format!("NS {target}"),
                    Data::Ptr(target) => format!("PTR {target}"),
                    Data::Txt(text) => format!("TXT {text}"),
                    Data::Srv { weight, port, target } => format!("SRV {weight} {port} {target}"),
                }
        };
        match answer {
            Answer::Absent => ABSENT.into(),
            Answer::Elsewhere { aliases, .. } => {
                aliases.iter().map(line).collect::<Vec<_>>().join("; ") + " -> elsewhere"
            }
            Answer::Records(records) => {
                let mut parts: Vec<_> = records.answer.iter().map(line).collect();
                let glue: Vec<_> = records.glue.iter().map(|(_, address)| format!("+{address}")).collect();
                parts.extend((!glue.is_empty()).then(|| glue.join(" ")));
                parts.join("; ")
            }
        }
    }

    fn cluster() -> Cluster {
        let port = |name: &str, number: u16| json!({"name": name, "protocol": "TCP", "port": number});
        let spec = |name: &str, namespace: &str, spec: Value| json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec});
        let external =
            |name: &str, target: &str| spec(name, "n1", json!({"type": "ExternalName", "externalName": target}));
        let slice = |name: &str, service: &str, endpoints: Value, ports: Value| {
            let labels = json!({"kubernetes.io/service-name": service});
            json!({"metadata": {"name": name, "namespace": "n1", "labels": labels}, "endpoints": endpoints, "ports": ports})
        };
        let imported_slice = |cluster: &str, address: &str| {
            let labels = json!({
                "multicluster.kubernetes.io/service-name": "far",
                "multicluster.kubernetes.io/source-cluster": cluster,
            });
            json!({
                "metadata": {"name": format!("far-{cluster}"), "namespace": "n1", "labels": labels},
                "endpoints": [{"addresses": [address], "hostname": "a"}],
                "ports": [port("http", 80)],
            })
        };
        let mut objects = [
            (
                Kind::Namespace,
                vec![json!({"metadata": {"name": "n1"}}), json!({"metadata": {"name": "n2"}})],
            ),
            (
                Kind::Service,
                vec![
                    spec(
                        "web",
                        "n1",
                        json!({"clusterIPs": ["10.96.0.1", "fd00::1"], "ports": [port("http", 80), port("https", 443)]}),
                    ),
                    spec("none", "n1", json!({"clusterIP": "", "ports": [port("http", 80)]})),
                    spec("db", "n1", json!({"clusterIP": "None"})),
                    spec("twice", "n1", json!({"clusterIP": "None"})),
                    spec("empty", "n1", json!({"clusterIP": "None"})),
                    spec("orphan", "ghost", json!({"clusterIP": "10.96.0.2"})),
                    external("alias", "WWW.example.com"),
                    external("inner", "web.n1.svc.cluster.local"),
                    external("dangling", "nothing.n1.svc.cluster.local"),
                    external("loop", "loop.n1.svc.cluster.local"),
                    external("number", "10.0.0.1"),
                    external("server", "ns.dns.cluster.local"),
                ],
            ),
            (
                Kind::EndpointSlice,
                vec![
                    slice(
                        "web-a",
                        "web",
                        json!([{"addresses": ["10.0.0.9"], "hostname": "host-0"}]),
                        json!([port("http", 8080)]),
                    ),
                    slice("other-a", "other", json!([{"addresses": ["10.0.0.9"]}]), json!([])),
                    slice(
                        "db-a",
                        "db",
                        json!([
                            {"addresses": ["10.0.0.1"], "hostname": "a", "targetRef": {"name": "db-0"}},
                            {"addresses": ["10.0.0.2"], "zone": "eu.west", "targetRef": {"name": "db-1"}},
                            {"addresses": ["10.0.0.3"], "conditions": {"ready": false}},
                        ]),
                        json!([port("sql", 5432)]),
                    ),
                    slice("db-b", "db", json!([{"addresses": ["fd00:1::"]}]), json!([])),
                    slice(
                        "twice-a",
                        "twice",
                        json!([
                            {"addresses": ["10.0.0.4"], "zone": "west"},
                            {"addresses": ["10.0.0.4"], "zone": "mars"},
                            {"addresses": ["10.0.0.5"], "zone": "west"},
                            {"addresses": ["10.0.0.5"]},
                        ]),
                        json!([port("sql", 5432)]),
                    ),
                    slice(
                        "twice-b",
                        "twice",
                        json!([{"addresses": ["10.0.0.4"], "zone": "west"}]),
                        json!([]),
                    ),
                ],
            ),
            (
                Kind::ServiceImport,
                vec![
                    spec(
                        "shop",
                        "n1",
                        json!({"type": "ClusterSetIP", "ips": ["10.97.0.1"], "ports": [port("http", 80)]}),
                    ),
                    spec("portless", "n1", json!({"type": "ClusterSetIP", "ips": ["10.97.0.2"]})),
                    spec(
                        "unassigned",
                        "n1",
                        json!({"type": "ClusterSetIP", "ports": [port("http", 80)]}),
                    ),
                    spec("far", "n1", json!({"type": "Headless"})),
                ],
            ),
            (
                Kind::ImportedSlice,
                vec![imported_slice("C1", "10.1.0.1"), imported_slice("c2", "10.2.0.1")],
            ),
            (
                Kind::Pod,
                [("p", 7), ("q", 8), ("r", 8)]
                    .map(|(name, last)| {
                        json!({"metadata": {"name": name, "namespace": "n1"}, "status": {"podIP": format!("10.0.0.{last}")}})
                    })
                    .to_vec(),
            ),
        ];
        let link = |number: u32| {
            external(
                &format!("chain-{number}"),
                &format!("chain-{}.n1.svc.cluster.local", number - 1),
            )
        };
        let chain = [external("chain-1", "web.n1.svc.cluster.local")]
            .into_iter()
            .chain((2..13).map(link));
        let services = objects.iter_mut().find(|(kind, _)| *kind == Kind::Service);
        services.unwrap().1.extend(chain);
        let mut cluster = Cluster::default();
        for (kind, objects) in objects {
            let read = |object: &Value| read(kind, &object.to_string()).unwrap().object.unwrap();
            for event in Event::list(kind, objects.iter().map(read).collect()) {
                cluster.apply(event);
            }
        }
        cluster
    }
}
