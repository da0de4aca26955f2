//! Entries, to be found by name and by address.

use std::collections::HashMap;
use std::net::IpAddr;

use domain::base::iana::Rtype;

use crate::corefile::{HostEntry, Hosts};
use crate::name::Name;

/// Entries, to be found by name and by address.
#[derive(Default)]
pub(super) struct Table {
    ipv4: Family,
    ipv6: Family,
    /// The names of each address, in the order of the file.
    names: HashMap<IpAddr, Vec<Name>>,
    len: usize,
}

/// The addresses of a family, by names in wire form.
#[derive(Default)]
struct Family {
    exact: HashMap<Box<[u8]>, Vec<IpAddr>>,
    /// Those of `*`, by the name behind it.
    wild: HashMap<Box<[u8]>, Vec<IpAddr>>,
}

impl Table {
    /// The entries whose names lie in the zones of a `hosts`.
    pub(super) fn new(config: &Hosts, entries: impl Iterator<Item = HostEntry>) -> Self {
        let mut table = Self::default();
        for HostEntry { address, names } in entries {
            for name in names.into_iter().filter(|name| config.takes(name)) {
                table.insert(address, name, config.reverse);
            }
        }
        table
    }

    fn insert(&mut self, address: IpAddr, name: Name, has_name: bool) {
        let family = match address {
            IpAddr::V4(_) => &mut self.ipv4,
            IpAddr::V6(_) => &mut self.ipv6,
        };
        self.len += 1;
        if let Some(parent) = name.as_wire().strip_prefix(b"\x01*") {
            family.wild.entry(parent.into()).or_default().push(address);
            return;
        }
        family.exact.entry(name.as_wire().into()).or_default().push(address);
        if has_name {
            self.len += 1;
            self.names.entry(address).or_default().push(name);
        }
    }

    /// The addresses of a name that A or AAAA records have.
    pub(super) fn addresses(&self, name: &Name, qtype: Rtype) -> &[IpAddr] {
        let family = match qtype {
            Rtype::AAAA => &self.ipv6,
            _ => &self.ipv4,
        };
        family.find(name).map_or(&[], Vec::as_slice)
    }

    /// The names of an address.
    pub(super) fn names(&self, address: IpAddr) -> &[Name] {
        self.names.get(&address).map_or(&[], Vec::as_slice)
    }

    /// How many addresses the names have, and how many names the addresses.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Family {
    /// The addresses of a name, or of the `*` in the place of its first label, unless nothing stands behind that.
    fn find(&self, name: &Name) -> Option<&Vec<IpAddr>> {
        let wire = name.as_wire();
        let parent = wire.get(usize::from(wire[0]) + 1..).filter(|parent| parent.len() > 1);
        let wild = || self.wild.get(parent?);
        self.exact.get(wire).or_else(wild)
    }
}
