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
    /// An additional record that is no OPT of version 0 without options.
    Edns,
    /// The agent has been gone for longer than its lease.
    LeaseExpired,
    /// The tables are not complete yet.
    Unsynced,
    /// No such name in the tables.
    NameUnknown,
    /// The name is known, the type is not answered here.
    TypeUnanswered,
    /// The record was being rewritten while it was read.
    Changing,
    /// The frame cannot grow to hold the reply.
    NoRoom,
}

impl Pass {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 12] = [
        Self::NotDns,
        Self::NotServed,
        Self::Malformed,
        Self::NotQuery,
        Self::Class,
        Self::Edns,
        Self::LeaseExpired,
        Self::Unsynced,
        Self::NameUnknown,
        Self::TypeUnanswered,
        Self::Changing,
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
            Self::NameUnknown => "name_unknown",
            Self::TypeUnanswered => "type_unanswered",
            Self::Changing => "changing",
            Self::NoRoom => "no_room",
        }
    }
}

/// The type of a question, as far as answers are counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A.
    A,
    /// AAAA.
    Aaaa,
    /// Any other type.
    Other,
}

impl Kind {
    /// Every kind, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::A, Self::Aaaa, Self::Other];

    /// The kind's name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Other => "other",
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
