//! The objects of one Service, what each of their versions says, and how it is written.
//!
//! All that a version says follows from a number that no other version has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

/// The namespace of all objects.
pub(crate) const NAMESPACE: &str = "truth";

/// How many Services there are, at most.
pub(crate) const SLOTS: usize = 6;

/// The hostnames that the first endpoint of a slice may have. The others have none.
pub(crate) const HOSTNAMES: [&str; 2] = ["host", "other"];

/// The names that a port may have.
pub(crate) const PORTS: [&str; 2] = ["p", "q"];

/// The most endpoints that a slice has.
const MOST_ENDPOINTS: Number = 5;

/// What tells a version from all others.
pub(crate) type Number = u16;

/// An object of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Service,
    /// The slice of this family.
    Slice(Family),
}

impl Part {
    pub(crate) const ALL: [Part; 3] = [Part::Service, Part::Slice(Family::Ipv4), Part::Slice(Family::Ipv6)];

    /// Its place among all.
    pub(crate) fn index(self) -> usize {
        match self {
            Part::Service => 0,
            Part::Slice(Family::Ipv4) => 1,
            Part::Slice(Family::Ipv6) => 2,
        }
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
}

/// What an object says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Absent,
    /// A Service with the cluster IPs of one number and the port of another.
    ClusterIp {
        address: Number,
        port: Number,
    },
    Headless,
    /// A slice whose endpoints are ready or not.
    Slice {
        number: Number,
        ready: bool,
    },
}

impl State {
    /// The number of the addresses that it gives names, which only versions next to each other share.
    pub(crate) fn address(self) -> Option<Number> {
        match self {
            State::ClusterIp { address, .. } => Some(address),
            State::Slice { number, ready: true } => Some(number),
            _ => None,
        }
    }
}

/// A cluster IP.
pub(crate) fn cluster_ip(family: Family, number: Number) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    match family {
        Family::Ipv4 => Ipv4Addr::new(10, 100, high, low).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, number).into(),
    }
}

/// An endpoint's address.
pub(crate) fn endpoint_ip(family: Family, number: Number, endpoint: u8) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    match family {
        Family::Ipv4 => Ipv4Addr::new(10, 128 + endpoint, high, low).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 1 + u16::from(endpoint), number).into(),
    }
}

/// The label of an endpoint: its hostname, or its address.
pub(crate) fn endpoint_label(family: Family, number: Number, endpoint: u8) -> String {
    match endpoint {
        0 => one_of(HOSTNAMES, number).to_owned(),
        _ => endpoint_ip(family, number, endpoint)
            .to_string()
            .replace(['.', ':'], "-"),
    }
}

/// The endpoints of a slice.
pub(crate) fn endpoints(number: Number) -> impl Iterator<Item = u8> {
    (0..=number % MOST_ENDPOINTS).map(|endpoint| endpoint as u8)
}

/// A port's name and number.
pub(crate) fn port(number: Number) -> (&'static str, u16) {
    (one_of(PORTS, number / 2), 1024 + number % 60_000)
}

fn one_of(names: [&'static str; 2], number: Number) -> &'static str {
    names[usize::from(number % 2)]
}

/// The name of a Service.
pub(crate) fn service_name(slot: usize) -> String {
    format!("s{slot}")
}

/// The name of an object.
pub(crate) fn object_name(slot: usize, part: Part) -> String {
    let service = service_name(slot);
    match part {
        Part::Service => service,
        Part::Slice(Family::Ipv4) => service + "-ipv4",
        Part::Slice(Family::Ipv6) => service + "-ipv6",
    }
}

/// The JSON of an object; `None` of what is absent.
pub(crate) fn body(slot: usize, part: Part, state: State) -> Option<Value> {
    let labels = json!({"kubernetes.io/service-name": service_name(slot)});
    let content = match (part, state) {
        (_, State::Absent) => return None,
        (Part::Service, State::ClusterIp { address, port }) => service(
            &[Family::Ipv4, Family::Ipv6].map(|family| cluster_ip(family, address).to_string()),
            port,
        ),
        (Part::Slice(family), State::Slice { number, ready }) => slice(family, number, ready),
        _ => service(&["None".to_owned()], 0),
    };
    let mut body = content;
    body["metadata"] = json!({"name": object_name(slot, part), "namespace": NAMESPACE, "labels": labels});
    Some(body)
}

fn service(addresses: &[String], number: Number) -> Value {
    json!({"spec": {
        "clusterIP": addresses[0],
        "clusterIPs": addresses,
        "ipFamilyPolicy": "RequireDualStack",
        "ipFamilies": ["IPv4", "IPv6"],
        "ports": ports(number),
    }})
}

fn slice(family: Family, number: Number, ready: bool) -> Value {
    let endpoint = |endpoint: u8| {
        let mut body = json!({
            "addresses": [endpoint_ip(family, number, endpoint)],
            "conditions": {"ready": ready},
        });
        if endpoint == 0 {
            body["hostname"] = json!(endpoint_label(family, number, endpoint));
        }
        body
    };
    json!({
        "addressType": if family == Family::Ipv4 { "IPv4" } else { "IPv6" },
        "endpoints": endpoints(number).map(endpoint).collect::<Vec<_>>(),
        "ports": ports(number),
    })
}

fn ports(number: Number) -> Value {
    let (name, port) = port(number);
    json!([{"name": name, "port": port, "protocol": "TCP"}])
}
