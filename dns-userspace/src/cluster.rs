//! The cluster's objects of every kind, as DNS needs them: pure, synchronous state.
//!
//! It holds what the objects say, joined by what they say it of: a Service with the endpoints of all of its slices, an
//! address with whatever has it. Which names and records follow is for [`crate::rules`]. Every object is its own: in
//! whatever order the events of different objects come, and however often one is repeated, the same state results.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

pub mod object;

use object::{EndpointSlice, Kind, Object, ObjectKey, Pod, Reach, Service};

/// What a source of objects reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An object was created or changed.
    Apply(Object),
    /// An object was deleted; a Namespace's key has no namespace.
    Delete(Kind, ObjectKey),
    /// A list of a kind has ended, whose objects have all been applied: those with other keys are gone. The kind is
    /// synced from now on.
    Listed(Kind, HashSet<ObjectKey>),
}

impl Event {
    /// The kind of objects that it is about.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Apply(object) => object.kind(),
            Self::Delete(kind, _) | Self::Listed(kind, _) => *kind,
        }
    }

    /// The events that tell all the objects of a kind.
    pub fn list(kind: Kind, objects: Vec<Object>) -> impl Iterator<Item = Self> {
        let listed = objects.iter().map(Object::key).collect();
        objects.into_iter().map(Self::Apply).chain([Self::Listed(kind, listed)])
    }
}

/// What an event changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whether anything is no longer as it was.
    pub any: bool,
    /// The Services whose names may no longer mean what they did.
    pub services: BTreeSet<ObjectKey>,
    /// The ServiceImports whose names may no longer mean what they did.
    pub imports: BTreeSet<ObjectKey>,
}

/// The objects that exist, as far as the source has told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    namespaces: HashSet<String>,
    local: ServiceSet,
    imported: ServiceSet,
    pods: HashMap<ObjectKey, Pod>,
    /// How many Pods of a namespace have an address, as they spell it.
    pod_ips: HashMap<String, HashMap<String, usize>>,
    synced: BTreeSet<Kind>,
}

/// Services, or ServiceImports, with their slices.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ServiceSet {
    services: HashMap<ObjectKey, Service>,
    slices: HashMap<ObjectKey, EndpointSlice>,
    /// The slices of a Service, whether or not it exists.
    slices_of: HashMap<ObjectKey, BTreeSet<ObjectKey>>,
    /// The Services that have an address as cluster IP.
    cluster_ips: HashMap<IpAddr, BTreeSet<ObjectKey>>,
    /// The Services of which endpoints have an address, in order, once for each such endpoint.
    addresses: HashMap<IpAddr, Vec<Arc<ObjectKey>>>,
    counts: Counts,
}

/// How many names there are, by what stands behind them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Services with cluster IPs.
    pub cluster_ip: usize,
    /// Headless Services.
    pub headless: usize,
    /// Aliases of other names.
    pub external_name: usize,
    /// Addresses of ready endpoints, once for each slice that they stand in.
    pub endpoint: usize,
}

impl Cluster {
    /// Takes an event in; says what changed by it.
    pub fn apply(&mut self, event: Event) -> Changes {
        let mut changes = Changes::default();
        match event {
            Event::Apply(object) => self.put(object, &mut changes),
            Event::Delete(kind, key) => self.remove(kind, &key, &mut changes),
            Event::Listed(kind, listed) => {
                let gone = self.missing(kind, &listed);
                changes.any = self.synced.insert(kind);
                for key in gone {
                    self.remove(kind, &key, &mut changes);
                }
            }
        }
        changes
    }

    /// Says whether all objects of a kind have been listed at least once; it never goes back.
    pub fn has_synced(&self, kind: Kind) -> bool {
        self.synced.contains(&kind)
    }

