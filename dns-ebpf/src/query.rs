//! The query in a frame: what it takes for a frame to be one that the kernel may answer.
//!
//! Ethernet with up to two VLAN tags, IPv4 without options and fragments or IPv6 without extension headers, UDP to
//! port 53 of a served address, a plain query of one question of class IN (RFC 1035, 4.1) and at most one OPT record
//! of version 0 without options (RFC 6891, 6.1). Whatever is anything else is refused with the reason, and is the
//! agent's or the cluster's to answer.
//!
//! The question's name is not walked here: where the message ends tells where its name does.

use crate::outcome::Pass;
use crate::packet::{Packet, hide};
use crate::words::{MAX_NAME_LEN, MIN_NAME_LEN, Words};

/// Length of an Ethernet header without VLAN tags.
pub const ETHERNET_LEN: usize = 14;
/// Length of a VLAN tag (IEEE 802.1Q).
pub const VLAN_LEN: usize = 4;
/// Length of an IPv4 header without options.
pub const IPV4_LEN: usize = 20;
/// Length of an IPv6 header without extension headers.
pub const IPV6_LEN: usize = 40;
/// Length of a UDP header.
pub const UDP_LEN: usize = 8;
/// Length of a DNS message's header.
pub const DNS_HEADER_LEN: usize = 12;
/// Length of an OPT record without options: root, type, size, extended rcode and version, flags, length.
pub const OPT_LEN: usize = 11;

/// EtherType of IPv4.
pub const ETHER_IPV4: [u8; 2] = [0x08, 0x00];
/// EtherType of IPv6.
pub const ETHER_IPV6: [u8; 2] = [0x86, 0xdd];
/// EtherTypes of a VLAN tag: customer (802.1Q) and service (802.1ad).
pub const ETHER_VLAN: [[u8; 2]; 2] = [[0x81, 0x00], [0x88, 0xa8]];
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

const DNS_PORT: [u8; 2] = [0, 53];
const CLASS_IN: [u8; 2] = [0, 1];
/// Root name and type 41.
const OPT_START: [u8; 3] = [0, 0, 41];

/// Header flags of a plain query that are copied into the reply: RD in the first byte, CD in the second.
pub const FLAG_RD: u8 = 0x01;
/// Checking disabled (RFC 4035, 3.2.2).
pub const FLAG_CD: u8 = 0x10;
/// Authentic data: a query may ask for it (RFC 6840, 5.7), an answer of ours never has it.
const FLAG_AD: u8 = 0x20;

/// The addresses whose port 53 is ours.
pub trait Served {
    /// Says whether this IPv4 address is served.
    fn serves_ipv4(&self, address: [u8; 4]) -> bool;

    /// Says whether this IPv6 address is served.
    fn serves_ipv6(&self, address: [u8; 16]) -> bool;
}

/// The version of the Internet Protocol that a query came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip {
    /// IPv4, 20 bytes of header.
    V4,
    /// IPv6, 40 bytes of header.
    V6,
}

impl Ip {
    /// Length of this version's header, in bytes.
    #[inline(always)]
    pub const fn header_len(self) -> usize {
        match self {
            Self::V4 => IPV4_LEN,
            Self::V6 => IPV6_LEN,
        }
    }
}

/// What a query's OPT record said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt {
    /// The requestor's UDP payload size, big-endian.
    pub udp_size: [u8; 2],
    /// The upper byte of the flags: DO and its neighbours.
    pub flags: u8,
}

/// A query that may be answered, and where its parts stand in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Offset of the IP header in the frame: 14, 18 or 22.
    pub ip_at: usize,
    /// The IP version.
    pub ip: Ip,
    /// Length of the question's name in wire form, 8 to 255.
    pub name_len: usize,
    /// The question's type.
    pub qtype: u16,
    /// The header's flags that a reply repeats: RD and CD, each in its byte.
    pub flags: [u8; 2],
    /// The OPT record, if there is one.
    pub opt: Option<Opt>,
}

