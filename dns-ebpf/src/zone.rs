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
    /// Not so names below `pod`: an address makes one (`pods insecure`).
    pub const PODS: u32 = 2;
    /// Not so names below `pod` of four or more labels, which may stand for that of their last three (`pods verified`).
    pub const DEEP_PODS: u32 = 4;
    /// Not so names of six or more labels, which may be of a topology zone (`zonal`).
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

    /// Says whether a name that ends by the zone and is not in the tables certainly does not exist.
    #[inline(always)]
    pub fn check_absence(&self, name: &impl NameBytes) -> Result<(), Pass> {
        let shape = Shape::read(name, name.name_len().wrapping_sub(self.len as usize))?;
        let last = fold(name.half_word_at(shape.last).unwrap_or(0).to_le());
        let is_uncertain = match last {
            POD => self.denial & shape.deep_pods() != 0,
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
struct Shape {
    /// How many there are.
    labels: usize,
    /// Where the last begins.
    last: usize,
}

impl Shape {
    /// Which of [`denial`]'s bits concern it if it lies below `pod`.
    #[inline(always)]
    fn deep_pods(&self) -> u32 {
        if self.labels >= 4 {
            denial::PODS | denial::DEEP_PODS
        } else {
            denial::PODS
        }
    }

    /// Walks over the labels before byte `end`. A name is not one unless they end just there.
    #[inline(always)]
    fn read(name: &impl NameBytes, end: usize) -> Result<Self, Pass> {
        let (mut at, mut last, mut labels) = (0, 0, 0);
        for _ in 0..MAX_LABELS {
            if at >= end {
                break;
            }
            let len = usize::from(name.byte_at(at).ok_or(Pass::Malformed)?);
            if !(1..=63).contains(&len) {
                return Err(Pass::Malformed);
            }
            last = at;
            // Verifier: hidden, or all that follows would be walked through once for each number of labels.
            at = hide(at + 1 + len) & 0x1ff;
            labels = forget(labels + 1) & 0x1f;
        }
        match () {
            () if at == end => Ok(Self { labels, last }),
            () if at < end => Err(Pass::Uncertain),
            () => Err(Pass::Malformed),
        }
    }
}
