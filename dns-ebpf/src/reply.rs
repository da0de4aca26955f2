//! Writing a reply over its query: room first, then bytes.
//!
//! The question stays where it is, in its letter case, and every name of the reply points to it (RFC 1035, 4.1.4). The
//! answer follows the question, the OPT record follows the answer. Replies mean what CoreDNS's `kubernetes` plugin
//! means: AA set, RA clear, RD and CD copied, the OPT record echoed with the requestor's size.

use crate::decide::{Action, Entry, TYPE_A, TYPE_AAAA, TYPE_SOA, Verdict, Zone};
use crate::headers::{self, Be16, Be32, Ipv4, Ipv6, Record, SoaData, Udp};
use crate::outcome::{Kind, Outcome, Pass, Rcode};
use crate::packet::{Frame, Packet, PacketMut, Plain, hide};
use crate::query::{CLASS_IN, DNS_HEADER_LEN, Ip, OPT_LEN, Opt, Query, TYPE_OPT, UDP, UDP_LEN};

/// Length of an A record whose name is a pointer.
const A_LEN: usize = size_of::<Record>() + 4;
/// Length of an AAAA record whose name is a pointer.
const AAAA_LEN: usize = size_of::<Record>() + 16;
/// Length of an SOA record whose names are pointers.
const SOA_LEN: usize = size_of::<Record>() + size_of::<SoaData>();

/// The two bits that make a pointer of an offset in the message.
const POINTER: u16 = 0xc000;
/// QR and AA.
const FLAGS: u16 = 0x8400;
/// TTL and hop limit of a reply.
const HOPS: u8 = 64;
/// The SOA record's own TTL is the zone's, but never more than this, in seconds.
const SOA_MAX_TTL: u32 = 300;
/// The SOA record's refresh, retry and expire fields, in seconds.
const SOA_TIMERS: [u32; 3] = [7200, 1800, 86400];

/// Writes the reply that `verdict` asks for, or leaves the frame untouched and says why.
#[inline(always)]
pub fn write<F: Frame>(frame: &mut F, query: &Query, verdict: Verdict, serial: u32) -> Result<Outcome, Pass> {
    let (len, rcode) = match verdict.action {
        Action::A => (A_LEN, Rcode::NoError),
        Action::Aaaa => (AAAA_LEN, Rcode::NoError),
        Action::NoData => (SOA_LEN, Rcode::NoError),
        Action::NxDomain => (SOA_LEN, Rcode::NxDomain),
        Action::Pass(reason) => return Err(reason),
    };
    let completion = completion::<F>(frame.packet(), query).ok_or(Pass::Malformed)?;
    let moved = frame.grow(len).map_err(|_| Pass::NoRoom)?;
    // None of these fails: the query was read in full and the room was made.
    write_message(frame.packet_mut(), query, verdict, serial, moved).ok_or(Pass::NoRoom)?;
    let reply_len = query.question_end() + len + query.opt.map_or(0, |_| OPT_LEN);
    write_headers(frame.packet_mut(), query, UDP_LEN + reply_len).ok_or(Pass::NoRoom)?;
    write_checksum(frame, query, completion).ok_or(Pass::NoRoom)?;
    Ok(Outcome::Answered(kind(query.qtype), rcode))
}

#[inline(always)]
fn kind(qtype: u16) -> Kind {
    match qtype {
        TYPE_A => Kind::A,
        TYPE_AAAA => Kind::Aaaa,
        _ => Kind::Other,
    }
}

#[inline(always)]
fn write_message(mut frame: PacketMut<'_>, query: &Query, verdict: Verdict, serial: u32, moved: usize) -> Option<()> {
    if moved != 0 {
        move_forward(&mut frame, query.message_at() + query.question_end(), moved)?;
    }
    let mut at = query.message_at() + query.question_end();
    let Verdict { action, entry } = verdict;
    at += match action {
        Action::A => write_a(&mut frame, at, &entry)?,
        Action::Aaaa => write_aaaa(&mut frame, at, &entry)?,
        Action::NoData | Action::NxDomain => write_soa(&mut frame, at, query, entry.zone, serial)?,
        Action::Pass(_) => return None,
    };
    if let Some(opt) = query.opt {
        write_opt(&mut frame, at, opt)?;
    }
    write_dns_header(&mut frame, query, action)
}

