//! The zone table: the zones that the `kubernetes` plugin serves, and what the cluster's objects say in them.
//!
//! It owns the objects, so that an event goes in at one end and the changes of the kernel's names come out at the other,
//! and it answers the agent's server. Both come from the same rules ([`crate::rules`]): an entry for the kernel is what
//! they say to its name. What it adds is what a zone is: which one a name stands in, its SOA record, and what may be
//! denied there.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};

use dns_ebpf::query::TRANSFERS;
use hashbrown::HashMap;

use crate::cluster::object::{Kind, ObjectKey};
use crate::cluster::{Cluster, Event};
use crate::corefile::{Fallthrough, Kubernetes, Pods};
use crate::name::Name;
use crate::names::{self, Names};
use crate::rules::{self, Answer, Options, Record, Records, qtype};

/// The zone table, shared between the one task that updates it and the server's.
pub type SharedZoneTable = Arc<RwLock<ZoneTable>>;

/// The Service whose cluster IPs pods have as their nameserver.
pub fn dns_service() -> ObjectKey {
    ObjectKey {
        namespace: "kube-system".into(),
        name: "kube-dns".into(),
    }
}

/// A zone that the `kubernetes` plugin serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedZone {
    /// The zone's name.
    pub name: Name,
    /// Whether its names stand for addresses.
    pub reverse: bool,
}

/// What holds in all the zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneOptions {
    /// Which names there are.
    pub names: Options,
    /// The `ttl` option, in seconds.
    pub ttl: u32,
    /// The zone in which the targets of PTR records lie.
    pub primary: Name,
    /// What becomes of names that do not exist.
    pub fallthrough: Fallthrough,
}

/// What the zones say to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The name stands in none of them.
    Outside,
    /// The name does not exist here and may elsewhere: `fallthrough`.
    FallThrough,
    /// Nobody is told.
    Refused,
    /// This.
    Here {
        /// The zone that the name stands in.
        zone: Zone,
        /// What it says.
        content: Content,
    },
}

/// What a zone says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// These records, at least one.
    Records(Records),
    /// The zone's own SOA record.
    Soa,
    /// The name is an alias of one outside the zone, whose records are to be found elsewhere.
    Elsewhere {
        /// The aliases on the way, at least one.
        aliases: Vec<Record>,
        /// Where the last one leads.
        target: String,
    },
    /// The name exists, records of the type do not.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// Not all objects are known yet, or others may own the name.
    Failure,
}

/// What a reply needs to know of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Length in bytes of the zone's name in wire form; a name's last `name_len` bytes are the zone.
    pub name_len: usize,
    /// The `ttl` option: TTL of positive answers and the SOA's minimum field, in seconds.
    pub ttl: u32,
    /// The serial of its SOA record.
    pub serial: u32,
}

/// What an update changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Whether anything is no longer as it was.
    pub changed: bool,
    /// The names that may no longer mean what they did; none before all objects are known.
    pub names: BTreeSet<Name>,
}

/// The zones and the objects that speak of them.
#[derive(Debug)]
pub struct ZoneTable {
    /// The deepest first: the first that encloses a name is the one that the name stands in.
    zones: Vec<ServedZone>,
    options: ZoneOptions,
    cluster: Cluster,
    /// The kinds of objects that have to be known.
    kinds: Vec<Kind>,
    /// The serial of the zones' SOA records: Unix time of the last change, 0 before any.
    serial: u32,
    /// The same for the zones that speak of ServiceImports.
    import_serial: u32,
    /// The aliases whose answers depend on a name.
    aliases: HashMap<Name, BTreeSet<Name>>,
    /// The names that an alias's answers depend on.
    targets: HashMap<Name, Vec<Name>>,
}

/// The kinds of objects that this directive's names are made of.
pub fn kinds(kubernetes: &Kubernetes) -> Vec<Kind> {
    let mut kinds = vec![Kind::Namespace, Kind::Service];
    if !kubernetes.noendpoints {
        kinds.push(Kind::EndpointSlice);
    }
    if kubernetes.pods == Pods::Verified {
        kinds.push(Kind::Pod);
    }
    if !kubernetes.multicluster.is_empty() {
        kinds.extend([Kind::ServiceImport, Kind::ImportedSlice]);
    }
    kinds
}

