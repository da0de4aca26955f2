//! The query in a frame: what it takes for a frame to be one that the kernel may answer.
//!
//! Ethernet with up to two VLAN tags, IPv4 without options and fragments or IPv6 without extension headers, UDP to
//! port 53 of a served address, a plain query of one question of class IN (RFC 1035, 4.1) and at most one OPT record
//! of version 0 without options (RFC 6891, 6.1). Whatever is anything else is refused with the reason, and is the
//! agent's or the cluster's to answer.
//!
//! The question's name is not walked here: where the message ends tells where its name does.

use crate::headers::{self, Be16, Dns, Ipv4, Ipv6, Udp};
use crate::outcome::Pass;
use crate::packet::{Packet, hide};
use crate::words::{MAX_NAME_LEN, MIN_NAME_LEN, Words};

/// Length of an Ethernet header without VLAN tags.
pub const ETHERNET_LEN: usize = 14;
/// Length of a VLAN tag (IEEE 802.1Q).
const VLAN_LEN: usize = 4;
/// Length of an IPv4 header without options.
const IPV4_LEN: usize = size_of::<Ipv4>();
/// Length of an IPv6 header without extension headers.
const IPV6_LEN: usize = size_of::<Ipv6>();
/// Length of a UDP header.
pub const UDP_LEN: usize = size_of::<Udp>();
/// Length of a DNS message's header.
pub const DNS_HEADER_LEN: usize = size_of::<Dns>();
/// Length of an OPT record without options.
pub const OPT_LEN: usize = size_of::<headers::Opt>();

const ETHER_IPV4: Be16 = Be16::new(0x0800);
const ETHER_IPV6: Be16 = Be16::new(0x86dd);
/// A customer's VLAN tag (802.1Q).
const ETHER_VLAN: Be16 = Be16::new(0x8100);
/// A provider's VLAN tag (802.1ad).
const ETHER_SERVICE_VLAN: Be16 = Be16::new(0x88a8);
/// IP protocol number of UDP.
pub const UDP: u8 = 17;
/// Of the fragment field all must be zero but "don't fragment".
const FRAGMENT: u16 = 0xbfff;

const DNS_PORT: Be16 = Be16::new(53);
/// The class code of the Internet (RFC 1035, 3.2.4).
pub const CLASS_IN: u16 = 1;
/// The type code of an OPT record.
pub const TYPE_OPT: u16 = 41;

/// Recursion desired: copied into the reply.
const FLAG_RD: u16 = 0x0100;
/// Authentic data: a query may ask for it (RFC 6840, 5.7), an answer of ours never has it.
const FLAG_AD: u16 = 0x0020;
/// Checking disabled (RFC 4035, 3.2.2): copied into the reply.
const FLAG_CD: u16 = 0x0010;

/// The addresses whose port 53 is ours.
pub trait Served {
    /// Says whether this IPv4 address is served.
    fn serves_ipv4(&self, address: [u8; 4]) -> bool;

