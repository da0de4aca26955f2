//! Labels that the Corefile's selectors ask for.

use serde_json::json;

use super::Maker;
use crate::world::{Key, Kind, World};

/// The label that `labels` asks for; the controller gives a Service's to its slices.
pub(crate) const TIER: &str = "tier";

/// The label that `namespace_labels` asks for. The API server gives it to Namespaces; ServiceImports are chosen by it too.
const NAMESPACE: &str = "kubernetes.io/metadata.name";

/// Gives labels to so many of a hundred objects, where a selector asks for them.
pub(super) fn label(maker: &mut Maker, world: &mut World, share: u32) {
    if !maker.labels {
        return;
    }
    let keys: Vec<Key> = world
        .keys()
        .filter(|key| key.kind != Kind::Namespace)
        .cloned()
        .collect();
    for key in keys {
        let dice = &mut maker.dice;
        if dice.percent(share)
            && let Some(body) = world.get_mut(&key)
        {
            let labels = &mut body["metadata"]["labels"];
            labels[TIER] = json!(dice.word(&["front", "back"]));
            if key.kind == Kind::ServiceImport {
                labels[NAMESPACE] = json!(dice.word(&["apple", "cherry"]));
            }
        }
    }
}
