//! The map contract: how the agent lays out what the kernel reads, and how a name is found in it.
//!
//! Names are found by an index of buckets that leads to records. A bucket is one cache line: seven slots, each a tag
//! (32 bits of the name's hash) and the number of a record, and a mark that it has overflowed. A name stands in the
//! bucket that the upper bits of its hash name, or, where that one is full, in a second one. So a name that is not there
//! costs one cache line, and one that is there two or three, whatever the tables' size. No hash stands in for a name:
//! the record holds it whole, and it is compared.
//!
//! Records never move. A record that is rewritten is marked first (an odd `sequence`), and a reader that meets the
//! mark, or finds the sequence changed when it has read, says so and the packet passes. The agent writes records and
//! buckets one system call each, which orders them; readers rely on loads not being reordered with loads (x86-64).

use core::ptr::{addr_of, read_volatile};

use crate::decide::{Entry, Lookup, Octets, Zone};
use crate::outcome::{Outcome, Pass};
use crate::words::{HashKeys, MAX_WORDS, Words, equal, hash};

/// How many bits of a hash number a bucket.
pub const BUCKET_BITS: u32 = 14;
/// How many buckets the index has.
pub const BUCKETS: u32 = 1 << BUCKET_BITS;
/// How many names fit: more than 10,000 Services in two zones, with buckets a third full.
pub const RECORDS: u32 = 32_768;
/// How many slots a bucket has.
pub const SLOTS: usize = 7;
/// How many served addresses of each family fit.
pub const SERVED: usize = 8;

/// Names of the maps in the object file.
pub mod names {
    /// Array of [`super::Bucket`].
    pub const BUCKETS: &str = "BUCKETS";
    /// Array of [`super::Record`].
    pub const RECORDS: &str = "RECORDS";
    /// One [`super::HashKeys`].
    pub const HASH_KEYS: &str = "HASH_KEYS";
    /// One [`super::Lease`].
    pub const LEASE: &str = "LEASE";
    /// One [`super::ServedAddresses`].
    pub const SERVED: &str = "SERVED";
    /// One [`super::Counters`] per CPU.
    pub const COUNTERS: &str = "COUNTERS";
}

/// A slot of a bucket; empty where `record` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Slot {
    /// [`Hash::tag`] of the name.
    pub tag: u32,
    /// Number of the name's record. Record 0 is never used.
    pub record: u32,
}

/// Reads an IPv6 address as the two words that it is compared by.
pub fn ipv6_words(octets: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = octets;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes(rest)]
}

/// A bucket of the index: one cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Bucket {
    /// The slots, in no order. No two have the same tag.
    pub slots: [Slot; SLOTS],
    /// Not 0: names that belong here stand in their second bucket.
    pub overflowed: u64,
}

/// A name and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Record {
    /// Odd while the record is being written, or free.
    pub sequence: u32,
    /// The zone's `ttl` option, in seconds.
    pub ttl: u32,
    /// Length of the name, in bytes.
    pub name_len: u8,
    /// Length of the zone's name, in bytes.
    pub zone_len: u8,
    /// Which of the record sets exist, see [`crate::decide::types`].
    pub types: u8,
    /// Always 0.
    pub reserved: u8,
    /// The A record's address.
    pub ipv4: [u8; 4],
    /// The AAAA record's address.
    pub ipv6: [u8; 16],
    /// The name's last eight bytes, in lower case.
    pub last: u64,
    /// The name's full words, in lower case; zero beyond.
    pub words: [u64; MAX_WORDS],
}

/// The agent's promise that the tables are true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Lease {
    /// `CLOCK_MONOTONIC` in nanoseconds until which the tables may be answered from.
    pub until: u64,
    /// 1 once every object that there is stands in the tables.
    pub synced: u32,
    /// The zones' serial.
    pub serial: u32,
}

/// The addresses whose port 53 is ours; unused places are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ServedAddresses {
    /// IPv4 addresses, as they stand in a packet.
    pub ipv4: [[u8; 4]; SERVED],
    /// IPv6 addresses, as they stand in a packet, read as two words.
    pub ipv6: [[u64; 2]; SERVED],
}

