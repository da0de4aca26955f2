//! The kernel's core over tables that follow a cluster's changes, in plain memory, beside the agent's server: whatever the
//! core answers, the server says, and at any time.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::net::IpAddr;
use std::sync::{Arc, RwLock};

use dns_ebpf::outcome::{Outcome, Pass};
use dns_userspace::cluster::Event;
use dns_userspace::cluster::object::{Endpoint, EndpointSlice, Kind, Object, ObjectKey, Pod, Port, Reach, Service};
use dns_userspace::corefile::{Fallthrough, Pods};
use dns_userspace::kernel::zones::{KernelZone, lay_out, record};
use dns_userspace::name::Name;
use dns_userspace::rules::{Options, reverse_name};
use dns_userspace::server::{Passage, Transport, reply_to};
use dns_userspace::zone::SharedZoneTable;
use kxdns_tests::frames::{Family, Query, open_reply};
use kxdns_tests::hostile::meaning::Meaning;
use kxdns_tests::tables::{HostTables, zone_table};
use proptest::prelude::*;

const ZONES: [&str; 5] = [
    "cluster.local",
    "set.local",
    "deep.svc.cluster.local",
    "in-addr.arpa",
    "ip6.arpa",
];
const TYPES: [u16; 11] = [1, 2, 5, 6, 12, 16, 28, 33, 255, 65, 0];
/// What there is in any cluster.
const KINDS: [Kind; 6] = Kind::ALL;

/// A cluster as the agent knows it, and the kernel's tables of it.
struct Stage {
    zones: SharedZoneTable,
    kernel_zones: Vec<KernelZone>,
    tables: HostTables,
}

impl Stage {
    fn new(options: Options, fallthrough: Fallthrough) -> Self {
        let (mut table, kernel_zones) = zone_table(&ZONES, options, fallthrough, &KINDS);
        for kind in KINDS {
            table.update(Event::Listed(kind, Default::default()), 1);
        }
        let tables = HostTables::of(&mut table, &kernel_zones);
        Self {
            zones: Arc::new(RwLock::new(table)),
            kernel_zones,
            tables,
        }
    }

    fn update(&mut self, event: Event) {
        let mut zones = self.zones.write().unwrap();
        for name in zones.update(event, 2).names {
            let record = record(&self.kernel_zones, &Passage::default(), &zones, &name);
            self.tables.set(&name, record);
        }
        self.tables.set_zones(lay_out(&self.kernel_zones, &zones));
    }

    /// Asks the core, and, if it answers, compares with the server. Says why it passed, if it did.
    fn check(&self, name: &str, qtype: u16) -> Option<Pass> {
        let query = Query::new(name, qtype).with_opt(65_535, 0, &[]);
        let frame = query.frame(Family::V6);
        let (outcome, reply) = self.tables.answer(&frame, 0, 1500);
        match outcome {
            Outcome::Pass(reason) => Some(reason),
            Outcome::Answered(..) => {
                let said = Meaning::read(open_reply(&frame, &reply)).unwrap();
                let expected = reply_to(&query.message(), Transport::Tcp, &self.zones).unwrap();
                assert_eq!(said, Meaning::read(&expected).unwrap(), "{name} {qtype}");
                None
            }
        }
    }
}

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey {
        namespace: namespace.into(),
        name: name.into(),
    }
}

const NAMESPACES: [&str; 3] = ["default", "deep", "other"];
const NAMES: [&str; 4] = ["web", "db", "a", "kube-dns"];
const HOSTS: [&str; 3] = ["one", "Two", "10-0-0-1"];
const PORTS: [&str; 3] = ["http", "dns", ""];
const PROTOCOLS: [&str; 4] = ["TCP", "UDP", "SCTP", "odd"];

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (1..5u8).prop_map(|last| IpAddr::from([10, 0, 0, last])),
        (1..4u16).prop_map(|last| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last])),
    ]
}