    /// Says whether a Namespace exists.
    pub fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains(name)
    }

    /// The cluster's own Services.
    pub fn local(&self) -> &ServiceSet {
        &self.local
    }

    /// The ServiceImports.
    pub fn imported(&self) -> &ServiceSet {
        &self.imported
    }

    /// The names of the Namespaces, in no order.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespaces.iter().map(String::as_str)
    }

    /// The Pods with their namespaces, in no order.
    pub fn pods(&self) -> impl Iterator<Item = (&str, &Pod)> {
        self.pods.iter().map(|(key, pod)| (&*key.namespace, pod))
    }

    /// Finds a Pod.
    pub fn pod(&self, key: &ObjectKey) -> Option<&Pod> {
        self.pods.get(key)
    }

    /// The keys of the objects of a kind that are not listed.
    pub fn missing(&self, kind: Kind, listed: &HashSet<ObjectKey>) -> Vec<ObjectKey> {
        self.keys(kind).filter(|key| !listed.contains(key)).collect()
    }

    /// How many Pods of a namespace have this address, spelled in just this way.
    pub fn pods_at(&self, namespace: &str, ip: &str) -> usize {
        let ips = self.pod_ips.get(namespace);
        ips.and_then(|ips| ips.get(ip)).copied().unwrap_or_default()
    }

    fn put(&mut self, object: Object, changes: &mut Changes) {
        match object {
            Object::Namespace(name) => {
                if self.namespaces.insert(name.clone()) {
                    self.touch_namespace(&name, changes);
                }
            }
            Object::Service(key, service) => {
                if self.local.put_service(&key, service) {
                    changes.touch_service(key);
                }
            }
            Object::EndpointSlice(key, slice) => {
                self.local
                    .put_slice(key, slice, |service| changes.touch_service(service));
            }
            Object::ServiceImport(key, service) => {
                if self.imported.put_service(&key, service) {
                    changes.touch_import(key);
                }
            }
            Object::ImportedSlice(key, slice) => {
                self.imported
                    .put_slice(key, slice, |service| changes.touch_import(service));
            }
            Object::Pod(key, pod) => changes.any |= self.put_pod(key, pod),
        }
    }

    fn remove(&mut self, kind: Kind, key: &ObjectKey, changes: &mut Changes) {
        match kind {
            Kind::Namespace => {
                if self.namespaces.remove(&key.name) {
                    self.touch_namespace(&key.name, changes);
                }
            }
            Kind::Service => {
                if self.local.remove_service(key) {
                    changes.touch_service(key.clone());
                }
            }
            Kind::EndpointSlice => {
                if let Some(service) = self.local.remove_slice(key) {
                    changes.touch_service(service);
                }
            }
            Kind::ServiceImport => {
                if self.imported.remove_service(key) {
                    changes.touch_import(key.clone());
                }
            }
            Kind::ImportedSlice => {
                if let Some(service) = self.imported.remove_slice(key) {
                    changes.touch_import(service);
                }
            }
            Kind::Pod => changes.any |= self.unlink_pod(key),
        }
    }

    /// A Namespace's Services are looked for among all: Namespaces come and go rarely.
    fn touch_namespace(&self, name: &str, changes: &mut Changes) {
        changes.any = true;
        let inside = |key: &&ObjectKey| key.namespace == name;
        changes
            .services
            .extend(self.local.services.keys().filter(inside).cloned());
        changes
            .imports
            .extend(self.imported.services.keys().filter(inside).cloned());
    }

    fn keys(&self, kind: Kind) -> Box<dyn Iterator<Item = ObjectKey> + '_> {
        match kind {
            Kind::Namespace => Box::new(self.namespaces.iter().map(|name| ObjectKey {
                namespace: String::new(),
                name: name.clone(),
            })),
            Kind::Service => Box::new(self.local.services.keys().cloned()),
            Kind::EndpointSlice => Box::new(self.local.slices.keys().cloned()),
            Kind::ServiceImport => Box::new(self.imported.services.keys().cloned()),
            Kind::ImportedSlice => Box::new(self.imported.slices.keys().cloned()),
            Kind::Pod => Box::new(self.pods.keys().cloned()),
        }
    }

    /// Says whether anything changed.
    fn put_pod(&mut self, key: ObjectKey, pod: Pod) -> bool {
        if self.pods.get(&key) == Some(&pod) {
            return false;
        }
        self.unlink_pod(&key);
        let ips = self.pod_ips.entry(key.namespace.clone()).or_default();
        *ips.entry(pod.ip.clone()).or_default() += 1;
        self.pods.insert(key, pod);
        true
    }

    /// Says whether there was such a Pod.
    fn unlink_pod(&mut self, key: &ObjectKey) -> bool {
        let Some(pod) = self.pods.remove(key) else { return false };
        if let Some(ips) = self.pod_ips.get_mut(&key.namespace) {
            if let Some(count) = ips.get_mut(&pod.ip) {
                *count -= 1;
                if *count == 0 {
                    ips.remove(&pod.ip);
                }
            }
            if ips.is_empty() {
                self.pod_ips.remove(&key.namespace);
            }
        }
        true
    }
}

