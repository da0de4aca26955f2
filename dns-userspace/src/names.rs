//! Which names the objects may have: what has to be written down of an object, and anew when it changes.
//!
//! Names may be named here that do not exist, but never too few: whether one does, and what it has, is for
//! [`crate::rules`] to say. Not named are the shapes that have no end ([`dns_ebpf::zone`] knows them): names of Pods under
//! `pods insecure`, those of topology zones, and other spellings of ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cluster::object::{Endpoint, EndpointSlice, Kind, Object, ObjectKey, Port, Reach};
use crate::cluster::{Cluster, Event, ServiceSet};
use crate::rules::{Options, endpoint_target, pod_label, service_target};

/// Names that every zone may have, as labels left of it.
const FIXED: [&str; 5] = ["", "svc", "pod", "dns-version", "ns.dns"];

/// Those of them that say by whom the zones are served, to which every Service and every endpoint may contribute.
pub const SHARED: [&str; 2] = ["", "ns.dns"];

/// The protocols whose other spellings [`dns_ebpf::zone`] recognises.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Names, as labels left of a zone, and addresses.
#[derive(Debug, Default)]
pub struct Names {
    /// Names in the zones of Services.
    pub local: BTreeSet<String>,
    /// Names in the zones of ServiceImports.
    pub imported: BTreeSet<String>,
    /// Names in reverse zones that stand for no address.
    pub reverse: BTreeSet<String>,
    /// What names of reverse zones stand for.
    pub addresses: BTreeSet<IpAddr>,
}

impl Names {
    /// Adds the names that an object has, or that have to do with it; but for those of a slice's endpoints.
    pub fn add(&mut self, cluster: &Cluster, options: &Options, kind: Kind, key: &ObjectKey) {
        match kind {
            Kind::Namespace => self.add_namespace(cluster, options, &key.name),
            Kind::Service => {
                add_service(&mut self.local, cluster.local(), options, key);
                self.add_cluster_ips(cluster, key);
            }
            Kind::ServiceImport => add_service(&mut self.imported, cluster.imported(), options, key),
            Kind::EndpointSlice => add_owner(&mut self.local, cluster.local(), key),
            Kind::ImportedSlice => add_owner(&mut self.imported, cluster.imported(), key),
            Kind::Pod => {
                if let Some(pod) = cluster.pod(key) {
                    self.add_pod(&key.namespace, &pod.ip);
                }
            }
        }
    }

    /// Adds the names and addresses of the endpoints that an event about a slice changes, before it is taken in.
    pub fn add_changed_endpoints(&mut self, cluster: &Cluster, options: &Options, event: &Event) {
        let (key, new) = match event {
            Event::Apply(Object::EndpointSlice(key, slice) | Object::ImportedSlice(key, slice)) => (key, Some(slice)),
            Event::Delete(_, key) => (key, None),
            Event::Apply(_) | Event::Listed(..) => return,
        };
        let kind = event.kind();
        let (names, old) = match kind {
            Kind::EndpointSlice => (&mut self.local, cluster.local().slice(key)),
            Kind::ImportedSlice => (&mut self.imported, cluster.imported().slice(key)),
            _ => return,
        };
        for (slice, endpoint) in difference(old, new) {
            let service = service_target(&slice.service_key(key));
            names.insert(endpoint_target(options, slice, endpoint, &service));
            if kind == Kind::EndpointSlice {
                self.addresses.insert(endpoint.address);
            }
        }
    }

    /// Adds the names that every zone may have.
    pub fn add_fixed(&mut self) {
        for names in [&mut self.local, &mut self.imported, &mut self.reverse] {
            names.extend(FIXED.map(str::to_owned));
        }
    }

    /// Adds the names of a Namespace's levels.
    pub fn add_levels(&mut self, namespace: &str) {
        for names in [&mut self.local, &mut self.imported] {
            names.extend([format!("{namespace}.svc"), format!("{namespace}.pod")]);
        }
    }

    /// Adds the name of a Pod with this address.
    pub fn add_pod(&mut self, namespace: &str, ip: &str) {
        let name = format!("{}.{namespace}.pod", pod_label(ip));
        self.local.insert(name.clone());
        self.imported.insert(name);
    }

