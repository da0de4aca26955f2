//! The map contract: how the agent lays out what the kernel reads, and how a name is found in it.
//!
//! Names are found by an index of buckets that leads to records. A bucket is one cache line: seven slots, each a tag
//! (32 bits of the name's hash) and the handle of a record, and a count of names that found no place in it. A name stands
//! in the bucket that the upper bits of its hash name, or, where that one was full, in a second one. So a name that is not
//! there costs one cache line, and one that is there two or three, whatever the tables' size. No hash stands in for a
//! name: the record holds it whole, and it is compared.
//!
//! Records have any length and stand in chunks, which come and go with what there is to hold. A record says everything of
//! one name, in finished bytes of replies ([`crate::record`]). It is written once, before a slot leads to it, and never
//! again: a change is another record, and one store of the slot goes over to it. What no slot leads to is written anew
//! only when no program can be reading it any more (a grace period of RCU). So nobody ever reads half of anything.

use core::marker::PhantomData;
use core::ops::RangeInclusive;
use core::ptr::{addr_of, read_volatile};
#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::AtomicU64;

use crate::outcome::{Outcome, Pass};
use crate::packet::{Stored, hide};
use crate::record::{Code, HEADER_LEN, Header, MAX_REACH, MAX_SET_AT, Set};
use crate::words::{HashKeys, MAX_WORDS, Words, equal, hash};
use crate::zone::Zone;

/// How many bits of a hash number a bucket, at least and at most.
pub const BUCKET_BITS: RangeInclusive<u32> = 8..=17;
/// How many buckets there is room for: 8 MiB. Names find a place up to three quarters of their slots, some 700,000.
pub const BUCKETS: u32 = 1 << *BUCKET_BITS.end();
/// How many slots a bucket has.
pub const SLOTS: usize = 7;
/// Records begin at multiples of this many bytes.
pub const UNIT: usize = 8;
/// How many bits of a handle number the unit within its chunk.
pub const UNIT_BITS: u32 = 19;
/// How many bytes of a chunk hold records: 4 MiB.
pub const CHUNK_LEN: usize = UNIT << UNIT_BITS;
/// How many chunks there can be.
pub const CHUNKS: u32 = 32;
/// How many zones fit.
pub const ZONES: usize = 8;
/// How many served addresses of each family fit.
pub const SERVED: usize = 8;

/// Names of the maps in the object file.
pub mod names {
    /// Array of [`super::Bucket`].
    pub const BUCKETS: &str = "BUCKETS";
    /// Array of maps, each an array of one [`super::Chunk`].
    pub const CHUNKS: &str = "CHUNKS";
    /// One [`super::Hashing`].
    pub const HASHING: &str = "HASHING";
    /// One [`super::Zones`].
    pub const ZONES: &str = "ZONES";
    /// One [`super::Lease`].
    pub const LEASE: &str = "LEASE";
    /// One [`super::ServedAddresses`].
    pub const SERVED: &str = "SERVED";
    /// One [`super::Counters`] per CPU.
    pub const COUNTERS: &str = "COUNTERS";
}

/// Where a record stands: the number of its chunk in the upper bits, of its first unit there in the lower
/// [`UNIT_BITS`]. No record has handle 0.
pub type Handle = u32;

/// A slot of a bucket: the tag in the lower half, the record's handle in the upper; 0 where it is empty.
///
/// One word, so that it is read and written in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Slot(pub u64);

impl Slot {
    /// Makes the slot that leads from a tag to a record.
    pub fn new(tag: u32, record: Handle) -> Self {
        Self(u64::from(record) << 32 | u64::from(tag))
    }

    /// [`Hash::tag`] of the name; 0 in an empty slot.
    #[inline(always)]
    pub fn tag(self) -> u32 {
        self.0 as u32
    }

    /// The name's record; 0 in an empty slot.
    #[inline(always)]
    pub fn record(self) -> Handle {
        (self.0 >> 32) as u32
    }
}

