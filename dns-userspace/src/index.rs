//! The cluster's objects as DNS needs them: pure, synchronous state.

use std::net::IpAddr;

/// A namespaced object's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
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
    /// By cluster IPs: at most one of each family.
    ClusterIp(Vec<IpAddr>),
    /// By its endpoints: `clusterIP: None`.
    Headless,
    /// By another name: `type: ExternalName`.
    ExternalName,
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