impl Changes {
    fn touch_service(&mut self, key: ObjectKey) {
        self.any = true;
        self.services.insert(key);
    }

    fn touch_import(&mut self, key: ObjectKey) {
        self.any = true;
        self.imports.insert(key);
    }
}

impl ServiceSet {
    /// How many names there are.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Finds a Service.
    pub fn service(&self, key: &ObjectKey) -> Option<&Service> {
        self.services.get(key)
    }

    /// The keys of the Services, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.services.keys()
    }

    /// The addresses that a Service or an endpoint has, in no order; one that both have comes twice.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.cluster_ips.keys().chain(self.addresses.keys()).copied()
    }

    /// Finds a slice.
    pub fn slice(&self, key: &ObjectKey) -> Option<&EndpointSlice> {
        self.slices.get(key)
    }

    /// The slices of a Service, in order, whether or not it exists.
    pub fn slices(&self, service: &ObjectKey) -> impl Iterator<Item = &EndpointSlice> {
        let keys = self.slices_of.get(service).into_iter().flatten();
        keys.filter_map(|key| self.slices.get(key))
    }

    /// The Services that have this cluster IP, in order.
    pub fn services_at(&self, address: IpAddr) -> impl Iterator<Item = &ObjectKey> {
        self.cluster_ips.get(&address).into_iter().flatten()
    }

    /// The Services of which an endpoint has this address, in order, each once, whether or not they exist.
    pub fn endpoint_services_at(&self, address: IpAddr) -> impl Iterator<Item = &ObjectKey> {
        let keys = self.addresses.get(&address).into_iter();
        keys.flat_map(|keys| keys.chunk_by(PartialEq::eq))
            .filter_map(|same| Some(&**same.first()?))
    }

    /// Says whether anything changed.
    fn put_service(&mut self, key: &ObjectKey, service: Service) -> bool {
        if self.services.get(key) == Some(&service) {
            return false;
        }
        self.remove_service(key);
        self.link_service(key, &service);
        self.services.insert(key.clone(), service);
        true
    }

    /// Names the Services whose endpoints changed: a slice may go over from one to another.
    fn put_slice(&mut self, key: ObjectKey, slice: EndpointSlice, mut changed: impl FnMut(ObjectKey)) {
        if self.slices.get(&key) == Some(&slice) {
            return;
        }
        self.remove_slice(&key).into_iter().for_each(&mut changed);
        changed(slice.service_key(&key));
        self.link_slice(&key, &slice);
        self.slices.insert(key, slice);
    }

    fn link_service(&mut self, key: &ObjectKey, service: &Service) {
        *self.counts.of(&service.reach) += 1;
        if let Reach::ClusterIps(addresses) = &service.reach {
            for address in addresses {
                self.cluster_ips.entry(*address).or_default().insert(key.clone());
            }
        }
    }

    /// Says whether there was such a Service.
    fn remove_service(&mut self, key: &ObjectKey) -> bool {
        let Some(service) = self.services.remove(key) else {
            return false;
        };
        *self.counts.of(&service.reach) -= 1;
        if let Reach::ClusterIps(addresses) = service.reach {
            for address in addresses {
                if let Entry::Occupied(mut services) = self.cluster_ips.entry(address) {
                    services.get_mut().remove(key);
                    if services.get().is_empty() {
                        services.remove();
                    }
                }
            }
        }
        true
    }

    fn link_slice(&mut self, key: &ObjectKey, slice: &EndpointSlice) {
        let service = Arc::new(slice.service_key(key));
        self.counts.endpoint += slice.endpoints.len();
        for endpoint in &slice.endpoints {
            let services = self.addresses.entry(endpoint.address).or_default();
            let place = services.partition_point(|other| *other < service);
            services.insert(place, service.clone());
        }
        self.slices_of
            .entry((*service).clone())
            .or_default()
            .insert(key.clone());
    }

    /// Returns the Service that the slice belonged to, if there was such a slice.
    fn remove_slice(&mut self, key: &ObjectKey) -> Option<ObjectKey> {
        let slice = self.slices.remove(key)?;
        let service = slice.service_key(key);
        self.counts.endpoint -= slice.endpoints.len();
        for endpoint in &slice.endpoints {
            if let Entry::Occupied(mut services) = self.addresses.entry(endpoint.address) {
                if let Some(place) = services.get().iter().position(|other| **other == service) {
                    services.get_mut().remove(place);
                }
                if services.get().is_empty() {
                    services.remove();
                }
            }
        }
        if let Entry::Occupied(mut slices) = self.slices_of.entry(service.clone()) {
            slices.get_mut().remove(key);
            if slices.get().is_empty() {
                slices.remove();
            }
        }
        Some(service)
    }
}