/// A bucket of the index: one cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Bucket {
    /// The slots, in no order. No two have the same tag.
    pub slots: [Slot; SLOTS],
    /// How many names belong here and stand in their second bucket.
    pub overflowed: u64,
}

/// How a name's place in the index follows from the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Hashing {
    /// How many bits of a hash number a bucket, among [`BUCKET_BITS`]: as few as will do, so that few names keep to few cache
    /// lines and pages. It changes only while nothing is answered.
    pub bucket_bits: u64,
    /// What names are hashed with.
    pub keys: HashKeys,
}

/// How far beyond its beginning a record is ever read, checked or not: the farthest bytes of a set, rotated.
const REACH: usize = 16 << 10;

/// How many words a chunk has.
pub const CHUNK_WORDS: usize = (CHUNK_LEN + REACH) / UNIT;

/// A chunk: units of records, and as many bytes behind them as a record may reach.
///
/// No structure: Linux before 6.4 would look into one for a timer, and hold a map that is described to it by this type for
/// another than one that is not.
pub type Chunk = [u64; CHUNK_WORDS];

const _: () = assert!(MAX_REACH <= REACH, "no record is read beyond its chunk");

/// The agent's promise that the tables are true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Lease {
    /// [`Maps::now`] from which on the tables may not be answered from any more.
    pub until: u32,
    /// Not 0: every object is known.
    pub synced: u32,
    /// Not 0: every name found room, so that one that is not in the tables may be denied.
    pub complete: u32,
}

impl Lease {
    /// Says whether the promise holds at this time, which is less than half of the clock's round away from its end.
    #[inline(always)]
    pub fn is_live(&self, now: u32) -> bool {
        (self.until.wrapping_sub(now) as i32) > 0
    }
}

/// The zones that the kernel answers from, the deepest first; unused places have length 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Zones(pub [Zone; ZONES]);

/// The addresses whose port 53 is ours. Unused places hold the unspecified address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ServedAddresses {
    /// IPv4 addresses, in network byte order.
    pub ipv4: [[u8; 4]; SERVED],
    /// IPv6 addresses, as [`ipv6_words`] reads them.
    pub ipv6: [[u64; 2]; SERVED],
}

/// Reads an IPv6 address as the two words that it is compared by.
pub fn ipv6_words(octets: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = octets;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes(rest)]
}

impl ServedAddresses {
    /// Says whether an IPv4 address is among them. The unspecified address never is.
    #[inline(always)]
    pub fn has_ipv4(&self, address: [u8; 4]) -> bool {
        let address = u32::from_ne_bytes(address);
        address != 0 && self.ipv4.iter().any(|served| u32::from_ne_bytes(*served) == address)
    }

    /// Says whether an IPv6 address, read as two words, is among them. The unspecified address never is.
    #[inline(always)]
    pub fn has_ipv6(&self, address: [u64; 2]) -> bool {
        address != [0; 2] && self.ipv6.contains(&address)
    }
}

/// A type of the contract, as the bytes that a map's value is made of.
///
/// # Safety
///
/// The type has no padding and no references.
pub unsafe trait Contract: Copy {}

// SAFETY: 1 + 2 + 31 times `u64`: no padding.
unsafe impl Contract for Hashing {}
// SAFETY: an array of structures whose size, asserted below, is the sum of their fields': no padding.
unsafe impl Contract for Zones {}
// SAFETY: 4 + 4 + 4 bytes: no padding.
unsafe impl Contract for Lease {}
// SAFETY: 8 times 4 and 8 times 16 bytes, each on a multiple of 8: no padding.
unsafe impl Contract for ServedAddresses {}

const _: () = assert!(size_of::<Bucket>() == 64 && size_of::<Hashing>() == 272);
const _: () = assert!(size_of::<Zone>() == 128 && size_of::<Lease>() == 12 && size_of::<ServedAddresses>() == 160);

/// A value of the contract as bytes; `N` is its size.
pub fn bytes_of<T: Contract, const N: usize>(value: &T) -> [u8; N] {
    const { assert!(size_of::<T>() == N) };
    // SAFETY: the source is a `T` without padding, so all of its `N` bytes are initialised, and bytes need no alignment.
    unsafe { core::ptr::from_ref(value).cast::<[u8; N]>().read() }
}

