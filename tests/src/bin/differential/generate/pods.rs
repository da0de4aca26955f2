//! Pods, whose status the test writes in the kubelet's place, so that the real controller makes slices of them.

use serde_json::{Value, json};

use super::{Maker, addresses, words};
use crate::dice::Dice;
use crate::world::{Key, Kind, World};

/// Keeps a deleted Pod, which then is terminating.
pub(crate) const FINALIZER: &str = "kxdns.test/hold";

/// The annotation of a Pod that is to be terminating.
pub(crate) const TERMINATING: &str = "kxdns.test/terminating";

/// The Node that they are on.
pub(crate) const NODE: &str = "node";

/// Adds a Pod.
pub(crate) fn add(maker: &mut Maker, world: &mut World, namespace: &str) {
    let name = maker.unique("pod");
    let dice = &mut maker.dice;
    let mut spec = json!({"nodeName": NODE, "containers": [{"name": "main", "image": "none", "ports": [{"name": "http", "containerPort": 80}]}]});
    if dice.percent(40) {
        spec["hostname"] = json!(dice.word(&words::HOSTNAMES));
        spec["subdomain"] = json!(dice.word(&words::SERVICES));
    }
    if dice.percent(10) {
        spec["hostNetwork"] = json!(true);
        spec["containers"][0]["ports"] = json!([]);
    }
    let metadata = json!({
        "labels": {"app": dice.word(&words::APPS)},
        "annotations": terminating(dice),
        "finalizers": [FINALIZER],
    });
    let body = json!({"metadata": metadata, "spec": spec, "status": status(dice)});
    world.put(Key::new(Kind::Pod, namespace, &name), body);
}

/// Adds the Pod that the questions come from, which no Service selects. CoreDNS looks at the first of its addresses alone.
pub(crate) fn add_asking(world: &mut World, namespace: &str) {
    let body = json!({
        "metadata": {"labels": {}, "annotations": {}, "finalizers": [FINALIZER]},
        "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "none"}]},
        "status": {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}, {"ip": "::1"}]},
    });
    world.put(Key::new(Kind::Pod, namespace, "asking"), body);
}

fn terminating(dice: &mut Dice) -> Value {
    if dice.percent(12) {
        json!({TERMINATING: "yes"})
    } else {
        json!({})
    }
}

/// The status of a Pod: its phase, addresses and readiness.
pub(crate) fn status(dice: &mut Dice) -> Value {
    let phase = ["Running", "Pending", "Succeeded", "Failed", "Unknown"][dice.weighted(&[80, 8, 4, 4, 4])];
    let (first, second) = (addresses::ipv4(dice), addresses::ipv6(dice));
    let addresses = match dice.weighted(&[40, 15, 20, 15, 10]) {
        0 => vec![first],
        1 => vec![second],
        2 => vec![first, second],
        3 => vec![second, first],
        _ => vec![],
    };
    let listed: Vec<Value> = addresses.iter().map(|address| json!({"ip": address})).collect();
    let ready = if dice.percent(75) { "True" } else { "False" };
    json!({
        "phase": phase,
        "podIP": addresses.first(),
        "podIPs": listed,
        "conditions": [{"type": "Ready", "status": ready}],
    })
}
