//! EndpointSlices that the test writes itself, with every condition, name and port that the API accepts.

use serde_json::{Value, json};

use super::{Maker, addresses, words};
use crate::dice::Dice;
use crate::world::{Key, Kind, World};

/// The label that says whose endpoints a slice holds.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The label that says whose endpoints a slice holds among ServiceImports, and the one that says which cluster has them.
pub(crate) const IMPORT_NAME: &str = "multicluster.kubernetes.io/service-name";
pub(crate) const SOURCE_CLUSTER: &str = "multicluster.kubernetes.io/source-cluster";

/// How many of a hundred slices are large enough to be truncated over UDP.
const LARGE: u32 = 8;

/// Adds a slice of a Service: of this one, or of any name, which may be nobody's.
pub(crate) fn add(maker: &mut Maker, world: &mut World, namespace: &str, service: Option<&str>) {
    let name = maker.unique("slice");
    let service = service.map_or_else(|| maker.dice.word(&words::SERVICES), str::to_owned);
    let mut labels = json!({});
    if !maker.dice.percent(1) {
        labels[SERVICE_NAME] = json!(service);
    }
    let mut body = slice(maker, namespace, &labels);
    if labels.get(SERVICE_NAME).is_none() {
        // CoreDNS says nothing at all about their addresses, and silence takes long to be sure of.
        body["endpoints"]
            .as_array_mut()
            .into_iter()
            .for_each(|all| all.truncate(1));
    }
    world.put(Key::new(Kind::EndpointSlice, namespace, &name), body);
}

/// Adds a slice of a ServiceImport: of this one, or of any name. Some belong to a Service too.
pub(crate) fn add_imported(maker: &mut Maker, world: &mut World, namespace: &str, import: Option<&str>) {
    let name = maker.unique("imported");
    let dice = &mut maker.dice;
    let import = import.map_or_else(|| dice.word(&words::SERVICES), str::to_owned);
    let mut labels = json!({IMPORT_NAME: import});
    match dice.weighted(&[96, 2, 2]) {
        0 => labels[SOURCE_CLUSTER] = json!(dice.word(&words::CLUSTERS)),
        1 => labels[SOURCE_CLUSTER] = json!(""),
        _ => {}
    }
    let shared = dice.percent(60);
    if shared {
        let name = if dice.percent(2) {
            String::new()
        } else {
            dice.word(&words::SERVICES)
        };
        labels[SERVICE_NAME] = json!(name);
    }
    let mut body = slice(maker, namespace, &labels);
    if !shared {
        // Nobody asks for the names of these: see above.
        let addresses = body["endpoints"].as_array_mut().into_iter().flatten();
        addresses.for_each(|endpoint| move_away(&mut endpoint["addresses"]));
    }
    world.put(Key::new(Kind::EndpointSlice, namespace, &name), body);
}

fn move_away(addresses: &mut Value) {
    for address in addresses.as_array_mut().into_iter().flatten() {
        let moved = address
            .as_str()
            .map(|text| text.replacen("10.", "11.", 1).replacen("fd00:", "fd11:", 1));
        *address = json!(moved);
    }
}

fn slice(maker: &mut Maker, namespace: &str, labels: &Value) -> Value {
    let ipv6 = maker.dice.percent(35);
    let endpoints = endpoints(maker, namespace, ipv6);
    json!({
        "metadata": {"labels": labels},
        "addressType": if ipv6 { "IPv6" } else { "IPv4" },
        "endpoints": endpoints,
        "ports": ports(&mut maker.dice),
    })
}

/// The endpoints of a slice.
pub(crate) fn endpoints(maker: &mut Maker, namespace: &str, ipv6: bool) -> Value {
    if maker.dice.percent(LARGE) {
        let number = maker.dice.between(20, 100);
        return (0..number).map(|host| large_endpoint(host, ipv6)).collect();
    }
    let number = maker.dice.below(6);
    (0..number).map(|_| endpoint(maker, namespace, ipv6)).collect()
}

fn large_endpoint(host: usize, ipv6: bool) -> Value {
    let address = if ipv6 {
        format!("fd00:aaaa::{:x}", host + 1)
    } else {
        format!("10.245.0.{}", host + 1)
    };
    json!({"addresses": [address]})
}

fn endpoint(maker: &mut Maker, namespace: &str, ipv6: bool) -> Value {
    let number = if maker.dice.percent(80) {
        1
    } else {
        maker.dice.between(2, 3)
    };
    let mut addresses: Vec<String> = (0..number).map(|_| address(maker, ipv6)).collect();
    addresses.dedup();
    let dice = &mut maker.dice;
    let mut endpoint = json!({"addresses": addresses, "conditions": conditions(dice)});
    if dice.percent(35) {
        endpoint["hostname"] = json!(dice.word(&words::HOSTNAMES));
    }
    if dice.percent(50) {
        let name = dice.word(&["web-1", "web-2", "long-pod-name.with.dots", LONG_POD]);
        endpoint["targetRef"] = json!({"kind": "Pod", "name": name, "namespace": namespace});
    }
    if dice.percent(50) {
        let zone = dice.word(&words::ZONES);
        endpoint["hints"] = json!({"forZones": [{"name": zone}]});
        endpoint["zone"] = json!(zone);
    }
    endpoint
}

/// Longer than a label may be.
const LONG_POD: &str = "pod-345678901234567890123456789012345678901234567890123456789-64";

fn address(maker: &mut Maker, ipv6: bool) -> String {
    if maker.dice.percent(3) {
        return maker.addresses.recall(&mut maker.dice, ipv6);
    }
    if ipv6 {
        addresses::ipv6(&mut maker.dice)
    } else {
        addresses::ipv4(&mut maker.dice)
    }
}

fn conditions(dice: &mut Dice) -> Value {
    let mut conditions = json!({});
    for (name, unset, yes) in [("ready", 30, 80), ("serving", 60, 50), ("terminating", 60, 30)] {
        if !dice.percent(unset) {
            conditions[name] = json!(dice.percent(yes));
        }
    }
    conditions
}

/// The ports of a slice: none, one that means every port, or several.
pub(crate) fn ports(dice: &mut Dice) -> Value {
    let number = dice.weighted(&[15, 40, 30, 15]);
    let first = dice.below(words::PORTS.len());
    let chosen = words::PORTS.iter().cycle().skip(first).take(number);
    chosen.map(|name| port(dice, number, name)).collect()
}

fn port(dice: &mut Dice, of: usize, name: &str) -> Value {
    let mut port = json!({});
    // Names must differ within a slice, and a missing one counts as a name.
    if of > 1 || dice.percent(75) {
        port["name"] = json!(name);
    }
    if !dice.percent(10) {
        port["port"] = json!(dice.between(1, 65535));
    }
    if !dice.percent(20) {
        port["protocol"] = json!(dice.word(&words::PROTOCOLS));
    }
    port
}