/// How often each [`Outcome`] was reached, by [`Outcome::counter`].
pub type Counters = [u64; Outcome::COUNT];

/// Where a name stands in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    /// The two buckets that may hold it, in the order in which they are tried.
    pub buckets: [u32; 2],
    /// What its slot is recognised by: odd, since that of an empty slot is 0.
    pub tag: u32,
}

impl Hash {
    /// Hashes a name, letter case aside.
    #[inline(always)]
    pub fn of(name: &impl Words, hashing: &Hashing) -> Self {
        let first = hash(name, &hashing.keys);
        let second = (first ^ (first >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let shift = 64_u32.wrapping_sub(hashing.bucket_bits as u32);
        let bucket = |hash: u64| hash.wrapping_shr(shift) as u32;
        Self {
            buckets: [bucket(first), bucket(second)],
            tag: second as u32 | 1,
        }
    }
}

/// The maps of the contract, wherever they are kept.
///
/// # Safety
///
/// Each pointer returned is aligned and valid for reads of its whole type for as long as `self` is borrowed. Meanwhile
/// others may write to buckets, word by word, and to such records only as no bucket has led to since `self` was borrowed.
pub unsafe trait Maps {
    /// The bucket of this number.
    fn bucket(&self, number: u32) -> Option<*const Bucket>;

    /// The chunk of this number.
    fn chunk(&self, number: u32) -> Option<*const Chunk>;

    /// How names are hashed.
    fn hashing(&self) -> Option<&Hashing>;

    /// The zones.
    fn zones(&self) -> Option<&Zones>;

    /// The promise that all this is true.
    fn lease(&self) -> Option<&Lease>;

    /// The clock that leases are counted by, in ticks of the kernel; it goes round.
    fn now(&self) -> u32;

    /// A number that nobody can foresee.
    fn random(&self) -> u32;

    /// The addresses whose port 53 is ours.
    fn served(&self) -> Option<&ServedAddresses>;
}

/// The tables in plain memory: the contract outside of the kernel.
#[cfg(not(target_arch = "bpf"))]
#[derive(Clone, Debug)]
pub struct MemoryMaps<'a> {
    /// The buckets.
    pub buckets: &'a [AtomicU64],
    /// The chunks by their numbers; empty where there is none.
    pub chunks: Vec<&'a [AtomicU64]>,
    /// How names are hashed.
    pub hashing: Hashing,
    /// The zones.
    pub zones: Zones,
    /// The promise, which is kept at time 0.
    pub lease: Lease,
    /// The addresses whose port 53 is ours.
    pub served: ServedAddresses,
}

// SAFETY: buckets and chunks are pointed to only where the slices are long enough; they live as long as `self` is borrowed,
// and are written to by atomic operations alone, by one who keeps what `Maps` promises.
#[cfg(not(target_arch = "bpf"))]
unsafe impl Maps for MemoryMaps<'_> {
    fn bucket(&self, number: u32) -> Option<*const Bucket> {
        let at = number as usize * size_of::<Bucket>() / UNIT;
        let words = self
            .buckets
            .get(at..)?
            .first_chunk::<{ size_of::<Bucket>() / UNIT }>()?;
        Some(core::ptr::from_ref(words).cast())
    }

    fn chunk(&self, number: u32) -> Option<*const Chunk> {
        let words = self.chunks.get(number as usize)?;
        (words.len() == CHUNK_WORDS).then(|| words.as_ptr().cast())
    }

    fn hashing(&self) -> Option<&Hashing> {
        Some(&self.hashing)
    }

    fn zones(&self) -> Option<&Zones> {
        Some(&self.zones)
    }

