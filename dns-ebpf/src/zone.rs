//! Zones as the kernel knows them, and what may be denied in one.
//!
//! A name that is not in the tables does not exist, by the rules that the tables are made by, if the tables are complete
//! and the name is of no shape whose names are not written down. Those few shapes are named here.

use crate::maps::Zones;
use crate::outcome::Pass;
use crate::packet::{forget, hide};
use crate::words::{CASE, NameBytes, letters};

/// The longest name of a zone that is answered from, in bytes of wire form.
pub const MAX_ZONE_LEN: usize = 8 * FULL_WORDS + 7;
/// The most full words of a zone's name.
const FULL_WORDS: usize = 6;
/// The most labels left of its zone that a name may have and be denied.
pub const MAX_LABELS: usize = 16;

/// A zone.
///
/// Its name is compared as [`crate::words::Words`] are, each word under a mask of the bits that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Zone {
    /// The last eight bytes of the name, in lower case; of a shorter one, zeros before it.
    pub last: u64,
    /// Which bits of those matter.
    pub last_mask: u64,
    /// The name's full words, in lower case.
    pub words: [u64; FULL_WORDS],
    /// Which bits of those matter.
    pub masks: [u64; FULL_WORDS],
    /// The serial of the SOA record: Unix time of the last change, 0 before any.
    pub serial: u32,
    /// The `ttl` option: TTL of positive answers and the SOA's minimum field, in seconds.
    pub ttl: u32,
    /// Length of the name in bytes of wire form; 0 in a place without zone.
    pub len: u32,
    /// What may be denied: see [`denial`].
    pub denial: u32,
}

/// Bits of [`Zone::denial`]. What is not denied passes.
pub mod denial {
    /// Names that are not in the tables are denied, but for those that the other bits name.
    pub const ALL: u32 = 1;
    /// Below `pod` and the name of a namespace, an address makes a name (`pods insecure`).
    pub const PODS: u32 = 2;
    /// Not denied are names below `pod` of four or more labels, which may stand for that of their last three (`pods verified`).
    pub const DEEP_PODS: u32 = 4;
    /// Not denied are names of six or more labels, which may be of a topology zone (`zonal`).
    pub const ZONAL: u32 = 8;
}

impl Zone {
    /// Makes the zone of this name in wire form and lower case, of [`MAX_ZONE_LEN`] bytes at most, in which nothing is
    /// denied; `None` where the name is longer.
    pub fn new(name: &[u8], ttl: u32) -> Option<Self> {
        let mut zone = Self {
            ttl,
            len: (name.len() <= MAX_ZONE_LEN).then_some(name.len() as u32)?,
            ..Self::default()
        };
        let mut end = [0; 8];
        let mut mask = [0; 8];
        for ((end, mask), byte) in end.iter_mut().zip(&mut mask).rev().zip(name.iter().rev()) {
            (*end, *mask) = (*byte, 0xff);
        }
        zone.last = u64::from_ne_bytes(end);
        zone.last_mask = u64::from_ne_bytes(mask) & !letters(zone.last);
        for (place, word) in zone.words.iter_mut().zip(&mut zone.masks).zip(name.as_chunks().0) {
            *place.0 = u64::from_ne_bytes(*word);
            *place.1 = !letters(*place.0);
        }
        Some(zone)
    }

    /// Says whether `name` is that of the zone or ends by it.
    #[inline(always)]
    fn ends(&self, name: &impl NameBytes) -> bool {
        let (len, name_len) = (self.len as usize, name.name_len());
        if (name.last_word() ^ self.last) & self.last_mask != 0 || len > name_len {
            return false;
        }
        let begin = name_len.wrapping_sub(len);
        let mut difference = 0;
        for index in 0..FULL_WORDS {
            if 8 * index + 8 > len {
                break;
            }
            let word = name
                .word_at(begin.wrapping_add(8 * index))
                .unwrap_or(!self.words[index]);
            difference |= (word ^ self.words[index]) & self.masks[index];
        }
        difference == 0
    }

