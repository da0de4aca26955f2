//! Where names stand in the kernel's tables: pure, from a change to the writes that publish it.
//!
//! Each write is one map update, and the writes of a change are ordered so that a reader between any two of them finds
//! the old truth, the new truth, or a record that is marked as changing, never a mixture. See [`dns_ebpf::maps`].

use std::collections::HashMap;

use dns_ebpf::decide::Entry;
use dns_ebpf::maps::{BUCKETS, Bucket, Hash, RECORDS, Record, Slot};
use dns_ebpf::words::{HashKeys, MIN_NAME_LEN, Words};
use thiserror::Error;

use crate::name::Name;

/// One map update.
#[expect(
    clippy::large_enum_variant,
    reason = "a handful exist at a time, on their way into a map"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The bucket of this number becomes this.
    Bucket(u32, Bucket),
    /// The record of this number becomes this.
    Record(u32, Record),
}

/// A name found no room; its questions pass.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no room in the kernel's tables for {name}: its questions pass on, and {in_use} names are answered")]
pub struct Full {
    name: Name,
    in_use: usize,
}

/// Which name stands where.
pub struct Placement {
    keys: HashKeys,
    buckets: Vec<Bucket>,
    names: HashMap<Name, Place>,
    /// Numbers of records that were used and are free again; their sequences are odd.
    free: Vec<(u32, u32)>,
    /// The lowest record number that was never used.
    unused: u32,
    refused: u64,
}

#[derive(Clone, Copy)]
struct Place {
    bucket: u32,
    record: u32,
    sequence: u32,
    entry: Entry,
}

impl Placement {
    /// Starts with empty tables.
    pub fn new(keys: HashKeys) -> Self {
        let buckets = vec![Bucket::default(); BUCKETS as usize];
        Self {
            keys,
            buckets,
            names: HashMap::new(),
            free: Vec::new(),
            unused: 1,
            refused: 0,
        }
    }

    /// How many names have a place.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Says whether no name has a place.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many times a name found no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The writes that give `name` this entry, in order.
    pub fn put(&mut self, name: &Name, entry: &Entry) -> Result<Vec<Write>, Full> {
        match self.names.get(name).copied() {
            Some(place) if place.entry == *entry => Ok(Vec::new()),
            Some(place) => Ok(self.change(name, place, entry)),
            None => self.insert(name, entry).ok_or_else(|| {
                self.refused += 1;
                Full {
                    name: name.clone(),
                    in_use: self.names.len(),
                }
            }),
        }
    }

    /// The writes that make `name` unknown, in order.
    pub fn remove(&mut self, name: &Name) -> Vec<Write> {
        let Some(place) = self.names.remove(name) else {
            return Vec::new();
        };
        let bucket = &mut self.buckets[place.bucket as usize];
        for slot in &mut bucket.slots {
            if slot.record == place.record {
                *slot = Slot::default();
            }
        }
        let sequence = place.sequence.wrapping_add(1);
        self.free.push((place.record, sequence));
        // First out of the index, then marked: who found it before sees the mark, or the truth of that moment.
        vec![
            Write::Bucket(place.bucket, *bucket),
            Write::Record(place.record, record(name, &place.entry, sequence)),
        ]
    }

    /// Marks the record, then rewrites it, then lifts the mark: a reader that overlaps any of these notices.
    fn change(&mut self, name: &Name, place: Place, entry: &Entry) -> Vec<Write> {
        let (marked, sequence) = (place.sequence.wrapping_add(1), place.sequence.wrapping_add(2));
        self.names.insert(
            name.clone(),
            Place {
                sequence,
                entry: *entry,
                ..place
            },
        );
        vec![
            Write::Record(place.record, record(name, &place.entry, marked)),
            Write::Record(place.record, record(name, entry, marked)),
            Write::Record(place.record, record(name, entry, sequence)),
        ]
    }

