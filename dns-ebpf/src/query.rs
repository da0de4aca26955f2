//! The query in a frame: what it takes for a frame to be one that the kernel may answer.
//!
//! Ethernet with up to two VLAN tags, IPv4 without options and fragments or IPv6 without extension headers, UDP to
//! port 53 of a served address, a plain query of one question of class IN (RFC 1035, 4.1) and at most one OPT record
//! of version 0 (RFC 6891, 6.1) without options or with a client's cookie alone (RFC 7873, 4.1). Whatever is anything else is refused with the reason, and is the
//! agent's or the cluster's to answer.
//!
//! The question's name is not walked here: where the message ends tells where its name does.

use crate::headers::{self, Be16, Dns, Ipv4, Ipv6, Udp};
use crate::maps::Maps;
use crate::outcome::Pass;
use crate::packet::{Packet, Plain, forget, hide};
use crate::words::{MAX_NAME_LEN, MIN_NAME_LEN, NameBytes, Words};

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
const OPT_LEN: usize = size_of::<headers::Opt>();
/// Length of the option that is a client's cookie.
const COOKIE_LEN: usize = size_of::<headers::Cookie>();
/// Length of the longest OPT record that is understood.
pub const MAX_OPT_LEN: usize = OPT_LEN + COOKIE_LEN;
/// The bits of the length of an OPT record.
const MAX_OPT_LEN_MASK: usize = 0x1f;
/// The least that every requestor takes over UDP, in bytes (RFC 1035, 4.2.1).
pub const MIN_UDP_SIZE: usize = 512;

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

/// The longest query that can be answered; longer ones have longer names than there are.
const MAX_QUERY_LEN: usize = 511;

const DNS_PORT: Be16 = Be16::new(53);
/// The class code of the Internet (RFC 1035, 3.2.4).
pub const CLASS_IN: u16 = 1;

/// Types of questions for whole zones (RFC 1995, 6; RFC 1035, 3.2.3).
pub const TRANSFERS: [usize; 2] = [251, 252];

/// Recursion desired: copied into the reply.
const FLAG_RD: u16 = 0x0100;
/// Authentic data: a query may ask for it (RFC 6840, 5.7), an answer of ours never has it.
const FLAG_AD: u16 = 0x0020;
/// Checking disabled (RFC 4035, 3.2.2): copied into the reply.
const FLAG_CD: u16 = 0x0010;

/// What a query's OPT record said.
///
/// Verifier: every field is set in every case, or the compiler spills what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt {
    /// Length of the record in bytes; 0 where there is none.
    pub len: usize,
    /// The requestor's UDP payload size.
    pub udp_size: usize,
    /// The flags: DO and others.
    pub flags: usize,
    /// The client's cookie, if the length has room for one.
    pub cookie: u64,
}

impl Opt {
    const NONE: Self = Self {
        len: 0,
        udp_size: MIN_UDP_SIZE,
        flags: 0,
        cookie: 0,
    };

    /// Says whether it is there.
    #[inline(always)]
    pub fn exists(&self) -> bool {
        self.len != 0
    }

    /// Length of its options in bytes.
    #[inline(always)]
    pub fn options_len(&self) -> usize {
        if self.has_cookie() { COOKIE_LEN } else { 0 }
    }

    /// Says whether it has a client's cookie.
    #[inline(always)]
    pub fn has_cookie(&self) -> bool {
        self.len == OPT_LEN + COOKIE_LEN
    }

    /// The longest message that the requestor takes, in bytes.
    #[inline(always)]
    pub fn size_limit(&self) -> usize {
        self.udp_size.max(MIN_UDP_SIZE)
    }
}

/// A query that may be answered, and where its parts stand in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Offset of the IP header in the frame: 14, 18 or 22.
    pub ip_at: usize,
    /// Length of the IP header: 20 for IPv4, 40 for IPv6.
    pub ip_len: usize,
    /// Length of the question's name in wire form, 8 to 255.
    pub name_len: usize,
    /// The question's type.
    pub qtype: usize,
    /// The header's flags that a reply repeats: RD and CD.
    pub flags: u16,
    /// The OPT record.
    pub opt: Opt,
}

