//! Kubernetes objects, narrowed to what DNS is made of, and how they are read from the API's JSON form.
//!
//! An object is read by itself, so that one that makes no sense spoils no other. Within an object, an address that does
//! not parse is left out alone: a slice with one bad endpoint still has its good ones, as in CoreDNS.

use std::fmt;
use std::mem;
use std::net::IpAddr;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use thiserror::Error;

/// An object's namespace and name; a Namespace's has no namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// Prints one line: a manifest may have any name for a Pod or a slice.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => {}
            namespace => write!(f, "{}/", namespace.escape_debug())?,
        }
        write!(f, "{}", self.name.escape_debug())
    }
}

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

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Namespace,
        Self::Service,
        Self::EndpointSlice,
        Self::Pod,
        Self::ServiceImport,
        Self::ImportedSlice,
    ];

    /// The name of the resource, in the plural as the API has it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::Namespace => "namespaces",
            Self::Service => "services",
            Self::EndpointSlice => "endpointslices",
            Self::Pod => "pods",
            Self::ServiceImport => "serviceimports",
            Self::ImportedSlice => "imported endpointslices",
        }
    }

    /// Where the API has it, in all namespaces.
    pub fn path(self) -> &'static str {
        match self {
            Self::Namespace => "/api/v1/namespaces",
            Self::Service => "/api/v1/services",
            Self::EndpointSlice | Self::ImportedSlice => "/apis/discovery.k8s.io/v1/endpointslices",
            Self::Pod => "/api/v1/pods",
            Self::ServiceImport => "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespace => "Namespaces",
            Self::Service => "Services",
            Self::EndpointSlice => "EndpointSlices",
            Self::Pod => "Pods",
            Self::ServiceImport => "ServiceImports",
            Self::ImportedSlice => "EndpointSlices of ServiceImports",
        })
    }
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
    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Namespace(_) => Kind::Namespace,
            Self::Service(..) => Kind::Service,
            Self::EndpointSlice(..) => Kind::EndpointSlice,
            Self::Pod(..) => Kind::Pod,
            Self::ServiceImport(..) => Kind::ServiceImport,
            Self::ImportedSlice(..) => Kind::ImportedSlice,
        }
    }

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
    /// The topology zone that it is in, in lower case.
    pub zone: Option<Box<str>>,
}

/// A Pod that is neither finished nor about to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `status.podIP` as it is spelled there.
    pub ip: String,
}

/// An object as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    /// Its namespace and name.
    pub key: ObjectKey,
    /// `metadata.resourceVersion`; empty in a manifest.
    pub version: String,
    /// What DNS is made of; `None` where nobody can ask for it: a Pod without address or one that ends, a slice that
    /// belongs to something else.
    pub object: Option<Object>,
    /// What of it makes no sense, and is left out.
    pub flaws: Vec<Invalid>,
}

