//! The deciding function: from a question to a verdict, for the kernel and for the agent's server alike.
//!
//! It is pure and generic over the tables that it reads, so that both sides cannot disagree. It knows no packet and no
//! message; the rules are those of CoreDNS's `kubernetes` plugin.

use crate::outcome::Pass;

/// The type code of an A question (RFC 1035, 3.2.2).
pub const TYPE_A: u16 = 1;
/// The type code of an SOA question (RFC 1035, 3.2.2).
pub const TYPE_SOA: u16 = 6;
/// The type code of an AAAA question (RFC 3596, 2.1).
pub const TYPE_AAAA: u16 = 28;

/// Bits of [`Entry::types`]: which record sets a name has.
pub mod types {
    /// An A record.
    pub const A: u8 = 1;
    /// An AAAA record.
    pub const AAAA: u8 = 2;
}

/// An address in network byte order.
///
/// Verifier: the compiler may copy it by way of the stack, where only aligned accesses are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Octets<const N: usize>(pub [u8; N]);

impl<const N: usize> Default for Octets<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

/// What is known of a name: the record sets that fit inline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Which of the record sets exist, see [`types`].
    pub types: u8,
    /// The A record's address, or zeros.
    pub ipv4: Octets<4>,
    /// The AAAA record's address, or zeros.
    pub ipv6: Octets<16>,
    /// The zone that the name stands in.
    pub zone: Zone,
}

impl Entry {
    /// Makes the entry of a name with these addresses.
    pub fn new(ipv4: Option<[u8; 4]>, ipv6: Option<[u8; 16]>, zone: Zone) -> Self {
        let types = (u8::from(ipv4.is_some()) * types::A) | (u8::from(ipv6.is_some()) * types::AAAA);
        Self {
            types,
            ipv4: Octets(ipv4.unwrap_or_default()),
            ipv6: Octets(ipv6.unwrap_or_default()),
            zone,
        }
    }
}

/// What a denial and a TTL need to know of a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// Length in bytes of the zone's name in wire form; the name's last `name_len` bytes are the zone.
    pub name_len: u8,
    /// The `ttl` option: TTL of positive answers and the SOA's minimum field, in seconds.
    pub ttl: u32,
}

/// What the tables say of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The name exists, with exactly the entry's record sets.
    Found,
    /// The name certainly does not exist in the entry's zone.
    Absent,
    /// Nothing certain is known.
    Unknown(Pass),
}

/// A finding and what was found.
///
/// Verifier: a value whose parts exist only in some cases leaves registers unset in the others, and is refused where
/// the compiler spills it; so here and in [`Verdict`] every part is there in every case, as zeros where it means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// What is known.
    pub finding: Finding,
    /// What was found; of a name that does not exist, its zone.
    pub entry: Entry,
}

impl Lookup {
    /// The name exists.
    #[inline(always)]
    pub fn found(entry: Entry) -> Self {
        Self {
            finding: Finding::Found,
            entry,
        }
    }

    /// The name certainly does not exist in this zone.
    #[inline(always)]
    pub fn absent(zone: Zone) -> Self {
        Self {
            finding: Finding::Absent,
            entry: Entry {
                zone,
                ..Entry::default()
            },
        }
    }

    /// Nothing certain is known.
    #[inline(always)]
    pub fn unknown(reason: Pass) -> Self {
        Self {
            finding: Finding::Unknown(reason),
            entry: Entry::default(),
        }
    }
}

/// The tables that [`decide`] reads; `N` is how a question's name is presented to them.
pub trait Tables<N: ?Sized> {
    /// Says whether the tables may be answered from at all: synced, and under a live lease.
    fn standing(&self) -> Result<(), Pass>;

    /// Looks a name up, whatever its letter case.
    fn find(&self, name: &N) -> Lookup;

    /// The serial of the zones' SOA records: Unix time of the last change, 0 before any.
    fn serial(&self) -> u32;
}

/// What to do with a question of class IN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answer with one A record.
    A,
    /// Answer with one AAAA record.
    Aaaa,
    /// NOERROR with the zone's SOA: the name exists, the type does not.
    NoData,
    /// NXDOMAIN with the zone's SOA: the name does not exist.
    NxDomain,
    /// Say nothing.
    Pass(Pass),
}