    /// Says what a name that ends by the zone looks like.
    #[inline(always)]
    pub fn shape(&self, name: &impl NameBytes) -> Result<Shape, Pass> {
        Shape::read(name, name.name_len().wrapping_sub(self.len as usize))
    }

    /// Says whether a name of this shape is one of those that an address makes, if its namespace exists.
    #[inline(always)]
    pub fn has_pods(&self, shape: &Shape) -> bool {
        self.denial & denial::PODS != 0 && shape.top == POD && (3..=5).contains(&shape.labels)
    }

    /// Says whether a name of this shape that is not in the tables certainly does not exist.
    #[inline(always)]
    pub fn check_absence(&self, name: &impl NameBytes, shape: &Shape) -> Result<(), Pass> {
        let is_uncertain = match shape.top {
            POD => self.denial & denial::DEEP_PODS != 0 && shape.labels >= 4,
            SVC if shape.labels == 5 => may_be_port(name),
            _ => false,
        };
        let is_zonal = self.denial & denial::ZONAL != 0 && shape.labels >= 6;
        let denied = self.denial & denial::ALL != 0 && !is_uncertain && !is_zonal;
        if denied { Ok(()) } else { Err(Pass::Uncertain) }
    }
}

impl Zones {
    /// Finds the zone that a name stands in.
    #[inline(always)]
    pub fn find(&self, name: &impl NameBytes) -> Option<&Zone> {
        let mut found = 0;
        for zone in &self.0 {
            if zone.len == 0 {
                return None;
            }
            if zone.ends(name) {
                break;
            }
            found += 1;
        }
        // Verifier: hidden, or all that follows would be walked through once for each zone.
        self.0.get(forget(found))
    }
}

/// The labels `pod` and `svc`, with their lengths, as half words in lower case.
const POD: u32 = half_word(*b"\x03pod");
const SVC: u32 = half_word(*b"\x03svc");
/// How the protocols begin.
const PROTOCOLS: [u32; 3] = [half_word(*b"\x03tcp"), half_word(*b"\x03udp"), half_word(*b"\x04sct")];

/// Four bytes as [`fold`] leaves them.
const fn half_word(bytes: [u8; 4]) -> u32 {
    fold(u32::from_le_bytes(bytes))
}

/// Takes letter case from four bytes. What is no letter is changed too: two labels may become the same, and none different.
#[inline(always)]
const fn fold(bytes: u32) -> u32 {
    bytes | CASE as u32
}

/// Says whether the first two labels may be a port and a protocol in a spelling that is not written down.
///
/// Either may lack its underscore, and an underscore alone stands for any; written down is `_PORT._PROTOCOL`.
#[inline(always)]
fn may_be_port(name: &impl NameBytes) -> bool {
    let start = |at: usize| name.half_word_at(at).unwrap_or(0).to_le();
    let len = |start: u32| start & 0xff;
    let has_underscore = |start: u32| start >> 8 & 0xff == u32::from(b'_');
    let port = start(0);
    let protocol = start(len(port) as usize + 1);
    let are_written_down = has_underscore(port) && len(port) > 1 && len(protocol) > 1;
    match has_underscore(protocol) {
        true => !are_written_down,
        false => PROTOCOLS.contains(&fold(protocol)),
    }
}

/// What the labels left of a zone are like.
#[derive(Clone, Copy)]
pub struct Shape {
    /// How many there are.
    labels: usize,
    /// The first four bytes of the last, as [`fold`] leaves them.
    top: u32,
    /// Where the last but one begins, if there is one: below `pod` and `svc`, that of the namespace.
    pub namespace_at: usize,
    /// Where the last but two begins, if there is one.
    pub object_at: usize,
}

