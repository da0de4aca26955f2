//! The name table as the agent writes it: which record stands where, and the order in which that comes to be.
//!
//! A record is written where no slot leads, and then one store of a slot makes it the truth. What a slot does not lead to
//! any more rests until no program can be reading it. See [`dns_ebpf::maps`].

use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use dns_ebpf::maps::{
    BUCKET_BITS, BUCKETS, Bucket, CHUNK_LEN, CHUNKS, Handle, Hash, Hashing, SLOTS, Slot, UNIT, UNIT_BITS,
};
use dns_ebpf::record::{HEADER_LEN, Header};
use dns_ebpf::words::{HashKeys, MIN_NAME_LEN, Words};
use thiserror::Error;

use super::heap::{Extent, Heap};
use super::memory::Memory;
use super::record::{self, Record};
use crate::name::Name;

/// How many units a chunk has.
const CHUNK_UNITS: u32 = (CHUNK_LEN / UNIT) as u32;
/// How many words a bucket has.
const BUCKET_WORDS: usize = size_of::<Bucket>() / UNIT;
/// How many units rest before a grace period is begun for them: half a MiB, some 200 changes.
const BATCH: u32 = CHUNK_UNITS / 8;
/// For how many names in the mean a bucket is at most once the index fits. From four on many would find their first bucket
/// full; with far fewer, some names would be strewn over as many cache lines and pages.
const NAMES_PER_BUCKET: usize = 2;

/// Where chunks come from, and who reads them.
pub trait Chunks {
    /// Makes the chunk of this number, of zeros.
    fn make(&mut self, number: u32) -> Result<Memory>;

    /// Takes the chunk of this number from the readers.
    fn withdraw(&mut self, number: u32) -> Result<()>;

    /// Begins a grace period, which ends when every reader that reads now has ended. One at a time; returns at once.
    fn begin_grace_period(&mut self) -> Result<()>;

    /// Says whether the grace period has ended.
    fn has_grace_period_ended(&self) -> bool;

    /// Waits until it has.
    fn end_grace_period(&mut self) -> Result<()>;
}

/// A name found no room; its questions pass.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no room in the kernel's tables for {name}: until there is, questions for names that do not exist pass, too")]
pub struct Full {
    name: Name,
}

/// The index and the records.
#[derive(Debug)]
pub struct Table<C> {
    hashing: Hashing,
    buckets: Memory,
    chunks: Vec<Option<Memory>>,
    supply: C,
    heap: Heap,
    /// What was read until now, and may still be.
    resting: Vec<Extent>,
    resting_len: u32,
    /// What may be read until the grace period ends; nothing while there is none.
    leaving: Vec<Extent>,
    names: usize,
    /// What found no room.
    refused: BTreeMap<Name, Record>,
    refusals: u64,
}

/// Where a name stands in the index.
#[derive(Clone, Copy)]
struct Place {
    bucket: u32,
    slot: usize,
}

/// The slots of a bucket.
fn slots(bucket: u32) -> impl Iterator<Item = Place> {
    (0..SLOTS).map(move |slot| Place { bucket, slot })
}

/// The name of the record of this handle.
struct StoredName<'t, C>(&'t Table<C>, Handle);

impl<C: Chunks> Words for StoredName<'_, C> {
    fn name_len(&self) -> usize {
        Header::from_word(self.0.word(self.1, 0)).name_len.into()
    }

    fn afresh(&self) -> Self {
        Self(self.0, self.1)
    }

    fn word(&self, index: usize) -> Option<u64> {
        Some(self.0.word(self.1, HEADER_LEN / UNIT + index))
    }

    fn last_word(&self) -> u64 {
        self.0.word(self.1, 1)
    }
}

impl<C: Chunks> Table<C> {
    /// Starts with empty tables: an index of zeros, as wide as can be, and no chunk.
    pub fn new(keys: HashKeys, buckets: Memory, supply: C) -> Self {
        let bucket_bits = (*BUCKET_BITS.end()).into();
        Self {
            hashing: Hashing { bucket_bits, keys },
            buckets,
            chunks: (0..CHUNKS).map(|_| None).collect(),
            supply,
            heap: Heap::new(CHUNK_UNITS),
            resting: Vec::new(),
            resting_len: 0,
            leaving: Vec::new(),
            names: 0,
            refused: BTreeMap::new(),
            refusals: 0,
        }
    }