impl Query {
    /// Reads the query in a frame, or says why there is none to answer.
    #[inline(always)]
    pub fn parse(packet: Packet<'_>, served: &impl Served) -> Result<Self, Pass> {
        let (ip_at, ether_type) = ethernet(packet)?;
        let ip_packet = packet.skip(ip_at);
        let ip = match ether_type {
            ETHER_IPV4 => ipv4(ip_packet, packet.len().wrapping_sub(ip_at), served)?,
            ETHER_IPV6 => ipv6(ip_packet, packet.len().wrapping_sub(ip_at), served)?,
            _ => return Err(Pass::NotDns),
        };
        let message_at = ip.header_len() + UDP_LEN;
        let message = ip_packet.skip(message_at);
        dns(message, packet.len().wrapping_sub(ip_at + message_at), ip_at, ip)
    }

    /// Offset of the DNS message in the frame.
    #[inline(always)]
    pub fn message_at(&self) -> usize {
        self.ip_at + self.ip.header_len() + UDP_LEN
    }

    /// Length of the message's header and question, in bytes.
    #[inline(always)]
    pub fn question_end(&self) -> usize {
        DNS_HEADER_LEN + self.name_len + 4
    }

    /// The question's name in the frame that it was parsed from.
    #[inline(always)]
    pub fn name<'a>(&self, packet: Packet<'a>) -> QuestionName<'a> {
        QuestionName {
            name: packet.skip(self.message_at() + DNS_HEADER_LEN),
            len: self.name_len,
        }
    }
}

/// Finds the IP header: its offset and the EtherType before it.
#[inline(always)]
fn ethernet(packet: Packet<'_>) -> Result<(usize, [u8; 2]), Pass> {
    let mut ip_at = ETHERNET_LEN;
    for _ in 0..2 {
        let ether_type = packet.read(ip_at - 2).ok_or(Pass::NotDns)?;
        if !ETHER_VLAN.contains(&ether_type) {
            return Ok((ip_at, ether_type));
        }
        ip_at += VLAN_LEN;
    }
    let ether_type = packet.read(ip_at - 2).ok_or(Pass::NotDns)?;
    Ok((ip_at, ether_type))
}

/// Checks the IPv4 and UDP headers of a packet of `len` bytes.
///
/// ```text
///  0                   1                   2                   3
/// +-------+-------+---------------+-------------------------------+
/// |  4    |  5    | type of serv. |         total length          |
/// |        identification         |0 D M|     fragment offset     |
/// |      TTL      |      17       |        header checksum        |
/// |                            source                             |
/// |                          destination                          |
/// ```
#[inline(always)]
fn ipv4(packet: Packet<'_>, len: usize, served: &impl Served) -> Result<Ip, Pass> {
    let header: [u8; IPV4_LEN + UDP_LEN] = packet.read(0).ok_or(Pass::NotDns)?;
    let [
        version_ihl,
        _,
        total_0,
        total_1,
        _,
        _,
        fragment_0,
        fragment_1,
        _,
        protocol,
        ..,
    ] = header;
    // All of the fragment field must be zero but "don't fragment".
    let whole = fragment_0 & 0xbf == 0 && fragment_1 == 0;
    if version_ihl != 0x45 || protocol != UDP || !whole || [header[22], header[23]] != DNS_PORT {
        return Err(Pass::NotDns);
    }
    if !served.serves_ipv4([header[16], header[17], header[18], header[19]]) {
        return Err(Pass::NotServed);
    }
    let total = usize::from(u16::from_be_bytes([total_0, total_1]));
    let udp = usize::from(u16::from_be_bytes([header[24], header[25]]));
    if total != len || udp != len - IPV4_LEN {
        return Err(Pass::Malformed);
    }
    Ok(Ip::V4)
}

