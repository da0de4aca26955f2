//! Kubernetes objects, narrowed to what DNS is made of, and how they are read from the API's JSON form.
//!
//! An object is read by itself, so that one that makes no sense spoils no other. Within an object, an address that does
//! not parse is left out alone: a slice with one bad endpoint still has its good ones, as in CoreDNS.

use std::mem;
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::index::ObjectKey;

/// The kinds of objects that DNS is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `v1` Namespace.
    Namespace,
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `v1` Pod; needed under `pods verified` alone.
    Pod,
    /// `multicluster.x-k8s.io/v1alpha1` ServiceImport; needed under `multicluster` alone.
    ServiceImport,
    /// An EndpointSlice of a ServiceImport. It is a kind of its own here, since a slice may belong to a Service too.
    ImportedSlice,
}

/// An object of one of the kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A Namespace, by its name.
    Namespace(String),
    /// A Service.
    Service(ObjectKey, Service),
    /// An EndpointSlice.
    EndpointSlice(ObjectKey, EndpointSlice),
    /// A Pod that can be asked for.
    Pod(ObjectKey, Pod),
    /// A ServiceImport, which is reached as a Service is.
    ServiceImport(ObjectKey, Service),
    /// An EndpointSlice of a ServiceImport.
    ImportedSlice(ObjectKey, EndpointSlice),
}

impl Object {
    /// The object's namespace and name; a Namespace's has no namespace.
    pub fn key(&self) -> ObjectKey {
        match self {
            Self::Namespace(name) => ObjectKey {
                namespace: String::new(),
                name: name.clone(),
            },
            Self::Service(key, _) | Self::ServiceImport(key, _) => key.clone(),
            Self::EndpointSlice(key, _) | Self::ImportedSlice(key, _) => key.clone(),
            Self::Pod(key, _) => key.clone(),
        }
    }
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// How it is reached.
    pub reach: Reach,
    /// Its ports, in their order.
    pub ports: Vec<Port>,
}

/// How a Service is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By its cluster IPs; none while the API server has not assigned any.
    ClusterIps(Vec<IpAddr>),
    /// By its endpoints: `clusterIP: None`.
    Headless,
    /// By another name, in the letter case of the spec.
    ExternalName(String),
}

/// A port of a Service or of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its name; empty where it has none.
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Its number; an EndpointSlice may leave it open.
    pub number: Option<u16>,
}

/// An EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// The name of the Service or ServiceImport that it belongs to.
    pub service: String,
    /// The ID of the cluster that a ServiceImport's slice is from.
    pub cluster: Option<Box<str>>,
    /// The ready endpoints, one for each address.
    pub endpoints: Box<[Endpoint]>,
    /// The ports, which all of its endpoints have.
    pub ports: Box<[Port]>,
}

impl EndpointSlice {
    /// The key of the Service that this slice, whose own key is `key`, belongs to.
    pub fn service_key(&self, key: &ObjectKey) -> ObjectKey {
        ObjectKey {
            namespace: key.namespace.clone(),
            name: self.service.clone(),
        }
    }
}

/// An address of a ready endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The endpoint's `hostname`.
    pub hostname: Option<Box<str>>,
    /// The name of the Pod behind it.
    pub pod: Option<Box<str>>,
    /// The topology zone that it is in.
    pub zone: Option<Box<str>>,
}

/// A Pod that is neither finished nor about to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `status.podIP` as it is spelled there.
    pub ip: String,
}

