//! What is asked about a Service and its endpoints.

use std::net::IpAddr;

use domain::base::Rtype;
use kxdns_tests::hostile::random::Random;
use kxdns_tests::question::{Edns, Question};

use crate::history::Truth;
use crate::state::{
    Family, HOSTNAMES, NAMESPACE, Number, PORTS, Part, SLOTS, State, cluster_ip, endpoint_ip, endpoint_label,
    service_name,
};

/// A name by what it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Service,
    /// One of the names that a port may have.
    Port(usize),
    /// One of the hostnames that an endpoint may have.
    Hostname(usize),
    /// The second endpoint of a version of a slice, by its address.
    Dashed(Family, Number),
    /// The address of a version of a Service.
    ReverseClusterIp(Family, Number),
    /// The address of an endpoint of a version of a slice.
    ReverseEndpoint(Family, Number, u8),
    /// No endpoint of the Service.
    Nobody,
    /// No Service.
    Nothing,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) slot: usize,
    pub(crate) subject: Subject,
    pub(crate) rtype: Rtype,
    pub(crate) extra: Extra,
}

/// Whether an OPT record goes with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    Nothing,
    Edns,
    /// An OPT record with a client's cookie, as `dig` sends it.
    Cookie,
}

impl Asked {
    /// A random question about what there is, was or never is.
    pub(crate) fn pick(random: &mut Random, truth: &Truth) -> Asked {
        let (slot, subject, rtype) = match random.once_in(3) {
            true => pick_news(random, truth),
            false => pick_any(random, truth),
        };
        let extra = match random.below(4) {
            0 => Extra::Cookie,
            1 => Extra::Edns,
            // All endpoints of both families may not fit.
            _ if rtype == Rtype::SRV => Extra::Edns,
            _ => Extra::Nothing,
        };
        Asked {
            slot,
            subject,
            rtype,
            extra,
        }
    }

    /// The name in lower case, without the last dot.
    pub(crate) fn name(&self) -> String {
        let service = service_domain(self.slot);
        match self.subject {
            Subject::Service => service,
            Subject::Port(port) => format!("_{}._tcp.{service}", PORTS[port]),
            Subject::Hostname(name) => format!("{}.{service}", HOSTNAMES[name]),
            Subject::Dashed(family, number) => format!("{}.{service}", endpoint_label(family, number, 1)),
            Subject::ReverseClusterIp(family, number) => reverse(cluster_ip(family, number)),
            Subject::ReverseEndpoint(family, number, endpoint) => reverse(endpoint_ip(family, number, endpoint)),
            Subject::Nobody => format!("nobody.{service}"),
            Subject::Nothing => format!("nothing-{service}"),
        }
    }

    /// The zone that denies the name.
    pub(crate) fn zone(&self) -> &'static str {
        match self.subject {
            Subject::ReverseClusterIp(Family::Ipv4, _) | Subject::ReverseEndpoint(Family::Ipv4, ..) => "in-addr.arpa",
            Subject::ReverseClusterIp(..) | Subject::ReverseEndpoint(..) => "ip6.arpa",
            _ => "cluster.local",
        }
    }

    /// The question as it is sent.
    pub(crate) fn question(&self) -> Question {
        let options = match self.extra {
            Extra::Cookie => vec![(10, vec![1, 2, 3, 4, 5, 6, 7, 8])],
            _ => Vec::new(),
        };
        let edns = Edns {
            size: 1232,
            version: 0,
            flags: 0,
            options,
        };
        Question {
            edns: (self.extra != Extra::Nothing).then_some(edns),
            ..Question::plain(&self.name(), self.rtype)
        }
    }
}

/// The name of a Service.
pub(crate) fn service_domain(slot: usize) -> String {
    format!("{}.{NAMESPACE}.svc.cluster.local", service_name(slot))
}

/// A question that tells apart whether one of the last changes is in force.
fn pick_news(random: &mut Random, truth: &Truth) -> (usize, Subject, Rtype) {
    let (slot, part) = truth.news(random.any() as usize);
    let family = random.pick([Family::Ipv4, Family::Ipv6]);
    let endpoint = random.below(3) as u8;
    let states = [0, 1].map(|back| truth.slot(slot).recent(part, back));
    // What has gone is told apart by what was there before.
    let number = states.into_iter().flatten().find_map(State::address);
    let (subject, rtype) = match (part, number) {
        (Part::Slice(family), Some(number)) => (Subject::ReverseEndpoint(family, number, endpoint), Rtype::PTR),
        (Part::Service, Some(number)) if random.once_in(2) => (Subject::ReverseClusterIp(family, number), Rtype::PTR),
        (Part::Service, _) => (Subject::Service, random.pick([Rtype::A, Rtype::AAAA, Rtype::SRV])),
        (Part::Slice(_), None) => (Subject::Hostname(random.below(HOSTNAMES.len())), Rtype::A),
    };
    (slot, subject, rtype)
}

fn pick_any(random: &mut Random, truth: &Truth) -> (usize, Subject, Rtype) {
    let slot = random.below(SLOTS);
    let address = random.pick([Rtype::A, Rtype::A, Rtype::AAAA]);
    let family = random.pick([Family::Ipv4, Family::Ipv6]);
    let known = match random.below(16) {
        0..6 => Some((Subject::Service, address)),
        6..8 => Some((Subject::Service, Rtype::SRV)),
        8..10 => Some((
            Subject::Port(random.below(PORTS.len())),
            random.pick([Rtype::SRV, Rtype::SRV, address]),
        )),
        10..12 => Some((Subject::Hostname(random.below(HOSTNAMES.len())), address)),
        12 => Some((Subject::Nobody, address)),
        13 => Some((Subject::Nothing, address)),
        14 => recent_slice(random, truth, slot, family).map(|number| (Subject::Dashed(family, number), address)),
        _ => recent_service(random, truth, slot).map(|number| (Subject::ReverseClusterIp(family, number), Rtype::PTR)),
    };
    let (subject, rtype) = known.unwrap_or((Subject::Service, address));
    (slot, subject, rtype)
}

fn recent_service(random: &mut Random, truth: &Truth, slot: usize) -> Option<Number> {
    match truth.slot(slot).recent(Part::Service, random.below(4))? {
        State::ClusterIp { address, .. } => Some(address),
        _ => None,
    }
}

fn recent_slice(random: &mut Random, truth: &Truth, slot: usize, family: Family) -> Option<Number> {
    match truth.slot(slot).recent(Part::Slice(family), random.below(3))? {
        State::Slice { number, .. } => Some(number),
        _ => None,
    }
}

fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(ipv4) => {
            let [a, b, c, d] = ipv4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ipv6) => {
            let octets = ipv6.octets().into_iter().rev();
            let nibbles = octets.map(|byte| format!("{:x}.{:x}.", byte & 15, byte >> 4));
            nibbles.collect::<String>() + "ip6.arpa"
        }
    }
}
