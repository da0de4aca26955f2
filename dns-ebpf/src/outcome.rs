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

/// How a packet's visit ended. The discriminant is the index of its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered with the address records of this family.
    Address(Family),
    /// Answered with NODATA: the name exists, this family does not.
    NoData(Family),
    /// Passed on unchanged.
    Pass(Pass),
}

/// The address family of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A records.
    Ipv4,
    /// AAAA records.
    Ipv6,
}
