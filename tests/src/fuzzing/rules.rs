//! The DNS rules, over a small cluster.

use std::sync::LazyLock;

use dns_userspace::cluster::object::{Kind, Object, read};
use dns_userspace::cluster::{Cluster, Event};
use dns_userspace::corefile::Pods;
use dns_userspace::name::Name;
use dns_userspace::rules::{Answer, Data, Options, find, pointers, qtype, reverse_address};

use crate::frames::wire_name;

/// The objects of the cluster.
const OBJECTS: [(Kind, &str); 7] = [
    (Kind::Namespace, r#"{"metadata":{"name":"default"}}"#),
    (
        Kind::Service,
        r#"{"metadata":{"name":"web","namespace":"default"},"spec":{"clusterIPs":["10.96.1.1","fd00::1"],
        "ports":[{"name":"http","port":80,"protocol":"TCP"}]}}"#,
    ),
    (
        Kind::Service,
        r#"{"metadata":{"name":"many","namespace":"default"},"spec":{"clusterIP":"None"}}"#,
    ),
    (
        Kind::EndpointSlice,
        r#"{"metadata":{"name":"many-1","namespace":"default","labels":{"kubernetes.io/service-name":"many"}},
        "endpoints":[{"addresses":["10.0.0.1"],"hostname":"one","zone":"a"},{"addresses":["10.0.0.2"]}],
        "ports":[{"name":"http","port":80,"protocol":"TCP"}]}"#,
    ),
    (
        Kind::Service,
        r#"{"metadata":{"name":"out","namespace":"default"},"spec":{"type":"ExternalName","externalName":"example.com"}}"#,
    ),
    (
        Kind::Service,
        r#"{"metadata":{"name":"loop","namespace":"default"},"spec":{"type":"ExternalName",
        "externalName":"loop.default.svc.cluster.local"}}"#,
    ),
    (
        Kind::Service,
        r#"{"metadata":{"name":"in","namespace":"default"},"spec":{"type":"ExternalName",
        "externalName":"web.default.svc.cluster.local"}}"#,
    ),
];

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let mut cluster = Cluster::default();
    for (kind, _) in OBJECTS {
        objects(kind)
            .into_iter()
            .for_each(|object| _ = cluster.apply(Event::Apply(object)));
    }
    cluster
});

/// The cluster's objects of a kind.
pub(super) fn objects(kind: Kind) -> Vec<Object> {
    let texts = OBJECTS.iter().filter(|(of, _)| *of == kind);
    texts
        .filter_map(|(kind, text)| read(*kind, text).ok()?.object)
        .collect()
}

/// A question is answered the same each time, by records of its type and by names that fit, under any options; whether
/// the name exists does not depend on a type that no name has.
///
/// The first two bytes are the type, the third the options, the rest labels behind their lengths.
pub fn rules(data: &[u8]) {
    let Some((&[high, low, flags], wire)) = data.split_first_chunk() else {
        return;
    };
    let rtype = u16::from_be_bytes([high, low]);
    let labels: Vec<Vec<u8>> = read_labels(wire);
    let labels: Vec<&[u8]> = labels.iter().map(Vec::as_slice).collect();
    let (options, zone) = (options(flags), Name::from_wire(&wire_name("cluster.local")));
    let node = find(&CLUSTER, &options, &zone, &labels);
    let said = node.answer(rtype);
    assert_eq!(said, node.answer(rtype));
    check(&said, rtype);
    check_reverse(&labels, &options);
}

/// Up to 30 labels of up to 63 bytes, in lower case.
fn read_labels(mut wire: &[u8]) -> Vec<Vec<u8>> {
    let mut labels = Vec::new();
    while let Some((&length, rest)) = wire.split_first() {
        let (label, rest) = rest.split_at(rest.len().min(usize::from(length % 64).max(1)));
        if label.is_empty() || labels.len() == 30 {
            break;
        }
        labels.push(label.to_ascii_lowercase());
        wire = rest;
    }
    labels
}

pub(super) fn options(flags: u8) -> Options {
    let is_set = |bit: u8| flags >> bit & 1 == 1;
    Options {
        pods: [Pods::Disabled, Pods::Insecure, Pods::Verified][usize::from(flags % 3)],
        namespaces: if is_set(2) {
            vec!["default".to_owned()]
        } else {
            Vec::new()
        },
        endpoint_pod_names: is_set(3),
        noendpoints: is_set(4),
        ignore_empty: is_set(5),
        zonal: is_set(6),
        multicluster: Vec::new(),
        local: Vec::new(),
        dns_service: None,
    }
}

fn check(said: &Answer, rtype: u16) {
    match said {
        Answer::Absent => {}
        Answer::Records(records) => {
            for record in &records.answer {
                assert!(is_of(&record.data, rtype), "{record:?} to a question of type {rtype}");
            }
        }
        Answer::Elsewhere { aliases, target } => {
            assert!(!aliases.is_empty() && !target.is_empty());
            assert!(aliases.iter().all(|alias| matches!(alias.data, Data::Cname(_))));
        }
    }
}

/// An alias may come with any answer.
fn is_of(data: &Data, rtype: u16) -> bool {
    rtype
        == match data {
            Data::Cname(_) => return true,
            Data::A(_) => qtype::A,
            Data::Aaaa(_) => qtype::AAAA,
            Data::Ns(_) => qtype::NS,
            Data::Ptr(_) => qtype::PTR,
            Data::Txt(_) => qtype::TXT,
            Data::Srv { .. } => qtype::SRV,
        }
}

/// The same labels, taken for a name of the reverse zones.
fn check_reverse(labels: &[&[u8]], options: &Options) {
    for end in ["in-addr.arpa", "ip6.arpa"] {
        let mut wire: Vec<u8> = labels
            .iter()
            .flat_map(|label| [&[label.len() as u8], *label].concat())
            .collect();
        wire.extend(wire_name(end));
        if let Some(address) = reverse_address(&Name::from_wire(&wire)) {
            let said = pointers(&CLUSTER, options, address);
            check(&said, qtype::PTR);
        }
    }
}