/// Moves the first `len` bytes of what stands `by` bytes into the frame to the frame's beginning.
///
/// Words go from front to back, so a word is read before it is overwritten: `by` is at least the size of a word.
#[inline(always)]
fn move_forward(frame: &mut PacketMut<'_>, len: usize, by: usize) -> Option<()> {
    const MAX_WORDS: usize = 48;
    let words = hide(len / 8);
    for index in 0..MAX_WORDS {
        if index >= words {
            break;
        }
        let word: u64 = frame.as_packet().read(8 * index + bound(by))?;
        frame.write(8 * index, word)?;
    }
    // The last bytes, together with some that are already there.
    let last = bound(len.wrapping_sub(8));
    let word: u64 = frame.as_packet().skip(bound(by)).read(last)?;
    frame.write(last, word)
}

/// Verifier: an offset in a frame is masked where it is used, since its bound is lost where it was stored.
#[inline(always)]
fn bound(at: usize) -> usize {
    hide(at) & 0x1ff
}

#[inline(always)]
fn write_a(frame: &mut PacketMut<'_>, at: usize, entry: &Entry) -> Option<usize> {
    write_record(frame, at, DNS_HEADER_LEN, TYPE_A, entry.zone.ttl, entry.ipv4.0)
}

#[inline(always)]
fn write_aaaa(frame: &mut PacketMut<'_>, at: usize, entry: &Entry) -> Option<usize> {
    write_record(frame, at, DNS_HEADER_LEN, TYPE_AAAA, entry.zone.ttl, entry.ipv6.0)
}

/// The zone's SOA record: the zone's name is the question's tail.
#[inline(always)]
fn write_soa(frame: &mut PacketMut<'_>, at: usize, query: &Query, zone: Zone, serial: u32) -> Option<usize> {
    let zone_at = DNS_HEADER_LEN + query.name_len.wrapping_sub(usize::from(zone.name_len));
    let pointer = Be16::new(POINTER | zone_at as u16);
    let data = SoaData {
        server: *b"\x02ns\x03dns",
        server_zone: pointer,
        mailbox: *b"\x0ahostmaster",
        mailbox_zone: pointer,
        serial: Be32::new(serial),
        timers: SOA_TIMERS.map(Be32::new),
        minimum: Be32::new(zone.ttl),
    };
    write_record(frame, at, zone_at, TYPE_SOA, zone.ttl.min(SOA_MAX_TTL), data)
}

/// Writes a record of class IN whose name stands at byte `name_at` of the message, and returns its length.
#[inline(always)]
fn write_record<T: Plain>(
    frame: &mut PacketMut<'_>,
    at: usize,
    name_at: usize,
    rtype: u16,
    ttl: u32,
    data: T,
) -> Option<usize> {
    let record = Record {
        name: Be16::new(POINTER | name_at as u16),
        rtype: Be16::new(rtype),
        class: Be16::new(CLASS_IN),
        ttl: Be32::new(ttl),
        data_len: Be16::new(size_of::<T>() as u16),
    };
    frame.write_two(bound(at), record, data)?;
    Some(size_of::<Record>() + size_of::<T>())
}

/// The OPT record: the requestor's size again, and of the flags the upper byte.
#[inline(always)]
fn write_opt(frame: &mut PacketMut<'_>, at: usize, opt: Opt) -> Option<()> {
    let record = headers::Opt {
        name: 0,
        rtype: Be16::new(TYPE_OPT),
        udp_size: opt.udp_size,
        extended_rcode: 0,
        version: 0,
        flags: Be16::new(opt.flags & 0xff00),
        len: Be16::new(0),
    };
    frame.write(bound(at), record)
}

