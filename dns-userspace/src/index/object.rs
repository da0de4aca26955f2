//! A Kubernetes object as the API and manifests spell it, narrowed to the fields that DNS reads.
//!
//! It decodes leniently and judges afterwards, so that one object's nonsense never spoils its neighbours in a list and
//! every complaint can name the field. It is no validation of manifests: fields that DNS does not read may hold anything.

use std::net::IpAddr;

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use super::{ObjectKey, ServiceKind};

/// An object of any kind; every field may be absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    api_version: Option<Lenient<String>>,
    kind: Option<Lenient<String>>,
    #[serde(default)]
    metadata: Metadata,
    spec: Option<Lenient<Spec>>,
    items: Option<Lenient<Vec<Object>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<Lenient<String>>,
    namespace: Option<Lenient<String>>,
    resource_version: Option<Lenient<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    r#type: Option<Lenient<String>>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<Lenient<String>>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Lenient<Vec<String>>>,
}

/// A field's value, or one of another type.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Value(T),
    Other(IgnoredAny),
}

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field has a value of another type.
    #[error("{field} is not {expected}")]
    Type {
        /// The field's path.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A name cannot be a label of a domain name.
    #[error("{field} {value:?} is no DNS label: it takes up to 63 of a-z, 0-9 and '-', and no '-' at an end")]
    Label {
        /// The field's path.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A cluster IP does not parse.
    #[error("{field} {value:?} is no IP address")]
    Address {
        /// The field's path.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// More addresses of a family than a Service can have.
    #[error("spec.clusterIPs has more than one address of a family")]
    Family,
}

impl Object {
    /// The `apiVersion`.
    pub fn api_version(&self) -> Result<&str, Invalid> {
        text(&self.api_version, "apiVersion")?.ok_or(Invalid::Missing("apiVersion"))
    }

    /// The `kind`.
    pub fn kind(&self) -> Result<&str, Invalid> {
        text(&self.kind, "kind")?.ok_or(Invalid::Missing("kind"))
    }

    /// The objects of a list.
    pub fn into_items(self) -> Result<Vec<Object>, Invalid> {
        match self.items {
            None => Ok(vec![]),
            Some(Lenient::Value(items)) => Ok(items),
            Some(Lenient::Other(_)) => Err(Invalid::Type {
                field: "items",
                expected: "a list of objects",
            }),
        }
    }

    /// The `metadata.resourceVersion`, where there is one.
    pub fn resource_version(&self) -> Option<&str> {
        text(&self.metadata.resource_version, "metadata.resourceVersion")
            .ok()
            .flatten()
    }

    /// The object's namespace, `default` where it names none, and name.
    pub fn key(&self) -> Result<ObjectKey, Invalid> {
        let namespace = text(&self.metadata.namespace, "metadata.namespace")?.unwrap_or("default");
        let name = text(&self.metadata.name, "metadata.name")?.ok_or(Invalid::Missing("metadata.name"))?;
        Ok(ObjectKey {
            namespace: label(namespace, "metadata.namespace")?,
            name: label(name, "metadata.name")?,
        })
    }

    /// How this Service is reached.
    pub fn service_kind(&self) -> Result<ServiceKind, Invalid> {
        match &self.spec {
            None => Ok(ServiceKind::Unaddressed),
            Some(Lenient::Value(spec)) => spec.service_kind(),
            Some(Lenient::Other(_)) => Err(Invalid::Type {
                field: "spec",
                expected: "a mapping",
            }),
        }
    }
}

impl Spec {
    fn service_kind(&self) -> Result<ServiceKind, Invalid> {
        if text(&self.r#type, "spec.type")? == Some("ExternalName") {
            return Ok(ServiceKind::ExternalName);
        }
        let (field, addresses) = self.addresses()?;
        match addresses.as_slice() {
            [] => Ok(ServiceKind::Unaddressed),
            ["None", ..] => Ok(ServiceKind::Headless),
            addresses => cluster_ips(field, addresses),
        }
    }

    /// `clusterIPs`, or `clusterIP` where only the older field is set.
    fn addresses(&self) -> Result<(&'static str, Vec<&str>), Invalid> {
        match &self.cluster_ips {
            Some(Lenient::Value(addresses)) if !addresses.is_empty() => {
                Ok(("spec.clusterIPs", addresses.iter().map(String::as_str).collect()))
            }
            Some(Lenient::Other(_)) => Err(Invalid::Type {
                field: "spec.clusterIPs",
                expected: "a list of strings",
            }),
            _ => {
                let address = text(&self.cluster_ip, "spec.clusterIP")?.filter(|address| !address.is_empty());
                Ok(("spec.clusterIP", address.into_iter().collect()))
            }
        }
    }
}

fn cluster_ips(field: &'static str, addresses: &[&str]) -> Result<ServiceKind, Invalid> {
    let parse = |address: &&str| {
        // An IPv4 address in IPv6 form is one of IPv4.
        address
            .parse()
            .as_ref()
            .map(IpAddr::to_canonical)
            .map_err(|_| Invalid::Address {
                field,
                value: (*address).into(),
            })
    };
    let addresses: Vec<IpAddr> = addresses.iter().map(parse).collect::<Result<_, _>>()?;
    let ipv6 = addresses.iter().filter(|address| address.is_ipv6()).count();
    if ipv6 > 1 || addresses.len() - ipv6 > 1 {
        return Err(Invalid::Family);
    }
    Ok(ServiceKind::ClusterIp(addresses))
}

fn text<'a>(field: &'a Option<Lenient<String>>, name: &'static str) -> Result<Option<&'a str>, Invalid> {
    match field {
        None => Ok(None),
        Some(Lenient::Value(text)) => Ok(Some(text)),
        Some(Lenient::Other(_)) => Err(Invalid::Type {
            field: name,
            expected: "a string",
        }),
    }
}

/// Checks a label as the API does (RFC 1123, 2.1).
fn label(value: &str, field: &'static str) -> Result<String, Invalid> {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = (1..=63).contains(&value.len())
        && value.bytes().all(inside)
        && !value.starts_with('-')
        && !value.ends_with('-');
    is_label.then(|| value.into()).ok_or_else(|| Invalid::Label {
        field,
        value: value.into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_how_a_service_is_reached() {
        let addressed = |addresses: &[&str]| {
            ServiceKind::ClusterIp(addresses.iter().map(|address| address.parse().unwrap()).collect())
        };
        let cases = [
            (
                json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}),
                addressed(&["10.0.0.1"]),
            ),
            (
                json!({"clusterIPs": ["fd00::1", "10.0.0.1"]}),
                addressed(&["fd00::1", "10.0.0.1"]),
            ),
            (json!({"clusterIP": "10.0.0.1"}), addressed(&["10.0.0.1"])),
            (
                json!({"clusterIP": "10.0.0.1", "clusterIPs": []}),
                addressed(&["10.0.0.1"]),
            ),
            (
                json!({"clusterIP": "10.0.0.1", "clusterIPs": null}),
                addressed(&["10.0.0.1"]),
            ),
            (
                json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1"}),
                addressed(&["10.0.0.1"]),
            ),
            (
                json!({"clusterIP": "None", "clusterIPs": ["None"]}),
                ServiceKind::Headless,
            ),
            (json!({"clusterIP": "None"}), ServiceKind::Headless),
            (
                json!({"type": "ExternalName", "externalName": "example.com"}),
                ServiceKind::ExternalName,
            ),
            (
                json!({"type": "ExternalName", "clusterIP": ""}),
                ServiceKind::ExternalName,
            ),
            (json!({"type": "ClusterIP", "clusterIP": ""}), ServiceKind::Unaddressed),
            (json!({}), ServiceKind::Unaddressed),
            (json!(null), ServiceKind::Unaddressed),
        ];
        for (spec, expected) in cases {
            assert_eq!(object(json!({"spec": spec})).service_kind(), Ok(expected), "{spec}");
        }
    }

    #[test]
    fn says_which_field_of_a_spec_makes_no_sense() {
        let cases = [
            (
                json!({"clusterIP": "10.0.0.300"}),
                "spec.clusterIP \"10.0.0.300\" is no IP address",
            ),
            (
                json!({"clusterIPs": ["10.0.0.1", "no"]}),
                "spec.clusterIPs \"no\" is no IP address",
            ),
            (
                json!({"clusterIPs": ["10.0.0.1", "None"]}),
                "spec.clusterIPs \"None\" is no IP address",
            ),
            (
                json!({"clusterIPs": ["10.0.0.1", "10.0.0.2"]}),
                "spec.clusterIPs has more than one address of a family",
            ),
            (
                json!({"clusterIPs": "10.0.0.1"}),
                "spec.clusterIPs is not a list of strings",
            ),
            (json!({"clusterIP": 10}), "spec.clusterIP is not a string"),
            (json!({"type": []}), "spec.type is not a string"),
            (json!("text"), "spec is not a mapping"),
        ];
        for (spec, expected) in cases {
            let error = object(json!({"spec": spec})).service_kind().unwrap_err();
            assert_eq!(error.to_string(), expected, "{spec}");
        }
    }

    #[test]
    fn reads_the_key_with_its_default_namespace() {
        let key = object(json!({"metadata": {"name": "web"}})).key().unwrap();
        assert_eq!(key.to_string(), "default/web");
        let key = object(json!({"metadata": {"name": "web", "namespace": "kube-system"}}))
            .key()
            .unwrap();
        assert_eq!(key.to_string(), "kube-system/web");
    }

    #[test]
    fn refuses_names_that_are_no_labels() {
        for name in ["", "Web", "a.b", "a_b", "-a", "a-", &"a".repeat(64)] {
            let error = object(json!({"metadata": {"name": name}})).key().unwrap_err();
            assert_eq!(
                error,
                Invalid::Label {
                    field: "metadata.name",
                    value: name.into()
                }
            );
        }
        assert_eq!(object(json!({})).key(), Err(Invalid::Missing("metadata.name")));
        let error = object(json!({"metadata": {"name": "a", "namespace": "b.c"}}))
            .key()
            .unwrap_err();
        assert_eq!(
            error,
            Invalid::Label {
                field: "metadata.namespace",
                value: "b.c".into()
            }
        );
    }

    #[test]
    fn an_object_of_another_shape_does_not_spoil_its_neighbours() {
        let list = json!({"items": [
            {"metadata": {"name": 5}, "spec": [1, 2]},
            {"metadata": {"name": "web", "managedFields": [{"x": 1}]}, "spec": {"clusterIP": "10.0.0.1", "ports": "odd"}},
        ]});
        let items = object(list).into_items().unwrap();
        assert!(items[0].key().is_err());
        assert_eq!(items[1].key().unwrap().name, "web");
    }

    fn object(value: serde_json::Value) -> Object {
        serde_json::from_value(value).unwrap()
    }
}
