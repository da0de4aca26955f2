//! The DNS rules of Kubernetes, in one place: which names an object has, and which names nothing can have.
//!
//! They are those of the Kubernetes DNS specification 1.1.0 as CoreDNS's `kubernetes` plugin reads it. They cover
//! Services; the names of endpoints, ports, pods and namespaces are neither answered nor denied, unless no Service that
//! they could belong to exists. Nothing here reads state or does I/O.
//!
//! They do not cover the plugin's options that add names (`zonal`, `multicluster`) or take names away (`namespaces`,
//! `labels`, `ignore empty_service`): a zone with those must not be answered from here.

use std::net::IpAddr;

use dns_ebpf::decide::{Entry, Zone};

use crate::index::{ObjectKey, ServiceKind};
use crate::name::{MAX_NAME_LEN, Name};

/// The longest label, in bytes (RFC 1035, 2.3.4).
const MAX_LABEL_LEN: usize = 63;

/// Makes a Service's name in a zone: `SERVICE.NAMESPACE.svc.ZONE`.
///
/// Returns `None` where the name would be too long to exist.
pub fn service_name(key: &ObjectKey, zone: &Name) -> Option<Name> {
    let mut wire = Vec::new();
    for label in [key.name.as_str(), key.namespace.as_str(), "svc"] {
        let len = (1..=MAX_LABEL_LEN)
            .contains(&label.len())
            .then_some(label.len() as u8)?;
        wire.push(len);
        wire.extend(label.bytes());
    }
    wire.extend(zone.as_wire());
    (wire.len() <= MAX_NAME_LEN).then(|| Name::from_wire(&wire))
}

/// Makes the record sets at a Service's name.
///
/// Returns `None` where they are not certain, or not of the kind that an entry holds: the name is then not answered.
pub fn service_entry(kind: &ServiceKind, zone: Zone) -> Option<Entry> {
    let ServiceKind::ClusterIp(addresses) = kind else {
        return None;
    };
    let (mut ipv4, mut ipv6) = (None, None);
    for address in addresses {
        match address {
            IpAddr::V4(address) => ipv4 = Some(address.octets()),
            IpAddr::V6(address) => ipv6 = Some(address.octets()),
        }
    }
    Some(Entry::new(ipv4, ipv6, zone))
}

/// The labels of a name that stand left of a zone, from the left; `None` where the name is not in the zone.
pub fn labels_below<'n>(name: &'n Name, zone: &Name) -> Option<Vec<&'n [u8]>> {
    let depth = || name.labels().count() - zone.labels().count();
    name.is_within(zone).then(|| name.labels().take(depth()).collect())
}

