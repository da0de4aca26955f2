//! The cluster's objects as DNS needs them: pure, synchronous state.
//!
//! It holds what the objects say and nothing that follows from it: names and records are made in [`crate::records`].
//! Every object is its own: in whatever order the events of different objects come, and however often one is repeated,
//! the same state results.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

pub mod object;

/// A namespaced object's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A Service, narrowed to what DNS answers from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its namespace and name.
    pub key: ObjectKey,
    /// How it is reached.
    pub kind: ServiceKind,
}

/// How a Service is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// By cluster IPs: one, or one of each family.
    ClusterIp(Vec<IpAddr>),
    /// By its endpoints: `clusterIP: None`.
    Headless,
    /// By another name: `type: ExternalName`.
    ExternalName,
    /// By no address that is known: none is assigned yet, or none of them makes sense. It exists, so its name must not
    /// be denied, and there is nothing to answer.
    Unaddressed,
}

/// What a source of objects reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A Service was created or changed.
    Apply(Service),
    /// A Service was deleted.
    Delete(ObjectKey),
    /// These are all the Services there are: the first list, or a fresh one. It makes the index synced.
    Reset(Vec<Service>),
}

/// The objects that exist, as far as the source has told.
#[derive(Debug, Default)]
pub struct Index {
    /// By namespace, then by name.
    services: HashMap<String, HashMap<String, ServiceKind>>,
    synced: bool,
}

impl Index {
    /// Takes an event in and returns the keys of the objects that it changed, each once, in order.
    pub fn apply(&mut self, event: Event) -> Vec<ObjectKey> {
        match event {
            Event::Apply(service) => self.insert(service).into_iter().collect(),
            Event::Delete(key) => self.remove(key).into_iter().collect(),
            Event::Reset(services) => self.reset(services),
        }
    }

    /// Says whether all objects have been listed at least once; it never goes back.
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// Finds a Service.
    pub fn service(&self, namespace: &str, name: &str) -> Option<&ServiceKind> {
        self.services.get(namespace)?.get(name)
    }

    fn insert(&mut self, Service { key, kind }: Service) -> Option<ObjectKey> {
        if self.service(&key.namespace, &key.name) == Some(&kind) {
            return None;
        }
        let namespace = self.services.entry(key.namespace.clone()).or_default();
        namespace.insert(key.name.clone(), kind);
        Some(key)
    }

    fn remove(&mut self, key: ObjectKey) -> Option<ObjectKey> {
        let namespace = self.services.get_mut(&key.namespace)?;
        namespace.remove(&key.name)?;
        if namespace.is_empty() {
            self.services.remove(&key.namespace);
        }
        Some(key)
    }

    fn reset(&mut self, services: Vec<Service>) -> Vec<ObjectKey> {
        self.synced = true;
        let listed: HashMap<_, _> = services
            .into_iter()
            .map(|service| (service.key, service.kind))
            .collect();
        let gone: Vec<_> = self.keys().filter(|key| !listed.contains_key(key)).collect();
        let gone = gone.into_iter().filter_map(|key| self.remove(key));
        let mut touched: Vec<_> = gone.collect();
        touched.extend(
            listed
                .into_iter()
                .filter_map(|(key, kind)| self.insert(Service { key, kind })),
        );
        touched.sort_unstable();
        touched
    }