impl ServedAddresses {
    /// Says whether an IPv4 address is among them. The unspecified address never is.
    #[inline(always)]
    pub fn has_ipv4(&self, address: [u8; 4]) -> bool {
        address != [0; 4] && self.ipv4.contains(&address)
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

// SAFETY: 7 slots of two `u32` and a `u64` on 8 bytes: no padding.
unsafe impl Contract for Bucket {}
// SAFETY: 4 + 4 + 4 * 1 + 4 + 16 + 8 + 31 * 8 bytes, each field on a multiple of its size: no padding.
unsafe impl Contract for Record {}
// SAFETY: 31 + 2 times `u64`: no padding.
unsafe impl Contract for HashKeys {}
// SAFETY: 8 + 4 + 4 bytes: no padding.
unsafe impl Contract for Lease {}
// SAFETY: 8 times 4 and 8 times 16 bytes, each on a multiple of 8: no padding.
unsafe impl Contract for ServedAddresses {}

const _: () = assert!(size_of::<Bucket>() == 64 && size_of::<Record>() == 288);
const _: () = assert!(size_of::<HashKeys>() == 264 && size_of::<Lease>() == 16 && size_of::<ServedAddresses>() == 160);

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
    /// What its slot is recognised by.
    pub tag: u32,
}

impl Hash {
    /// Hashes a name, letter case aside.
    #[inline(always)]
    pub fn of(name: &impl Words, keys: &HashKeys) -> Self {
        let first = hash(name, keys);
        let second = (first ^ (first >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let bucket = |hash: u64| (hash >> (64 - BUCKET_BITS)) as u32;
        Self {
            buckets: [bucket(first), bucket(second)],
            tag: second as u32,
        }
    }
}

/// The arrays of the contract, wherever they are kept.
///
/// # Safety
///
/// Each pointer returned is aligned and valid for reads of its whole type for as long as `self` is borrowed. Another
/// thread may write there meanwhile.
pub unsafe trait Arrays {
    /// The bucket of this number.
    fn bucket(&self, number: u32) -> Option<*const Bucket>;

    /// The record of this number.
    fn record(&self, number: u32) -> Option<*const Record>;

    /// The keys that names are hashed with.
    fn hash_keys(&self) -> Option<&HashKeys>;
}

/// The arrays in plain memory: the contract outside of the kernel.
#[cfg(not(target_arch = "bpf"))]
#[derive(Clone, Copy, Debug)]
pub struct MemoryArrays<'a> {
    /// The index.
    pub buckets: &'a [Bucket],
    /// The records.
    pub records: &'a [Record],
    /// The keys that names are hashed with.
    pub hash_keys: &'a HashKeys,
}

// SAFETY: the pointers are those of references that live as long as `self` is borrowed.
#[cfg(not(target_arch = "bpf"))]
unsafe impl Arrays for MemoryArrays<'_> {
    fn bucket(&self, number: u32) -> Option<*const Bucket> {
        self.buckets.get(number as usize).map(core::ptr::from_ref)
    }

    fn record(&self, number: u32) -> Option<*const Record> {
        self.records.get(number as usize).map(core::ptr::from_ref)
    }

    fn hash_keys(&self) -> Option<&HashKeys> {
        Some(self.hash_keys)
    }
}

/// Looks a name up.
#[inline(always)]
pub fn find(arrays: &impl Arrays, name: &impl Words) -> Lookup {
    let Some(keys) = arrays.hash_keys() else {
        return Lookup::unknown(Pass::Unsynced);
    };
    let hash = Hash::of(name, keys);
    for number in hash.buckets {
        let Some(bucket) = arrays.bucket(number) else { break };
        let number = candidate(bucket, hash.tag);
        if number != 0
            && let Some(record) = arrays.record(number)
        {
            let stored = StoredName(record);
            let sequence = stored.sequence();
            if equal(name, &stored) {
                return stored.read(sequence);
            }
            if is_marked(sequence) {
                return Lookup::unknown(Pass::Changing);
            }
        }
        // SAFETY: `Arrays` promises that the bucket is aligned and readable; volatile, since it may change.
        if unsafe { read_volatile(addr_of!((*bucket).overflowed)) } == 0 {
            break;
        }
    }
    Lookup::unknown(Pass::NameUnknown)
}

/// The record that a tag leads to in a bucket, or 0. Without a branch for each slot: tags are unique in a bucket.
#[inline(always)]
fn candidate(bucket: *const Bucket, tag: u32) -> u32 {
    let mut record = 0;
    for slot in 0..SLOTS {
        // SAFETY: `Arrays` promises that the bucket is aligned and readable; volatile, since it may change.
        let slot = unsafe { read_volatile(addr_of!((*bucket).slots[slot])) };
        record |= if slot.tag == tag { slot.record } else { 0 };
    }
    record
}

/// Says whether a record of this sequence is being written, or free.
#[inline(always)]
fn is_marked(sequence: u32) -> bool {
    sequence & 1 == 1
}

/// A record in a table that may be written meanwhile: every read is volatile, so that the compiler neither repeats nor
/// reorders it.
struct StoredName(*const Record);

impl StoredName {
    #[inline(always)]
    fn sequence(&self) -> u32 {
        // SAFETY: made in `find` alone, of a pointer that `Arrays` promises to be aligned and readable.
        unsafe { read_volatile(addr_of!((*self.0).sequence)) }
    }

    /// Reads what is known of the name, unless the record was rewritten since it had this sequence.
    #[inline(always)]
    fn read(&self, sequence: u32) -> Lookup {
        let record = self.0;
        // SAFETY: as in `sequence`.
        let (types, ttl, name_len, ipv4, ipv6) = unsafe {
            (
                read_volatile(addr_of!((*record).types)),
                read_volatile(addr_of!((*record).ttl)),
                read_volatile(addr_of!((*record).zone_len)),
                read_volatile(addr_of!((*record).ipv4)),
                read_volatile(addr_of!((*record).ipv6)),
            )
        };
        if is_marked(sequence) || self.sequence() != sequence {
            return Lookup::unknown(Pass::Changing);
        }
        Lookup::found(Entry {
            types,
            ipv4: Octets(ipv4),
            ipv6: Octets(ipv6),
            zone: Zone { name_len, ttl },
        })
    }
}

impl Words for StoredName {
    #[inline(always)]
    fn afresh(&self) -> Self {
        Self(self.0)
    }

    #[inline(always)]
    fn name_len(&self) -> usize {
        // SAFETY: as in `sequence`.
        usize::from(unsafe { read_volatile(addr_of!((*self.0).name_len)) })
    }

    #[inline(always)]
    fn word(&self, index: usize) -> Option<u64> {
        if index >= MAX_WORDS {
            return None;
        }
        // SAFETY: as in `sequence`, and the index is within the array.
        Some(unsafe { read_volatile(addr_of!((*self.0).words[index])) })
    }

    #[inline(always)]
    fn last_word(&self) -> u64 {
        // SAFETY: as in `sequence`.
        unsafe { read_volatile(addr_of!((*self.0).last)) }
    }
}