    fn lease(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    fn now(&self) -> u32 {
        0
    }

    fn random(&self) -> u32 {
        0
    }

    fn served(&self) -> Option<&ServedAddresses> {
        Some(&self.served)
    }
}

/// Looks a name up; `None` where it is not in the tables.
#[inline(always)]
pub fn find<'t>(maps: &'t impl Maps, name: &impl Words) -> Result<Option<StoredRecord<'t>>, Pass> {
    let hashing = maps.hashing().ok_or(Pass::Unsynced)?;
    let hash = Hash::of(name, hashing);
    for number in hash.buckets {
        let bucket = maps.bucket(number).ok_or(Pass::Unsynced)?;
        let handle = candidate(bucket, hash.tag);
        if handle != 0
            && let Some(record) = record(maps, handle)
            && equal(name, &record)
        {
            return Ok(Some(record));
        }
        // SAFETY: `Maps` promises that the bucket is aligned and readable; volatile, since it may change.
        if unsafe { read_volatile(addr_of!((*bucket).overflowed)) } == 0 {
            break;
        }
    }
    Ok(None)
}

/// The record that a tag leads to in a bucket, or 0.
#[inline(always)]
fn candidate(bucket: *const Bucket, tag: u32) -> Handle {
    for slot in 0..SLOTS {
        // SAFETY: `Maps` promises that the bucket is aligned and readable; volatile, since it may change.
        let slot = unsafe { read_volatile(addr_of!((*bucket).slots[slot])) };
        if slot.tag() == tag {
            return slot.record();
        }
    }
    0
}

/// The record of a handle; `None` where there is no such chunk.
#[inline(always)]
pub fn record(maps: &impl Maps, handle: Handle) -> Option<StoredRecord<'_>> {
    let chunk = maps.chunk(handle >> UNIT_BITS)?;
    let offset = handle as usize % (1 << UNIT_BITS) * UNIT;
    Some(StoredRecord {
        start: chunk.cast::<u8>().wrapping_add(offset),
        tables: PhantomData,
    })
}

/// A record in the tables.
///
/// It begins at a multiple of [`UNIT`] before [`CHUNK_LEN`] in a chunk, behind which `REACH` bytes more can be read: as
/// [`Maps`] promises for as long as the tables are borrowed, and that nobody writes to it meanwhile.
#[derive(Clone, Copy)]
pub struct StoredRecord<'t> {
    start: *const u8,
    tables: PhantomData<&'t [u8]>,
}

impl<'t> StoredRecord<'t> {
    /// The header.
    #[inline(always)]
    pub fn header(self) -> Header {
        // SAFETY: it is aligned and readable, as its own description says; any bytes are a header.
        unsafe { self.start.cast::<Header>().read() }
    }

    /// The set that a code leads to.
    #[inline(always)]
    pub fn set(self, code: Code) -> Set {
        let offset = 8 * usize::from(code.0);
        // SAFETY: as in `header`; the offset is below 2,048 and a multiple of 8.
        unsafe { self.start.wrapping_add(offset).cast::<Set>().read() }
    }

    /// The bytes of a set, from byte `from` on, `len` of them; both are taken as less than 2,048.
    #[inline(always)]
    pub fn bytes(self, set: Set, from: usize, len: usize) -> Stored<'t> {
        let at = hide(usize::from(set.at)) & MAX_SET_AT;
        let from = hide(from) & Stored::LEN_MASK;
        // SAFETY: as in `header`; what is read ends before `MAX_REACH`.
        unsafe { Stored::new(self.start.wrapping_add(at).wrapping_add(from), len) }
    }
}

impl Words for StoredRecord<'_> {
    #[inline(always)]
    fn afresh(&self) -> Self {
        *self
    }

    #[inline(always)]
    fn name_len(&self) -> usize {
        usize::from(self.header().name_len)
    }

    #[inline(always)]
    fn word(&self, index: usize) -> Option<u64> {
        if index >= MAX_WORDS {
            return None;
        }
        // SAFETY: as in `header`; names have at most `MAX_WORDS` words.
        Some(unsafe { self.start.wrapping_add(HEADER_LEN + 8 * index).cast::<u64>().read() })
    }

    #[inline(always)]
    fn last_word(&self) -> u64 {
        // SAFETY: as in `header`.
        unsafe { self.start.wrapping_add(8).cast::<u64>().read() }
    }
}
