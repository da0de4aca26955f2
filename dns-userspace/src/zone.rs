//! The zone table: from canonical name to what is known of it. The kernel's tables and the server are fed from here.
//!
//! It owns the index, so that an event goes in at one end and the changes of names come out at the other, and it is the
//! agent's [`Tables`]: the server decides over it with the same function as the kernel over its maps. Reverse zones are
//! not in it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use dns_ebpf::decide::{Entry, Lookup, Tables, Zone};
use dns_ebpf::outcome::Pass;

use crate::index::{Event, Index, ObjectKey};
use crate::name::Name;
use crate::records;

/// The zone table, shared between the one task that updates it and the server's.
pub type SharedZoneTable = Arc<RwLock<ZoneTable>>;

/// A zone that the `kubernetes` plugin serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedZone {
    /// The zone's name.
    pub name: Name,
    /// The `ttl` option, in seconds.
    pub ttl: u32,
    /// How much the cluster's objects say of the zone.
    pub trust: Trust,
}

/// How much the cluster's objects say of a zone's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Which names there are, and so which there are not.
    Whole,
    /// Which names there are; others may own further ones.
    Existing,
    /// Nothing that can be relied on.
    Nothing,
}

/// What an update changed for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The name now has this entry, whether or not it had one.
    Put(Name, Entry),
    /// The name is gone.
    Remove(Name),
}

/// From canonical name to what is known of it.
#[derive(Debug, Default)]
pub struct ZoneTable {
    /// The deepest first: the first that encloses a name is the one that the name stands in.
    zones: Vec<ServedZone>,
    index: Index,
    entries: HashMap<Name, Entry>,
    serial: u32,
}

impl ZoneTable {
    /// Makes an empty, unsynced table of these forward zones; of two with one name the first counts.
    pub fn new(mut zones: Vec<ServedZone>) -> Self {
        zones.sort_by_key(|zone| Reverse(zone.name.labels().count()));
        Self {
            zones,
            ..Self::default()
        }
    }

    /// Takes an event in and returns the changes, in an order in which they may be published one by one: removals first,
    /// since they make room.
    ///
    /// `now` is the Unix time in seconds: the zones' serial when something changed. A change that no entry shows, such as
    /// a new headless Service, returns nothing and yet counts, since it ends a denial.
    pub fn update(&mut self, event: Event, now: u32) -> Vec<Change> {
        let touched = self.index.apply(event);
        if !touched.is_empty() {
            self.serial = self.serial.max(now);
        }
        let mut changes: Vec<_> = touched.iter().flat_map(|key| self.refresh(key)).collect();
        changes.sort_by_key(|change| matches!(change, Change::Put(..)));
        changes
    }

    /// Says whether all objects have been listed at least once.
    pub fn synced(&self) -> bool {
        self.index.synced()
    }

    /// The objects that the names are made of.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Says whether a name stands in one of the zones.
    pub fn encloses(&self, name: &Name) -> bool {
        self.zones.iter().any(|zone| name.is_within(&zone.name))
    }

    /// How many names are answered, by the kind of object that they belong to.
    pub fn counts(&self) -> [(&'static str, usize); 1] {
        [("cluster_ip", self.entries.len())]
    }

    /// Makes a Service's names anew.
    fn refresh(&mut self, key: &ObjectKey) -> Vec<Change> {
        let kind = self.index.service(&key.namespace, &key.name);
        let records: Vec<_> = self
            .zones
            .iter()
            .filter(|served| served.trust != Trust::Nothing)
            .filter_map(|served| Some((served, records::service_name(key, &served.name)?)))
            .filter(|(served, name)| {
                self.locate(name)
                    .is_some_and(|(nearest, _)| std::ptr::eq(nearest, *served))
            })
            .map(|(served, name)| (name, kind.and_then(|kind| records::service_entry(kind, zone(served)))))
            .collect();
        records
            .into_iter()
            .filter_map(|(name, entry)| self.set(name, entry))
            .collect()
    }

    fn set(&mut self, name: Name, entry: Option<Entry>) -> Option<Change> {
        if self.entries.get(&name) == entry.as_ref() {
            return None;
        }
        match entry {
            Some(entry) => {
                self.entries.insert(name.clone(), entry);
                Some(Change::Put(name, entry))
            }
            None => {
                self.entries.remove(&name);
                Some(Change::Remove(name))
            }
        }
    }

    /// Finds the zone that a name stands in, and the labels left of it.
    fn locate<'n>(&self, name: &'n Name) -> Option<(&ServedZone, Vec<&'n [u8]>)> {
        self.zones
            .iter()
            .find_map(|zone| Some((zone, records::labels_below(name, &zone.name)?)))
    }

