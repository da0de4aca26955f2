//! Services of every kind.

use serde_json::{Value, json};

use super::{Maker, slices, words};
use crate::dice::Dice;
use crate::world::{Key, Kind, World};

/// Adds a Service, and to most of those without a selector some slices.
pub(crate) fn add(maker: &mut Maker, world: &mut World, namespace: &str) {
    let key = Key::new(Kind::Service, namespace, &maker.dice.word(&words::SERVICES));
    let spec = match maker.dice.weighted(&[35, 40, 25]) {
        0 => clustered(maker),
        1 => headless(maker),
        _ => external(maker, world, &key),
    };
    let selects = spec.get("selector").is_some();
    let name = key.name.clone();
    world.put(key, json!({"metadata": {}, "spec": spec}));
    if !selects {
        for _ in 0..maker.dice.below(4) {
            slices::add(maker, world, namespace, Some(&name));
        }
    }
}

/// A Service with cluster IPs of one or both families.
fn clustered(maker: &mut Maker) -> Value {
    let [ipv4, ipv6] = maker.addresses.take(&mut maker.dice);
    let dice = &mut maker.dice;
    let families = match dice.below(4) {
        0 => vec![ipv4],
        1 => vec![ipv6],
        2 => vec![ipv4, ipv6],
        _ => vec![ipv6, ipv4],
    };
    let kind = dice.word(&["ClusterIP", "ClusterIP", "NodePort", "LoadBalancer"]);
    let mut spec = json!({"type": kind, "ports": ports(dice, 1)});
    place(&mut spec, &families);
    spread(dice, &mut spec, 40);
    if kind == "ClusterIP" && dice.percent(10) {
        spec["externalIPs"] = json!(["198.51.100.7"]);
    }
    spec
}

fn place(spec: &mut Value, cluster_ips: &[String]) {
    let families: Vec<&str> = cluster_ips.iter().map(|address| family_of(address)).collect();
    spec["clusterIP"] = json!(cluster_ips[0]);
    spec["clusterIPs"] = json!(cluster_ips);
    spec["ipFamilyPolicy"] = json!(if families.len() == 2 {
        "RequireDualStack"
    } else {
        "SingleStack"
    });
    spec["ipFamilies"] = json!(families);
}

/// The API's name of the family.
pub(crate) fn family_of(address: &str) -> &'static str {
    if address.contains(':') { "IPv6" } else { "IPv4" }
}

fn headless(maker: &mut Maker) -> Value {
    let dice = &mut maker.dice;
    let mut spec = json!({"clusterIP": "None", "ports": ports(dice, 0)});
    spread(dice, &mut spec, 40);
    let families = match dice.below(4) {
        0 => json!(["IPv6"]),
        1 => json!(["IPv4", "IPv6"]),
        _ => json!(["IPv4"]),
    };
    let dual = families.as_array().is_some_and(|families| families.len() == 2);
    spec["ipFamilyPolicy"] = json!(if dual { "RequireDualStack" } else { "SingleStack" });
    spec["ipFamilies"] = families;
    spec
}

/// Gives a selector to so many of a hundred, and readiness for all to some of these.
fn spread(dice: &mut Dice, spec: &mut Value, share: u32) {
    if dice.percent(share) {
        spec["selector"] = json!({"app": dice.word(&words::APPS)});
    }
    if dice.percent(20) {
        spec["publishNotReadyAddresses"] = json!(true);
    }
}

/// A Service's ports: none, a nameless one, several names, or one number over several protocols.
pub(crate) fn ports(dice: &mut Dice, least: usize) -> Value {
    let port = |name: &str, number: usize, protocol: &str| json!({"name": name, "port": number, "protocol": protocol});
    match dice.weighted(&[if least == 0 { 15 } else { 0 }, 20, 20, 45]) {
        0 => json!([]),
        1 => json!([{"port": dice.between(1, 65535), "protocol": dice.word(&words::PROTOCOLS)}]),
        2 => json!([port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP")]),
        _ => {
            let first = dice.below(words::PORTS.len());
            let chosen = words::PORTS.iter().cycle().skip(first).take(dice.between(1, 4));
            // Each protocol and number may stand once: the numbers grow with the place.
            let listed = chosen.enumerate().map(|(place, name)| {
                let number = 1 + place * 1000 + dice.below(1000);
                port(name, number, &dice.word(&words::PROTOCOLS))
            });
            Value::Array(listed.collect())
        }
    }
}

/// A Service that is an alias: of names in the zone, of itself, outside, or of what looks like an address.
fn external(maker: &mut Maker, world: &World, key: &Key) -> Value {
    let target = target(maker, world, key);
    json!({"type": "ExternalName", "externalName": target})
}

pub(crate) fn target(maker: &mut Maker, world: &World, key: &Key) -> String {
    let dice = &mut maker.dice;
    let namespaces = words::NAMESPACES;
    let name = match dice.weighted(&[40, 25, 15, 5, 5, 5, 5]) {
        0 => dice.word(&words::OUTSIDE),
        1 => existing(dice, world),
        2 => in_zone(&dice.word(&words::SERVICES), &dice.word(&namespaces)),
        3 => in_zone(&key.name, &key.namespace),
        4 => format!(
            "10-244-0-{}.{}.pod.cluster.local",
            dice.below(300),
            dice.word(&namespaces)
        ),
        5 => dice.word(&["192.0.2.7", "10.100.0.1", "1.2.3.4"]),
        _ => dice.word(&[
            "cluster.local",
            "svc.cluster.local",
            "ns.dns.cluster.local",
            "1.0.100.10.in-addr.arpa",
        ]),
    };
    if maker.imports && dice.percent(15) {
        return in_zone(&dice.word(&words::SERVICES), &dice.word(&namespaces)).replace(".cluster.", ".clusterset.");
    }
    // Mixed case is refused by the API server.
    if dice.percent(10) && name.contains(|letter: char| letter.is_ascii_alphabetic()) {
        return name + ".";
    }
    name
}

fn existing(dice: &mut Dice, world: &World) -> String {
    let services: Vec<&Key> = world.of(Kind::Service).map(|(key, _)| key).collect();
    match services.get(dice.below(services.len())) {
        Some(key) => in_zone(&key.name, &key.namespace),
        None => in_zone("web", "apple"),
    }
}

fn in_zone(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}.svc.cluster.local")
}