    /// How many names have a place.
    pub fn len(&self) -> usize {
        self.names
    }

    /// Says whether no name has a place.
    pub fn is_empty(&self) -> bool {
        self.names == 0
    }

    /// How many names have none, though they should.
    pub fn refused(&self) -> usize {
        self.refused.len()
    }

    /// How many times a name found no room.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> usize {
        self.chunks.iter().flatten().count()
    }

    /// How names are hashed.
    pub fn hashing(&self) -> Hashing {
        self.hashing
    }

    /// The memory of the index.
    pub fn buckets(&self) -> &[AtomicU64] {
        &self.buckets
    }

    /// The memory of each chunk; none of it where there is no chunk.
    pub fn chunk_memory(&self) -> impl Iterator<Item = &[AtomicU64]> {
        self.chunks.iter().map(|chunk| chunk.as_deref().unwrap_or_default())
    }

    /// Gives a name a record, or takes its record away.
    ///
    /// # Errors
    ///
    /// Fails only where the kernel does; a name without room is refused, and tried again as soon as there is any.
    pub fn set(&mut self, name: &Name, record: Option<Record>) -> Result<Result<(), Full>> {
        self.refused.remove(name);
        let Some(record) = record else {
            self.remove(name)?;
            return Ok(Ok(()));
        };
        if self.put(name, &record)? {
            return Ok(Ok(()));
        }
        self.remove(name)?;
        self.refusals += 1;
        self.refused.insert(name.clone(), record);
        Ok(Err(Full { name: name.clone() }))
    }

    /// Tries again what found no room.
    pub fn retry(&mut self) -> Result<()> {
        for (name, record) in mem::take(&mut self.refused) {
            if !self.put(&name, &record)? {
                self.refused.insert(name, record);
            }
        }
        Ok(())
    }

    /// Says whether the index is as wide as suits the number of names.
    pub fn is_fit(&self) -> bool {
        self.better_width().is_none()
    }

    /// Makes the index as wide as suits the number of names. Nobody may be reading it.
    ///
    /// # Errors
    ///
    /// Fails only where the kernel does; a name that finds no room any more is refused.
    pub fn fit(&mut self) -> Result<()> {
        let Some(bucket_bits) = self.better_width() else {
            return Ok(());
        };
        let places = (0..1 << self.hashing.bucket_bits).flat_map(slots);
        let records: Vec<_> = places.map(|place| self.slot(place).record()).collect();
        self.buckets.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        self.hashing.bucket_bits = bucket_bits;
        self.names = 0;
        for handle in records.into_iter().filter(|handle| *handle != 0) {
            let hash = self.hash(&StoredName(self, handle));
            match self.place_for(&hash)? {
                Some(place) => self.fill(place, &hash, handle),
                None => {
                    let record: Record = (0..self.len_of(handle)).map(|index| self.word(handle, index)).collect();
                    self.rest(handle)?;
                    self.refusals += 1;
                    self.refused.insert(record::name_of(&record), record);
                }
            }
        }
        Ok(())
    }

    /// How many bits had better number a bucket; nothing where one more or less would not make much of a difference.
    fn better_width(&self) -> Option<u64> {
        let buckets = (self.names / NAMES_PER_BUCKET).next_power_of_two();
        let bits = buckets.trailing_zeros().clamp(*BUCKET_BITS.start(), *BUCKET_BITS.end());
        let bits = u64::from(bits);
        (bits.abs_diff(self.hashing.bucket_bits) > 1).then_some(bits)
    }

    /// Waits until everyone who reads now has ended.
    pub fn await_readers(&mut self) -> Result<()> {
        self.end_grace_period()?;
        self.supply.begin_grace_period()?;
        self.supply.end_grace_period()
    }

    fn hash(&self, name: &impl Words) -> Hash {
        Hash::of(name, &self.hashing)
    }

    /// Says whether the name has the record now.
    fn put(&mut self, name: &Name, record: &[u64]) -> Result<bool> {
        if name.as_wire().len() < MIN_NAME_LEN {
            return Ok(false);
        }
        let hash = self.hash(&name.as_wire());
        let old = self.find(&hash, record);
        if old.is_some_and(|place| self.holds(self.slot(place).record(), record)) {
            return Ok(true);
        }
        let place = match old {
            Some(place) => place,
            None => match self.place_for(&hash)? {
                Some(place) => place,
                None => return Ok(false),
            },
        };
        let Some(handle) = self.write(record)? else {
            return Ok(false);
        };
        if old.is_some() {
            // A reader finds the old record or the new one.
            let before = self.store(place, Slot::new(hash.tag, handle));
            self.rest(before.record())?;
        } else {
            self.fill(place, &hash, handle);
        }
        Ok(true)
    }

    /// A free slot for a name that has none.
    fn place_for(&mut self, hash: &Hash) -> Result<Option<Place>> {
        let mut buckets = hash.buckets.into_iter();
        match buckets.find_map(|bucket| self.vacancy(bucket, hash.tag)) {
            Some(place) => Ok(Some(place)),
            None => self.make_room(hash),
        }
    }

    /// Gives a free slot to a name.
    fn fill(&mut self, place: Place, hash: &Hash, record: Handle) {
        let [first, _] = hash.buckets;
        // First the mark that leads on to the second bucket, or a reader would miss what stands there.
        if place.bucket != first {
            self.overflowed(first).fetch_add(1, Ordering::Release);
        }
        self.store(place, Slot::new(hash.tag, record));
        self.names += 1;
    }

    fn remove(&mut self, name: &Name) -> Result<()> {
        let hash = self.hash(&name.as_wire());
        let nothing = record::name_only(name);
        let Some(place) = self.find(&hash, &nothing) else {
            return Ok(());
        };
        let before = self.store(place, Slot::default());
        let [first, _] = hash.buckets;
        if place.bucket != first {
            self.overflowed(first).fetch_sub(1, Ordering::Release);
        }
        self.names -= 1;
        self.rest(before.record())
    }

    /// Finds the slot of the name that a record is of.
    fn find(&self, hash: &Hash, record: &[u64]) -> Option<Place> {
        let [first, second] = hash.buckets;
        let both = [first, second];
        let buckets = if first == second { &both[..1] } else { &both[..] };
        buckets.iter().copied().flat_map(slots).find(|place| {
            let slot = self.slot(*place);
            slot.tag() == hash.tag && self.is_of(slot.record(), record)
        })
    }

    /// Finds a free slot in a bucket, or in none where a slot has this tag already.
    fn vacancy(&self, bucket: u32, tag: u32) -> Option<Place> {
        let is_free = |place: &Place| self.slot(*place) == Slot::default();
        slots(bucket).find(is_free).filter(|_| !self.has_tag(bucket, tag))
    }

    fn has_tag(&self, bucket: u32, tag: u32) -> bool {
        slots(bucket).any(|place| self.slot(place).tag() == tag)
    }

    /// Frees a slot for a name whose buckets are both full: another name goes over from its first bucket to its second.
    ///
    /// Never back: a reader that has been in the first one already would miss it.
    fn make_room(&mut self, hash: &Hash) -> Result<Option<Place>> {
        let Some((from, to)) = self.find_mover(hash) else {
            return Ok(None);
        };
        self.overflowed(from.bucket).fetch_add(1, Ordering::Release);
        self.store(to, self.slot(from));
        // It stands in both until everyone sees that the first leads on to the second.
        self.await_readers()?;
        self.store(from, Slot::default());
        Ok(Some(from))
    }

    /// Finds a name that can go over, and where to.
    fn find_mover(&self, hash: &Hash) -> Option<(Place, Place)> {
        let buckets = hash.buckets.into_iter();
        let buckets = buckets.filter(|bucket| !self.has_tag(*bucket, hash.tag));
        buckets.flat_map(slots).find_map(|from| {
            let name = StoredName(self, self.slot(from).record());
            let mover = self.hash(&name);
            let [first, second] = mover.buckets;
            let to = self.vacancy(second, mover.tag)?;
            (from.bucket == first && first != second).then_some((from, to))
        })
    }

    fn slot(&self, Place { bucket, slot }: Place) -> Slot {
        Slot(self.buckets[bucket as usize * BUCKET_WORDS + slot].load(Ordering::Relaxed))
    }

    /// Makes this the slot there, for readers that see what was written before, and returns what was.
    fn store(&self, Place { bucket, slot }: Place, new: Slot) -> Slot {
        Slot(self.buckets[bucket as usize * BUCKET_WORDS + slot].swap(new.0, Ordering::Release))
    }

    fn overflowed(&self, bucket: u32) -> &AtomicU64 {
        &self.buckets[bucket as usize * BUCKET_WORDS + SLOTS]
    }

    /// Word number `index` of the record of this handle.
    fn word(&self, handle: Handle, index: usize) -> u64 {
        let chunk = self.chunks[(handle >> UNIT_BITS) as usize]
            .as_deref()
            .unwrap_or_default();
        let at = handle as usize % (1 << UNIT_BITS) + index;
        chunk.get(at).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Says whether the record of this handle is of the same name as another.
    fn is_of(&self, handle: Handle, record: &[u64]) -> bool {
        record::name_words(record).all(|(index, mask)| (self.word(handle, index) ^ record[index]) & mask == 0)
    }

    fn holds(&self, handle: Handle, record: &[u64]) -> bool {
        let same = |(index, word): (usize, &u64)| self.word(handle, index) == *word;
        record.iter().enumerate().all(same) && self.len_of(handle) == record.len()
    }

    /// The length in words of the record of this handle.
    fn len_of(&self, handle: Handle) -> usize {
        record::len_of(|index| self.word(handle, index))
    }

    /// Writes a record where nothing is read; `None` where there is no room.
    fn write(&mut self, record: &[u64]) -> Result<Option<Handle>> {
        let Some(Extent { start, .. }) = self.take(record.len() as u32)? else {
            return Ok(None);
        };
        let chunk = self.chunks[(start >> UNIT_BITS) as usize]
            .as_deref()
            .unwrap_or_default();
        let at = start as usize % (1 << UNIT_BITS);
        for (place, word) in chunk.iter().skip(at).zip(record) {
            place.store(*word, Ordering::Relaxed);
        }
        Ok(Some(start))
    }

    /// Takes units: free ones, or those that have rested, or those of another chunk.
    fn take(&mut self, len: u32) -> Result<Option<Extent>> {
        if let Some(extent) = self.heap.take(len) {
            return Ok(Some(extent));
        }
        self.end_grace_period()?;
        if let Some(extent) = self.heap.take(len) {
            return Ok(Some(extent));
        }
        if self.resting_len >= BATCH || !self.grow()? {
            self.wake()?;
        }
        match self.heap.take(len) {
            Some(extent) => Ok(Some(extent)),
            // What has rested is not enough, or is scattered.
            None => Ok(if self.grow()? { self.heap.take(len) } else { None }),
        }
    }

    /// Says whether there is another chunk now.
    fn grow(&mut self) -> Result<bool> {
        let Some(number) = self.chunks.iter().position(Option::is_none) else {
            return Ok(false);
        };
        let memory = self.supply.make(number as u32)?;
        self.chunks[number] = Some(memory);
        let first = number as u32 * CHUNK_UNITS;
        // No record has handle 0.
        let unused = u32::from(first == 0);
        self.heap.give(Extent {
            start: first + unused,
            len: CHUNK_UNITS - unused,
        });
        Ok(true)
    }

    /// Lets a record rest that no slot leads to any more.
    fn rest(&mut self, handle: Handle) -> Result<()> {
        let len = self.len_of(handle) as u32;
        self.resting.push(Extent { start: handle, len });
        self.resting_len += len;
        if self.resting_len >= CHUNK_UNITS {
            return self.wake();
        }
        if self.resting_len >= BATCH && (self.leaving.is_empty() || self.supply.has_grace_period_ended()) {
            self.end_grace_period()?;
            self.begin_grace_period()?;
        }
        Ok(())
    }

    /// Makes all that rests free, once nobody reads it.
    fn wake(&mut self) -> Result<()> {
        self.end_grace_period()?;
        self.begin_grace_period()?;
        self.end_grace_period()
    }

    /// Lets what rests become free with the next grace period.
    fn begin_grace_period(&mut self) -> Result<()> {
        if self.resting.is_empty() {
            return Ok(());
        }
        self.leaving = mem::take(&mut self.resting);
        self.resting_len = 0;
        self.supply.begin_grace_period()
    }

    /// Waits until the grace period has ended, if there is one, and gives chunks back that nothing stands in.
    fn end_grace_period(&mut self) -> Result<()> {
        if self.leaving.is_empty() {
            return Ok(());
        }
        self.supply.end_grace_period()?;
        for extent in mem::take(&mut self.leaving) {
            self.heap.give(extent);
        }
        while let Some(number) = self.heap.take_spare_chunk() {
            self.supply.withdraw(number)?;
            self.chunks[number as usize] = None;
        }
        Ok(())
    }
}