/// What is wrong with an object, or with a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// It is not of the form that the API gives its kind.
    #[error("{}: {message}", .path.escape_debug())]
    Form {
        /// The field's path.
        path: String,
        /// What is wrong there.
        message: String,
    },
    /// It has no name.
    #[error("metadata.name is missing")]
    NoName,
    /// Its name cannot be a label of a domain name.
    #[error("{field} {value:?} is no DNS label: it takes up to 63 of a-z, 0-9 and '-', and no '-' at an end")]
    Label {
        /// The field's path.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// It belongs to no Service or ServiceImport.
    #[error("label {0} is missing, so it belongs to nothing")]
    NoLabel(&'static str),
    /// An address does not parse.
    #[error("{field} {value:?} is no IP address")]
    Address {
        /// The field's path.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A Service has no address, and is neither headless nor an alias.
    #[error("spec.clusterIP is missing, so it has no addresses")]
    NoAddress,
}

/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The label by which an EndpointSlice names its ServiceImport.
pub const IMPORT_NAME: &str = "multicluster.kubernetes.io/service-name";

/// Where a namespaced object is that does not say it.
const DEFAULT_NAMESPACE: &str = "default";

/// Reads an object of a kind.
///
/// # Errors
///
/// Says what is wrong; the object is to be left out.
pub fn read(kind: Kind, json: &str) -> Result<Read, Invalid> {
    match kind {
        Kind::Namespace => {
            let raw: RawNamespace = parse(json)?;
            let key = ObjectKey {
                namespace: String::new(),
                name: raw.metadata.label()?,
            };
            Ok(raw.metadata.read(key.clone(), Some(Object::Namespace(key.name))))
        }
        Kind::Service => {
            let raw: RawService = parse(json)?;
            raw.metadata.label()?;
            let key = raw.metadata.key()?;
            let mut flaws = Vec::new();
            let service = raw.spec.into_service(&mut flaws);
            let read = raw.metadata.read(key.clone(), Some(Object::Service(key, service)));
            Ok(Read { flaws, ..read })
        }
        Kind::EndpointSlice | Kind::ImportedSlice => read_slice(kind, parse(json)?),
        Kind::ServiceImport => {
            let raw: RawImport = parse(json)?;
            raw.metadata.label()?;
            let key = raw.metadata.key()?;
            let mut flaws = Vec::new();
            let service = raw.spec.into_service(&mut flaws);
            let read = raw
                .metadata
                .read(key.clone(), Some(Object::ServiceImport(key, service)));
            Ok(Read { flaws, ..read })
        }
        Kind::Pod => {
            let raw: RawPod = parse(json)?;
            let key = raw.metadata.key()?;
            let ends = raw.metadata.deletion_timestamp.is_some() || raw.status.is_finished();
            let ip = raw.status.pod_ip.filter(|ip| !ends && !ip.is_empty());
            let pod = ip.map(|ip| Object::Pod(key.clone(), Pod { ip }));
            Ok(raw.metadata.read(key, pod))
        }
    }
}

/// Reads only which object it is, and its `metadata.resourceVersion`: enough for one that is gone or makes no sense.
pub fn identify(json: &str) -> Option<(ObjectKey, String)> {
    #[derive(Deserialize)]
    struct Identity {
        metadata: Metadata,
    }
    let Identity { metadata } = serde_json::from_str(json).ok()?;
    let key = ObjectKey {
        namespace: metadata.namespace,
        name: metadata.name,
    };
    (!key.name.is_empty()).then_some((key, metadata.resource_version))
}

/// A slice may belong to a Service, to a ServiceImport, or to both.
fn read_slice(kind: Kind, mut raw: RawSlice) -> Result<Read, Invalid> {
    let key = raw.metadata.key()?;
    let labels = mem::take(&mut raw.metadata.labels);
    let metadata = mem::take(&mut raw.metadata);
    let mut flaws = Vec::new();
    let object = match (kind, labels.service, labels.import) {
        (Kind::ImportedSlice, _, Some(import)) => Some(Object::ImportedSlice(
            key.clone(),
            raw.into_slice(import, labels.cluster, &mut flaws),
        )),
        (Kind::ImportedSlice, _, None) => return Err(Invalid::NoLabel(IMPORT_NAME)),
        (_, Some(service), _) => Some(Object::EndpointSlice(
            key.clone(),
            raw.into_slice(service, None, &mut flaws),
        )),
        (_, None, Some(_)) => None,
        (_, None, None) => return Err(Invalid::NoLabel(SERVICE_NAME)),
    };
    let read = metadata.read(key, object);
    Ok(Read { flaws, ..read })
}

/// Only what went wrong is parsed with an eye on where: that takes longer.
fn parse<'j, T: Deserialize<'j>>(json: &'j str) -> Result<T, Invalid> {
    serde_json::from_str(json).map_err(|error| {
        let explained = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(json));
        let path = explained.map_or_else(|error| error.path().to_string(), |_| ".".into());
        let message = error.to_string();
        let message = message
            .rsplit_once(" at line ")
            .map_or(&*message, |(message, _)| message);
        Invalid::Form {
            path,
            message: message.into(),
        }
    })
}

/// Checks a label as the API does (RFC 1123, 2.1).
fn check_label(value: &str, field: &'static str) -> Result<(), Invalid> {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = (1..=63).contains(&value.len())
        && value.bytes().all(inside)
        && !value.starts_with('-')
        && !value.ends_with('-');
    is_label.then_some(()).ok_or_else(|| Invalid::Label {
        field,
        value: value.into(),
    })
}

/// The API leaves out what is empty; a manifest may say `null` too.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Deserialize)]
struct RawNamespace {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    #[serde(deserialize_with = "nullable")]
    name: String,
    #[serde(deserialize_with = "nullable")]
    namespace: String,
    #[serde(deserialize_with = "nullable")]
    resource_version: String,
    #[serde(deserialize_with = "nullable")]
    labels: Labels,
    deletion_timestamp: Option<IgnoredAny>,
}

impl Metadata {
    fn key(&self) -> Result<ObjectKey, Invalid> {
        if self.name.is_empty() {
            return Err(Invalid::NoName);
        }
        let namespace = match self.namespace.as_str() {
            "" => DEFAULT_NAMESPACE,
            namespace => namespace,
        };
        check_label(namespace, "metadata.namespace")?;
        Ok(ObjectKey {
            namespace: namespace.into(),
            name: self.name.clone(),
        })
    }

    /// The name of an object that has one in DNS.
    fn label(&self) -> Result<String, Invalid> {
        if self.name.is_empty() {
            return Err(Invalid::NoName);
        }
        check_label(&self.name, "metadata.name")?;
        Ok(self.name.clone())
    }

    fn read(self, key: ObjectKey, object: Option<Object>) -> Read {
        Read {
            key,
            version: self.resource_version,
            object,
            flaws: Vec::new(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Labels {
    #[serde(rename = "kubernetes.io/service-name", deserialize_with = "filled")]
    service: Option<String>,
    #[serde(rename = "multicluster.kubernetes.io/service-name", deserialize_with = "filled")]
    import: Option<String>,
    #[serde(rename = "multicluster.kubernetes.io/source-cluster", deserialize_with = "filled")]
    cluster: Option<String>,
}

/// A label without a value names nobody, as a missing one.
fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.filter(|value: &String| !value.is_empty()))
}

#[derive(Deserialize)]
struct RawService {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default, deserialize_with = "nullable")]
    spec: ServiceSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(deserialize_with = "nullable")]
    r#type: String,
    #[serde(rename = "clusterIP", deserialize_with = "nullable")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs", deserialize_with = "nullable")]
    cluster_ips: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    external_name: String,
    ports: Option<Vec<RawPort>>,
}

