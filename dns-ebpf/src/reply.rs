//! Writing a reply over its query: room first, then bytes.
//!
//! The question stays where it is, in its letter case, and every name of the reply points to it (RFC 1035, 4.1.4). The
//! answer follows the question, the OPT record follows the answer. Replies mean what CoreDNS's `kubernetes` plugin
//! means: AA set, RA clear, RD and CD copied, the OPT record echoed with the requestor's size.

use crate::decide::{Content, Verdict};
use crate::headers::{self, Be16, Be32, Ipv4, Ipv6, Record, SoaData, Udp};
use crate::maps::StoredRecord;
use crate::outcome::{Kind, Outcome, Pass, Rcode, TYPE_A, TYPE_AAAA, TYPE_SOA};
use crate::packet::{Frame, Packet, PacketMut, Stored, forget, hide};
use crate::query::{CLASS_IN, DNS_HEADER_LEN, MAX_OPT_LEN, MIN_UDP_SIZE, Opt, Query, UDP, UDP_LEN};
use crate::record::Set;
use crate::zone::Zone;

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
///
/// `random` is asked where a set of addresses is to begin.
#[inline(always)]
pub fn write<F: Frame>(
    frame: &mut F,
    query: &Query,
    verdict: Verdict<'_>,
    random: impl Fn() -> u32,
) -> Result<Outcome, Pass> {
    let len = match verdict.content {
        Content::Set(_) => usize::from(verdict.set.len),
        Content::Made(_) if verdict.made.address().is_some() => A_LEN,
        Content::Made(_) => SOA_LEN,
    };
    // Verifier: hidden, or all that follows would be walked through once for each content.
    let len = forget(len) & Stored::LEN_MASK;
    let reply_len = query.question_end() + len + query.opt.len;
    if reply_len > query.opt.size_limit() || (reply_len > MIN_UDP_SIZE && !frame.link_takes(len)) {
        return Err(Pass::TooLarge);
    }
    let completion = completion::<F>(frame.packet(), query).ok_or(Pass::Malformed)?;
    frame
        .grow(len, query.message_at() + query.question_end())
        .map_err(|_| Pass::NoRoom)?;
    // None of these fails: the query was read in full and the room was made.
    write_message(frame, query, verdict, len, random).ok_or(Pass::NoRoom)?;
    write_headers(frame.packet_mut(), query, UDP_LEN + reply_len).ok_or(Pass::NoRoom)?;
    write_checksum(frame, query, &verdict, completion).ok_or(Pass::NoRoom)?;
    Ok(Outcome::Answered(Kind::of(query.qtype), verdict.rcode))
}

/// Verifier: the length of a set, bounded again wherever it is used.
#[inline(always)]
fn bound_set(set: Set) -> usize {
    hide(usize::from(set.len)) & Stored::LEN_MASK
}

#[inline(always)]
fn write_message<F: Frame>(
    frame: &mut F,
    query: &Query,
    verdict: Verdict<'_>,
    len: usize,
    random: impl Fn() -> u32,
) -> Option<()> {
    let at = query.message_at() + query.question_end();
    match verdict.content {
        Content::Set(record) => write_set(frame, bound(at), record, verdict.set, query.qtype, random)?,
        Content::Made(zone) => match verdict.made.address() {
            Some(address) => write_ipv4_address(&mut frame.packet_mut(), at, zone, address)?,
            None => write_soa(&mut frame.packet_mut(), at, query, zone)?,
        },
    }
    let mut frame = frame.packet_mut();
    if query.opt.exists() {
        write_opt(&mut frame, at + len, query.opt)?;
    }
    write_dns_header(&mut frame, query, &verdict)
}

/// Writes a set, addresses rotated.
#[inline(always)]
fn write_set<F: Frame>(
    frame: &mut F,
    at: usize,
    record: StoredRecord<'_>,
    set: Set,
    qtype: usize,
    random: impl Fn() -> u32,
) -> Option<()> {
    let len = bound_set(set);
    if len == A_LEN || len == AAAA_LEN {
        return write_address(&mut frame.packet_mut(), at, record.bytes(set, 0, len));
    }
    let split = hide(split(set, hide(qtype), random)) & Stored::LEN_MASK;
    let rest = len.wrapping_sub(split);
    frame.store(at, record.bytes(set, split, rest))?;
    if split != 0 {
        frame.store(at + rest, record.bytes(set, 0, split))?;
    }
    Some(())
}

/// Writes the bytes of one address's record without a call: 16 or 28.
#[inline(always)]
fn write_address(frame: &mut PacketMut<'_>, at: usize, bytes: Stored<'_>) -> Option<()> {
    let [first, second, third, fourth] = bytes.words();
    frame.write_two(at, first, second)?;
    if bytes.len() == AAAA_LEN {
        // Of the last word the half that belongs to the record: in memory the first.
        let [a, b, c, d, ..] = fourth.to_ne_bytes();
        frame.write_two(bound(at + 16), third, u32::from_ne_bytes([a, b, c, d]))?;
    }
    Some(())
}