impl Table<OwnChunks> {
    /// Starts with empty tables in the agent's own memory.
    pub fn in_memory(keys: HashKeys) -> Self {
        Self::new(keys, Memory::own(BUCKETS as usize * BUCKET_WORDS), OwnChunks)
    }
}

/// Chunks in the agent's own memory, with no reader.
#[derive(Debug)]
pub struct OwnChunks;

impl Chunks for OwnChunks {
    fn make(&mut self, _number: u32) -> Result<Memory> {
        Ok(Memory::own(dns_ebpf::maps::CHUNK_WORDS))
    }

    fn withdraw(&mut self, _number: u32) -> Result<()> {
        Ok(())
    }

    fn begin_grace_period(&mut self) -> Result<()> {
        Ok(())
    }

    fn has_grace_period_ended(&self) -> bool {
        true
    }

    fn end_grace_period(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::ops::Range;
    use std::rc::Rc;

    use dns_ebpf::maps::{MemoryMaps, find};
    use dns_ebpf::words::MAX_WORDS;
    use proptest::prelude::*;

    use super::*;
    use crate::rules::qtype;
    use crate::server::Held;

    const KEYS: HashKeys = HashKeys {
        len: 0x94d0_49bb_1331_11eb,
        last: 0xbf58_476d_1ce4_e5b9,
        words: [0x9e37_79b9_7f4a_7c15; MAX_WORDS],
    };
    /// With multipliers of 0 every name has the same hash: one bucket, one tag.
    const SAME: HashKeys = HashKeys {
        len: 0,
        last: 0,
        words: [0; MAX_WORDS],
    };

    /// Chunks in memory, and what has become of grace periods.
    #[derive(Clone, Default)]
    struct Watched(Rc<RefCell<Grace>>);

    #[derive(Default)]
    struct Grace {
        /// How many have ended.
        periods: usize,
        /// How often it is asked for until it has ended.
        lasts: usize,
        /// What readers that began before the period may be reading, and what those that began since may be.
        old: HashMap<Handle, Vec<u64>>,
        new: HashMap<Handle, Vec<u64>>,
    }

    impl Chunks for Watched {
        fn make(&mut self, number: u32) -> Result<Memory> {
            OwnChunks.make(number)
        }

        fn withdraw(&mut self, _number: u32) -> Result<()> {
            Ok(())
        }

        fn begin_grace_period(&mut self) -> Result<()> {
            let mut grace = self.0.borrow_mut();
            grace.lasts = 50 * (grace.periods % 2);
            grace.old = mem::take(&mut grace.new);
            Ok(())
        }

        fn has_grace_period_ended(&self) -> bool {
            let mut grace = self.0.borrow_mut();
            let has_ended = grace.lasts == 0;
            grace.lasts = grace.lasts.saturating_sub(1);
            has_ended
        }

        fn end_grace_period(&mut self) -> Result<()> {
            let mut grace = self.0.borrow_mut();
            grace.periods += 1;
            grace.old.clear();
            Ok(())
        }
    }

    fn table() -> (Table<Watched>, Watched) {
        let watched = Watched::default();
        let buckets = Memory::own(BUCKETS as usize * BUCKET_WORDS);
        (Table::new(KEYS, buckets, watched.clone()), watched)
    }

    fn name(number: usize) -> Name {
        Name::parse(&format!("service-{number}.default.svc.cluster.local")).unwrap()
    }

    /// A record of that many bytes beside the name.
    fn record(number: usize, len: usize) -> Record {
        record_with(number, len, &[1])
    }

    /// The same for each of these types.
    fn record_with(number: usize, len: usize, types: &[u16]) -> Record {
        let ask = |qtype| match types.contains(&qtype) {
            true => Held::Set {
                bytes: vec![(usize::from(qtype) + len) as u8; len.max(1)],
                answers: 1,
                additionals: 0,
            },
            false => Held::NoData,
        };
        record::lay_out(&name(number), 0, ask).unwrap()
    }

    /// What a reader finds: the words of the record.
    fn read<C: Chunks>(table: &Table<C>, number: usize) -> Option<Vec<u64>> {
        let maps = maps(table);
        let found = find(&maps, &name(number).as_wire()).unwrap()?;
        let place = table.find(&table.hash(&name(number).as_wire()), &record::name_only(&name(number)));
        let handle = table.slot(place.unwrap()).record();
        assert_eq!(found.header().to_word(), table.word(handle, 0));
        Some(words(table, handle))
    }

    fn maps<C: Chunks>(table: &Table<C>) -> MemoryMaps<'_> {
        MemoryMaps {
            buckets: table.buckets(),
            chunks: table.chunk_memory().collect(),
            hashing: table.hashing,
            zones: Default::default(),
            lease: Default::default(),
            served: Default::default(),
        }
    }