impl ZoneTable {
    /// Makes an empty, unsynced table of these zones, which are made of these kinds of objects; of two zones with one
    /// name the first counts.
    pub fn new(mut zones: Vec<ServedZone>, options: ZoneOptions, kinds: Vec<Kind>) -> Self {
        zones.sort_by_key(|zone| Reverse(zone.name.labels().count()));
        Self {
            zones,
            options,
            cluster: Cluster::default(),
            kinds,
            serial: 0,
            import_serial: 0,
            aliases: HashMap::new(),
            targets: HashMap::new(),
        }
    }

    /// Takes an event in, and says which names it concerns.
    ///
    /// `now` is the Unix time in seconds: the zones' serial when something changed.
    pub fn update(&mut self, event: Event, now: u32) -> Update {
        let mut update = Update::default();
        if let Event::Listed(kind, listed) = &event {
            for key in self.cluster.missing(*kind, listed) {
                self.apply(Event::Delete(*kind, key), now, &mut update);
            }
        }
        self.apply(event, now, &mut update);
        update
    }

    fn apply(&mut self, event: Event, now: u32, update: &mut Update) {
        let kind = event.kind();
        let key = match &event {
            Event::Apply(object) => Some(object.key()),
            Event::Delete(_, key) => Some(key.clone()),
            Event::Listed(..) => None,
        };
        // Before all is known nothing is written down, and then everything is.
        let key = key.filter(|_| self.synced());
        let mut names = Names::default();
        let options = &self.options.names;
        if let Some(key) = &key {
            names.add(&self.cluster, options, kind, key);
            names.add_changed_endpoints(&self.cluster, options, &event);
        }
        let changes = self.cluster.apply(event);
        if let Some(key) = &key {
            names.add(&self.cluster, options, kind, key);
        }
        if kind != Kind::Namespace {
            if !changes.services.is_empty() || (kind == Kind::Pod && changes.any) {
                self.serial = self.serial.max(now);
            }
            if !changes.imports.is_empty() {
                self.import_serial = self.import_serial.max(now);
            }
        }
        update.changed |= changes.any;
        if changes.any && key.is_some() {
            let fixed = if kind == Kind::Pod { &[][..] } else { &names::SHARED };
            self.note(&names, fixed, &mut update.names);
        }
    }

    /// Turns labels and addresses into names of the zones, and adds the aliases that depend on one of them.
    fn note(&mut self, names: &Names, fixed: &[&str], into: &mut BTreeSet<Name>) {
        let mut noted = BTreeSet::new();
        for zone in &self.zones {
            let labels = match self.options.names.imports(&zone.name) {
                _ if zone.reverse => Some(&names.reverse),
                true => Some(&names.imported),
                false => Some(&names.local),
            };
            let labels = labels
                .into_iter()
                .flatten()
                .map(String::as_str)
                .chain(fixed.iter().copied());
            noted.extend(labels.filter_map(|labels| Name::of_labels(labels, &zone.name)));
        }
        noted.extend(names.addresses.iter().copied().map(rules::reverse_name));
        for name in &noted {
            self.note_alias(name);
        }
        let dependent = noted.iter().filter_map(|name| self.aliases.get(name)).flatten();
        into.extend(dependent.cloned());
        into.extend(noted);
    }

    /// Notes on which names the alias at this name depends, if there is one.
    fn note_alias(&mut self, name: &Name) {
        // Of the names that are noted only a Service's own may be an alias.
        if self.locate(name).is_none_or(|(_, labels)| labels.len() != 3) {
            return;
        }
        let targets = self.find(name).map(|found| found.alias_targets()).unwrap_or_default();
        for target in self.targets.remove(name).into_iter().flatten() {
            if let Some(aliases) = self.aliases.get_mut(&target) {
                aliases.remove(name);
                if aliases.is_empty() {
                    self.aliases.remove(&target);
                }
            }
        }
        for target in &targets {
            self.aliases.entry(target.clone()).or_default().insert(name.clone());
        }
        if !targets.is_empty() {
            self.targets.insert(name.clone(), targets);
        }
    }

