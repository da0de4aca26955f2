//! Random clusters, and random changes to them: `generate` makes the first world of a seed, `change` the next.
//!
//! All that the API server would choose by itself and that DNS tells (cluster IPs, names) is chosen here, so that a seed
//! always makes the same questions and replies.

mod addresses;
mod change;
pub(crate) mod imports;
pub(crate) mod labels;
pub(crate) mod pods;
pub(crate) mod services;
pub(crate) mod slices;
pub(crate) mod words;

use serde_json::json;

use self::addresses::Addresses;
pub(crate) use self::change::change;
use crate::corefiles::Corefile;
use crate::dice::Dice;
use crate::world::{Key, Kind, World};

/// What the worlds of one seed are made with.
pub(crate) struct Maker {
    pub(crate) dice: Dice,
    addresses: Addresses,
    /// Numbers the objects that need a name of their own.
    serial: usize,
    /// Whether there are ServiceImports.
    imports: bool,
    /// Whether objects have labels that a selector asks for.
    labels: bool,
    /// Whether the asking client is a Pod.
    searches: bool,
}

impl Maker {
    pub(crate) fn new(seed: u64, corefile: &Corefile) -> Maker {
        Maker {
            dice: Dice::new(seed),
            addresses: Addresses::default(),
            serial: 0,
            imports: corefile.imports(),
            labels: corefile.selects(),
            searches: corefile.searches(),
        }
    }

    /// A name that no other object has.
    fn unique(&mut self, stem: &str) -> String {
        self.serial += 1;
        format!("{stem}-{}", self.serial)
    }
}

/// Makes a cluster from nothing.
pub(crate) fn generate(maker: &mut Maker) -> World {
    let mut world = World::default();
    for name in words::NAMESPACES {
        if maker.dice.percent(85) {
            world.put(Key::namespace(name), json!({"metadata": {"labels": {"team": "a"}}}));
        }
    }
    for name in words::NAMESPACES {
        fill(maker, &mut world, name);
    }
    if maker.searches {
        pods::add_asking(&mut world, words::NAMESPACES[0]);
    }
    labels::label(maker, &mut world, 40);
    world
}

/// Puts objects into a namespace, which may lack: they are then the orphans of a deleted one.
fn fill(maker: &mut Maker, world: &mut World, namespace: &str) {
    for _ in 0..maker.dice.below(9) {
        add(maker, world, Kind::Service, namespace);
    }
    for _ in 0..maker.dice.below(6) {
        add(maker, world, Kind::EndpointSlice, namespace);
    }
    for _ in 0..maker.dice.below(8) {
        add(maker, world, Kind::Pod, namespace);
    }
    if maker.imports {
        for _ in 0..maker.dice.below(7) {
            add(maker, world, Kind::ServiceImport, namespace);
        }
    }
}

/// Adds one object of the kind, or replaces one of the same name. Services bring some of their slices with them.
fn add(maker: &mut Maker, world: &mut World, kind: Kind, namespace: &str) {
    match kind {
        Kind::Namespace => world.put(Key::namespace(namespace), json!({})),
        Kind::Service => services::add(maker, world, namespace),
        Kind::EndpointSlice => slices::add(maker, world, namespace, None),
        Kind::Pod => pods::add(maker, world, namespace),
        Kind::ServiceImport => imports::add(maker, world, namespace),
    }
}