    /// Writes a record that nobody is led to yet, and then the slot that leads there.
    fn insert(&mut self, name: &Name, entry: &Entry) -> Option<Vec<Write>> {
        if name.as_wire().len() < MIN_NAME_LEN {
            return None;
        }
        let hash = Hash::of(&name.as_wire(), &self.keys);
        let (bucket, slot) = self.vacancy(&hash)?;
        let (number, marked) = self.vacant_record()?;
        let sequence = marked.map_or(2, |marked| marked.wrapping_add(1));
        let mut writes = Vec::with_capacity(4);
        // A record that was used before may still be being read for its old name.
        writes.extend(marked.map(|marked| Write::Record(number, record(name, entry, marked))));
        writes.push(Write::Record(number, record(name, entry, sequence)));
        let [first, _] = hash.buckets;
        self.buckets[bucket as usize].slots[slot] = Slot {
            tag: hash.tag,
            record: number,
        };
        writes.push(Write::Bucket(bucket, self.buckets[bucket as usize]));
        if bucket != first && self.buckets[first as usize].overflowed == 0 {
            self.buckets[first as usize].overflowed = 1;
            writes.push(Write::Bucket(first, self.buckets[first as usize]));
        }
        self.names.insert(
            name.clone(),
            Place {
                bucket,
                record: number,
                sequence,
                entry: *entry,
            },
        );
        Some(writes)
    }

    /// Finds a free slot in a bucket that has no slot with this tag yet.
    fn vacancy(&self, hash: &Hash) -> Option<(u32, usize)> {
        hash.buckets.into_iter().find_map(|number| {
            let slots = &self.buckets[number as usize].slots;
            let taken = slots.iter().any(|slot| slot.record != 0 && slot.tag == hash.tag);
            let free = slots.iter().position(|slot| slot.record == 0)?;
            (!taken).then_some((number, free))
        })
    }

    /// Takes a free record: its number and, where it was used before, its sequence.
    fn vacant_record(&mut self) -> Option<(u32, Option<u32>)> {
        if let Some((number, sequence)) = self.free.pop() {
            return Some((number, Some(sequence)));
        }
        let number = (self.unused < RECORDS).then_some(self.unused)?;
        self.unused += 1;
        Some((number, None))
    }
}