    /// The levels above Services and Pods, and all that lies below them.
    fn add_namespace(&mut self, cluster: &Cluster, options: &Options, namespace: &str) {
        self.add_levels(namespace);
        for (names, set) in [
            (&mut self.local, cluster.local()),
            (&mut self.imported, cluster.imported()),
        ] {
            for key in set.keys().filter(|key| key.namespace == namespace) {
                add_service(names, set, options, key);
            }
        }
        for (_, pod) in cluster.pods().filter(|(other, _)| *other == namespace) {
            self.add_pod(namespace, &pod.ip);
        }
        // Only then does it make a difference to pointers.
        if !options.namespaces.is_empty() {
            self.addresses.extend(cluster.local().addresses());
        }
    }

    fn add_cluster_ips(&mut self, cluster: &Cluster, key: &ObjectKey) {
        if let Some(Reach::ClusterIps(addresses)) = cluster.local().service(key).map(|service| &service.reach) {
            self.addresses.extend(addresses);
        }
    }
}

/// Adds the names of a Service and of all of its endpoints.
pub fn add_service(names: &mut BTreeSet<String>, set: &ServiceSet, options: &Options, key: &ObjectKey) {
    add_own(names, set, key);
    for slice in set.slices(key) {
        add_endpoints(names, slice, options, key);
    }
}

/// Adds the own names of a slice's Service.
fn add_owner(names: &mut BTreeSet<String>, set: &ServiceSet, key: &ObjectKey) {
    if let Some(slice) = set.slice(key) {
        add_own(names, set, &slice.service_key(key));
    }
}

/// The endpoints of two slices, each with its slice; where the slices differ in nothing else, only those that one has and
/// the other has not, or not as often.
fn difference<'s>(
    old: Option<&'s EndpointSlice>,
    new: Option<&'s EndpointSlice>,
) -> Vec<(&'s EndpointSlice, &'s Endpoint)> {
    let head = |slice: &'s EndpointSlice| (&slice.service, &slice.cluster, &slice.ports);
    let are_alike = old.map(head) == new.map(head);
    let endpoints = |slice: Option<&'s EndpointSlice>| {
        let slice = slice.into_iter();
        slice.flat_map(|slice| slice.endpoints.iter().map(move |endpoint| (slice, endpoint)))
    };
    let mut balance = BTreeMap::<&Endpoint, i32>::new();
    endpoints(old).for_each(|(_, endpoint)| *balance.entry(endpoint).or_default() += 1);
    endpoints(new).for_each(|(_, endpoint)| *balance.entry(endpoint).or_default() -= 1);
    let both = endpoints(old).chain(endpoints(new));
    both.filter(|(_, endpoint)| !are_alike || balance[endpoint] != 0)
        .collect()
}

/// Adds a Service's own name and those of its ports.
fn add_own(names: &mut BTreeSet<String>, set: &ServiceSet, key: &ObjectKey) {
    let whole = service_target(key);
    let own = set.service(key).into_iter().flat_map(|service| &service.ports);
    let ports = own.chain(set.slices(key).flat_map(|slice| &slice.ports));
    for port in ports {
        names.extend(spellings(port).into_iter().map(|port| format!("{port}.{whole}")));
    }
    names.insert(whole);
}

/// How a port may be spelled, but for what is recognised as one in any spelling.
///
/// Of a port without a name that is any: `_._tcp` stands for all ports of the protocol, and changes with each.
fn spellings(port: &Port) -> Vec<String> {
    let Port { name, protocol, .. } = port;
    let mut spellings = Vec::new();
    if !name.is_empty() {
        spellings.push(format!("_{name}._{protocol}"));
    }
    if !PROTOCOLS.contains(&&**protocol) {
        spellings.extend([
            format!("{name}._{protocol}"),
            format!("_{name}.{protocol}"),
            format!("{name}.{protocol}"),
            format!("_.{protocol}"),
        ]);
    }
    spellings
}

fn add_endpoints(names: &mut BTreeSet<String>, slice: &EndpointSlice, options: &Options, service: &ObjectKey) {
    let whole = service_target(service);
    for endpoint in &slice.endpoints {
        names.insert(endpoint_target(options, slice, endpoint, &whole));
    }
}