    fn has_service(&self, namespace: &[u8], name: &[u8]) -> bool {
        let (Ok(namespace), Ok(name)) = (str::from_utf8(namespace), str::from_utf8(name)) else {
            return false;
        };
        self.index.service(namespace, name).is_some()
    }
}

impl Tables<Name> for ZoneTable {
    fn standing(&self) -> Result<(), Pass> {
        if self.synced() { Ok(()) } else { Err(Pass::Unsynced) }
    }

    fn find(&self, name: &Name) -> Lookup {
        if let Some(entry) = self.entries.get(name) {
            return Lookup::found(*entry);
        }
        match self.locate(name) {
            Some((served, labels))
                if served.trust == Trust::Whole
                    && records::is_absent(&labels, |namespace, name| self.has_service(namespace, name)) =>
            {
                Lookup::absent(zone(served))
            }
            _ => Lookup::unknown(Pass::NameUnknown),
        }
    }

    fn serial(&self) -> u32 {
        self.serial
    }
}

fn zone(served: &ServedZone) -> Zone {
    // A name has at most 255 bytes.
    Zone {
        name_len: served.name.as_wire().len() as u8,
        ttl: served.ttl,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use dns_ebpf::decide::{Action, Octets, TYPE_A, TYPE_AAAA};

    use super::*;
    use crate::index::{Service, ServiceKind};

    /// A verdict with only what it stands on.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Answer {
        A([u8; 4], Zone),
        Aaaa([u8; 16], Zone),
        NoData(Zone),
        NxDomain(Zone),
        Pass(Pass),
    }

    fn said(table: &ZoneTable, name: &Name, qtype: u16) -> Answer {
        let verdict = dns_ebpf::decide::decide(table, name, qtype);
        let Entry {
            ipv4: Octets(ipv4),
            ipv6: Octets(ipv6),
            zone,
            ..
        } = verdict.entry;
        match verdict.action {
            Action::A => Answer::A(ipv4, zone),
            Action::Aaaa => Answer::Aaaa(ipv6, zone),
            Action::NoData => Answer::NoData(zone),
            Action::NxDomain => Answer::NxDomain(zone),
            Action::Pass(reason) => Answer::Pass(reason),
        }
    }

    const TYPE_TXT: u16 = 16;
    const ZONE: Zone = Zone { name_len: 15, ttl: 30 };

    #[test]
    fn answers_and_denies_as_the_services_say() {
        let table = table(
            &["cluster.local"],
            vec![
                service("web", ServiceKind::ClusterIp(vec![ip("10.0.0.1")])),
                service("six", ServiceKind::ClusterIp(vec![ip("fd00::1")])),
                service("dual", ServiceKind::ClusterIp(vec![ip("fd00::2"), ip("10.0.0.2")])),
                service("headless", ServiceKind::Headless),
                service("external", ServiceKind::ExternalName),
                service("pending", ServiceKind::Unaddressed),
            ],
        );
        let unknown = Answer::Pass(Pass::NameUnknown);
        let cases = [
            ("web.default.svc.cluster.local", TYPE_A, Answer::A([10, 0, 0, 1], ZONE)),
            ("WEB.Default.SVC.Cluster.Local", TYPE_A, Answer::A([10, 0, 0, 1], ZONE)),
            ("web.default.svc.cluster.local", TYPE_AAAA, Answer::NoData(ZONE)),
            (
                "web.default.svc.cluster.local",
                TYPE_TXT,
                Answer::Pass(Pass::TypeUnanswered),
            ),
            ("six.default.svc.cluster.local", TYPE_A, Answer::NoData(ZONE)),
            (
                "six.default.svc.cluster.local",
                TYPE_AAAA,
                Answer::Aaaa(octets("fd00::1"), ZONE),
            ),
            ("dual.default.svc.cluster.local", TYPE_A, Answer::A([10, 0, 0, 2], ZONE)),
            (
                "dual.default.svc.cluster.local",
                TYPE_AAAA,
                Answer::Aaaa(octets("fd00::2"), ZONE),
            ),
            ("headless.default.svc.cluster.local", TYPE_A, unknown),
            ("external.default.svc.cluster.local", TYPE_A, unknown),
            ("pending.default.svc.cluster.local", TYPE_AAAA, unknown),
            ("a.pending.default.svc.cluster.local", TYPE_A, unknown),
            ("_http._tcp.web.default.svc.cluster.local", TYPE_A, unknown),
            ("web.other.svc.cluster.local", TYPE_A, Answer::NxDomain(ZONE)),
            (
                "web.default.svc.cluster.local.default.svc.cluster.local",
                TYPE_A,
                Answer::NxDomain(ZONE),
            ),
            ("example.com.cluster.local", TYPE_TXT, Answer::NxDomain(ZONE)),
            ("default.svc.cluster.local", TYPE_A, unknown),
            ("cluster.local", TYPE_A, unknown),
            ("example.com", TYPE_A, unknown),
            ("mycluster.local", TYPE_A, unknown),
        ];
        for (name, qtype, expected) in cases {
            assert_eq!(ask(&table, name, qtype), expected, "{name} {qtype}");
        }
    }

    #[test]
    fn a_label_that_is_no_text_is_no_service() {
        let table = table(&["cluster.local"], vec![]);
        let name = Name::from_wire(b"\x03\xff.\x00\x07default\x03svc\x07cluster\x05local\x00");
        assert_eq!(said(&table, &name, TYPE_A), Answer::NxDomain(ZONE));
    }

    #[test]
    fn says_nothing_before_the_first_reset() {
        let mut table = ZoneTable::new(zones(&["cluster.local"]));
        let unsynced = Answer::Pass(Pass::Unsynced);
        table.update(Event::Apply(web("10.0.0.1")), 1);
        assert_eq!(ask(&table, "web.default.svc.cluster.local", TYPE_A), unsynced);
        assert_eq!(ask(&table, "wob.default.svc.cluster.local", TYPE_A), unsynced);
        table.update(Event::Reset(vec![web("10.0.0.1")]), 2);
        assert_eq!(
            ask(&table, "web.default.svc.cluster.local", TYPE_A),
            Answer::A([10, 0, 0, 1], ZONE)
        );
    }

    #[test]
    fn follows_a_service_through_its_life() {
        let mut table = table(&["cluster.local"], vec![]);
        let name = Name::parse("web.default.svc.cluster.local").unwrap();
        let entry = |last| Entry::new(Some([10, 0, 0, last]), None, ZONE);
        let steps = [
            (
                Event::Apply(service("web", ServiceKind::Unaddressed)),
                vec![],
                Answer::Pass(Pass::NameUnknown),
            ),
            (
                Event::Apply(web("10.0.0.1")),
                vec![Change::Put(name.clone(), entry(1))],
                Answer::A([10, 0, 0, 1], ZONE),
            ),
            (
                Event::Apply(web("10.0.0.2")),
                vec![Change::Put(name.clone(), entry(2))],
                Answer::A([10, 0, 0, 2], ZONE),
            ),
            (Event::Apply(web("10.0.0.2")), vec![], Answer::A([10, 0, 0, 2], ZONE)),
            (
                Event::Apply(service("web", ServiceKind::Headless)),
                vec![Change::Remove(name.clone())],
                Answer::Pass(Pass::NameUnknown),
            ),
            (Event::Delete(web("10.0.0.2").key), vec![], Answer::NxDomain(ZONE)),
            (Event::Delete(web("10.0.0.2").key), vec![], Answer::NxDomain(ZONE)),
        ];
        for (event, changes, verdict) in steps {
            assert_eq!(table.update(event.clone(), 1), changes, "{event:?}");
            assert_eq!(said(&table, &name, TYPE_A), verdict, "{event:?}");
        }
    }

    #[test]
    fn a_reset_yields_the_difference_with_removals_first() {
        let address = |last: u8| ServiceKind::ClusterIp(vec![IpAddr::from([10, 0, 0, last])]);
        let listed = vec![
            service("gone", address(1)),
            service("kept", address(2)),
            service("moved", address(3)),
        ];
        let mut table = table(&["cluster.local"], listed);
        let changes = table.update(
            Event::Reset(vec![
                service("added", address(4)),
                service("moved", address(5)),
                service("kept", address(2)),
            ]),
            9,
        );
        let name = |service| Name::parse(&format!("{service}.default.svc.cluster.local")).unwrap();
        let entry = |last| Entry::new(Some([10, 0, 0, last]), None, ZONE);
        let expected = [
            Change::Remove(name("gone")),
            Change::Put(name("added"), entry(4)),
            Change::Put(name("moved"), entry(5)),
        ];
        assert_eq!(changes, expected);
        assert_eq!(table.counts(), [("cluster_ip", 3)]);
    }

    #[test]
    fn the_serial_is_the_time_of_the_last_change() {
        let mut table = ZoneTable::new(zones(&["cluster.local"]));
        let steps = [
            (Event::Reset(vec![]), 10, 0, "nothing was listed"),
            (Event::Apply(web("10.0.0.1")), 11, 11, "a Service is new"),
            (Event::Apply(web("10.0.0.1")), 12, 11, "nothing changed"),
            (Event::Reset(vec![web("10.0.0.1")]), 13, 11, "nothing changed"),
            (
                Event::Apply(service("headless", ServiceKind::Headless)),
                14,
                14,
                "a denial ended",
            ),
            (
                Event::Delete(web("10.0.0.1").key),
                5,
                14,
                "the clock went back, a serial never does",
            ),
        ];
        for (event, now, expected, reason) in steps {
            table.update(event, now);
            assert_eq!(table.serial(), expected, "{reason}");
        }
    }

    #[test]
    fn of_overlapping_zones_the_longest_counts() {
        let table = table(&["cluster.local", "svc.cluster.local"], vec![web("10.0.0.1")]);
        let inner = Zone { name_len: 19, ttl: 30 };
        // Under the longer zone, `default` is neither `svc` nor `pod`.
        assert_eq!(
            ask(&table, "web.default.svc.cluster.local", TYPE_A),
            Answer::NxDomain(inner)
        );
        assert_eq!(
            ask(&table, "web.default.svc.svc.cluster.local", TYPE_A),
            Answer::A([10, 0, 0, 1], inner)
        );
        assert_eq!(ask(&table, "web.cluster.local", TYPE_A), Answer::NxDomain(ZONE));
        assert_eq!(table.counts(), [("cluster_ip", 1)]);
    }

    #[test]
    fn a_service_has_a_name_in_every_zone() {
        let mut table = table(&["cluster.local", "example"], vec![]);
        let changes = table.update(Event::Apply(web("10.0.0.1")), 1);
        assert_eq!(changes.len(), 2);
        let example = Zone { name_len: 9, ttl: 30 };
        assert_eq!(
            ask(&table, "web.default.svc.example", TYPE_A),
            Answer::A([10, 0, 0, 1], example)
        );
        assert_eq!(table.update(Event::Delete(web("10.0.0.1").key), 2).len(), 2);
    }

    #[test]
    fn encloses_the_names_of_its_zones() {
        let table = table(&["cluster.local"], vec![]);
        let encloses = |name| table.encloses(&Name::parse(name).unwrap());
        assert!(encloses("cluster.local") && encloses("anything.at.all.cluster.local"));
        assert!(!encloses("local") && !encloses("mycluster.local") && !encloses("1.0.0.10.in-addr.arpa"));
    }

    #[test]
    fn says_no_more_of_a_zone_than_it_is_trusted_with() {
        let web = "web.default.svc.cluster.local";
        let (existing, absent) = (Answer::A([10, 0, 0, 1], ZONE), Answer::NxDomain(ZONE));
        let unknown = Answer::Pass(Pass::NameUnknown);
        for (trust, of_web, of_none) in [
            (Trust::Whole, existing, absent),
            (Trust::Existing, existing, unknown),
            (Trust::Nothing, unknown, unknown),
        ] {
            let [zone] = zones(&["cluster.local"]).try_into().unwrap();
            let mut table = ZoneTable::new(vec![ServedZone { trust, ..zone }]);
            let services = vec![service("web", ServiceKind::ClusterIp(vec![ip("10.0.0.1")]))];
            table.update(Event::Reset(services), 1);
            assert_eq!(ask(&table, web, TYPE_A), of_web, "{trust:?}");
            assert_eq!(
                ask(&table, "none.default.svc.cluster.local", TYPE_A),
                of_none,
                "{trust:?}"
            );
            assert!(table.encloses(&Name::parse(web).unwrap()), "{trust:?}");
        }
    }

    fn table(names: &[&str], services: Vec<Service>) -> ZoneTable {
        let mut table = ZoneTable::new(zones(names));
        table.update(Event::Reset(services), 1);
        table
    }

    fn zones(names: &[&str]) -> Vec<ServedZone> {
        names
            .iter()
            .map(|name| ServedZone {
                name: Name::parse(name).unwrap(),
                ttl: 30,
                trust: Trust::Whole,
            })
            .collect()
    }

    fn ask(table: &ZoneTable, name: &str, qtype: u16) -> Answer {
        said(table, &Name::parse(name).unwrap(), qtype)
    }

    fn web(address: &str) -> Service {
        service("web", ServiceKind::ClusterIp(vec![ip(address)]))
    }

    fn service(name: &str, kind: ServiceKind) -> Service {
        Service {
            key: ObjectKey {
                namespace: "default".into(),
                name: name.into(),
            },
            kind,
        }
    }

    fn ip(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    fn octets(address: &str) -> [u8; 16] {
        address.parse::<std::net::Ipv6Addr>().unwrap().octets()
    }
}