/// What is wrong with an object.
#[derive(Debug, Error)]
pub enum Invalid {
    /// It is not of the form that the API gives its kind.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    /// It has no name.
    #[error("metadata.name is missing")]
    NoName,
    /// It belongs to no Service or ServiceImport.
    #[error("label {0} is missing, so it belongs to nothing")]
    NoLabel(&'static str),
}

/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The label by which an EndpointSlice names its ServiceImport.
const IMPORT_NAME: &str = "multicluster.kubernetes.io/service-name";

/// Reads an object of a kind; `None` where it is a Pod that nobody can ask for: one without address, or one that ends.
///
/// # Errors
///
/// Says what is wrong; the object is to be left out.
pub fn read(kind: Kind, json: &str) -> Result<Option<Object>, Invalid> {
    Ok(match kind {
        Kind::Namespace => {
            let RawNamespace { metadata } = serde_json::from_str(json)?;
            Some(Object::Namespace(metadata.key()?.name))
        }
        Kind::Service => {
            let RawService { metadata, spec } = serde_json::from_str(json)?;
            Some(Object::Service(metadata.key()?, spec.into()))
        }
        Kind::EndpointSlice => {
            let mut raw: RawSlice = serde_json::from_str(json)?;
            let key = raw.metadata.key()?;
            let service = raw.metadata.labels.service.take();
            let service = service.ok_or(Invalid::NoLabel(SERVICE_NAME))?;
            Some(Object::EndpointSlice(key, raw.into_slice(service, None)))
        }
        Kind::ImportedSlice => {
            let mut raw: RawSlice = serde_json::from_str(json)?;
            let key = raw.metadata.key()?;
            let Labels { import, cluster, .. } = mem::take(&mut raw.metadata.labels);
            let import = import.ok_or(Invalid::NoLabel(IMPORT_NAME))?;
            Some(Object::ImportedSlice(key, raw.into_slice(import, cluster)))
        }
        Kind::ServiceImport => {
            let RawImport { metadata, spec } = serde_json::from_str(json)?;
            Some(Object::ServiceImport(metadata.key()?, spec.into()))
        }
        Kind::Pod => {
            let RawPod { metadata, status } = serde_json::from_str(json)?;
            let key = metadata.key()?;
            let ends = metadata.deletion_timestamp.is_some() || status.is_finished();
            let ip = status.pod_ip.filter(|ip| !ends && !ip.is_empty());
            ip.map(|ip| Object::Pod(key, Pod { ip }))
        }
    })
}

#[derive(Deserialize)]
struct RawNamespace {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    labels: Labels,
    deletion_timestamp: Option<IgnoredAny>,
}

impl Metadata {
    fn key(&self) -> Result<ObjectKey, Invalid> {
        if self.name.is_empty() {
            return Err(Invalid::NoName);
        }
        Ok(ObjectKey {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        })
    }
}

#[derive(Default, Deserialize)]
struct Labels {
    #[serde(rename = "kubernetes.io/service-name")]
    service: Option<String>,
    #[serde(rename = "multicluster.kubernetes.io/service-name")]
    import: Option<String>,
    #[serde(rename = "multicluster.kubernetes.io/source-cluster")]
    cluster: Option<String>,
}

#[derive(Deserialize)]
struct RawService {
    metadata: Metadata,
    #[serde(default)]
    spec: ServiceSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    r#type: String,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    external_name: String,
    ports: Option<Vec<RawPort>>,
}

impl From<ServiceSpec> for Service {
    fn from(spec: ServiceSpec) -> Self {
        let only = std::slice::from_ref(&spec.cluster_ip);
        let cluster_ips = match spec.cluster_ips.as_slice() {
            [] => only,
            several => several,
        };
        let reach = match cluster_ips {
            _ if spec.r#type == "ExternalName" => Reach::ExternalName(spec.external_name),
            [first, ..] if first == "None" => Reach::Headless,
            addresses => Reach::ClusterIps(addresses.iter().filter_map(|address| parse_address(address)).collect()),
        };
        Self {
            reach,
            ports: ports(spec.ports),
        }
    }
}

#[derive(Deserialize)]
struct RawImport {
    metadata: Metadata,
    #[serde(default)]
    spec: ImportSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ImportSpec {
    r#type: String,
    ips: Option<Vec<String>>,
    ports: Option<Vec<RawPort>>,
}

impl From<ImportSpec> for Service {
    fn from(spec: ImportSpec) -> Self {
        let addresses = spec.ips.iter().flatten().filter_map(|address| parse_address(address));
        Self {
            reach: match spec.r#type.as_str() {
                "Headless" => Reach::Headless,
                _ => Reach::ClusterIps(addresses.collect()),
            },
            ports: ports(spec.ports),
        }
    }
}

#[derive(Deserialize)]
struct RawSlice {
    metadata: Metadata,
    #[serde(default)]
    endpoints: Option<Vec<RawEndpoint>>,
    #[serde(default)]
    ports: Option<Vec<RawPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEndpoint {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Conditions,
    hostname: Option<String>,
    zone: Option<String>,
    target_ref: Option<TargetRef>,
}

#[derive(Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
}

#[derive(Deserialize)]
struct TargetRef {
    #[serde(default)]
    name: String,
}

impl RawSlice {
    fn into_slice(self, service: String, cluster: Option<String>) -> EndpointSlice {
        let ready = |endpoint: &RawEndpoint| endpoint.conditions.ready.unwrap_or(true);
        let endpoints = self.endpoints.into_iter().flatten().filter(ready);
        EndpointSlice {
            service,
            cluster: cluster.map(String::into_boxed_str),
            endpoints: endpoints.flat_map(RawEndpoint::into_endpoints).collect(),
            ports: ports(self.ports).into(),
        }
    }
}

impl RawEndpoint {
    fn into_endpoints(self) -> Vec<Endpoint> {
        let hostname = self
            .hostname
            .filter(|hostname| !hostname.is_empty())
            .map(String::into_boxed_str);
        let pod = self
            .target_ref
            .map(|target| target.name)
            .filter(|name| !name.is_empty());
        let pod = pod.map(String::into_boxed_str);
        let zone = self.zone.filter(|zone| !zone.is_empty()).map(String::into_boxed_str);
        let addresses = self.addresses.iter().filter_map(|address| parse_address(address));
        let endpoint = |address| Endpoint {
            address,
            hostname: hostname.clone(),
            pod: pod.clone(),
            zone: zone.clone(),
        };
        addresses.map(endpoint).collect()
    }
}

#[derive(Deserialize)]
struct RawPort {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    protocol: Option<String>,
    #[serde(default)]
    port: Option<u16>,
}

fn ports(ports: Option<Vec<RawPort>>) -> Vec<Port> {
    let port = |port: RawPort| Port {
        name: port.name.unwrap_or_default(),
        protocol: port.protocol.unwrap_or_default(),
        number: port.port,
    };
    ports.into_iter().flatten().map(port).collect()
}

#[derive(Deserialize)]
struct RawPod {
    metadata: Metadata,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
}

impl PodStatus {
    fn is_finished(&self) -> bool {
        ["Succeeded", "Failed", "Unknown"].contains(&self.phase.as_str())
    }
}

/// An IPv4 address in IPv6 form is one of IPv4.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse().ok().as_ref().map(IpAddr::to_canonical)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn reads_how_a_service_is_reached() {
        let ips = |addresses: &[&str]| Reach::ClusterIps(addresses.iter().map(|it| it.parse().unwrap()).collect());
        for (spec, expected) in [
            (
                json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"]}),
                ips(&["10.0.0.1", "fd00::1"]),
            ),
            (json!({"clusterIP": "10.0.0.1"}), ips(&["10.0.0.1"])),
            (json!({"clusterIP": "10.0.0.1", "clusterIPs": []}), ips(&["10.0.0.1"])),
            (
                json!({"clusterIPs": ["10.0.0.300", "::ffff:10.0.0.2"]}),
                ips(&["10.0.0.2"]),
            ),
            (json!({"clusterIP": ""}), ips(&[])),
            (json!({}), ips(&[])),
            (json!({"clusterIP": "None", "clusterIPs": ["None"]}), Reach::Headless),
            (
                json!({"type": "ExternalName", "externalName": "A.example"}),
                Reach::ExternalName("A.example".into()),
            ),
        ] {
            let object = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec});
            let Some(Object::Service(_, service)) = read_value(Kind::Service, &object).unwrap() else {
                panic!("no Service: {object}");
            };
            assert_eq!(service.reach, expected, "{object}");
        }
    }

    #[test]
    fn reads_the_ready_addresses_of_a_slice_and_leaves_out_those_that_are_none() {
        let object = json!({
            "metadata": {"name": "web.x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web", "x": "y"}},
            "endpoints": [
                {"addresses": ["10.0.0.1"], "hostname": "a", "zone": "west", "targetRef": {"kind": "Pod", "name": "web-0"}},
                {"addresses": ["10.0.0.2", "host.example"], "conditions": {"ready": null}, "hostname": ""},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": false, "serving": true}},
            ],
            "ports": [{"name": "http", "protocol": "TCP", "port": 80}, {"protocol": "UDP"}],
        });
        let Some(Object::EndpointSlice(key, slice)) = read_value(Kind::EndpointSlice, &object).unwrap() else {
            panic!("no slice");
        };
        assert_eq!(slice.service_key(&key).to_string(), "default/web");
        let endpoints: Vec<_> = slice
            .endpoints
            .iter()
            .map(|it| (it.address.to_string(), it.hostname.as_deref(), it.pod.as_deref()))
            .collect();
        let expected = [
            ("10.0.0.1".to_owned(), Some("a"), Some("web-0")),
            ("10.0.0.2".to_owned(), None, None),
        ];
        assert_eq!(endpoints, expected);
        assert_eq!(slice.endpoints[0].zone.as_deref(), Some("west"));
        let ports: Vec<_> = slice.ports.iter().map(|it| (it.name.as_str(), it.number)).collect();
        assert_eq!(ports, [("http", Some(80)), ("", None)]);
    }

    #[test]
    fn reads_what_is_imported_from_other_clusters() {
        let import = json!({"metadata": {"name": "web", "namespace": "n"}, "spec": {"type": "ClusterSetIP", "ips": ["10.0.0.1"]}});
        let Some(Object::ServiceImport(_, service)) = read_value(Kind::ServiceImport, &import).unwrap() else {
            panic!("no ServiceImport");
        };
        assert_eq!(service.reach, Reach::ClusterIps(vec!["10.0.0.1".parse().unwrap()]));
        let headless = json!({"metadata": {"name": "web", "namespace": "n"}, "spec": {"type": "Headless"}});
        let Some(Object::ServiceImport(_, service)) = read_value(Kind::ServiceImport, &headless).unwrap() else {
            panic!("no ServiceImport");
        };
        assert_eq!(service.reach, Reach::Headless);
        let labels = json!({IMPORT_NAME: "web", "multicluster.kubernetes.io/source-cluster": "c1"});
        let slice = json!({"metadata": {"name": "s", "namespace": "n", "labels": labels}, "endpoints": null});
        let Some(Object::ImportedSlice(_, slice)) = read_value(Kind::ImportedSlice, &slice).unwrap() else {
            panic!("no slice");
        };
        assert_eq!((slice.service.as_str(), slice.cluster.as_deref()), ("web", Some("c1")));
    }

    #[test]
    fn reads_pods_that_can_be_asked_for() {
        let pod = |metadata: Value, status: Value| {
            read_value(Kind::Pod, &json!({"metadata": metadata, "status": status}))
                .unwrap()
                .is_some()
        };
        let named = json!({"name": "p", "namespace": "n"});
        assert!(pod(named.clone(), json!({"podIP": "10.0.0.1", "phase": "Running"})));
        assert!(!pod(named.clone(), json!({"podIP": "10.0.0.1", "phase": "Failed"})));
        assert!(!pod(named.clone(), json!({"phase": "Pending"})));
        let ending = json!({"name": "p", "namespace": "n", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert!(!pod(ending, json!({"podIP": "10.0.0.1"})));
    }

    #[test]
    fn says_what_is_wrong_with_an_object() {
        for (kind, object, expected) in [
            (Kind::Namespace, json!({"metadata": {}}), "metadata.name is missing"),
            (
                Kind::EndpointSlice,
                json!({"metadata": {"name": "s"}}),
                "label kubernetes.io/service-name is missing, so it belongs to nothing",
            ),
            (
                Kind::Service,
                json!({"metadata": {"name": "s"}, "spec": {"clusterIPs": 5}}),
                "invalid type: integer `5`, expected a sequence",
            ),
            (
                Kind::Service,
                json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 70000}]}}),
                "invalid value: integer `70000`, expected u16",
            ),
        ] {
            let error = read_value(kind, &object).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    fn read_value(kind: Kind, object: &Value) -> Result<Option<Object>, Invalid> {
        read(kind, &object.to_string())
    }
}