impl ServiceSpec {
    fn into_service(self, flaws: &mut Vec<Invalid>) -> Service {
        let only = std::slice::from_ref(&self.cluster_ip);
        let (field, cluster_ips) = match self.cluster_ips.as_slice() {
            [] => ("spec.clusterIP", only),
            several => ("spec.clusterIPs", several),
        };
        let reach = match cluster_ips {
            _ if self.r#type == "ExternalName" => Reach::ExternalName(self.external_name),
            [first, ..] if first == "None" => Reach::Headless,
            [first] if first.is_empty() => {
                flaws.push(Invalid::NoAddress);
                Reach::ClusterIps(Vec::new())
            }
            addresses => Reach::ClusterIps(parse_addresses(field, addresses, flaws)),
        };
        Service {
            reach,
            ports: ports(self.ports),
        }
    }
}

#[derive(Deserialize)]
struct RawImport {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default, deserialize_with = "nullable")]
    spec: ImportSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ImportSpec {
    #[serde(deserialize_with = "nullable")]
    r#type: String,
    ips: Option<Vec<String>>,
    ports: Option<Vec<RawPort>>,
}

impl ImportSpec {
    fn into_service(self, flaws: &mut Vec<Invalid>) -> Service {
        Service {
            reach: match self.r#type.as_str() {
                "Headless" => Reach::Headless,
                _ => Reach::ClusterIps(parse_addresses("spec.ips", &self.ips.unwrap_or_default(), flaws)),
            },
            ports: ports(self.ports),
        }
    }
}