/// Where a set of addresses is split in two parts that change places: before any of its records, equally often.
#[inline(always)]
fn split(set: Set, qtype: usize, random: impl Fn() -> u32) -> usize {
    let record_len = match qtype {
        TYPE_A => A_LEN,
        TYPE_AAAA => AAAA_LEN,
        _ => return 0,
    };
    let records = usize::from(set.answers);
    if records == 1 || records * record_len != usize::from(set.len) {
        // Not addresses alone: there is an alias before them.
        return 0;
    }
    ((u64::from(random()) * records as u64) >> 32) as usize * record_len
}

/// Verifier: an offset in a frame is masked where it is used, since its bound is lost where it was stored.
#[inline(always)]
fn bound(at: usize) -> usize {
    hide(at) & 0x1ff
}

/// The zone's SOA record: the zone's name is the question's tail.
#[inline(always)]
fn write_soa(frame: &mut PacketMut<'_>, at: usize, query: &Query, zone: &Zone) -> Option<()> {
    let zone_at = DNS_HEADER_LEN + query.name_len.wrapping_sub(zone.len as usize);
    let pointer = Be16::new(POINTER | zone_at as u16);
    let data = SoaData {
        server: *b"\x02ns\x03dns",
        server_zone: pointer,
        mailbox: *b"\x0ahostmaster",
        mailbox_zone: pointer,
        serial: Be32::new(zone.serial),
        timers: SOA_TIMERS.map(Be32::new),
        minimum: Be32::new(zone.ttl),
    };
    let record = Record {
        name: pointer,
        rtype: Be16::new(TYPE_SOA as u16),
        class: Be16::new(CLASS_IN),
        ttl: Be32::new(zone.ttl.min(SOA_MAX_TTL)),
        data_len: Be16::new(size_of::<SoaData>() as u16),
    };
    frame.write_two(bound(at), record, data)
}

/// An A record of the name asked for.
#[inline(always)]
fn write_ipv4_address(frame: &mut PacketMut<'_>, at: usize, zone: &Zone, address: u32) -> Option<()> {
    let record = Record {
        name: Be16::new(POINTER | DNS_HEADER_LEN as u16),
        rtype: Be16::new(TYPE_A as u16),
        class: Be16::new(CLASS_IN),
        ttl: Be32::new(zone.ttl),
        data_len: Be16::new(size_of::<u32>() as u16),
    };
    frame.write_two(bound(at), record, address.to_be_bytes())
}

/// The OPT record: the requestor's size again, of the flags the upper byte, and the client's cookie as it came.
#[inline(always)]
fn write_opt(frame: &mut PacketMut<'_>, at: usize, opt: Opt) -> Option<()> {
    let record = headers::Opt {
        name: 0,
        rtype: headers::TYPE_OPT,
        udp_size: Be16::new(opt.udp_size as u16),
        extended_rcode: 0,
        version: 0,
        flags: Be16::new(opt.flags as u16 & 0xff00),
        len: Be16::new(opt.options_len() as u16),
    };
    match opt.has_cookie() {
        true => frame.write_two(bound_reply(at), record, headers::Cookie::new(opt.cookie)),
        false => frame.write(bound_reply(at), record),
    }
}

/// Verifier: the same for an offset behind a set.
#[inline(always)]
fn bound_reply(at: usize) -> usize {
    hide(at) & Stored::LEN_MASK
}

/// The header but for the ID, which stays: flags, rcode and counts.
#[inline(always)]
fn write_dns_header(frame: &mut PacketMut<'_>, query: &Query, verdict: &Verdict<'_>) -> Option<()> {
    let [answers, authorities] = [verdict.answers, verdict.authorities].map(u16::from);
    let additionals = u16::from(verdict.additionals) + u16::from(query.opt.exists());
    let counts = headers::counts(1, answers, authorities, additionals);
    let rcode = match verdict.rcode {
        Rcode::NoError => 0,
        Rcode::NxDomain => 3,
    };
    let at = bound(query.message_at());
    frame.write(at + 2, Be16::new(FLAGS | query.flags | rcode))?;
    frame.write(at + 4, counts)
}

/// Ethernet, IP and UDP headers: addresses and ports swapped, lengths and hops new. `udp_len` is in bytes.
#[inline(always)]
fn write_headers(mut frame: PacketMut<'_>, query: &Query, udp_len: usize) -> Option<()> {
    let addresses: (u64, u32) = frame.as_packet().read_two(0)?;
    let (first, second) = headers::swap_ethernet(addresses);
    frame.write_two(0, first, second)?;
    let ip_at = bound(query.ip_at);
    match query.is_ipv4() {
        true => write_ipv4(&mut frame, ip_at, udp_len)?,
        false => write_ipv6(&mut frame, ip_at, udp_len)?,
    }
    let udp_at = bound(query.udp_at());
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
    let udp_at = query.udp_at();
    let udp: Udp = packet.read(bound(udp_at))?;
    let pseudo_header = pseudo_header(packet, query)?;
    if udp.checksum != fold(pseudo_header) {
        return Some(Completion::Done);
    }
    let right =
        fold(pseudo_header + sum::<MAX_QUERY_WORDS>(packet, udp_at, packet.len().wrapping_sub(udp_at))?) == 0xffff;
    Some(if right { Completion::Either } else { Completion::Waiting })
}

