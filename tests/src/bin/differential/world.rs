//! What stands in the API server: objects by kind, namespace and name, as the JSON that a user would write.
//!
//! A world is plain data. Two of them tell what has to be written to make one of the other; see `apply.rs`. Unlike the
//! API, a world may hold objects in a namespace that it does not hold: the controller of namespaces is not run, so that
//! a deleted Namespace leaves its objects behind.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// The namespace that only the markers of `settle.rs` use.
pub(crate) const MARKERS: &str = "markers";

/// The kinds of objects that DNS speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Namespace,
    Service,
    EndpointSlice,
    Pod,
    /// What `multicluster` speaks of.
    ServiceImport,
}

impl Kind {
    pub(crate) const ALL: [Kind; 5] = [
        Kind::Namespace,
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Pod,
        Kind::ServiceImport,
    ];

    /// The name of the kind in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Namespace => "Namespace",
            Kind::Service => "Service",
            Kind::EndpointSlice => "EndpointSlice",
            Kind::Pod => "Pod",
            Kind::ServiceImport => "ServiceImport",
        }
    }

    /// The API's group and version.
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Kind::EndpointSlice => "discovery.k8s.io/v1",
            Kind::ServiceImport => "multicluster.x-k8s.io/v1alpha1",
            _ => "v1",
        }
    }
}

/// Which object is meant. The namespace is empty for a Namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(kind: Kind, namespace: &str, name: &str) -> Key {
        Key {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    pub(crate) fn namespace(name: &str) -> Key {
        Key::new(Kind::Namespace, "", name)
    }
}

/// All objects that there are to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct World {
    objects: BTreeMap<Key, Value>,
}

impl World {
    /// Puts an object in its place; the body holds all but its kind, namespace and name.
    pub(crate) fn put(&mut self, key: Key, mut body: Value) {
        body["apiVersion"] = json!(key.kind.api_version());
        body["kind"] = json!(key.kind.name());
        body["metadata"]["name"] = json!(key.name);
        if !key.namespace.is_empty() {
            body["metadata"]["namespace"] = json!(key.namespace);
        }
        self.objects.insert(key, body);
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Value> {
        self.objects.remove(key)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut Value> {
        self.objects.get_mut(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.keys()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects.iter()
    }

    /// The objects of one kind.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Value)> {
        self.iter().filter(move |(key, _)| key.kind == kind)
    }

    /// The names of the namespaces that exist.
    pub(crate) fn namespaces(&self) -> BTreeSet<&str> {
        self.of(Kind::Namespace).map(|(key, _)| key.name.as_str()).collect()
    }

    /// The objects of `self` that are not the same in `other`.
    pub(crate) fn without<'a>(&'a self, other: &'a World) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        self.iter().filter(|(key, body)| other.get(key) != Some(*body))
    }
}