    /// Hands over, one by one, every name that may exist: what an update that makes all known does not say.
    pub fn for_each_name(&mut self, mut take: impl FnMut(&Self, Name)) {
        let namespaces: Vec<_> = self.cluster.namespaces().map(str::to_owned).collect();
        let locals: Vec<_> = self.cluster.local().keys().cloned().collect();
        let imports: Vec<_> = self.cluster.imported().keys().cloned().collect();
        let addresses: Vec<_> = self.cluster.local().addresses().collect();
        let pods: Vec<_> = self
            .cluster
            .pods()
            .map(|(namespace, pod)| (namespace.to_owned(), pod.ip.clone()))
            .collect();
        let mut hand_over = |fill: &dyn Fn(&Self, &mut Names)| {
            let (mut names, mut noted) = (Names::default(), BTreeSet::new());
            fill(self, &mut names);
            self.note(&names, &[], &mut noted);
            noted.into_iter().for_each(|name| take(self, name));
        };
        hand_over(&|_, names| names.add_fixed());
        for namespace in namespaces {
            hand_over(&|_, names| names.add_levels(&namespace));
        }
        for key in locals {
            hand_over(&|table, names| {
                names::add_service(&mut names.local, table.cluster.local(), &table.options.names, &key);
            });
        }
        for key in imports {
            hand_over(&|table, names| {
                names::add_service(
                    &mut names.imported,
                    table.cluster.imported(),
                    &table.options.names,
                    &key,
                );
            });
        }
        for address in addresses {
            hand_over(&|_, names| _ = names.addresses.insert(address));
        }
        for (namespace, ip) in pods {
            hand_over(&|_, names| names.add_pod(&namespace, &ip));
        }
    }

    /// Says whether all objects have been listed at least once; it never goes back.
    pub fn synced(&self) -> bool {
        self.kinds.iter().all(|kind| self.cluster.has_synced(*kind))
    }

    /// The zones, the deepest first.
    pub fn zones(&self) -> &[ServedZone] {
        &self.zones
    }

    /// The objects.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The zone in which the targets of PTR records lie.
    pub fn primary(&self) -> &Name {
        &self.options.primary
    }

    /// Finds a name, to be asked for records of any type; `None` where it stands in none of the zones.
    pub fn find<'t>(&'t self, name: &'t Name) -> Option<Found<'t>> {
        let (served, labels) = self.locate(name)?;
        // As in CoreDNS: a reverse zone has `svc`, `ns.dns` and the like, and nothing below.
        let is_hidden = served.reverse && rules::is_of_an_object(&labels);
        Some(Found {
            table: self,
            name,
            served,
            node: (!is_hidden).then(|| rules::find(&self.cluster, &self.options.names, &served.name, &labels)),
            labels,
        })
    }

    /// Answers a question, whatever its class.
    pub fn ask(&self, name: &Name, qtype: u16) -> Said {
        self.find(name).map_or(Said::Outside, |found| found.ask(qtype))
    }

    /// Says whether others are asked for this name if it does not exist here.
    pub fn falls_through(&self, name: &Name) -> bool {
        self.options.fallthrough.takes(name)
    }

    fn is_imported(&self, served: &ServedZone) -> bool {
        self.options.names.imports(&served.name)
    }

    /// What a reply needs to know of a zone.
    pub fn zone(&self, served: &ServedZone) -> Zone {
        Zone {
            name_len: served.name.as_wire().len(),
            ttl: self.options.ttl,
            serial: match self.is_imported(served) {
                true => self.import_serial,
                false => self.serial,
            },
        }
    }

    /// Finds the zone that a name stands in, and the labels left of it.
    pub fn locate<'n>(&self, name: &'n Name) -> Option<(&ServedZone, Vec<&'n [u8]>)> {
        self.zones
            .iter()
            .find_map(|zone| Some((zone, name.labels_below(&zone.name)?)))
    }
}

/// A name that was found in a zone.
pub struct Found<'t> {
    table: &'t ZoneTable,
    name: &'t Name,
    served: &'t ServedZone,
    /// The labels that stand left of the zone's.
    labels: Vec<&'t [u8]>,
    /// What the rules know of it, unless they are not to be asked.
    node: Option<rules::Node<'t>>,
}