/// The header but for the ID, which stays: flags, rcode and counts.
#[inline(always)]
fn write_dns_header(frame: &mut PacketMut<'_>, query: &Query, action: Action) -> Option<()> {
    let additionals = query.opt.map_or(0, |_| 1);
    let (rcode, counts) = match action {
        Action::A | Action::Aaaa => (0, headers::counts(1, 1, 0, additionals)),
        Action::NoData => (0, headers::counts(1, 0, 1, additionals)),
        Action::NxDomain => (3, headers::counts(1, 0, 1, additionals)),
        Action::Pass(_) => return None,
    };
    let at = bound(query.message_at());
    frame.write(at + 2, Be16::new(FLAGS | query.flags | rcode))?;
    frame.write(at + 4, counts)
}

/// Ethernet, IP and UDP headers: addresses and ports swapped, lengths and hops new. `udp_len` is in bytes.
#[inline(always)]
fn write_headers(mut frame: PacketMut<'_>, query: &Query, udp_len: usize) -> Option<()> {
    let (destination, source): ([u8; 6], [u8; 6]) = frame.as_packet().read_two(0)?;
    frame.write(0, source)?;
    frame.write(6, destination)?;
    let ip_at = bound(query.ip_at);
    match query.ip {
        Ip::V4 => write_ipv4(&mut frame, ip_at, udp_len)?,
        Ip::V6 => write_ipv6(&mut frame, ip_at, udp_len)?,
    }
    let udp_at = ip_at + query.ip.header_len();
    let udp: Udp = frame.as_packet().read(udp_at)?;
    let len = Be16::new(udp_len as u16);
    frame.write(
        udp_at,
        Udp {
            source: udp.destination,
            destination: udp.source,
            len,
            checksum: 0,
        },
    )
}

/// The checksum is summed from what was read: what was just written in parts is slow to read again as a whole.
#[inline(always)]
fn write_ipv4(frame: &mut PacketMut<'_>, at: usize, udp_len: usize) -> Option<()> {
    let query: Ipv4 = frame.as_packet().read(at)?;
    let total_len = Be16::new((size_of::<Ipv4>() + udp_len) as u16);
    let reply = Ipv4 {
        total_len,
        ttl: HOPS,
        checksum: 0,
        source: query.destination,
        destination: query.source,
        ..query
    };
    frame.write(
        at,
        Ipv4 {
            checksum: !fold(sum_ipv4(&reply)),
            ..reply
        },
    )
}

/// The sum of an IPv4 header's fields.
#[inline(always)]
fn sum_ipv4(header: &Ipv4) -> u64 {
    let pairs = [[header.version_ihl, header.service], [header.ttl, header.protocol]].map(u16::from_ne_bytes);
    let fields = [header.total_len, header.id, header.fragment].map(Be16::as_it_stands);
    let addresses = [header.source, header.destination].map(u32::from_ne_bytes);
    let sum = u64::from(pairs[0]) + u64::from(pairs[1]) + u64::from(header.checksum);
    let sum = sum + u64::from(fields[0]) + u64::from(fields[1]) + u64::from(fields[2]);
    sum + u64::from(addresses[0]) + u64::from(addresses[1])
}

#[inline(always)]
fn write_ipv6(frame: &mut PacketMut<'_>, at: usize, udp_len: usize) -> Option<()> {
    let query: Ipv6 = frame.as_packet().read(at)?;
    let reply = Ipv6 {
        payload_len: Be16::new(udp_len as u16),
        hop_limit: HOPS,
        source: query.destination,
        destination: query.source,
        ..query
    };
    frame.write(at, reply)
}

/// What the query's checksum says of who completes it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Completion {
    /// It is complete, or there is none.
    Done,
    /// The transmitter completes it: it is the pseudo-header's sum, and wrong as a checksum.
    Waiting,
    /// It is both the pseudo-header's sum and a right checksum: by one chance in 65,536.
    Either,
}

