//! The headers in front of a question, field by field, as they stand in a frame.
//!
//! Layouts only: what a field must hold for a packet to be answered is [`crate::query`]'s to say.

use crate::packet::Plain;

/// A 16-bit field in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Be16(u16);

impl Be16 {
    /// Makes the field of a number.
    #[inline(always)]
    pub const fn new(number: u16) -> Self {
        Self(number.to_be())
    }

    /// The number.
    #[inline(always)]
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }

    /// The field's two bytes, read as they stand.
    #[inline(always)]
    pub const fn as_it_stands(self) -> u16 {
        self.0
    }
}

/// A 32-bit field in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Be32(u32);

impl Be32 {
    /// Makes the field of a number.
    #[inline(always)]
    pub const fn new(number: u32) -> Self {
        Self(number.to_be())
    }
}

/// An IPv4 header without options (RFC 791, 3.1).
///
/// ```text
///  0                   1                   2                   3
/// +-------+-------+---------------+-------------------------------+
/// |version|  IHL  |type of service|         total length          |
/// |        identification         |flags|    fragment offset      |
/// | time to live  |   protocol    |        header checksum        |
/// |                        source address                         |
/// |                      destination address                      |
/// ```
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct Ipv4 {
    /// Version in the upper half, header length in 32-bit words in the lower.
    pub version_ihl: u8,
    /// Type of service.
    pub service: u8,
    /// Length of the packet with this header, in bytes.
    pub total_len: Be16,
    /// Identification.
    pub id: Be16,
    /// Flags in the upper three bits, offset in the others.
    pub fragment: Be16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// One's complement sum of this header.
    pub checksum: u16,
    /// Source address, as it stands in the packet.
    pub source: [u8; 4],
    /// Destination address, as it stands in the packet.
    pub destination: [u8; 4],
}

/// An IPv6 header (RFC 8200, 3).
///
/// ```text
///  0                   1                   2                   3
/// +-------+---------------+---------------------------------------+
/// |version| traffic class |              flow label               |
/// |        payload length         |  next header  |   hop limit   |
/// |                   source address, 16 bytes                    |
/// |                 destination address, 16 bytes                 |
/// ```
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct Ipv6 {
    /// Version in the upper four bits, then traffic class and flow label.
    pub version: [u8; 4],
    /// Length of what follows this header, in bytes.
    pub payload_len: Be16,
    /// Protocol of the payload.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address, as it stands in the packet.
    pub source: [u64; 2],
    /// Destination address, as it stands in the packet.
    pub destination: [u64; 2],
}

/// Swaps the two addresses that an Ethernet frame begins with, six bytes each, given as eight and four bytes as they stand.
///
/// Not as two arrays, which would be copied byte by byte.
#[inline(always)]
pub fn swap_ethernet((first, second): (u64, u32)) -> (u64, u32) {
    let (first, second) = (u64::from_le(first), u64::from(u32::from_le(second)));
    let source = first >> 48 | second << 16;
    ((source | first << 48).to_le(), ((first >> 16) as u32).to_le())
}

/// A UDP header (RFC 768).
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct Udp {
    /// Source port.
    pub source: Be16,
    /// Destination port.
    pub destination: Be16,
    /// Length of this header and the payload, in bytes.
    pub len: Be16,
    /// One's complement sum of pseudo-header, header and payload; 0 for none.
    pub checksum: u16,
}

/// A DNS message's header (RFC 1035, 4.1.1).
///
/// ```text
///  0  1  2  3  4  5  6  7  8  9  0  1  2  3  4  5
/// +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
/// |                      ID                       |
/// |QR|   Opcode  |AA|TC|RD|RA| Z|AD|CD|   Rcode   |
/// |        QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT     |
/// ```
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct Dns {
    /// The ID.
    pub id: Be16,
    /// The flags, opcode and rcode.
    pub flags: Be16,
    /// QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT: four fields of 16 bits, as they stand in the packet.
    pub counts: u64,
}

/// The four counts of a DNS header as they stand in a packet.
#[inline(always)]
pub const fn counts(questions: u16, answers: u16, authorities: u16, additionals: u16) -> u64 {
    let all = (questions as u64) << 48 | (answers as u64) << 32 | (authorities as u64) << 16 | additionals as u64;
    all.to_be()
}

