//! Which units of the chunks are free: pure bookkeeping of extents.

use std::collections::{BTreeMap, BTreeSet};

/// Units in a row: the number of the first, counted through all chunks, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first unit.
    pub(super) start: u32,
    /// How many units.
    pub(super) len: u32,
}

/// The free extents, none of which adjoins another of its chunk.
#[derive(Debug)]
pub(super) struct Heap {
    /// How many units a chunk has.
    chunk_len: u32,
    by_start: BTreeMap<u32, u32>,
    by_len: BTreeSet<(u32, u32)>,
}

impl Heap {
    /// Starts without any free unit.
    pub(super) fn new(chunk_len: u32) -> Self {
        Self {
            chunk_len,
            by_start: BTreeMap::new(),
            by_len: BTreeSet::new(),
        }
    }

    /// Takes `len` units of the shortest extent that has as many.
    pub(super) fn take(&mut self, len: u32) -> Option<Extent> {
        let (found, start) = self.by_len.range((len, 0)..).next().copied()?;
        self.remove(start, found);
        if found > len {
            self.insert(start + len, found - len);
        }
        Some(Extent { start, len })
    }

    /// Gives units back that were taken, or that are new.
    pub(super) fn give(&mut self, extent: Extent) {
        let Extent { mut start, mut len } = extent;
        let chunk = start / self.chunk_len;
        let before = self.by_start.range(..start).next_back().map(|(at, len)| (*at, *len));
        if let Some((at, before)) = before.filter(|(at, len)| at + len == start && at / self.chunk_len == chunk) {
            self.remove(at, before);
            (start, len) = (at, len + before);
        }
        let behind = self.by_start.get(&(start + len)).copied();
        if let Some(behind) = behind.filter(|_| (start + len) / self.chunk_len == chunk) {
            self.remove(start + len, behind);
            len += behind;
        }
        self.insert(start, len);
    }

    /// Takes a chunk away that is wholly free, but for one that is left.
    pub(super) fn take_spare_chunk(&mut self) -> Option<u32> {
        let whole = self.by_len.range((self.chunk_len, 0)..);
        let (len, start) = whole.copied().nth(1)?;
        self.remove(start, len);
        Some(start / self.chunk_len)
    }

    fn insert(&mut self, start: u32, len: u32) {
        self.by_start.insert(start, len);
        self.by_len.insert((len, start));
    }

    fn remove(&mut self, start: u32, len: u32) {
        self.by_start.remove(&start);
        self.by_len.remove(&(len, start));
    }
}