impl Counts {
    fn of(&mut self, reach: &Reach) -> &mut usize {
        match reach {
            Reach::ClusterIps(_) => &mut self.cluster_ip,
            Reach::Headless => &mut self.headless,
            Reach::ExternalName(_) => &mut self.external_name,
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::object::Endpoint;
    use super::*;

    /// What happens to one of a few objects in a Namespace that may not exist.
    pub(crate) fn event() -> impl Strategy<Value = Event> {
        let object = prop_oneof![
            (0..3u8).prop_map(namespace),
            (0..4u8, 0..4u8).prop_map(|(name, last)| service(name, last)),
            (0..4u8, 0..3u8, proptest::collection::vec(0..4u8, 0..4))
                .prop_map(|(name, service, last)| slice(name, service, &last)),
            (0..4u8, 0..3u8).prop_map(|(name, last)| pod(name, last)),
            (0..4u8, 0..4u8).prop_map(|(name, last)| imported(service(name, last))),
            (0..4u8, 0..3u8, proptest::collection::vec(0..4u8, 0..4))
                .prop_map(|(name, service, last)| imported(slice(name, service, &last))),
        ];
        (object, 0..4u8).prop_map(|(object, dice)| match dice {
            0 => Event::Delete(object.kind(), object.key()),
            _ => Event::Apply(object),
        })
    }

    /// The object that an event is about.
    pub(crate) fn subject(event: &Event) -> (Kind, ObjectKey) {
        match event {
            Event::Apply(object) => (object.kind(), object.key()),
            Event::Delete(kind, key) => (*kind, key.clone()),
            Event::Listed(..) => unreachable!("no strategy makes one"),
        }
    }

    /// The objects of a kind that there are after these events.
    pub(crate) fn survivors(events: &[Event], of: Kind) -> Vec<Object> {
        let mut survivors = BTreeMap::new();
        for event in events {
            let (kind, key) = subject(event);
            match event {
                Event::Apply(object) if kind == of => drop(survivors.insert(key, object.clone())),
                _ if kind == of => drop(survivors.remove(&key)),
                _ => {}
            }
        }
        survivors.into_values().collect()
    }

    pub(crate) fn namespace(name: u8) -> Object {
        Object::Namespace(format!("n{name}"))
    }

    pub(crate) fn service(name: u8, last: u8) -> Object {
        let reach = match last {
            0 => Reach::Headless,
            last => Reach::ClusterIps(vec![ip(last)]),
        };
        Object::Service(key(name), Service { reach, ports: vec![] })
    }

    pub(crate) fn slice(name: u8, service: u8, addresses: &[u8]) -> Object {
        let endpoint = |&last: &u8| Endpoint {
            address: ip(last),
            hostname: None,
            pod: None,
            zone: None,
        };
        let slice = EndpointSlice {
            service: key(service).name,
            cluster: None,
            endpoints: addresses.iter().map(endpoint).collect(),
            ports: [].into(),
        };
        Object::EndpointSlice(key(name), slice)
    }

    pub(crate) fn imported(object: Object) -> Object {
        match object {
            Object::Service(key, service) => Object::ServiceImport(key, service),
            Object::EndpointSlice(key, slice) => Object::ImportedSlice(key, slice),
            other => other,
        }
    }

    pub(crate) fn pod(name: u8, last: u8) -> Object {
        let ip = ip(last).to_string();
        Object::Pod(key(name), Pod { ip })
    }

    pub(crate) fn key(name: u8) -> ObjectKey {
        ObjectKey {
            namespace: "n1".into(),
            name: format!("o{name}"),
        }
    }

    pub(crate) fn ip(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::{event, imported, ip, key, namespace, pod, service, slice, subject, survivors};
    use super::*;

    #[test]
    fn says_whether_an_event_changed_anything() {
        let mut cluster = Cluster::default();
        let imports = [imported(service(1, 1)), imported(slice(1, 1, &[1, 2]))];
        let objects = [namespace(1), service(1, 1), slice(1, 1, &[1, 2]), pod(1, 1)];
        for object in objects.into_iter().chain(imports) {
            assert!(cluster.apply(Event::Apply(object.clone())).any, "{object:?} is new");
            assert!(
                !cluster.apply(Event::Apply(object.clone())).any,
                "{object:?} is as it was"
            );
            let (kind, key) = (object.kind(), object.key());
            assert!(cluster.apply(Event::Delete(kind, key.clone())).any, "{key} is gone");
            assert!(!cluster.apply(Event::Delete(kind, key.clone())).any, "{key} was gone");
        }
        assert_eq!(cluster, Cluster::default(), "nothing is left of what is gone");
    }

    #[test]
    fn a_kind_is_synced_by_its_reset_alone_and_for_ever() {
        let mut cluster = Cluster::default();
        cluster.apply(Event::Apply(service(1, 1)));
        assert!(!cluster.has_synced(Kind::Service));
        reset(&mut cluster, Kind::Service, vec![]);
        cluster.apply(Event::Apply(service(1, 1)));
        assert!(cluster.has_synced(Kind::Service) && !cluster.has_synced(Kind::Namespace));
    }

    #[test]
    fn joins_the_endpoints_of_all_slices_of_a_service() {
        let mut cluster = Cluster::default();
        let service = key(1);
        let addresses = |cluster: &Cluster| -> Vec<IpAddr> {
            let endpoints = cluster.local().slices(&service).flat_map(|slice| &slice.endpoints);
            endpoints.map(|endpoint| endpoint.address).collect()
        };
        cluster.apply(Event::Apply(slice(1, 1, &[1, 2])));
        cluster.apply(Event::Apply(slice(2, 1, &[2])));
        cluster.apply(Event::Apply(slice(3, 2, &[4])));
        assert_eq!(addresses(&cluster), [ip(1), ip(2), ip(2)]);
        assert_eq!(
            cluster.local().endpoint_services_at(ip(2)).collect::<Vec<_>>(),
            [&service]
        );
        cluster.apply(Event::Delete(Kind::EndpointSlice, key(1)));
        assert_eq!(addresses(&cluster), [ip(2)], "another slice has it still");
        assert_eq!(cluster.local().endpoint_services_at(ip(1)).count(), 0);
        cluster.apply(Event::Apply(slice(2, 2, &[2])));
        assert!(
            addresses(&cluster).is_empty(),
            "the slice has gone over to another Service"
        );
    }

    proptest! {
        #[test]
        fn any_order_of_different_objects_with_repetitions_ends_in_the_state_of_one_reset(
            events in proptest::collection::vec(event(), 0..60),
            repetitions in 1..3usize,
        ) {
            let mut reordered = events.clone();
            reordered.sort_by_key(|event| std::cmp::Reverse(subject(event)));
            let mut expected = Cluster::default();
            for kind in Kind::ALL {
                reset(&mut expected, kind, survivors(&events, kind));
            }
            for events in [events, reordered] {
                let mut cluster = Cluster::default();
                for kind in Kind::ALL {
                    reset(&mut cluster, kind, vec![]);
                }
                for event in events {
                    for _ in 0..repetitions {
                        cluster.apply(event.clone());
                    }
                }
                prop_assert_eq!(&cluster, &expected);
            }
        }

        #[test]
        fn a_reset_leaves_exactly_what_it_lists(
            before in proptest::collection::vec(event(), 0..40),
            listed in proptest::collection::vec(event(), 0..40),
        ) {
            let (mut cluster, mut expected) = (Cluster::default(), Cluster::default());
            for event in before {
                cluster.apply(event);
            }
            for kind in Kind::ALL {
                reset(&mut cluster, kind, survivors(&listed, kind));
                reset(&mut expected, kind, survivors(&listed, kind));
                prop_assert!(!reset(&mut cluster, kind, survivors(&listed, kind)));
            }
            prop_assert_eq!(cluster, expected);
        }
    }

    #[test]
    fn names_the_services_that_an_event_touches() {
        let mut cluster = Cluster::default();
        let mut touched = |event| -> Vec<_> {
            let changes = cluster.apply(event);
            let services = changes.services.into_iter().chain(changes.imports);
            services.map(|key| key.name).collect()
        };
        assert_eq!(touched(Event::Apply(service(1, 1))), ["o1"]);
        assert_eq!(touched(Event::Apply(imported(service(3, 1)))), ["o3"]);
        assert_eq!(touched(Event::Apply(slice(1, 2, &[1]))), ["o2"]);
        assert_eq!(
            touched(Event::Apply(slice(1, 1, &[1]))),
            ["o1", "o2"],
            "a slice goes over"
        );
        assert_eq!(touched(Event::Apply(slice(1, 1, &[1]))), [""; 0], "nothing changed");
        assert_eq!(touched(Event::Apply(namespace(1))), ["o1", "o3"], "those that exist");
        assert_eq!(touched(Event::Apply(pod(1, 1))), [""; 0]);
        assert_eq!(touched(Event::Listed(Kind::EndpointSlice, HashSet::new())), ["o1"]);
    }

    #[test]
    fn counts_what_there_is() {
        let mut cluster = Cluster::default();
        let objects = [
            service(1, 1),
            service(2, 0),
            service(2, 0),
            slice(1, 1, &[1, 2]),
            slice(1, 2, &[3]),
        ];
        for object in objects {
            cluster.apply(Event::Apply(object));
        }
        let expected = Counts {
            cluster_ip: 1,
            headless: 1,
            external_name: 0,
            endpoint: 1,
        };
        assert_eq!(cluster.local().counts(), expected);
    }

    /// Says whether anything changed.
    fn reset(cluster: &mut Cluster, kind: Kind, objects: Vec<Object>) -> bool {
        let changes = Event::list(kind, objects).map(|event| cluster.apply(event));
        changes.fold(false, |any, changes| any | changes.any)
    }
}
