//! Which names are looked up, and how often. The proportions are chosen, not taken from a cluster: the figures are told for
//! both kinds of names, too.

use std::net::IpAddr;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// A name as programs know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// How many of a hundred lookups are for it.
    share: usize,
    /// The name, which the search list completes.
    pub(crate) name: &'static str,
    /// What it has, in order.
    addresses: &'static [&'static str],
    /// Whether the cluster knows the name.
    pub(crate) is_of_cluster: bool,
}

impl Entry {
    /// What it has, in order.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.addresses
            .iter()
            .filter_map(|address| address.parse().ok())
            .collect()
    }
}

/// The names of Services are those of `stage.rs`, asked from the namespace `default`.
pub(crate) const MIX: [Entry; 11] = [
    inside(20, "web", WEB),
    inside(20, "cart.shop", CART),
    inside(8, "cart.shop.svc", CART),
    inside(15, "cart.shop.svc.cluster.local", CART),
    inside(4, "db.data", &["10.244.7.1", "10.244.7.2", "10.244.7.3"]),
    inside(4, "db-0.db.data", &["10.244.7.1"]),
    // An ExternalName, which only the upstream resolves.
    inside(1, "partner.shop", API),
    // A mistake.
    inside(2, "absent.shop", &[]),
    outside(12, "api.example.com", API),
    outside(8, "storage.eu-1.example.net", &["203.0.113.2", "2001:db8::2"]),
    outside(6, "telemetry.example.org", &["203.0.113.3"]),
];

pub(crate) const WEB: &[&str] = &["10.96.1.1", "fd00:96::101"];
pub(crate) const CART: &[&str] = &["10.96.1.2", "fd00:96::102"];
const API: &[&str] = &["203.0.113.1", "2001:db8::1"];

const fn inside(share: usize, name: &'static str, addresses: &'static [&'static str]) -> Entry {
    Entry {
        share,
        name,
        addresses,
        is_of_cluster: true,
    }
}

const fn outside(share: usize, name: &'static str, addresses: &'static [&'static str]) -> Entry {
    Entry {
        is_of_cluster: false,
        ..inside(share, name, addresses)
    }
}

/// So many lookups in their proportions, in an order that is the same each time.
pub(crate) fn draw(lookups: usize) -> Vec<Entry> {
    let hundred = MIX.iter().flat_map(|entry| vec![*entry; entry.share]);
    let mut entries: Vec<_> = hundred.cycle().take(lookups.next_multiple_of(100)).collect();
    entries.shuffle(&mut StdRng::seed_from_u64(1));
    entries.truncate(lookups);
    entries
}

/// The proportions, for whoever reads the figures.
pub(crate) fn describe() -> String {
    let parts = MIX.map(|entry| format!("{} {}", entry.share, entry.name));
    format!("of 100 lookups: {}", parts.join(", "))
}
