//! ServiceImports: what other clusters of the set offer.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{Maker, services, slices, words};
use crate::dice::Dice;
use crate::world::{Key, Kind, World};

/// Adds a ServiceImport, and some slices to most.
pub(super) fn add(maker: &mut Maker, world: &mut World, namespace: &str) {
    let name = match maker.dice.percent(3) {
        true => "dotted.name".to_owned(),
        false => maker.dice.word(&words::SERVICES),
    };
    let spec = spec(&mut maker.dice);
    let key = Key::new(Kind::ServiceImport, namespace, &name);
    world.put(key, json!({"metadata": {}, "spec": spec}));
    for _ in 0..maker.dice.below(4) {
        // What is longer is no value of a label.
        let own = (maker.dice.percent(85) && name.len() <= 63).then_some(name.as_str());
        slices::add_imported(maker, world, namespace, own);
    }
}

/// Changes what a ServiceImport says.
pub(super) fn alter(maker: &mut Maker, world: &mut World, key: &Key) {
    let Some(body) = world.get_mut(key) else { return };
    body["spec"] = spec(&mut maker.dice);
}

/// Both types may have addresses, and neither needs ports.
fn spec(dice: &mut Dice) -> Value {
    let kind = dice.word(&["ClusterSetIP", "Headless"]);
    let ips = match dice.weighted(&[30, 20, 20, 20, 10]) {
        0 => vec![ipv4(dice)],
        1 => vec![ipv6(dice)],
        2 => vec![ipv4(dice), ipv6(dice)],
        3 => vec![ipv4(dice), ipv4(dice)],
        _ => vec![],
    };
    let mut ports = services::ports(dice, 0);
    for port in ports.as_array_mut().into_iter().flatten() {
        if dice.percent(20) {
            port["protocol"] = json!("");
        }
    }
    json!({"type": kind, "ips": ips, "ports": ports})
}

/// Some are a Service's cluster IP.
fn ipv4(dice: &mut Dice) -> String {
    Ipv4Addr::new(10, dice.pick(&[100, 101]), 0, dice.between(1, 20) as u8).to_string()
}

/// Nothing checks how they are spelled.
fn ipv6(dice: &mut Dice) -> String {
    let low = dice.between(1, 20);
    let spelling = dice.word(&["fd00:97::", "FD00:97::", "fd00:97:0:0::", "::ffff:10.1.2."]);
    format!("{spelling}{low}")
}
