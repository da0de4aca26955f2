//! Batches of changes: objects come, change and go, several at a time.

use serde_json::{Value, json};

use super::pods::TERMINATING;
use super::services::family_of;
use super::{Maker, add, imports, labels, pods, services, slices, words};
use crate::world::{Key, Kind, World};

/// Changes a world, and says how many objects were touched.
pub(crate) fn change(maker: &mut Maker, world: &mut World) -> usize {
    let number = maker.dice.between(1, 16);
    let mut freed = Vec::new();
    for _ in 0..number {
        match maker.dice.weighted(&[35, 40, 25]) {
            0 => create(maker, world),
            1 => alter(maker, world),
            _ => freed.extend(delete(maker, world)),
        }
    }
    freed.into_iter().for_each(|pair| maker.addresses.give_back(pair));
    labels::label(maker, world, 6);
    number
}

fn create(maker: &mut Maker, world: &mut World) {
    let namespace = maker.dice.word(&words::NAMESPACES);
    let imports = if maker.imports { 50 } else { 0 };
    let kind = Kind::ALL[maker.dice.weighted(&[10, 30, 30, 30, imports])];
    // The addresses of a Service that is replaced are not given back: they would have to be free before.
    add(maker, world, kind, &namespace);
}

/// Deletes an object. The cluster IPs of a Service come back, if it had both.
fn delete(maker: &mut Maker, world: &mut World) -> Option<[String; 2]> {
    let key = choose(maker, world)?;
    if key.kind == Kind::Namespace && maker.dice.percent(50) {
        return None;
    }
    let body = world.remove(&key)?;
    let addresses = body["spec"]["clusterIPs"].as_array()?;
    let mut addresses: Vec<&str> = addresses.iter().filter_map(Value::as_str).collect();
    addresses.sort_by_key(|address| family_of(address));
    let [ipv4, ipv6] = addresses[..] else { return None };
    Some([ipv4.to_owned(), ipv6.to_owned()])
}

fn alter(maker: &mut Maker, world: &mut World) {
    let Some(key) = choose(maker, world) else { return };
    match key.kind {
        Kind::Namespace => {}
        Kind::Service => alter_service(maker, world, &key),
        Kind::EndpointSlice => alter_slice(maker, world, &key),
        Kind::Pod => alter_pod(maker, world, &key),
        Kind::ServiceImport => imports::alter(maker, world, &key),
    }
}

fn choose(maker: &mut Maker, world: &World) -> Option<Key> {
    let keys: Vec<&Key> = world.keys().collect();
    keys.get(maker.dice.below(keys.len())).map(|key| (*key).clone())
}

fn alter_service(maker: &mut Maker, world: &mut World, key: &Key) {
    let target = services::target(maker, world, key);
    let Some(body) = world.get_mut(key) else { return };
    let spec = &mut body["spec"];
    if spec["type"] == "ExternalName" {
        spec["externalName"] = json!(target);
    } else {
        // Only a headless Service may be without ports.
        let least = usize::from(spec["clusterIP"] != "None");
        spec["ports"] = services::ports(&mut maker.dice, least);
    }
}

fn alter_slice(maker: &mut Maker, world: &mut World, key: &Key) {
    let Some(body) = world.get_mut(key) else { return };
    match maker.dice.below(4) {
        0 => body["ports"] = slices::ports(&mut maker.dice),
        1 => {
            let labels = &mut body["metadata"]["labels"];
            let label = match labels.get(slices::IMPORT_NAME) {
                Some(_) => slices::IMPORT_NAME,
                None => slices::SERVICE_NAME,
            };
            labels[label] = json!(maker.dice.word(&words::SERVICES));
        }
        _ if body["metadata"]["labels"].get(slices::SERVICE_NAME).is_none() => {}
        _ => {
            let ipv6 = body["addressType"] == "IPv6";
            body["endpoints"] = slices::endpoints(maker, &key.namespace, ipv6);
        }
    }
}

fn alter_pod(maker: &mut Maker, world: &mut World, key: &Key) {
    let Some(body) = world.get_mut(key) else { return };
    match maker.dice.below(4) {
        0 => body["metadata"]["labels"]["app"] = json!(maker.dice.word(&words::APPS)),
        1 => body["metadata"]["annotations"] = json!({TERMINATING: "yes"}),
        _ => body["status"] = pods::status(&mut maker.dice),
    }
}