/// Lays a record out.
fn record(name: &Name, entry: &Entry, sequence: u32) -> Record {
    let wire = name.as_wire();
    Record {
        sequence,
        ttl: entry.zone.ttl,
        // A name is at most 255 bytes long.
        name_len: wire.len() as u8,
        zone_len: entry.zone.name_len,
        types: entry.types,
        reserved: 0,
        ipv4: entry.ipv4.0,
        ipv6: entry.ipv6.0,
        last: wire.last_word(),
        words: std::array::from_fn(|index| wire.word(index).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use dns_ebpf::decide::{Finding, Zone};
    use dns_ebpf::maps::{MemoryArrays, find};
    use dns_ebpf::outcome::Pass;
    use dns_ebpf::words::MAX_WORDS;
    use proptest::prelude::*;

    use super::*;

    const KEYS: HashKeys = HashKeys {
        words: [0x9e37_79b9_7f4a_7c15; MAX_WORDS],
        last: 0xbf58_476d_1ce4_e5b9,
        len: 0x94d0_49bb_1331_11eb,
    };

    /// The kernel's tables in memory, written as the kernel's are.
    struct Memory {
        buckets: Vec<Bucket>,
        records: Vec<Record>,
    }

    impl Memory {
        fn new() -> Self {
            let empty = record(&name(0), &entry(0), 0);
            let empty = Record { name_len: 0, ..empty };
            Self {
                buckets: vec![Bucket::default(); BUCKETS as usize],
                records: vec![empty; RECORDS as usize],
            }
        }

        fn apply(&mut self, write: &Write) {
            match write {
                Write::Bucket(number, bucket) => self.buckets[*number as usize] = *bucket,
                Write::Record(number, record) => self.records[*number as usize] = *record,
            }
        }

        /// What a reader finds: the entry, `None` for no such name, or an error for a record that is being changed.
        fn find(&self, name: &Name) -> Result<Option<Entry>, Pass> {
            let arrays = MemoryArrays {
                buckets: &self.buckets,
                records: &self.records,
                hash_keys: &KEYS,
            };
            let lookup = find(&arrays, &name.as_wire());
            match lookup.finding {
                Finding::Found => Ok(Some(lookup.entry)),
                Finding::Unknown(Pass::NameUnknown) => Ok(None),
                Finding::Unknown(reason) => Err(reason),
                Finding::Absent => panic!("the kernel's tables deny nothing"),
            }
        }
    }

    fn name(number: u32) -> Name {
        Name::parse(&format!("service-{number}.default.svc.cluster.local")).unwrap()
    }

    fn entry(number: u32) -> Entry {
        let [a, b, c, d] = number.to_be_bytes();
        Entry::new(
            Some([a, b, c, d]),
            number.is_multiple_of(3).then_some([d; 16]),
            Zone { name_len: 15, ttl: 30 },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// After each single write, a reader finds of the name that changes its old or its new entry, or a mark; and of
        /// every other name its entry.
        #[test]
        fn no_reader_ever_finds_what_was_never_true(
            changes in proptest::collection::vec((0..12u32, proptest::option::of(0..1000u32)), 1..80)
        ) {
            let mut memory = Memory::new();
            let mut placement = Placement::new(KEYS);
            let mut truth = HashMap::<u32, Entry>::new();
            for (changed, value) in changes {
                let (old, new) = (truth.get(&changed).copied(), value.map(entry));
                let writes = match new {
                    Some(new) => placement.put(&name(changed), &new).unwrap(),
                    None => placement.remove(&name(changed)),
                };
                for (step, write) in writes.iter().enumerate() {
                    memory.apply(write);
                    let found = memory.find(&name(changed));
                    let last = step + 1 == writes.len();
                    let marked = found == Err(Pass::Changing) && !last;
                    prop_assert!(marked || found == Ok(old) || found == Ok(new), "{found:?}");
                    prop_assert!(!last || found == Ok(new), "{found:?}");
                    for other in (0..12).filter(|other| *other != changed) {
                        prop_assert_eq!(memory.find(&name(other)), Ok(truth.get(&other).copied()));
                    }
                }
                match new {
                    Some(new) => truth.insert(changed, new),
                    None => truth.remove(&changed),
                };
            }
            prop_assert_eq!(placement.len(), truth.len());
        }
    }

    #[test]
    fn an_entry_that_is_there_already_costs_no_write() {
        let mut placement = Placement::new(KEYS);
        assert!(!placement.put(&name(1), &entry(1)).unwrap().is_empty());
        assert!(placement.put(&name(1), &entry(1)).unwrap().is_empty());
        assert!(placement.remove(&name(2)).is_empty());
    }

    #[test]
    fn full_tables_refuse_a_name_and_keep_the_others() {
        let mut memory = Memory::new();
        let mut placement = Placement::new(KEYS);
        let all = RECORDS - 1;
        for number in 0..all {
            placement
                .put(&name(number), &entry(number))
                .unwrap()
                .iter()
                .for_each(|write| memory.apply(write));
        }
        let error = placement.put(&name(all), &entry(all)).unwrap_err().to_string();
        assert!(error.contains("no room") && error.contains("service-32767"), "{error}");
        assert_eq!(placement.refused(), 1);
        for number in 0..all {
            assert_eq!(memory.find(&name(number)), Ok(Some(entry(number))), "{number}");
        }
        placement.remove(&name(0)).iter().for_each(|write| memory.apply(write));
        placement
            .put(&name(all), &entry(all))
            .unwrap()
            .iter()
            .for_each(|write| memory.apply(write));
        assert_eq!(memory.find(&name(all)), Ok(Some(entry(all))));
        assert_eq!(memory.find(&name(0)), Ok(None));
    }

    #[test]
    fn two_names_with_one_tag_never_share_a_bucket() {
        // With multipliers of 0 every name has the same hash: one bucket, one tag.
        let keys = HashKeys {
            words: [0; MAX_WORDS],
            last: 0,
            len: 0,
        };
        let mut placement = Placement::new(keys);
        assert!(placement.put(&name(1), &entry(1)).is_ok());
        assert!(
            placement.put(&name(2), &entry(2)).is_err(),
            "its tag is taken in its only bucket"
        );
    }

    #[test]
    fn a_name_too_short_to_be_read_in_words_is_refused() {
        let mut placement = Placement::new(KEYS);
        assert!(placement.put(&Name::parse("a.b.c").unwrap(), &entry(1)).is_err());
        assert!(placement.is_empty());
    }
}