/// An action and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What to do.
    pub action: Action,
    /// What to do it with: the addresses, and the zone that answers.
    pub entry: Entry,
}

/// Decides a question of class IN.
#[inline(always)]
pub fn decide<N: ?Sized>(tables: &impl Tables<N>, name: &N, qtype: u16) -> Verdict {
    if let Err(reason) = tables.standing() {
        return Verdict {
            action: Action::Pass(reason),
            entry: Entry::default(),
        };
    }
    let Lookup { finding, entry } = tables.find(name);
    let action = match finding {
        Finding::Found => answer(entry.types, qtype),
        // As CoreDNS does: any name of a zone has the zone's SOA, if only to say that there is none of its own.
        Finding::Absent if qtype == TYPE_SOA => Action::NoData,
        Finding::Absent => Action::NxDomain,
        Finding::Unknown(reason) => Action::Pass(reason),
    };
    Verdict { action, entry }
}

#[inline(always)]
fn answer(existing: u8, qtype: u16) -> Action {
    match qtype {
        TYPE_A if existing & types::A != 0 => Action::A,
        TYPE_AAAA if existing & types::AAAA != 0 => Action::Aaaa,
        TYPE_A | TYPE_AAAA => Action::NoData,
        _ => Action::Pass(Pass::TypeUnanswered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: Zone = Zone { name_len: 15, ttl: 30 };

    /// Tables that know one thing.
    struct One {
        standing: Result<(), Pass>,
        lookup: Lookup,
    }

    impl Tables<str> for One {
        fn standing(&self) -> Result<(), Pass> {
            self.standing
        }

        fn find(&self, _name: &str) -> Lookup {
            self.lookup
        }

        fn serial(&self) -> u32 {
            7
        }
    }

    #[test]
    fn says_what_the_tables_and_the_type_ask_for() {
        let entry = |ipv4, ipv6| Lookup::found(Entry::new(ipv4, ipv6, ZONE));
        let (v4, v6) = (Some([10, 0, 0, 1]), Some([0xfd; 16]));
        let (srv, any) = (33, 255);
        let unanswered = Action::Pass(Pass::TypeUnanswered);
        for (lookup, qtype, action) in [
            (entry(v4, None), TYPE_A, Action::A),
            (entry(v4, None), TYPE_AAAA, Action::NoData),
            (entry(None, v6), TYPE_A, Action::NoData),
            (entry(None, v6), TYPE_AAAA, Action::Aaaa),
            (entry(v4, v6), TYPE_A, Action::A),
            (entry(v4, v6), TYPE_AAAA, Action::Aaaa),
            (entry(None, None), TYPE_A, Action::NoData),
            (entry(v4, v6), srv, unanswered),
            (entry(v4, v6), any, unanswered),
            (entry(v4, v6), 0, unanswered),
            (Lookup::absent(ZONE), TYPE_A, Action::NxDomain),
            (Lookup::absent(ZONE), any, Action::NxDomain),
            (Lookup::absent(ZONE), TYPE_SOA, Action::NoData),
            (
                Lookup::unknown(Pass::NameUnknown),
                TYPE_A,
                Action::Pass(Pass::NameUnknown),
            ),
            (Lookup::unknown(Pass::Changing), TYPE_SOA, Action::Pass(Pass::Changing)),
        ] {
            let tables = One {
                standing: Ok(()),
                lookup,
            };
            let verdict = decide(&tables, "", qtype);
            assert_eq!(
                verdict,
                Verdict {
                    action,
                    entry: lookup.entry
                },
                "{lookup:?} {qtype}"
            );
        }
    }

    #[test]
    fn says_nothing_from_tables_that_do_not_stand() {
        for reason in [Pass::Unsynced, Pass::LeaseExpired] {
            let tables = One {
                standing: Err(reason),
                lookup: Lookup::absent(ZONE),
            };
            assert_eq!(decide(&tables, "", TYPE_A).action, Action::Pass(reason));
        }
    }
}