    fn words<C: Chunks>(table: &Table<C>, handle: Handle) -> Vec<u64> {
        (0..table.len_of(handle))
            .map(|index| table.word(handle, index))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

        /// A reader finds of every name its record; and what a reader may have found is as it was for as long as it may read,
        /// whatever has been written meanwhile.
        #[test]
        fn what_may_be_being_read_is_not_written_to(
            changes in proptest::collection::vec((0..6usize, proptest::option::weighted(0.9, 700..1400usize)), 800..1000)
        ) {
            let (mut table, watched) = table();
            let mut truth = HashMap::<usize, Record>::new();
            for (step, (number, len)) in changes.into_iter().enumerate() {
                let new = len.map(|len| record_with(number, len, &[qtype::A, qtype::AAAA, qtype::SRV]));
                table.set(&name(number), new.clone()).unwrap().unwrap();
                match new {
                    Some(new) => truth.insert(number, new),
                    None => truth.remove(&number),
                };
                prop_assert_eq!(read(&table, number), truth.get(&number).map(|record| record.to_vec()));
                let mut grace = watched.0.borrow_mut();
                if let Some(place) = table.find(&table.hash(&name(number).as_wire()), &record::name_only(&name(number))) {
                    let handle = table.slot(place).record();
                    grace.new.insert(handle, words(&table, handle));
                }
                if step % 32 == 0 {
                    for (handle, record) in grace.old.iter().chain(&grace.new) {
                        prop_assert_eq!(&words(&table, *handle), record);
                    }
                }
            }
            prop_assert_eq!(table.len(), truth.len());
            prop_assert!(watched.0.borrow().periods > 1, "memory has been used again");
            prop_assert_eq!(table.chunks(), 1);
        }
    }