/// Checks the IPv6 and UDP headers of a packet of `len` bytes.
///
/// ```text
///  0                   1                   2                   3
/// +-------+---------------+---------------------------------------+
/// |   6   | traffic class |              flow label               |
/// |        payload length         |      17       |   hop limit   |
/// |                       source, 16 bytes                        |
/// |                     destination, 16 bytes                     |
/// ```
#[inline(always)]
fn ipv6(packet: Packet<'_>, len: usize, served: &impl Served) -> Result<Ip, Pass> {
    let header: [u8; IPV6_LEN + UDP_LEN] = packet.read(0).ok_or(Pass::NotDns)?;
    if header[0] >> 4 != 6 || header[6] != UDP || [header[42], header[43]] != DNS_PORT {
        return Err(Pass::NotDns);
    }
    let destination = packet.read(24).ok_or(Pass::NotDns)?;
    if !served.serves_ipv6(destination) {
        return Err(Pass::NotServed);
    }
    let payload = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let udp = usize::from(u16::from_be_bytes([header[44], header[45]]));
    if payload != len - IPV6_LEN || udp != payload {
        return Err(Pass::Malformed);
    }
    Ok(Ip::V6)
}

/// Checks a message of `len` bytes: header, question, OPT.
#[inline(always)]
fn dns(message: Packet<'_>, len: usize, ip_at: usize, ip: Ip) -> Result<Query, Pass> {
    let header: [u8; DNS_HEADER_LEN] = message.read(0).ok_or(Pass::Malformed)?;
    let [_, _, flags_0, flags_1, counts @ .., additional] = header;
    if flags_0 & !FLAG_RD != 0 || flags_1 & !(FLAG_AD | FLAG_CD) != 0 {
        return Err(Pass::NotQuery);
    }
    if counts != [0, 1, 0, 0, 0, 0, 0] || additional > 1 {
        return Err(Pass::NotQuery);
    }
    let after_question = usize::from(additional) * OPT_LEN;
    let name_len = len.wrapping_sub(DNS_HEADER_LEN + 4 + after_question);
    if !(1..=MAX_NAME_LEN).contains(&name_len) {
        return Err(Pass::Malformed);
    }
    let name_len = hide(name_len) & MAX_NAME_LEN;
    let question_end = message.skip(DNS_HEADER_LEN + name_len);
    let [type_0, type_1, class @ ..]: [u8; 4] = question_end.read(0).ok_or(Pass::Malformed)?;
    let opt = match additional {
        0 => None,
        _ => Some(opt(question_end.skip(4))?),
    };
    if class != CLASS_IN {
        return Err(Pass::Class);
    }
    if name_len < MIN_NAME_LEN {
        return Err(Pass::NameUnknown);
    }
    let flags = [flags_0, flags_1 & FLAG_CD];
    // Verifier: hidden, or all that follows would be walked through once for each number of VLAN tags.
    let ip_at = hide(ip_at) & 0x1f;
    Ok(Query {
        ip_at,
        ip,
        name_len,
        qtype: u16::from_be_bytes([type_0, type_1]),
        flags,
        opt,
    })
}

#[inline(always)]
fn opt(record: Packet<'_>) -> Result<Opt, Pass> {
    let bytes: [u8; OPT_LEN] = record.read(0).ok_or(Pass::Malformed)?;
    let [
        root,
        type_0,
        type_1,
        size_0,
        size_1,
        extended_rcode,
        version,
        flags,
        _,
        rdlen_0,
        rdlen_1,
    ] = bytes;
    let plain = [extended_rcode, version, rdlen_0, rdlen_1] == [0; 4];
    if [root, type_0, type_1] != OPT_START || !plain {
        return Err(Pass::Edns);
    }
    Ok(Opt {
        udp_size: [size_0, size_1],
        flags,
    })
}

/// A question's name where it stands in the frame.
#[derive(Clone, Copy)]
pub struct QuestionName<'a> {
    name: Packet<'a>,
    len: usize,
}

impl Words for QuestionName<'_> {
    #[inline(always)]
    fn afresh(&self) -> Self {
        Self {
            name: self.name.afresh(self.len),
            ..*self
        }
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn word(&self, index: usize) -> Option<u64> {
        self.name.read(8 * index)
    }

    #[inline(always)]
    fn last_word(&self) -> u64 {
        // Verifier: masked again, since the bound known of the length is lost where it was stored.
        self.name
            .skip(hide(self.len.wrapping_sub(8)) & MAX_NAME_LEN)
            .read(0)
            .unwrap_or(0)
    }
}
