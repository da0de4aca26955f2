//! Memory that tables stand in: 64-bit words, each read and written in one, since the kernel may read meanwhile.

use std::ops::Deref;
use std::sync::atomic::AtomicU64;

use super::maps::Mapping;

/// Words that may be shared with the kernel.
#[derive(Debug)]
pub enum Memory {
    /// The agent's own.
    Own(Box<[AtomicU64]>),
    /// Those of a BPF map.
    Mapped(Mapping),
}

impl Memory {
    /// Makes memory of its own, of zeros.
    pub fn own(words: usize) -> Self {
        Self::Own((0..words).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Deref for Memory {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        match self {
            Self::Own(words) => words,
            Self::Mapped(mapping) => mapping.words(),
        }
    }
}
