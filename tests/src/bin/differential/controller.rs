//! What the real endpoint slice controller is to make of a world, so that its end can be awaited.
//!
//! It works through its queue in any order: no marker shows that it is done. So its slices are foretold, as lists of
//! endpoints, by the rules of k8s.io/endpointslice 0.37 (`podToEndpoint`, `ShouldPodBeInEndpoints`).

use serde_json::{Value, json};

use crate::generate::labels::TIER;
use crate::generate::pods::TERMINATING;
use crate::generate::services::family_of;
use crate::generate::slices::SERVICE_NAME;
use crate::world::{Key, Kind, World};

const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// The slices of the controller, as far as they are compared.
pub(crate) struct Slices {
    /// Each endpoint with its Service, Pod, conditions and ports, in order.
    pub(crate) endpoints: Vec<String>,
    /// The slices of Services that are gone or select no Pods.
    pub(crate) orphans: Vec<Key>,
}

impl Slices {
    pub(crate) fn read(world: &World, slices: Vec<Value>) -> Slices {
        let mut found = Slices {
            endpoints: Vec::new(),
            orphans: Vec::new(),
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for slice in slices
            .iter()
            .filter(|slice| slice["metadata"]["labels"][MANAGED_BY] == CONTROLLER)
        {
            let namespace = text(&slice["metadata"]["namespace"]);
            let service = Key::new(
                Kind::Service,
                &namespace,
                &text(&slice["metadata"]["labels"][SERVICE_NAME]),
            );
            if world.get(&service).is_some_and(selects) {
                found.endpoints.extend(endpoints_of(&service, slice));
            } else if service.namespace != "default" {
                let name = text(&slice["metadata"]["name"]);
                found.orphans.push(Key::new(Kind::EndpointSlice, &namespace, &name));
            }
        }
        found.endpoints.sort();
        found
    }
}

fn selects(service: &Value) -> bool {
    service["spec"].get("selector").is_some()
}

fn endpoints_of(service: &Key, slice: &Value) -> Vec<String> {
    let ports = ports_text(slice, &slice["ports"]);
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    endpoints
        .map(|endpoint| {
            let fields = [
                &endpoint["addresses"][0],
                &endpoint["targetRef"]["name"],
                &endpoint["hostname"],
            ];
            endpoint_text(service, &ports, fields, &endpoint["conditions"])
        })
        .collect()
}

/// What the controller is to make.
pub(crate) fn expected_slices(world: &World) -> Vec<String> {
    let mut endpoints = Vec::new();
    for (key, service) in world.of(Kind::Service).filter(|(_, service)| selects(service)) {
        let ports = ports_text(service, &service["spec"]["ports"]);
        for (_, pod) in world
            .of(Kind::Pod)
            .filter(|(pod_key, _)| pod_key.namespace == key.namespace)
        {
            if is_chosen(service, pod) {
                endpoints.extend(endpoints_from(key, service, pod, &ports));
            }
        }
    }
    endpoints.sort();
    endpoints
}

fn is_chosen(service: &Value, pod: &Value) -> bool {
    let ended = pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed";
    !ended && service["spec"]["selector"]["app"] == pod["metadata"]["labels"]["app"]
}

fn endpoints_from(key: &Key, service: &Value, pod: &Value, ports: &str) -> Vec<String> {
    let serving = pod["status"]["conditions"][0]["status"] == "True";
    let terminating = !pod["metadata"]["annotations"][TERMINATING].is_null();
    let ready = service["spec"]["publishNotReadyAddresses"] == true || (serving && !terminating);
    let conditions = json!({"ready": ready, "serving": serving, "terminating": terminating});
    let named = pod["spec"]["subdomain"] == key.name.as_str();
    let hostname = if named { &pod["spec"]["hostname"] } else { &Value::Null };
    let addresses = pod["status"]["podIPs"].as_array().into_iter().flatten();
    addresses
        .map(|address| &address["ip"])
        .filter(|address| has_family(service, address))
        .map(|address| endpoint_text(key, ports, [address, &pod["metadata"]["name"], hostname], &conditions))
        .collect()
}

fn has_family(service: &Value, address: &Value) -> bool {
    let family = family_of(address.as_str().unwrap_or_default());
    service["spec"]["ipFamilies"]
        .as_array()
        .is_some_and(|families| families.contains(&json!(family)))
}

fn endpoint_text(service: &Key, ports: &str, [address, pod, hostname]: [&Value; 3], conditions: &Value) -> String {
    let condition = |name: &str| conditions[name] == true;
    format!(
        "{}/{} {address} of {pod} ready={} serving={} terminating={} hostname={hostname} ports={ports}",
        service.namespace,
        service.name,
        condition("ready"),
        condition("serving"),
        condition("terminating")
    )
}

/// The ports of a Service or of a slice, and the label that the one has of the other.
fn ports_text(object: &Value, ports: &Value) -> String {
    let text = |port: &Value| {
        let name = port["name"].as_str().unwrap_or_default();
        format!("{name}:{}:{}", port["port"], port["protocol"])
    };
    let mut texts: Vec<String> = ports.as_array().into_iter().flatten().map(text).collect();
    texts.sort();
    format!("{} tier={}", texts.join(","), object["metadata"]["labels"][TIER])
}