impl Shape {
    /// Walks over the labels before byte `end`. A name is not one unless they end just there.
    #[inline(always)]
    fn read(name: &impl NameBytes, end: usize) -> Result<Self, Pass> {
        let (mut at, mut labels) = (0, 0);
        let [mut last, mut namespace_at, mut object_at] = [0; 3];
        for _ in 0..MAX_LABELS {
            if at >= end {
                break;
            }
            let len = usize::from(name.byte_at(at).ok_or(Pass::Malformed)?);
            if !(1..=63).contains(&len) {
                return Err(Pass::Malformed);
            }
            (object_at, namespace_at, last) = (namespace_at, last, at);
            at += 1 + len;
            labels += 1;
        }
        // Verifier: or all that follows would be walked through once for each number of labels.
        let [at, labels, last, namespace_at, object_at] = [at, labels, last, namespace_at, object_at].map(forget);
        match () {
            () if at == end => Ok(Self {
                labels,
                top: fold(name.half_word_at(last).unwrap_or(0).to_le()),
                namespace_at,
                object_at,
            }),
            () if at < end => Err(Pass::Uncertain),
            () => Err(Pass::Malformed),
        }
    }
}

/// Reads the IPv4 address that the label at `at` spells with dashes, such as `10-1-2-3`, in the strict form (no leading
/// zeros); `None` where it spells no address of any kind.
///
/// What may be an IPv6 address is left to others: labels that are longer than any IPv4 address, or have dots, colons, seven
/// dashes, or dashes without anything between.
#[inline(always)]
pub fn dashed_ipv4(name: &impl NameBytes, at: usize) -> Result<Option<u32>, Pass> {
    const MAX_LEN: usize = b"255-255-255-255".len();
    let at = hide(at);
    let len = hide(usize::from(name.byte_at(at).ok_or(Pass::Malformed)?));
    if len > MAX_LEN {
        return Err(Pass::Uncertain);
    }
    // Verifier: without a branch on any byte, since each would double the ways to walk. The flags are 0 or 1.
    let (mut address, mut octet, mut dashes) = (0, 0, 0);
    let (mut is_wrong, mut may_be_ipv6) = (0, 0);
    let (mut was_digit, mut was_dash) = (0, 1);
    for index in 0..MAX_LEN {
        if index >= len {
            break;
        }
        let byte = usize::from(name.byte_at(at + 1 + index).ok_or(Pass::Malformed)?);
        // Digits are the bytes 0x30 to 0x39.
        let digit = byte ^ usize::from(b'0');
        let is_digit = is_less(digit, 10);
        let is_dash = is_equal(byte, b'-');
        let has_leading_zero = is_digit & was_digit & is_less(octet, 1);
        address = (address << (8 * is_dash)) | (octet * is_dash);
        octet = (octet * 10 + digit) * is_digit;
        dashes += is_dash;
        is_wrong |= has_leading_zero | is_less(255, octet) | 1 ^ (is_digit | is_dash);
        may_be_ipv6 |= is_dash & was_dash | is_equal(byte, b'.') | is_equal(byte, b':');
        (was_digit, was_dash) = (is_digit, is_dash);
    }
    // Verifier: or what follows would be walked through once for each length.
    let (is_wrong, dashes) = (forget(is_wrong), forget(dashes));
    if forget(may_be_ipv6 | was_dash) != 0 || dashes == 7 {
        return Err(Pass::Uncertain);
    }
    let address = forget(address << 8 | octet) as u32;
    Ok((dashes == 3 && is_wrong == 0).then_some(address))
}

/// 1 where `one` is less than `other`, or else 0. Both are less than half of what there is.
///
/// Verifier: hidden twice, since the compiler makes a branch of a bit that it knows to be one, computed or used.
#[inline(always)]
fn is_less(one: usize, other: usize) -> usize {
    hide(hide(one.wrapping_sub(other)) >> (usize::BITS - 1))
}

/// 1 where both are equal, or else 0.
#[inline(always)]
fn is_equal(one: usize, other: u8) -> usize {
    is_less(one ^ usize::from(other), 1)
}
