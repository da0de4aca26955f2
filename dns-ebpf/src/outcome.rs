//! Every way in which a packet's visit can end: one variant, one counter, one metric each.

/// Why a packet goes on unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Pass {
    /// Not UDP to port 53 over plain IPv4 or IPv6: another protocol, a fragment, IP options or extension headers.
    NotDns,
    /// Sent to an address that is not ours.
    NotServed,
    /// Lengths disagree, or the message is too short to hold a question.
    Malformed,
    /// Not a plain query: a response, another opcode, unusual flags or counts.
    NotQuery,
    /// The question's class is not IN.
    Class,
    /// An additional record that is no OPT of version 0 without options but a client's cookie.
    Edns,
    /// The agent has been gone for longer than its lease.
    LeaseExpired,
    /// The tables are not complete yet.
    Unsynced,
    /// The name stands in no zone of the tables.
    OutsideZones,
    /// The name is not in the tables, which is not enough to say that it does not exist.
    Uncertain,
    /// The name exists, but what it has of this type is not held here: it lies elsewhere, or is too large for any reply.
    NotHeld,
    /// The type is never answered here: a zone transfer.
    Transfer,
    /// The reply is larger than the requestor takes, or than the link.
    TooLarge,
    /// The frame cannot grow to hold the reply.
    NoRoom,
}

impl Pass {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 14] = [
        Self::NotDns,
        Self::NotServed,
        Self::Malformed,
        Self::NotQuery,
        Self::Class,
        Self::Edns,
        Self::LeaseExpired,
        Self::Unsynced,
        Self::OutsideZones,
        Self::Uncertain,
        Self::NotHeld,
        Self::Transfer,
        Self::TooLarge,
        Self::NoRoom,
    ];

    /// The reason's name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotDns => "not_dns",
            Self::NotServed => "not_served",
            Self::Malformed => "malformed",
            Self::NotQuery => "not_query",
            Self::Class => "class",
            Self::Edns => "edns",
            Self::LeaseExpired => "lease_expired",
            Self::Unsynced => "unsynced",
            Self::OutsideZones => "outside_zones",
            Self::Uncertain => "uncertain",
            Self::NotHeld => "not_held",
            Self::Transfer => "transfer",
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
        }
    }
}

/// The code of the type of an IPv4 address (RFC 1035, 3.4.1).
pub const TYPE_A: usize = 1;
/// The code of the type of a name server (RFC 1035, 3.3.11).
pub const TYPE_NS: usize = 2;
/// The code of the type of an alias (RFC 1035, 3.3.1).
pub const TYPE_CNAME: usize = 5;
/// The code of the type of a zone's data (RFC 1035, 3.3.13).
pub const TYPE_SOA: usize = 6;
/// The code of the type of an address's name (RFC 1035, 3.3.12).
pub const TYPE_PTR: usize = 12;
/// The code of the type of text (RFC 1035, 3.3.14).
pub const TYPE_TXT: usize = 16;
/// The code of the type of an IPv6 address (RFC 3596).
pub const TYPE_AAAA: usize = 28;
/// The code of the type of a port and where it is (RFC 2782).
pub const TYPE_SRV: usize = 33;

/// The type of a question, as far as answers are counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Any other type.
    Other,
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// A port and where it is.
    Srv,
    /// An address's name.
    Ptr,
    /// Text.
    Txt,
    /// A name server.
    Ns,
    /// An alias.
    Cname,
    /// A zone's data.
    Soa,
}

impl Kind {
    /// Every kind, in the order of their counters.
    pub const ALL: [Self; 9] = [
        Self::Other,
        Self::A,
        Self::Aaaa,
        Self::Srv,
        Self::Ptr,
        Self::Txt,
        Self::Ns,
        Self::Cname,
        Self::Soa,
    ];

    /// The kind of a type code.
    #[inline(always)]
    pub const fn of(qtype: usize) -> Self {
        match qtype {
            TYPE_A => Self::A,
            TYPE_NS => Self::Ns,
            TYPE_CNAME => Self::Cname,
            TYPE_SOA => Self::Soa,
            TYPE_PTR => Self::Ptr,
            TYPE_TXT => Self::Txt,
            TYPE_AAAA => Self::Aaaa,
            TYPE_SRV => Self::Srv,
            _ => Self::Other,
        }
    }

    /// The kind's name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
            Self::Ptr => "PTR",
            Self::Txt => "TXT",
            Self::Ns => "NS",
            Self::Cname => "CNAME",
            Self::Soa => "SOA",
        }
    }
}

/// The rcode of an answer (RFC 1035, 4.1.1), as far as answers are counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Rcode {
    /// The name exists: records, or NODATA.
    NoError,
    /// The name does not exist.
    NxDomain,
}

impl Rcode {
    /// Every rcode, in the order of their counters.
    pub const ALL: [Self; 2] = [Self::NoError, Self::NxDomain];

    /// The rcode's name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoError => "NOERROR",
            Self::NxDomain => "NXDOMAIN",
        }
    }
}

/// How a packet's visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered in place.
    Answered(Kind, Rcode),
    /// Passed on unchanged.
    Pass(Pass),
}

impl Outcome {
    /// How many different outcomes there are.
    pub const COUNT: usize = Pass::ALL.len() + Kind::ALL.len() * Rcode::ALL.len();

    /// The index of this outcome's counter, less than [`Self::COUNT`].
    #[inline(always)]
    pub const fn counter(self) -> usize {
        match self {
            Self::Pass(reason) => reason as usize,
            Self::Answered(kind, rcode) => Pass::ALL.len() + kind as usize * Rcode::ALL.len() + rcode as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_counter_of_its_own() {
        let passes = Pass::ALL.into_iter().map(Outcome::Pass);
        let answers = Kind::ALL
            .into_iter()
            .flat_map(|kind| Rcode::ALL.map(|rcode| Outcome::Answered(kind, rcode)));
        let counters: Vec<_> = passes.chain(answers).map(Outcome::counter).collect();
        assert_eq!(counters, (0..Outcome::COUNT).collect::<Vec<_>>());
    }
}