#[derive(Deserialize)]
struct RawSlice {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    endpoints: Option<Vec<RawEndpoint>>,
    #[serde(default)]
    ports: Option<Vec<RawPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEndpoint {
    #[serde(default, deserialize_with = "nullable")]
    addresses: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
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
    fn into_slice(self, service: String, cluster: Option<String>, flaws: &mut Vec<Invalid>) -> EndpointSlice {
        let ready = |endpoint: &RawEndpoint| endpoint.conditions.ready.unwrap_or(true);
        let endpoints = self.endpoints.into_iter().flatten().filter(ready);
        EndpointSlice {
            service,
            cluster: cluster.map(String::into_boxed_str),
            endpoints: endpoints.flat_map(|endpoint| endpoint.into_endpoints(flaws)).collect(),
            ports: ports(self.ports).into(),
        }
    }
}

impl RawEndpoint {
    fn into_endpoints(self, flaws: &mut Vec<Invalid>) -> Vec<Endpoint> {
        let hostname = self
            .hostname
            .filter(|hostname| !hostname.is_empty())
            .map(String::into_boxed_str);
        let pod = self
            .target_ref
            .map(|target| target.name)
            .filter(|name| !name.is_empty());
        let pod = pod.map(String::into_boxed_str);
        let zone = self.zone.map(|zone| zone.to_lowercase().into_boxed_str());
        let addresses = parse_addresses("endpoints.addresses", &self.addresses, flaws).into_iter();
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
    #[serde(default)]
    metadata: Metadata,
    #[serde(default, deserialize_with = "nullable")]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    #[serde(deserialize_with = "nullable")]
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
fn parse_addresses(field: &'static str, texts: &[String], flaws: &mut Vec<Invalid>) -> Vec<IpAddr> {
    let mut parse = |text: &String| match text.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical()),
        Err(_) => {
            let value = text.clone();
            flaws.push(Invalid::Address { field, value });
            None
        }
    };
    texts.iter().filter_map(&mut parse).collect()
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
                {"addresses": ["10.0.0.1"], "hostname": "a", "zone": "West", "targetRef": {"kind": "Pod", "name": "web-0"}},
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
        let labels = json!({IMPORT_NAME: "web", "multicluster.kubernetes.io/source-cluster": ""});
        let slice = json!({"metadata": {"name": "s", "namespace": "n", "labels": labels}});
        let Some(Object::ImportedSlice(_, slice)) = read_value(Kind::ImportedSlice, &slice).unwrap() else {
            panic!("no slice");
        };
        assert_eq!(slice.cluster, None);
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
                Kind::EndpointSlice,
                json!({"metadata": {"name": "s", "labels": {SERVICE_NAME: ""}}}),
                "label kubernetes.io/service-name is missing, so it belongs to nothing",
            ),
            (
                Kind::Service,
                json!({"metadata": {"name": "s"}, "spec": {"clusterIPs": 5}}),
                "spec.clusterIPs: invalid type: integer `5`, expected a sequence",
            ),
            (
                Kind::Service,
                json!({"metadata": {"name": "a.b"}}),
                "metadata.name \"a.b\" is no DNS label",
            ),
            (
                Kind::Pod,
                json!({"metadata": {"name": "a.b", "namespace": "-"}}),
                "metadata.namespace \"-\" is no DNS label",
            ),
            (
                Kind::Service,
                json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 70000}]}}),
                "spec.ports[0].port: invalid value: integer `70000`, expected u16",
            ),
        ] {
            let error = read_value(kind, &object).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn says_what_of_an_object_is_left_out() {
        let flaws = |kind, mut object: Value| -> Vec<String> {
            object["metadata"] = json!({"name": "a", "labels": {SERVICE_NAME: "b"}});
            let read = read(kind, &object.to_string()).unwrap();
            assert!(read.object.is_some());
            read.flaws.iter().map(Invalid::to_string).collect()
        };
        let service = |spec: Value| flaws(Kind::Service, json!({"spec": spec}));
        assert_eq!(service(json!({"clusterIPs": ["10.0.0.1"]})), [""; 0]);
        assert_eq!(
            service(json!({"clusterIPs": ["10.0.0.1", "no"]})),
            ["spec.clusterIPs \"no\" is no IP address"]
        );
        assert_eq!(
            service(json!({"clusterIP": null})),
            ["spec.clusterIP is missing, so it has no addresses"]
        );
        let endpoints = json!({"endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["a.example"]}]});
        assert_eq!(
            flaws(Kind::EndpointSlice, endpoints),
            ["endpoints.addresses \"a.example\" is no IP address"]
        );
    }

    #[test]
    fn a_slice_of_a_service_import_alone_is_none_of_a_service() {
        let slice = json!({"metadata": {"name": "s", "labels": {IMPORT_NAME: "web"}}});
        assert_eq!(read_value(Kind::EndpointSlice, &slice), Ok(None));
    }

    #[test]
    fn a_namespaced_object_is_in_default_unless_it_says_otherwise() {
        let key = |metadata: Value| {
            let object = json!({"metadata": metadata});
            read(Kind::Service, &object.to_string()).unwrap().key.to_string()
        };
        assert_eq!(key(json!({"name": "web", "labels": null})), "default/web");
        assert_eq!(key(json!({"name": "web", "namespace": "n"})), "n/web");
    }

    #[test]
    fn a_key_prints_one_line() {
        let pod = json!({"metadata": {"name": "a\nb", "namespace": "n"}});
        let key = read(Kind::Pod, &pod.to_string()).unwrap().key;
        assert_eq!(key.to_string(), "n/a\\nb");
    }

    fn read_value(kind: Kind, object: &Value) -> Result<Option<Object>, Invalid> {
        Ok(read(kind, &object.to_string())?.object)
    }
}