    #[test]
    fn memory_comes_and_goes_with_what_there_is() {
        let (mut table, watched) = table();
        let fill = |table: &mut Table<Watched>, len: Option<usize>| {
            for number in 0..16_000 {
                let record = len.map(|len| record(number, len));
                table.set(&name(number), record).unwrap().unwrap();
            }
        };
        fill(&mut table, Some(1_000));
        let full = table.chunks();
        assert!((4..=6).contains(&full), "{full} chunks for 16 MB");
        for round in 0..6 {
            fill(&mut table, Some(900 + round));
        }
        assert!(table.chunks() <= full + 2, "{} chunks after changes", table.chunks());
        fill(&mut table, None);
        table.wake().unwrap();
        assert!(
            table.is_empty() && table.chunks() <= 2,
            "{} chunks for nothing",
            table.chunks()
        );
        assert!(watched.0.borrow().periods < 400, "a grace period is for many records");
    }

    #[test]
    fn a_full_table_refuses_a_name_until_there_is_room_and_keeps_the_others() {
        let (mut table, _) = table();
        table.chunks.truncate(1);
        let mut number = 0;
        let full = loop {
            if let Err(full) = table.set(&name(number), Some(record(number, 1_000))).unwrap() {
                break full;
            }
            number += 1;
        };
        assert!(
            number > 3_600 && full.to_string().contains(&name(number).to_string()),
            "{full}"
        );
        assert_eq!((table.refused(), table.refusals(), read(&table, number)), (1, 1, None));
        // Half an answer is none: what finds no room for its new record is not there at all.
        assert!(table.set(&name(0), Some(record(0, 1_400))).unwrap().is_err());
        assert_eq!((table.refused(), read(&table, 0)), (2, None));
        for other in 1..number {
            assert_eq!(read(&table, other), Some(record(other, 1_000).to_vec()));
        }
        table.set(&name(1), None).unwrap().unwrap();
        table.set(&name(2), None).unwrap().unwrap();
        table.retry().unwrap();
        assert_eq!(table.refused(), 0);
        assert_eq!(read(&table, number), Some(record(number, 1_000).to_vec()));
        assert_eq!(read(&table, 0), Some(record(0, 1_400).to_vec()));
    }