/// An OPT record without options (RFC 6891, 6.1.2).
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct Opt {
    /// The name: the root, 0.
    pub name: u8,
    /// The type, 41.
    pub rtype: Be16,
    /// The requestor's UDP payload size.
    pub udp_size: Be16,
    /// The upper bits of the rcode.
    pub extended_rcode: u8,
    /// The version of EDNS.
    pub version: u8,
    /// DO and other flags.
    pub flags: Be16,
    /// Length of the options, in bytes.
    pub len: Be16,
}

/// The type code of an OPT record.
pub const TYPE_OPT: Be16 = Be16::new(41);

impl Opt {
    /// Says whether it is an OPT record of version 0 in a query.
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.name == 0 && { self.rtype } == TYPE_OPT && self.extended_rcode == 0 && self.version == 0
    }
}

/// The option of an OPT record that is a client's cookie (RFC 7873, 4).
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct Cookie {
    /// The code of the option, 10.
    pub code: Be16,
    /// Length of what follows: 8, since no server's cookie is in it.
    pub len: Be16,
    /// The cookie.
    pub cookie: u64,
}

impl Cookie {
    /// Makes the option of this cookie.
    #[inline(always)]
    pub const fn new(cookie: u64) -> Self {
        Self {
            code: Be16::new(10),
            len: Be16::new(8),
            cookie,
        }
    }

    /// Says whether it is one.
    #[inline(always)]
    pub fn is_clients(&self) -> bool {
        let expected = Self::new(self.cookie);
        (self.code, self.len) == (expected.code, expected.len)
    }
}

/// A resource record up to its data (RFC 1035, 4.1.3), its name a pointer (4.1.4).
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct Record {
    /// A pointer to the name.
    pub name: Be16,
    /// The type.
    pub rtype: Be16,
    /// The class.
    pub class: Be16,
    /// The time to live, in seconds.
    pub ttl: Be32,
    /// Length of the data, in bytes.
    pub data_len: Be16,
}

/// The data of an SOA record (RFC 1035, 3.3.13) whose names stand in the zone `Z`: `ns.dns.Z` and `hostmaster.Z`.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct SoaData {
    /// The labels `ns` and `dns`.
    pub server: [u8; 7],
    /// A pointer to the zone's name.
    pub server_zone: Be16,
    /// The label `hostmaster`.
    pub mailbox: [u8; 11],
    /// A pointer to the zone's name.
    pub mailbox_zone: Be16,
    /// The serial.
    pub serial: Be32,
    /// Refresh, retry and expire, in seconds.
    pub timers: [Be32; 3],
    /// The TTL of negative answers, in seconds.
    pub minimum: Be32,
}

// SAFETY: an integer in a transparent structure: no padding, no invalid bit patterns.
unsafe impl Plain for Be16 {}
// SAFETY: a packed structure of integers: no padding, no invalid bit patterns, no references.
unsafe impl Plain for Ipv4 {}
// SAFETY: a packed structure of integers: no padding, no invalid bit patterns, no references.
unsafe impl Plain for Ipv6 {}
// SAFETY: a packed structure of integers: no padding, no invalid bit patterns, no references.
unsafe impl Plain for Udp {}
// SAFETY: a packed structure of integers: no padding, no invalid bit patterns, no references.
unsafe impl Plain for Dns {}
// SAFETY: a packed structure of integers: no padding, no invalid bit patterns, no references.
unsafe impl Plain for Opt {}
// SAFETY: a packed structure of integers: no padding, no invalid bit patterns, no references.
unsafe impl Plain for Cookie {}
// SAFETY: a packed structure of integers: no padding, no invalid bit patterns, no references.
unsafe impl Plain for Record {}
// SAFETY: a packed structure of integers: no padding, no invalid bit patterns, no references.
unsafe impl Plain for SoaData {}

const _: () = assert!(size_of::<Ipv4>() == 20 && size_of::<Ipv6>() == 40 && size_of::<Udp>() == 8);
const _: () = assert!(size_of::<Dns>() == 12 && size_of::<Opt>() == 11 && size_of::<Cookie>() == 12);
const _: () = assert!(size_of::<Record>() == 12 && size_of::<SoaData>() == 42);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_addresses_change_places() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let (first, second) = bytes.split_at(8);
        let words = (
            first.try_into().map(u64::from_ne_bytes),
            second.try_into().map(u32::from_ne_bytes),
        );
        let (first, second) = swap_ethernet((words.0.unwrap(), words.1.unwrap()));
        let swapped = [&first.to_ne_bytes()[..], &second.to_ne_bytes()].concat();
        assert_eq!(swapped, [7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6]);
    }
}
