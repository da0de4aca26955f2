//! The deciding function: from a question to a verdict, for the kernel and for the agent's server alike.
//!
//! It is pure and generic over the tables that it reads, so that both sides cannot disagree. It knows no packet and no
//! message; the rules are those of CoreDNS's `kubernetes` plugin.

use crate::outcome::Pass;

/// The type code of an A question (RFC 1035, 3.2.2).
pub const TYPE_A: u16 = 1;
/// The type code of an AAAA question (RFC 3596, 2.1).
pub const TYPE_AAAA: u16 = 28;

/// What is known of a name: the record sets that fit inline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The A record's address, if the name has one.
    pub ipv4: Option<[u8; 4]>,
    /// The AAAA record's address, if the name has one.
    pub ipv6: Option<[u8; 16]>,
    /// The zone that the name stands in.
    pub zone: Zone,
}

/// What a denial and a TTL need to know of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Length in bytes of the zone's name in wire form; the name's last `name_len` bytes are the zone.
    pub name_len: u8,
    /// The `ttl` option: TTL of positive answers and the SOA's minimum field, in seconds.
    pub ttl: u32,
}

/// What the tables say of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The name exists, with exactly these addresses.
    Found(Entry),
    /// The name certainly does not exist in this zone.
    Absent(Zone),
    /// Nothing certain is known.
    Unknown(Pass),
}

/// The tables that [`decide`] reads.
pub trait Tables {
    /// How a question's name is presented to these tables.
    type Name: ?Sized;

    /// Says whether the tables may be answered from at all: synced, and under a live lease.
    fn standing(&self) -> Result<(), Pass>;

    /// Looks a name up, whatever its letter case.
    fn find(&self, name: &Self::Name) -> Lookup;
}

/// What to do with a question of class IN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer with one A record.
    A([u8; 4], Zone),
    /// Answer with one AAAA record.
    Aaaa([u8; 16], Zone),
    /// NOERROR with the zone's SOA: the name exists, the type does not.
    NoData(Zone),
    /// NXDOMAIN with the zone's SOA: the name does not exist.
    NxDomain(Zone),
    /// Say nothing.
    Pass(Pass),
}

/// Decides a question of class IN.
#[inline(always)]
pub fn decide<T: Tables>(tables: &T, name: &T::Name, qtype: u16) -> Verdict {
    if let Err(reason) = tables.standing() {
        return Verdict::Pass(reason);
    }
    match tables.find(name) {
        Lookup::Found(entry) => answer(&entry, qtype),
        Lookup::Absent(zone) => Verdict::NxDomain(zone),
        Lookup::Unknown(reason) => Verdict::Pass(reason),
    }
}

#[inline(always)]
fn answer(entry: &Entry, qtype: u16) -> Verdict {
    match (qtype, entry.ipv4, entry.ipv6) {
        (TYPE_A, Some(address), _) => Verdict::A(address, entry.zone),
        (TYPE_AAAA, _, Some(address)) => Verdict::Aaaa(address, entry.zone),
        (TYPE_A | TYPE_AAAA, _, _) => Verdict::NoData(entry.zone),
        _ => Verdict::Pass(Pass::TypeUnanswered),
    }
}