impl Query {
    /// Reads the query in a frame, or says why there is none to answer.
    #[inline(always)]
    pub fn parse(packet: Packet<'_>, maps: &impl Maps) -> Result<Self, Pass> {
        // Verifier: or the frame would have another known length after each number of VLAN tags.
        let packet = packet.afresh(packet.len());
        let (ip_at, ether_type) = ethernet(packet)?;
        let ip_packet = packet.skip(ip_at);
        let ip_packet_len = packet.len().wrapping_sub(ip_at);
        let ip_len = match ether_type {
            ETHER_IPV4 => check_ipv4(ip_packet, ip_packet_len, maps)?,
            ETHER_IPV6 => check_ipv6(ip_packet, ip_packet_len, maps)?,
            _ => return Err(Pass::NotDns),
        };
        // Verifier: hidden, or all that follows would be walked through once for each number of VLAN tags and each version.
        let (ip_at, ip_len) = (forget(ip_at) & 0x1f, forget(ip_len) & 0x3f);
        let message_at = ip_at + ip_len + UDP_LEN;
        let message = packet.skip(message_at);
        dns(message, packet.len().wrapping_sub(message_at), ip_at, ip_len)
    }

    /// Says whether it came by IPv4, and else by IPv6.
    #[inline(always)]
    pub fn is_ipv4(&self) -> bool {
        self.ip_len == IPV4_LEN
    }

    /// Offset of the UDP header in the frame.
    #[inline(always)]
    pub fn udp_at(&self) -> usize {
        self.ip_at + self.ip_len
    }

