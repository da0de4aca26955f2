//! The zone table: from canonical name to what is known of it. The kernel's tables and the server are fed from here.

use std::sync::{Arc, RwLock};

use dns_ebpf::decide::{Entry, Lookup, Tables};
use dns_ebpf::outcome::Pass;

use crate::index::Event;
use crate::name::Name;

/// The zone table, shared between the one task that updates it and the server's.
pub type SharedZoneTable = Arc<RwLock<ZoneTable>>;

/// A zone that the `kubernetes` plugin serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedZone {
    /// The zone's name.
    pub name: Name,
    /// The `ttl` option, in seconds.
    pub ttl: u32,
}

/// What an update changed for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The name now has this entry, whether or not it had one.
    Put(Name, Entry),
    /// The name is gone.
    Remove(Name),
}

/// From canonical name to what is known of it.
#[derive(Debug, Default)]
pub struct ZoneTable {}

impl ZoneTable {
    /// Makes an empty, unsynced table of these forward zones.
    pub fn new(_zones: Vec<ServedZone>) -> Self {
        Self {}
    }

    /// Takes an event in and returns the changes, in an order in which they may be published one by one.
    ///
    /// `now` is the Unix time in seconds: the zones' serial when something changed.
    pub fn update(&mut self, _event: Event, _now: u32) -> Vec<Change> {
        Vec::new()
    }

    /// Says whether the name stands in a forward zone of this table, at its apex or below.
    pub fn encloses(&self, _name: &Name) -> bool {
        false
    }
}

impl Tables<Name> for ZoneTable {
    fn standing(&self) -> Result<(), Pass> {
        Err(Pass::Unsynced)
    }

    fn find(&self, _name: &Name) -> Lookup {
        Lookup::unknown(Pass::NameUnknown)
    }

    fn serial(&self) -> u32 {
        0
    }
}