    fn keys(&self) -> impl Iterator<Item = ObjectKey> {
        self.services.iter().flat_map(|(namespace, services)| {
            services.keys().map(|name| ObjectKey {
                namespace: namespace.clone(),
                name: name.clone(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn touches_what_an_event_changes_and_nothing_else() {
        let mut index = Index::default();
        assert_eq!(index.apply(Event::Apply(service("a", 1))), [key("a")]);
        assert_eq!(index.apply(Event::Apply(service("a", 1))), []);
        assert_eq!(index.apply(Event::Apply(service("a", 2))), [key("a")]);
        assert_eq!(index.apply(Event::Delete(key("b"))), []);
        assert_eq!(index.apply(Event::Delete(key("a"))), [key("a")]);
        assert_eq!(index.service("default", "a"), None);
    }

    #[test]
    fn is_synced_by_a_reset_alone_and_for_ever() {
        let mut index = Index::default();
        index.apply(Event::Apply(service("a", 1)));
        assert!(!index.synced());
        index.apply(Event::Reset(vec![]));
        assert!(index.synced());
        index.apply(Event::Delete(key("a")));
        assert!(index.synced());
    }

    #[test]
    fn a_reset_touches_the_difference_to_the_last_state() {
        let mut index = Index::default();
        index.apply(Event::Reset(vec![
            service("kept", 1),
            service("moved", 2),
            service("gone", 3),
        ]));
        let touched = index.apply(Event::Reset(vec![
            service("new", 4),
            service("moved", 5),
            service("kept", 1),
        ]));
        assert_eq!(touched, [key("gone"), key("moved"), key("new")]);
    }

    proptest! {
        #[test]
        fn any_order_of_different_objects_with_repetitions_ends_in_the_same_state(
            events in proptest::collection::vec(event(), 0..40),
            repetitions in 1..3usize,
        ) {
            let mut reordered = events.clone();
            reordered.sort_by_key(|event| std::cmp::Reverse(subject(event)));
            let expected = state(&[Event::Reset(survivors(&events))]);
            for events in [events, reordered] {
                let repeated: Vec<_> = events.into_iter().flat_map(|event| vec![event; repetitions]).collect();
                prop_assert_eq!(state(&repeated), expected.clone());
            }
        }

        #[test]
        fn a_reset_leaves_exactly_what_it_lists(
            before in proptest::collection::vec(event(), 0..20),
            listed in proptest::collection::vec(event(), 0..20),
        ) {
            let listed = survivors(&listed);
            let mut index = Index::default();
            before.into_iter().for_each(|event| drop(index.apply(event)));
            index.apply(Event::Reset(listed.clone()));
            prop_assert_eq!(contents(&index), state(&[Event::Reset(listed.clone())]));
            prop_assert_eq!(index.apply(Event::Reset(listed)), []);
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        let name = || (0..6u8).prop_map(|name| format!("service-{name}"));
        prop_oneof![
            3 => (name(), 0..3u8).prop_map(|(name, last)| Event::Apply(service(&name, last))),
            1 => name().prop_map(|name| Event::Delete(key(&name))),
        ]
    }

    fn subject(event: &Event) -> ObjectKey {
        match event {
            Event::Apply(service) => service.key.clone(),
            Event::Delete(key) => key.clone(),
            Event::Reset(_) => unreachable!("no strategy makes one"),
        }
    }

    fn survivors(events: &[Event]) -> Vec<Service> {
        let mut survivors = BTreeMap::new();
        for event in events {
            match event {
                Event::Apply(service) => drop(survivors.insert(service.key.clone(), service.clone())),
                Event::Delete(key) => drop(survivors.remove(key)),
                Event::Reset(_) => unreachable!("no strategy makes one"),
            }
        }
        survivors.into_values().collect()
    }

    fn state(events: &[Event]) -> BTreeMap<ObjectKey, ServiceKind> {
        let mut index = Index::default();
        events.iter().for_each(|event| drop(index.apply(event.clone())));
        contents(&index)
    }

    fn contents(index: &Index) -> BTreeMap<ObjectKey, ServiceKind> {
        index
            .keys()
            .map(|key| (key.clone(), index.service(&key.namespace, &key.name).unwrap().clone()))
            .collect()
    }

    fn service(name: &str, last: u8) -> Service {
        Service {
            key: key(name),
            kind: ServiceKind::ClusterIp(vec![Ipv4Addr::new(10, 96, 0, last).into()]),
        }
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey {
            namespace: "default".into(),
            name: name.into(),
        }
    }
}