impl Found<'_> {
    /// The table in which it was found.
    pub fn table(&self) -> &ZoneTable {
        self.table
    }

    /// The name.
    pub fn name(&self) -> &Name {
        self.name
    }

    /// The zone that it stands in.
    pub fn zone(&self) -> &ServedZone {
        self.served
    }

    /// Answers a question for the name, whatever its class.
    pub fn ask(&self, qtype: u16) -> Said {
        let falls_through = || self.table.falls_through(self.name);
        let content = match qtype {
            _ if TRANSFERS.contains(&qtype.into()) => return Said::Refused,
            qtype::SOA if self.labels.is_empty() => Content::Soa,
            // As CoreDNS does: any name of a zone has the zone's SOA, if only to say that there is none of its own.
            qtype::SOA => Content::NoData,
            _ => match self.answer(qtype) {
                // CoreDNS denies these names by TXT: whom it asks then is asked, or else they exist.
                Answer::Records(_) if qtype == qtype::TXT && rules::is_level(&self.labels) && falls_through() => {
                    return Said::FallThrough;
                }
                Answer::Records(Records { answer, .. }) if answer.is_empty() => Content::NoData,
                Answer::Records(records) => Content::Records(records),
                Answer::Elsewhere { aliases, target } => Content::Elsewhere { aliases, target },
                // Before all is known nothing falls through either: others would deny what there is.
                Answer::Absent if !self.table.synced() => Content::Failure,
                Answer::Absent if falls_through() => return Said::FallThrough,
                Answer::Absent => Content::NxDomain,
            },
        };
        Said::Here {
            zone: self.table.zone(self.served),
            content,
        }
    }

    fn answer(&self, qtype: u16) -> Answer {
        let address = (qtype == qtype::PTR)
            .then(|| rules::reverse_address(self.name))
            .flatten();
        match (address, &self.node) {
            (Some(address), _) => rules::pointers(&self.table.cluster, &self.table.options.names, address),
            (None, Some(node)) => node.answer(qtype),
            (None, None) => Answer::Absent,
        }
    }

    /// The names that the answer for the alias at this name depends on; none where no alias stands there.
    pub fn alias_targets(&self) -> Vec<Name> {
        let node = self.node.as_ref().filter(|_| !self.served.reverse);
        node.map(rules::Node::alias_targets).unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::cluster::object::{Object, Reach, Service};
    use crate::rules::testing::INSECURE;

    /// An empty, unsynced table of these zones, of which the first is the primary one.
    pub(crate) fn table(zones: &[&str]) -> ZoneTable {
        let served = |name: &&str| ServedZone {
            name: Name::parse(name).unwrap(),
            reverse: name.ends_with("arpa"),
        };
        let options = ZoneOptions {
            names: INSECURE,
            ttl: 30,
            primary: Name::parse(zones[0]).unwrap(),
            fallthrough: Fallthrough::None,
        };
        let kinds = vec![Kind::Namespace, Kind::Service, Kind::EndpointSlice];
        ZoneTable::new(zones.iter().map(served).collect(), options, kinds)
    }

    /// Makes the table know all there is: the Namespace `default` and these Services.
    pub(crate) fn sync(table: &mut ZoneTable, services: Vec<(ObjectKey, Service)>) {
        let services = services.into_iter().map(|(key, service)| Object::Service(key, service));
        let events = Event::list(Kind::Namespace, vec![Object::Namespace("default".into())])
            .chain(Event::list(Kind::Service, services.collect()))
            .chain(Event::list(Kind::EndpointSlice, vec![]));
        events.for_each(|event| drop(table.update(event, 1_700_000_000)));
    }

    /// A Service of the namespace `default`, without ports.
    pub(crate) fn service(name: &str, reach: Reach) -> (ObjectKey, Service) {
        let key = ObjectKey {
            namespace: "default".into(),
            name: name.into(),
        };
        (key, Service { reach, ports: vec![] })
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{service, sync, table};
    use super::*;
    use crate::cluster::object::{Endpoint, EndpointSlice, Object, Port, Reach};

    const A: u16 = qtype::A;
    const AAAA: u16 = qtype::AAAA;

    #[test]
    fn answers_and_denies_in_the_deepest_zone() {
        let mut table = table(&["cluster.local", "svc.cluster.local", "in-addr.arpa"]);
        sync(&mut table, vec![service("web", ip(1))]);
        for (name, qtype, expected) in [
            // Under the deeper zone `default` is neither `svc` nor `pod`.
            ("web.default.svc.cluster.local", A, "NxDomain"),
            ("WEB.default.svc.svc.cluster.local", A, "Records"),
            ("web.default.svc.svc.cluster.local", AAAA, "NoData"),
            ("cluster.local", qtype::SOA, "Soa"),
            ("any.cluster.local", qtype::SOA, "NoData"),
            ("cluster.local", 252, "Refused"),
            ("mycluster.local", A, "Outside"),
            ("1.0.96.10.in-addr.arpa", qtype::PTR, "Records"),
            ("1.0.96.10.in-addr.arpa", A, "NxDomain"),
            ("2.0.96.10.in-addr.arpa", qtype::PTR, "NxDomain"),
            ("96.10.in-addr.arpa", qtype::PTR, "NxDomain"),
            ("in-addr.arpa", qtype::PTR, "NoData"),
            ("svc.in-addr.arpa", qtype::PTR, "NoData"),
            ("default.svc.in-addr.arpa", A, "NxDomain"),
            ("web.default.svc.in-addr.arpa", A, "NxDomain"),
        ] {
            assert_eq!(said(&table, name, qtype), expected, "{name} {qtype}");
        }
    }

    #[test]
    fn denies_nothing_before_all_is_known_and_nothing_that_falls_through() {
        let mut table = table(&["cluster.local"]);
        table.options.fallthrough = Fallthrough::All;
        let ask =
            |table: &ZoneTable| ["web", "wob"].map(|name| said(table, &format!("{name}.default.svc.cluster.local"), A));
        table.update(Event::Apply(Object::Namespace("default".into())), 1);
        let (key, web) = service("web", ip(1));
        table.update(Event::Apply(Object::Service(key, web)), 1);
        assert_eq!(ask(&table), ["Records", "Failure"]);
        sync(&mut table, vec![service("web", ip(1))]);
        assert_eq!(ask(&table), ["Records", "FallThrough"]);
        table.options.fallthrough = Fallthrough::None;
        assert_eq!(ask(&table), ["Records", "NxDomain"]);
    }

    #[test]
    fn text_at_the_levels_of_the_tree_is_asked_of_others_where_the_names_fall_through() {
        let mut table = table(&["cluster.local", "in-addr.arpa"]);
        sync(&mut table, vec![service("web", ip(1))]);
        let names = [
            "cluster.local",
            "default.svc.cluster.local",
            "web.default.svc.cluster.local",
            "in-addr.arpa",
        ];
        let ask = |table: &ZoneTable| names.map(|name| said(table, name, qtype::TXT));
        assert_eq!(ask(&table), ["NoData"; 4]);
        table.options.fallthrough = Fallthrough::Zones(vec![name("in-addr.arpa")]);
        assert_eq!(ask(&table), ["NoData", "NoData", "NoData", "FallThrough"]);
        table.options.fallthrough = Fallthrough::All;
        assert_eq!(ask(&table), ["FallThrough", "FallThrough", "NoData", "FallThrough"]);
    }

    #[test]
    fn an_update_names_what_may_no_longer_mean_what_it_did() {
        let mut table = table(&["cluster.local", "10.in-addr.arpa"]);
        let alias = Reach::ExternalName("web.default.svc.cluster.local".into());
        sync(&mut table, vec![service("alias", alias)]);
        table.for_each_name(|_, _| {});
        let web = ["web.default.svc.cluster.local.", "alias.default.svc.cluster.local."];
        let apply = |reach| {
            let (key, web) = service("web", reach);
            Event::Apply(Object::Service(key, web))
        };
        for (event, expected) in [
            (apply(ip(1)), vec![web[0], web[1], "1.0.96.10.in-addr.arpa."]),
            (apply(ip(1)), vec![]),
            (
                apply(ip(2)),
                vec![web[0], web[1], "1.0.96.10.in-addr.arpa.", "2.0.96.10.in-addr.arpa."],
            ),
            (apply(Reach::Headless), vec![web[0], web[1], "2.0.96.10.in-addr.arpa."]),
            (
                Event::Apply(Object::Namespace("other".into())),
                vec!["other.svc.cluster.local.", "other.pod.cluster.local."],
            ),
        ] {
            let names = table.update(event.clone(), 1).names;
            let expected: BTreeSet<_> = expected.into_iter().map(name).collect();
            let shared = [
                "cluster.local",
                "ns.dns.cluster.local",
                "10.in-addr.arpa",
                "ns.dns.10.in-addr.arpa",
            ];
            let names: BTreeSet<_> = names
                .into_iter()
                .filter(|name| !shared.map(self::name).contains(name))
                .collect();
            assert_eq!(names, expected, "{event:?}");
        }
    }

    #[test]
    fn a_change_of_a_slice_names_the_endpoints_that_it_changes() {
        let mut table = table(&["cluster.local", "10.in-addr.arpa"]);
        sync(&mut table, vec![service("db", Reach::Headless)]);
        let mut change = |endpoints: &[u8], ports: &[Port]| {
            let endpoint = |last: &u8| Endpoint {
                address: [10, 0, 0, *last].into(),
                hostname: None,
                pod: None,
                zone: None,
            };
            let slice = EndpointSlice {
                service: "db".into(),
                cluster: None,
                endpoints: endpoints.iter().map(endpoint).collect(),
                ports: ports.into(),
            };
            let (key, _) = service("db-a", Reach::Headless);
            let event = Event::Apply(Object::EndpointSlice(key, slice));
            let names = table.update(event, 1).names.into_iter().map(|name| name.to_string());
            let names: Vec<_> = names.collect();
            let reverse = |name: &String| name.strip_suffix(".0.0.10.in-addr.arpa.").map(str::to_owned);
            let forward = |name: &String| Some(name.strip_prefix("10-0-0-")?.split_once('.')?.0.to_owned());
            let reverse: String = names.iter().filter_map(reverse).collect();
            assert_eq!(reverse, names.iter().filter_map(forward).collect::<String>());
            reverse
        };
        let port = Port {
            name: "sql".into(),
            protocol: "TCP".into(),
            number: Some(5432),
        };
        assert_eq!(change(&[1, 2, 3], &[]), "123");
        assert_eq!(change(&[1, 3], &[]), "2");
        assert_eq!(change(&[3, 1, 4], &[]), "4");
        // One that stands there twice has the weight of two.
        assert_eq!(change(&[3, 1, 4, 3], &[]), "3");
        assert_eq!(change(&[3, 1, 4, 3], &[port]), "134");
        assert_eq!(change(&[], &[]), "134");
    }

    #[test]
    fn before_all_is_known_an_update_names_nothing() {
        let mut table = table(&["cluster.local"]);
        let (key, web) = service("web", ip(1));
        let update = table.update(Event::Apply(Object::Service(key, web)), 1);
        assert!(update.changed && update.names.is_empty());
    }

    #[test]
    fn the_serial_is_the_time_of_the_last_change_and_never_goes_back() {
        let mut table = table(&["cluster.local"]);
        let apply = |name, reach| {
            let (key, service) = service(name, reach);
            Event::Apply(Object::Service(key, service))
        };
        for (event, now, expected) in [
            (Event::Apply(Object::Namespace("default".into())), 10, 0),
            (apply("web", ip(1)), 11, 11),
            (apply("web", ip(1)), 12, 11),
            (apply("db", Reach::Headless), 14, 14),
            (apply("web", ip(2)), 5, 14),
        ] {
            table.update(event, now);
            assert_eq!(table.zone(&table.zones[0]).serial, expected);
        }
    }

    fn said(table: &ZoneTable, name: &str, qtype: u16) -> String {
        let text = match table.ask(&Name::parse(name).unwrap(), qtype) {
            Said::Here { content, .. } => format!("{content:?}"),
            other => format!("{other:?}"),
        };
        text.split(['(', ' ']).next().unwrap().to_owned()
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn ip(last: u8) -> Reach {
        Reach::ClusterIps(vec![[10, 96, 0, last].into()])
    }
}