fn any_of<const N: usize>(texts: [&'static str; N]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(texts.to_vec())
}

fn ports() -> impl Strategy<Value = Vec<Port>> {
    let port = (any_of(PORTS), any_of(PROTOCOLS), proptest::option::of(80..82u16));
    let port = port.prop_map(|(name, protocol, number)| Port {
        name: name.into(),
        protocol: protocol.into(),
        number,
    });
    proptest::collection::vec(port, 0..3)
}

fn service() -> impl Strategy<Value = Service> {
    let targets = [
        "example.com",
        "web.default.svc.cluster.local",
        "DB.other.svc.cluster.local.",
        "a.default.svc.cluster.local",
        "one.web.default.svc.cluster.local",
        "10-0-0-1.default.pod.cluster.local",
        "_http._tcp.web.default.svc.cluster.local",
        "web.default.svc.set.local",
        "nothing.svc.cluster.local",
    ];
    let reach = prop_oneof![
        proptest::collection::vec(address(), 0..3).prop_map(Reach::ClusterIps),
        Just(Reach::Headless),
        any_of(targets).prop_map(|target| Reach::ExternalName(target.into())),
    ];
    (reach, ports()).prop_map(|(reach, ports)| Service { reach, ports })
}

fn slice() -> impl Strategy<Value = EndpointSlice> {
    let endpoint = (
        address(),
        proptest::option::of(any_of(HOSTS)),
        proptest::option::of(any_of(NAMES)),
        proptest::option::of(any_of(["a", "b.c"])),
    );
    let endpoint = endpoint.prop_map(|(address, hostname, pod, zone)| Endpoint {
        address,
        hostname: hostname.map(Into::into),
        pod: pod.map(Into::into),
        zone: zone.map(Into::into),
    });
    let endpoints = proptest::collection::vec(endpoint, 0..5);
    (
        prop_oneof![Just("web"), any_of(NAMES)],
        proptest::option::of(any_of(["east", "West"])),
        endpoints,
        ports(),
    )
        .prop_map(|(service, cluster, endpoints, ports)| EndpointSlice {
            service: service.into(),
            cluster: cluster.map(Into::into),
            endpoints: endpoints.into(),
            ports: ports.into(),
        })
}

fn event() -> impl Strategy<Value = Event> {
    // Objects of all kinds meet most of all at one place.
    let place = || {
        prop_oneof![
            (any_of(NAMESPACES), any_of(NAMES)).prop_map(|(namespace, name)| key(namespace, name)),
            any_of(NAMES).prop_map(|name| key("default", name)),
        ]
    };
    let object = prop_oneof![
        2 => any_of(NAMESPACES).prop_map(|name| Object::Namespace(name.into())),
        3 => (place(), service()).prop_map(|(key, service)| Object::Service(key, service)),
        3 => (place(), slice()).prop_map(|(key, slice)| {
            Object::EndpointSlice(key, EndpointSlice { cluster: None, ..slice })
        }),
        1 => (place(), address()).prop_map(|(key, ip)| Object::Pod(key, Pod { ip: ip.to_string() })),
        1 => (place(), service().prop_filter("an import is no alias", |service| {
            !matches!(service.reach, Reach::ExternalName(_))
        })).prop_map(|(key, service)| Object::ServiceImport(key, service)),
        1 => (place(), slice()).prop_map(|(key, slice)| Object::ImportedSlice(key, slice)),
    ];
    (object, 0..5u8).prop_map(|(object, dice)| match dice {
        0 => Event::Delete(object.kind(), object.key()),
        1 => Event::Listed(object.kind(), [object.key()].into()),
        _ => Event::Apply(object),
    })
}

fn options() -> impl Strategy<Value = Options> {
    let pods = prop_oneof![Just(Pods::Disabled), Just(Pods::Insecure), Just(Pods::Verified)];
    (pods, any::<[bool; 5]>(), any::<bool>()).prop_map(|(pods, flags, imports)| {
        let [exposed, endpoint_pod_names, noendpoints, ignore_empty, zonal] = flags;
        Options {
            pods,
            namespaces: if exposed { vec!["default".into()] } else { vec![] },
            endpoint_pod_names,
            noendpoints,
            ignore_empty,
            zonal,
            multicluster: if imports {
                vec![Name::parse("set.local").unwrap()]
            } else {
                vec![]
            },
            local: vec!["10.0.0.1".parse().unwrap()],
            dns_service: Some(key("default", "kube-dns")),
        }
    })
}

fn fallthrough() -> impl Strategy<Value = Fallthrough> {
    let zones = |zones: &[&str]| Fallthrough::Zones(zones.iter().map(|zone| Name::parse(zone).unwrap()).collect());
    prop_oneof![
        3 => Just(Fallthrough::None),
        1 => Just(Fallthrough::All),
        1 => Just(zones(&["in-addr.arpa", "ip6.arpa"])),
        1 => Just(zones(&["svc.cluster.local"])),
    ]
}

/// A name of a shape that there may be.
fn name() -> impl Strategy<Value = String> {
    let label = || {
        prop_oneof![
            3 => any_of(NAMES),
            2 => any_of(NAMESPACES),
            2 => any_of(["svc", "pod", "SVC", "ns", "dns", "dns-version", "pin", "prefer", "_zone"]),
            2 => any_of(["_http", "http", "_tcp", "tcp", "_", "_odd", "odd", "_dns", "_udp", "sctp"]),
            2 => any_of(["10-0-0-1", "10-0-0-2", "one", "two", "fd00--1", "fd00--2", "east", "west", "b", "c"]),
        ]
    };
    let some = |of: BoxedStrategy<&'static str>, count| {
        proptest::collection::vec(of, count).prop_map(|labels| labels.join("."))
    };
    let below = |left: BoxedStrategy<String>| {
        (
            left,
            any_of(NAMES),
            any_of(NAMESPACES),
            any_of(["svc", "svc", "svc", "pod"]),
        )
            .prop_map(|(left, name, namespace, level)| {
                format!("{left}.{name}.{namespace}.{level}")
                    .trim_matches('.')
                    .to_owned()
            })
    };
    let left = prop_oneof![
        2 => some(label().boxed(), 0..6),
        5 => below(some(label().boxed(), 0..4).boxed()),
        1 => some(label().boxed(), 12..20),
    ];
    // Whatever is an address, or almost one.
    let dashed = prop_oneof![
        2 => address().prop_map(|address| address.to_string().replace(['.', ':'], "-")),
        2 => "([0-9]{1,3}-){3}[0-9]{1,3}",
        2 => "(25[0-9]|0|10|-?)-?(25[0-9]|0|1)-?(25[0-9]|00|1)-(25[0-9]|0|01|1-?)",
        1 => "[0-9a-f:.-]{1,20}",
    ];
    let pod = (some(label().boxed(), 0..4), dashed, any_of(NAMESPACES));
    let zone = || prop_oneof![3 => Just(ZONES[0]), 1 => any_of(ZONES)];
    let service = || (any_of(NAMES), any_of(NAMESPACES), zone());
    prop_oneof![
        5 => service().prop_map(|(name, namespace, zone)| format!("{name}.{namespace}.svc.{zone}")),
        3 => (label(), service())
            .prop_map(|(label, (name, namespace, zone))| format!("{label}.{name}.{namespace}.svc.{zone}")),
        3 => (pod, zone()).prop_map(|((left, dashed, namespace), zone)| {
            format!("{left}.{dashed}.{namespace}.pod.{zone}").trim_matches('.').replace("..", ".")
        }),
        6 => (left, any_of(ZONES)).prop_map(|(left, zone)| format!("{left}.{zone}").trim_matches('.').to_owned()),
        2 => address().prop_map(|address| reverse_name(address).to_string()),
        1 => address().prop_map(|address| format!("x.{}", reverse_name(address))),
        1 => Just("example.com".to_owned()),
        1 => Just("xcluster.local".to_owned()),
    ]
}