    #[test]
    fn names_make_room_for_others_where_buckets_are_full() {
        const NAMES: usize = 400_000;
        let (mut table, watched) = table();
        for number in 0..NAMES {
            assert!(
                table
                    .set(&name(number), Some(record::name_only(&name(number))))
                    .unwrap()
                    .is_ok()
            );
        }
        // Of so many a few find both of their buckets full.
        assert!((1..100).contains(&watched.0.borrow().periods));
        let maps = maps(&table);
        for number in 0..NAMES {
            assert!(
                find(&maps, &name(number).as_wire()).unwrap().is_some(),
                "{}",
                name(number)
            );
        }
    }

    #[test]
    fn the_index_grows_and_shrinks_with_the_number_of_names() {
        let (mut table, _) = table();
        let mut widths = vec![];
        let mut change = |numbers: Range<usize>, len: Option<usize>, left: Range<usize>| {
            for number in numbers {
                let record = len.map(|len| record(number, len));
                table.set(&name(number), record).unwrap().unwrap();
                table.fit().unwrap();
            }
            assert!(table.is_fit());
            widths.push(table.hashing.bucket_bits);
            let maps = maps(&table);
            for number in 0..9_010 {
                let found = find(&maps, &name(number).as_wire()).unwrap();
                assert_eq!(found.is_some(), left.contains(&number), "{}", name(number));
            }
        };
        change(0..1, Some(4), 0..1);
        change(1..3_000, Some(4), 0..3_000);
        change(3_000..9_000, Some(4), 0..9_000);
        change(0..8_000, None, 8_000..9_000);
        assert_eq!(widths, [8, 10, 12, 10]);
    }

    #[test]
    fn a_name_that_a_narrower_index_has_no_room_for_is_refused() {
        let (mut table, _) = table();
        for number in 0..9 {
            table.set(&name(number), Some(record(number, 4))).unwrap().unwrap();
        }
        table.hashing.keys = SAME;
        table.fit().unwrap();
        assert_eq!((table.len(), table.refused(), table.refusals()), (1, 8, 8));
        for (name, refused) in &table.refused {
            assert!((0..9).any(|number| (&self::name(number), &record(number, 4)) == (name, refused)));
        }
    }

    #[test]
    fn two_names_with_one_tag_never_share_a_bucket() {
        let mut table = Table::in_memory(SAME);
        assert!(table.set(&name(1), Some(record(1, 4))).unwrap().is_ok());
        assert!(table.set(&name(2), Some(record(2, 4))).unwrap().is_err());
        table.set(&name(1), None).unwrap().unwrap();
        table.retry().unwrap();
        assert_eq!((table.len(), table.refused()), (1, 0));
    }
}