/// Says whether a name certainly does not exist, given its labels left of the zone and which Services exist.
///
/// `has_service` is asked for a namespace and a name, and must say yes for Services of every kind.
pub fn is_absent(labels: &[&[u8]], has_service: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    match labels {
        // The apex and the zone's own names exist; nothing below the latter does.
        [] | [b"svc"] | [b"ns", b"dns"] | [b"dns-version"] => false,
        // Namespaces and pods are not known here.
        [_, b"svc"] | [.., b"pod"] => false,
        // An endpoint takes one label, a port with its protocol two; more can be nothing.
        [.., service, namespace, b"svc"] if labels.len() <= 5 => !has_service(namespace, service),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const ZONE: Zone = Zone { name_len: 15, ttl: 30 };

    #[test]
    fn denies_only_what_cannot_exist() {
        let cases = [
            ("", false, "the apex exists"),
            ("svc", false, "svc exists"),
            ("pod", false, "pod exists"),
            ("default.svc", false, "namespaces are not known"),
            ("nowhere.svc", false, "namespaces are not known"),
            ("default.pod", false, "namespaces are not known"),
            ("10-0-0-1.default.pod", false, "pods are not known"),
            ("a.b.c.d.e.pod", false, "pods are not known"),
            ("web.default.svc", false, "the Service exists"),
            ("web.other.svc", true, "no such Service in that namespace"),
            ("wob.default.svc", true, "no such Service"),
            (
                "10-0-0-1.web.default.svc",
                false,
                "it may be an endpoint of the Service",
            ),
            (
                "10-0-0-1.wob.default.svc",
                true,
                "no Service that it could be an endpoint of",
            ),
            ("_http._tcp.web.default.svc", false, "it may be a port of the Service"),
            (
                "_http._tcp.wob.default.svc",
                true,
                "no Service that it could be a port of",
            ),
            (
                "a._http._tcp.web.default.svc",
                true,
                "three labels left of a Service are nothing",
            ),
            (
                "a.b.c.d.e.web.default.svc",
                true,
                "three and more labels left of a Service are nothing",
            ),
            ("example.com", true, "neither svc nor pod"),
            ("web.default", true, "neither svc nor pod"),
            ("web", true, "neither svc nor pod"),
            ("svc.web", true, "svc counts only as the last label"),
            ("dns", true, "only ns.dns has records, as in CoreDNS"),
            ("ns.dns", false, "the zone's name server exists"),
            ("a.ns.dns", true, "nothing is below it"),
            ("dns-version", false, "the version's TXT record exists"),
            ("a.dns-version", true, "nothing is below it"),
            ("hostmaster", true, "the SOA's mailbox is no name with records"),
        ];
        let zone = Name::parse("cluster.local").unwrap();
        for (labels, expected, reason) in cases {
            let name = Name::parse(format!("{labels}.cluster.local").trim_start_matches('.')).unwrap();
            let labels = labels_below(&name, &zone).unwrap();
            let absent = is_absent(&labels, |namespace, service| {
                (namespace, service) == (b"default", b"web")
            });
            assert_eq!(absent, expected, "{name}: {reason}");
        }
    }

    #[test]
    fn cuts_the_zone_off_at_a_label() {
        let zone = Name::parse("cluster.local").unwrap();
        let below = |name: &str| {
            let name = Name::parse(name).unwrap();
            labels_below(&name, &zone).map(|labels| labels.concat())
        };
        assert_eq!(below("web.default.svc.cluster.local"), Some(b"webdefaultsvc".to_vec()));
        assert_eq!(below("cluster.local"), Some(vec![]));
        assert_eq!(below("local"), None);
        assert_eq!(below("mycluster.local"), None);
        assert_eq!(below("cluster.local.example"), None);
    }

    #[test]
    fn names_a_service_unless_the_name_is_too_long() {
        let key = ObjectKey {
            namespace: "default".into(),
            name: "web".into(),
        };
        let name = service_name(&key, &Name::parse("cluster.local").unwrap()).unwrap();
        assert_eq!(name.to_string(), "web.default.svc.cluster.local.");
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(50)].join(".");
        assert_eq!(service_name(&key, &Name::parse(&long).unwrap()), None);
        let dotless = ObjectKey {
            namespace: String::new(),
            name: "web".into(),
        };
        assert_eq!(service_name(&dotless, &Name::parse("cluster.local").unwrap()), None);
    }

    #[test]
    fn only_cluster_ips_make_an_entry() {
        let (ipv4, ipv6) = (Ipv4Addr::new(10, 0, 0, 1), Ipv6Addr::LOCALHOST);
        let dual = ServiceKind::ClusterIp(vec![ipv6.into(), ipv4.into()]);
        let entry = Entry::new(Some(ipv4.octets()), Some(ipv6.octets()), ZONE);
        assert_eq!(service_entry(&dual, ZONE), Some(entry));
        let single = ServiceKind::ClusterIp(vec![ipv4.into()]);
        assert_eq!(
            service_entry(&single, ZONE),
            Some(Entry::new(Some(ipv4.octets()), None, ZONE))
        );
        for kind in [
            ServiceKind::Headless,
            ServiceKind::ExternalName,
            ServiceKind::Unaddressed,
        ] {
            assert_eq!(service_entry(&kind, ZONE), None, "{kind:?}");
        }
    }
}