/// A port that has no name may be asked for by an underscore, which stands for the others too.
#[test]
fn a_name_goes_with_the_last_port_that_it_stands_for() {
    let slice = |port: &str| EndpointSlice {
        service: "web".into(),
        cluster: None,
        endpoints: vec![Endpoint {
            address: [10, 0, 0, 1].into(),
            hostname: None,
            pod: None,
            zone: None,
        }]
        .into(),
        ports: [Port {
            name: port.into(),
            protocol: "TCP".into(),
            number: Some(80),
        }]
        .into(),
    };
    let options = Options {
        pods: Pods::Disabled,
        namespaces: vec![],
        endpoint_pod_names: false,
        noendpoints: false,
        ignore_empty: false,
        zonal: false,
        multicluster: vec![],
        local: vec![],
        dns_service: None,
    };
    let mut stage = Stage::new(options, Fallthrough::None);
    stage.update(Event::Apply(Object::Namespace("default".into())));
    let service = Service {
        reach: Reach::Headless,
        ports: vec![],
    };
    stage.update(Event::Apply(Object::Service(key("default", "web"), service)));
    stage.update(Event::Apply(Object::EndpointSlice(key("default", "one"), slice(""))));
    stage.update(Event::Apply(Object::EndpointSlice(
        key("default", "two"),
        slice("http"),
    )));
    for one in ["one", "two"] {
        stage.update(Event::Delete(Kind::EndpointSlice, key("default", one)));
        stage.check("_._tcp.web.default.svc.cluster.local", 33);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_core_says_what_the_server_says_whatever_has_changed(
        options in options(),
        fallthrough in fallthrough(),
        events in proptest::collection::vec(event(), 1..25),
        questions in proptest::collection::vec((name(), proptest::sample::select(TYPES.to_vec())), 150),
    ) {
        // Pods are watched where their names are those of Pods that exist.
        let is_watched = |event: &Event| options.pods == Pods::Verified || event.kind() != Kind::Pod;
        let events: Vec<_> = events.into_iter().filter(is_watched).collect();
        let mut stage = Stage::new(options, fallthrough);
        for (index, event) in events.into_iter().enumerate() {
            stage.update(event);
            // Each event brings other questions up.
            for (name, qtype) in questions.iter().skip(index % 5).step_by(5) {
                stage.check(name, *qtype);
            }
        }
        let anew = HostTables::of(&mut stage.zones.write().unwrap(), &stage.kernel_zones);
        prop_assert_eq!(stage.tables.len(), anew.len());
        for (name, qtype) in &questions {
            stage.check(name, *qtype);
            let frame = Query::new(name, *qtype).frame(Family::V4);
            prop_assert_eq!(stage.tables.answer(&frame, 0, 1500), anew.answer(&frame, 0, 1500), "{} {}", name, qtype);
        }
    }
}