    /// Says whether this IPv6 address, read as two words, is served.
    fn serves_ipv6(&self, address: [u64; 2]) -> bool;
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
    /// The requestor's UDP payload size.
    pub udp_size: Be16,
    /// The flags: DO and others.
    pub flags: u16,
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
    /// The header's flags that a reply repeats: RD and CD.
    pub flags: u16,
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
fn ethernet(packet: Packet<'_>) -> Result<(usize, Be16), Pass> {
    let mut ip_at = ETHERNET_LEN;
    for _ in 0..2 {
        let ether_type = packet.read(ip_at - 2).ok_or(Pass::NotDns)?;
        if ether_type != ETHER_VLAN && ether_type != ETHER_SERVICE_VLAN {
            return Ok((ip_at, ether_type));
        }
        ip_at += VLAN_LEN;
    }
    Ok((ip_at, packet.read(ip_at - 2).ok_or(Pass::NotDns)?))
}

/// Checks the IPv4 and UDP headers of a packet of `len` bytes.
#[inline(always)]
fn ipv4(packet: Packet<'_>, len: usize, served: &impl Served) -> Result<Ip, Pass> {
    let (header, udp): (Ipv4, Udp) = packet.read_two(0).ok_or(Pass::NotDns)?;
    let whole = header.fragment.get() & FRAGMENT == 0;
    if header.version_ihl != 0x45 || header.protocol != UDP || !whole || { udp.destination } != DNS_PORT {
        return Err(Pass::NotDns);
    }
    if !served.serves_ipv4(header.destination) {
        return Err(Pass::NotServed);
    }
    if usize::from(header.total_len.get()) != len || usize::from(udp.len.get()) != len.wrapping_sub(IPV4_LEN) {
        return Err(Pass::Malformed);
    }
    Ok(Ip::V4)
}

/// Checks the IPv6 and UDP headers of a packet of `len` bytes.
#[inline(always)]
fn ipv6(packet: Packet<'_>, len: usize, served: &impl Served) -> Result<Ip, Pass> {
    let (header, udp): (Ipv6, Udp) = packet.read_two(0).ok_or(Pass::NotDns)?;
    let [version, ..] = header.version;
    if version >> 4 != 6 || header.next_header != UDP || { udp.destination } != DNS_PORT {
        return Err(Pass::NotDns);
    }
    if !served.serves_ipv6(header.destination) {
        return Err(Pass::NotServed);
    }
    let payload = usize::from(header.payload_len.get());
    if payload != len.wrapping_sub(IPV6_LEN) || usize::from(udp.len.get()) != payload {
        return Err(Pass::Malformed);
    }
    Ok(Ip::V6)
}

/// Checks a message of `len` bytes: header, question, OPT.
#[inline(always)]
fn dns(message: Packet<'_>, len: usize, ip_at: usize, ip: Ip) -> Result<Query, Pass> {
    let header: Dns = message.read(0).ok_or(Pass::Malformed)?;
    let flags = header.flags.get();
    let with_opt = { header.counts } == headers::counts(1, 0, 0, 1);
    if flags & !(FLAG_RD | FLAG_AD | FLAG_CD) != 0 || !(with_opt || { header.counts } == headers::counts(1, 0, 0, 0)) {
        return Err(Pass::NotQuery);
    }
    let after_question = if with_opt { OPT_LEN } else { 0 };
    let name_len = len.wrapping_sub(DNS_HEADER_LEN + 4 + after_question);
    if !(1..=MAX_NAME_LEN).contains(&name_len) {
        return Err(Pass::Malformed);
    }
    let name_len = hide(name_len) & MAX_NAME_LEN;
    let question_end = message.skip(DNS_HEADER_LEN + name_len);
    let (qtype, class): (Be16, Be16) = question_end.read_two(0).ok_or(Pass::Malformed)?;
    let opt = match with_opt {
        true => Some(opt(question_end.skip(4))?),
        false => None,
    };
    if class != Be16::new(CLASS_IN) {
        return Err(Pass::Class);
    }
    if name_len < MIN_NAME_LEN {
        return Err(Pass::NameUnknown);
    }
    // Verifier: hidden, or all that follows would be walked through once for each number of VLAN tags and each way that
    // the length was come by.
    let (ip_at, name_len) = (hide(ip_at) & 0x1f, hide(name_len) & MAX_NAME_LEN);
    Ok(Query {
        ip_at,
        ip,
        name_len,
        qtype: qtype.get(),
        flags: flags & (FLAG_RD | FLAG_CD),
        opt,
    })
}

#[inline(always)]
fn opt(record: Packet<'_>) -> Result<Opt, Pass> {
    let headers::Opt {
        name,
        rtype,
        udp_size,
        extended_rcode,
        version,
        flags,
        len,
    } = record.read(0).ok_or(Pass::Malformed)?;
    if name != 0 || rtype != Be16::new(TYPE_OPT) || extended_rcode != 0 || version != 0 || len != Be16::new(0) {
        return Err(Pass::Edns);
    }
    Ok(Opt {
        udp_size,
        flags: flags.get(),
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
    fn name_len(&self) -> usize {
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
