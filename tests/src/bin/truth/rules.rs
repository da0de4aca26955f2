//! What the rules of Kubernetes DNS, as CoreDNS has them, say to a question when the objects are in these states.
//!
//! Written down by hand for the few shapes of objects that there are here; `cargo xtask differential` compares all shapes
//! with CoreDNS.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use domain::base::Rtype;

use crate::state::{Family, Number, PORTS, Part, State, cluster_ip, endpoint_ip, endpoint_label, endpoints, port};
use crate::subject::{Asked, Subject, service_domain};

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// What a reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The records of the answer and additional sections, as `owner type data`.
    Records {
        answer: BTreeSet<String>,
        additional: BTreeSet<String>,
    },
    NoData,
    NxDomain,
}

/// The states of a Service's objects.
pub(crate) type States = [State; 3];

/// How many things are remembered at most.
const REMEMBERED: usize = 50_000;

/// The rules, and what they have said: they are asked the same again and again.
#[derive(Default)]
pub(crate) struct Rules {
    said: HashMap<(usize, Subject, Rtype, States), Said>,
}

impl Rules {
    /// Says what the reply to a question is.
    pub(crate) fn say(&mut self, asked: &Asked, states: &States) -> &Said {
        if self.said.len() >= REMEMBERED {
            self.said.clear();
        }
        let key = (asked.slot, asked.subject, asked.rtype, relevant(asked, states));
        self.said.entry(key).or_insert_with(|| expect(asked, states))
    }
}

/// The states, where they make no difference one for all.
fn relevant(asked: &Asked, states: &States) -> States {
    let service = states[Part::Service.index()];
    Part::ALL.map(|part| match states[part.index()] {
        State::Slice { ready: false, .. } => State::Absent,
        state if depends(asked, part, service) => state,
        _ => State::Absent,
    })
}

fn expect(asked: &Asked, states: &States) -> Said {
    let service = states[Part::Service.index()];
    match (asked.subject, service) {
        (Subject::Nobody | Subject::Nothing, _) => Said::NxDomain,
        (Subject::ReverseClusterIp(_, number), State::ClusterIp { address, .. }) if address == number => {
            pointer(asked, &service_domain(asked.slot))
        }
        (Subject::ReverseClusterIp(..), _) => Said::NxDomain,
        (Subject::ReverseEndpoint(family, number, endpoint), _) => {
            reverse_endpoint(asked, states, family, number, endpoint)
        }
        (_, State::Absent) => Said::NxDomain,
        (Subject::Service | Subject::Port(_), _) => of_places(asked, &places(asked, states)),
        (Subject::Hostname(_) | Subject::Dashed(..), _) => {
            let name = asked.name();
            let mut endpoints = endpoints_of(asked.slot, states);
            endpoints.retain(|endpoint| endpoint.name == name);
            of_places(asked, &endpoints)
        }
    }
}

/// Whether the reply to a question may depend on an object, when the Service is in this state.
pub(crate) fn depends(asked: &Asked, part: Part, service: State) -> bool {
    match (asked.subject, part) {
        (Subject::Nobody | Subject::Nothing, _) => false,
        (Subject::ReverseClusterIp(..), _) => part == Part::Service,
        (Subject::ReverseEndpoint(family, ..), _) => part == Part::Slice(family),
        (_, Part::Service) => true,
        (Subject::Service | Subject::Port(_), Part::Slice(_)) => service == State::Headless,
        (Subject::Dashed(family, _), Part::Slice(other)) => service != State::Absent && family == other,
        (Subject::Hostname(_), Part::Slice(_)) => service != State::Absent,
    }
}

/// An address behind a name, with its port.
struct Place {
    name: String,
    address: IpAddr,
    port_name: &'static str,
    port: u16,
}

impl Place {
    fn new(name: String, address: IpAddr, number: Number) -> Place {
        let (port_name, port) = port(number);
        Place {
            name,
            address,
            port_name,
            port,
        }
    }
}

/// The places that a Service, or the port that is asked about, leads to.
fn places(asked: &Asked, states: &States) -> Vec<Place> {
    let name = service_domain(asked.slot);
    let cluster_ip = |family, address, port| Place::new(name.clone(), cluster_ip(family, address), port);
    let mut places = match states[Part::Service.index()] {
        State::ClusterIp { address, port } => FAMILIES.map(|family| cluster_ip(family, address, port)).into(),
        _ => endpoints_of(asked.slot, states),
    };
    if let Subject::Port(port) = asked.subject {
        places.retain(|place| place.port_name == PORTS[port]);
    }
    places
}

/// The endpoints that are ready.
fn endpoints_of(slot: usize, states: &States) -> Vec<Place> {
    let mut places = Vec::new();
    for family in FAMILIES {
        if let State::Slice { number, ready: true } = states[Part::Slice(family).index()] {
            places.extend(endpoints(number).map(|endpoint| {
                let name = format!("{}.{}", endpoint_label(family, number, endpoint), service_domain(slot));
                Place::new(name, endpoint_ip(family, number, endpoint), number)
            }));
        }
    }
    places
}

/// The records of the type that is asked for, of places that are reached under their own name or the one asked about.
fn of_places(asked: &Asked, places: &[Place]) -> Said {
    let owner = asked.name();
    let addresses = |name: &dyn Fn(&Place) -> String| -> BTreeSet<String> {
        let records = places.iter().map(|place| (name(place), address_record(place.address)));
        records.map(|(name, record)| format!("{name} {record}")).collect()
    };
    if places.is_empty() {
        return Said::NxDomain;
    }
    if asked.rtype == Rtype::SRV {
        let weight = (100 / places.len()).max(1);
        let record = |place: &Place| format!("{owner} SRV 0 {weight} {} {}", place.port, place.name);
        return Said::Records {
            answer: places.iter().map(record).collect(),
            additional: addresses(&|place| place.name.clone()),
        };
    }
    let mut answer = addresses(&|_| owner.clone());
    answer.retain(|record| record.starts_with(&format!("{owner} {} ", asked.rtype)));
    match answer.is_empty() {
        true => Said::NoData,
        false => Said::Records {
            answer,
            additional: BTreeSet::new(),
        },
    }
}

fn address_record(address: IpAddr) -> String {
    match address {
        IpAddr::V4(ipv4) => format!("A {ipv4}"),
        IpAddr::V6(ipv6) => format!("AAAA {ipv6}"),
    }
}

/// The names of an endpoint's address. Whether there is a Service makes no difference.
fn reverse_endpoint(asked: &Asked, states: &States, family: Family, number: Number, endpoint: u8) -> Said {
    match states[Part::Slice(family).index()] {
        State::Slice {
            number: told,
            ready: true,
        } if told == number && endpoints(number).any(|it| it == endpoint) => {
            let label = endpoint_label(family, number, endpoint);
            pointer(asked, &format!("{label}.{}", service_domain(asked.slot)))
        }
        _ => Said::NxDomain,
    }
}

fn pointer(asked: &Asked, target: &str) -> Said {
    Said::Records {
        answer: [format!("{} PTR {target}", asked.name())].into(),
        additional: BTreeSet::new(),
    }
}