/// Writes the UDP checksum; the field holds 0 before.
///
/// Where the transmitter completes it, it gets the pseudo-header's sum. Else none for IPv4 (RFC 768), and the whole sum
/// for IPv6, which must have one (RFC 8200, 8.1).
#[inline(always)]
fn write_checksum<F: Frame>(frame: &mut F, query: &Query, verdict: &Verdict<'_>, completion: Completion) -> Option<()> {
    let udp_at = query.udp_at();
    let checksum_at = bound(udp_at + 6);
    let waiting = match completion {
        Completion::Done => false,
        Completion::Waiting => true,
        Completion::Either => {
            let waiting = frame.waits_for_checksum(checksum_at);
            frame.packet_mut().write(checksum_at, [0u8; 2])?;
            waiting
        }
    };
    let checksum = match query.is_ipv4() {
        _ if waiting => fold(pseudo_header(frame.packet(), query)?),
        true => return Some(()),
        false => !fold(pseudo_header(frame.packet(), query)? + sum_reply(frame.packet(), query, verdict)?),
    };
    let checksum = if checksum == 0 { 0xffff } else { checksum };
    frame.packet_mut().write(checksum_at, checksum.to_ne_bytes())
}

/// The sum of the pseudo-header (RFC 768, RFC 8200, 8.1): addresses, protocol and UDP length.
#[inline(always)]
fn pseudo_header(packet: Packet<'_>, query: &Query) -> Option<u64> {
    let ip = packet.skip(bound(query.ip_at));
    let (addresses, udp): (u64, Udp) = match query.is_ipv4() {
        true => {
            let (header, udp): (Ipv4, Udp) = ip.read_two(0)?;
            let [source, destination] = [header.source, header.destination].map(u32::from_ne_bytes);
            (u64::from(source) + u64::from(destination), udp)
        }
        false => {
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

/// The sum of a reply from the UDP header on. That of a set is not summed again: its record has it.
#[inline(always)]
fn sum_reply(packet: Packet<'_>, query: &Query, verdict: &Verdict<'_>) -> Option<u64> {
    /// Words of the longest SOA and OPT records.
    const MAX_TAIL_WORDS: usize = (SOA_LEN + MAX_OPT_LEN).div_ceil(8);
    let udp_at = query.udp_at();
    let question_len = UDP_LEN + query.question_end();
    let (set_len, set_sum) = match verdict.content {
        Content::Set(_) => (bound_set(verdict.set), verdict.set.sum),
        Content::Made(_) => (0, 0),
    };
    let tail_at = udp_at + question_len + set_len;
    let tail = fold(sum::<MAX_TAIL_WORDS>(
        packet,
        tail_at,
        packet.len().wrapping_sub(tail_at),
    )?);
    let shifted = |sum: u16, by: usize| if by.is_multiple_of(2) { sum } else { sum.swap_bytes() };
    let head = sum::<MAX_QUERY_WORDS>(packet, udp_at, question_len)?;
    let rest = [shifted(set_sum, question_len), shifted(tail, question_len + set_len)];
    Some(head + u64::from(rest[0]) + u64::from(rest[1]))
}

/// Words of the longest query: UDP and DNS headers, the longest question, OPT.
const MAX_QUERY_WORDS: usize = (UDP_LEN + DNS_HEADER_LEN + 255 + 4 + MAX_OPT_LEN).div_ceil(8);

/// The sum of `len` bytes from byte `at` on, of `WORDS` words at most.
#[inline(always)]
fn sum<const WORDS: usize>(packet: Packet<'_>, at: usize, len: usize) -> Option<u64> {
    let data = packet.skip(bound_reply(at)).afresh(packet.len());
    let words = hide(len / 8);
    let mut sum = 0;
    for index in 0..WORDS {
        if index >= words {
            break;
        }
        let word: u64 = data.read(8 * index)?;
        sum += halves(word);
    }
    // What is left over, padded with zeros: the last word without the bytes already summed.
    let rest = len % 8;
    if rest != 0 {
        let last: u64 = packet.skip(bound_reply((at + len).wrapping_sub(8))).read(0)?;
        let word = u64::from_le(last) >> (64 - 8 * rest);
        let word = word.to_le();
        sum += halves(word);
    }
    Some(sum)
}

/// Folds a one's complement sum to 16 bits (RFC 1071).
#[inline(always)]
pub fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}