#[inline(always)]
fn completion<F: Frame>(packet: Packet<'_>, query: &Query) -> Option<Completion> {
    if !F::MAY_WAIT_FOR_CHECKSUM {
        return Some(Completion::Done);
    }
    let udp_at = query.ip_at + query.ip.header_len();
    let udp: Udp = packet.read(bound(udp_at))?;
    let pseudo_header = pseudo_header(packet, query)?;
    if udp.checksum != fold(pseudo_header) {
        return Some(Completion::Done);
    }
    let right = fold(pseudo_header + sum(packet, udp_at)?) == 0xffff;
    Some(if right { Completion::Either } else { Completion::Waiting })
}

/// Writes the UDP checksum; the field holds 0 before.
///
/// Where the transmitter completes it, it gets the pseudo-header's sum. Else none for IPv4 (RFC 768), and the whole sum
/// for IPv6, which must have one (RFC 8200, 8.1).
#[inline(always)]
fn write_checksum<F: Frame>(frame: &mut F, query: &Query, completion: Completion) -> Option<()> {
    let udp_at = query.ip_at + query.ip.header_len();
    let checksum_at = bound(udp_at + 6);
    let waiting = match completion {
        Completion::Done => false,
        Completion::Waiting => true,
        Completion::Either => {
            let waiting = frame.waits_for_checksum(checksum_at);
            frame.packet_mut().write(checksum_at, [0; 2])?;
            waiting
        }
    };
    let checksum = match query.ip {
        _ if waiting => fold(pseudo_header(frame.packet(), query)?),
        Ip::V4 => return Some(()),
        Ip::V6 => !fold(pseudo_header(frame.packet(), query)? + sum(frame.packet(), udp_at)?),
    };
    let checksum = if checksum == 0 { 0xffff } else { checksum };
    frame.packet_mut().write(checksum_at, checksum.to_ne_bytes())
}

/// The sum of the pseudo-header (RFC 768, RFC 8200, 8.1): addresses, protocol and UDP length.
#[inline(always)]
fn pseudo_header(packet: Packet<'_>, query: &Query) -> Option<u64> {
    let ip = packet.skip(bound(query.ip_at));
    let (addresses, udp): (u64, Udp) = match query.ip {
        Ip::V4 => {
            let (header, udp): (Ipv4, Udp) = ip.read_two(0)?;
            let [source, destination] = [header.source, header.destination].map(u32::from_ne_bytes);
            (u64::from(source) + u64::from(destination), udp)
        }
        Ip::V6 => {
            let (header, udp): (Ipv6, Udp) = ip.read_two(0)?;
            let ([a, b], [c, d]) = ({ header.source }, { header.destination });
            (halves(a) + halves(b) + halves(c) + halves(d), udp)
        }
    };
    let rest = [u16::from(UDP), udp.len.get()].map(|field| u64::from(field.to_be()));
    Some(addresses + rest[0] + rest[1])
}

/// The two halves of a word, to be folded later: their sum does not overflow.
#[inline(always)]
fn halves(word: u64) -> u64 {
    (word & 0xffff_ffff) + (word >> 32)
}

/// The sum of everything from byte `at` of a reply on.
#[inline(always)]
fn sum(packet: Packet<'_>, at: usize) -> Option<u64> {
    /// Words of the longest reply: UDP and DNS headers, the longest question, SOA, OPT.
    const MAX_WORDS: usize = (UDP_LEN + DNS_HEADER_LEN + 255 + 4 + SOA_LEN + OPT_LEN) / 8;
    let data = packet.skip(bound(at)).afresh(packet.len());
    let len = packet.len().wrapping_sub(at);
    let words = hide(len / 8);
    let mut sum = 0;
    for index in 0..MAX_WORDS {
        if index >= words {
            break;
        }
        let word: u64 = data.read(8 * index)?;
        sum += halves(word);
    }
    // What is left over, padded with zeros: the last word without the bytes already summed.
    let rest = len % 8;
    if rest != 0 {
        let last: u64 = data.skip(bound(len.wrapping_sub(8))).read(0)?;
        let word = u64::from_le(last) >> (64 - 8 * rest);
        let word = word.to_le();
        sum += halves(word);
    }
    Some(sum)
}

/// Folds a one's complement sum to 16 bits (RFC 1071).
#[inline(always)]
fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}