    /// Offset of the DNS message in the frame.
    #[inline(always)]
    pub fn message_at(&self) -> usize {
        self.udp_at() + UDP_LEN
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

/// Checks the IPv4 and UDP headers of a packet of `len` bytes, and returns the length of the first.
#[inline(always)]
fn check_ipv4(packet: Packet<'_>, len: usize, maps: &impl Maps) -> Result<usize, Pass> {
    let (header, udp): (Ipv4, Udp) = packet.read_two(0).ok_or(Pass::NotDns)?;
    let whole = header.fragment.get() & FRAGMENT == 0;
    if header.version_ihl != 0x45 || header.protocol != UDP || !whole || { udp.destination } != DNS_PORT {
        return Err(Pass::NotDns);
    }
    if !maps.served().is_some_and(|served| served.has_ipv4(header.destination)) {
        return Err(Pass::NotServed);
    }
    if usize::from(header.total_len.get()) != len || usize::from(udp.len.get()) != len.wrapping_sub(IPV4_LEN) {
        return Err(Pass::Malformed);
    }
    Ok(IPV4_LEN)
}

/// The same for IPv6.
#[inline(always)]
fn check_ipv6(packet: Packet<'_>, len: usize, maps: &impl Maps) -> Result<usize, Pass> {
    let (header, udp): (Ipv6, Udp) = packet.read_two(0).ok_or(Pass::NotDns)?;
    let [version, ..] = header.version;
    if version >> 4 != 6 || header.next_header != UDP || { udp.destination } != DNS_PORT {
        return Err(Pass::NotDns);
    }
    if !maps.served().is_some_and(|served| served.has_ipv6(header.destination)) {
        return Err(Pass::NotServed);
    }
    let payload = usize::from(header.payload_len.get());
    if payload != len.wrapping_sub(IPV6_LEN) || usize::from(udp.len.get()) != payload {
        return Err(Pass::Malformed);
    }
    Ok(IPV6_LEN)
}

/// Checks a message of `len` bytes: header, question, OPT.
#[inline(always)]
fn dns(message: Packet<'_>, len: usize, ip_at: usize, ip_len: usize) -> Result<Query, Pass> {
    let header: Dns = message.read(0).ok_or(Pass::Malformed)?;
    let flags = header.flags.get();
    let with_opt = { header.counts } == headers::counts(1, 0, 0, 1);
    if flags & !(FLAG_RD | FLAG_AD | FLAG_CD) != 0 || !(with_opt || { header.counts } == headers::counts(1, 0, 0, 0)) {
        return Err(Pass::NotQuery);
    }
    let opt = match with_opt {
        true => Opt::read_last(message, len)?,
        false => Opt::NONE,
    };
    let name_len = len.wrapping_sub(DNS_HEADER_LEN + 4 + opt.len);
    if !(1..=MAX_NAME_LEN).contains(&name_len) {
        return Err(Pass::Malformed);
    }
    // Verifier: hidden, or all that follows would be walked through once for each way that the length was come by.
    let name_len = hide(name_len) & MAX_NAME_LEN;
    let question_end = message.skip(DNS_HEADER_LEN + name_len);
    let (qtype, class): (Be16, Be16) = question_end.read_two(0).ok_or(Pass::Malformed)?;
    // Verifier: hidden wherever it is compared, or all that follows would be walked through once for each type.
    let qtype = usize::from(qtype.get());
    if TRANSFERS.contains(&hide(qtype)) {
        return Err(Pass::Transfer);
    }
    if class != Be16::new(CLASS_IN) {
        return Err(Pass::Class);
    }
    if name_len < MIN_NAME_LEN {
        return Err(Pass::OutsideZones);
    }
    Ok(Query {
        ip_at,
        ip_len,
        name_len,
        qtype,
        flags: flags & (FLAG_RD | FLAG_CD),
        opt: opt.hidden(),
    })
}

impl Opt {
    /// The same, of which the verifier does not know how it was come by.
    #[inline(always)]
    fn hidden(self) -> Self {
        Self {
            len: forget(self.len) & MAX_OPT_LEN_MASK,
            udp_size: forget(self.udp_size),
            flags: forget(self.flags),
            cookie: forget(self.cookie as usize) as u64,
        }
    }

    /// Reads the OPT record at the end of a message of `len` bytes.
    ///
    /// Its own length is not known before, so that it is looked for at each of the two places where it may begin. It is at
    /// one of them at most: what would be its first byte at the second, 0, is the lower byte of the cookie's code at the first.
    #[inline(always)]
    fn read_last(message: Packet<'_>, len: usize) -> Result<Self, Pass> {
        let begin = |record_len| hide(len.wrapping_sub(record_len)) & MAX_QUERY_LEN;
        let plain: headers::Opt = message.skip(begin(OPT_LEN)).read(0).ok_or(Pass::Malformed)?;
        if plain.is_plain() && { plain.len } == Be16::new(0) {
            return Ok(Self::new(plain, OPT_LEN, 0));
        }
        let record = message.skip(begin(OPT_LEN + COOKIE_LEN));
        let (opt, option): (headers::Opt, headers::Cookie) = record.read_two(0).ok_or(Pass::Malformed)?;
        if opt.is_plain() && { opt.len } == Be16::new(COOKIE_LEN as u16) && option.is_clients() {
            return Ok(Self::new(opt, OPT_LEN + COOKIE_LEN, option.cookie));
        }
        Err(Pass::Edns)
    }

    #[inline(always)]
    fn new(opt: headers::Opt, len: usize, cookie: u64) -> Self {
        Self {
            len,
            udp_size: opt.udp_size.get().into(),
            flags: opt.flags.get().into(),
            cookie,
        }
    }
}

/// A question's name where it stands in the frame.
#[derive(Clone, Copy)]
pub struct QuestionName<'a> {
    name: Packet<'a>,
    len: usize,
}

impl QuestionName<'_> {
    /// Verifier: the offset is bounded where it is used, and checked there whatever the compiler knows of it.
    #[inline(always)]
    fn read<T: Plain>(&self, at: usize) -> Option<T> {
        self.name.read(hide(at) & MAX_NAME_LEN)
    }
}

impl NameBytes for QuestionName<'_> {
    #[inline(always)]
    fn suffix(&self, at: usize) -> Self {
        let at = hide(at) & MAX_NAME_LEN;
        Self {
            name: self.name.skip(at),
            // Verifier: hidden, or all that follows would be walked through once for each way that the place was come by.
            len: hide(self.len.wrapping_sub(at)) & MAX_NAME_LEN,
        }
    }

    #[inline(always)]
    fn byte_at(&self, at: usize) -> Option<u8> {
        let [byte] = self.read(at)?;
        Some(byte)
    }

    #[inline(always)]
    fn half_word_at(&self, at: usize) -> Option<u32> {
        self.read(at)
    }

    #[inline(always)]
    fn word_at(&self, at: usize) -> Option<u64> {
        self.read(at)
    }
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
