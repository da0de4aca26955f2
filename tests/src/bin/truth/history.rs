//! What was written, and when: the versions of every object, one after the other.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::state::{Number, Part, SLOTS, State};

/// The first number. Small ones are addresses that the API server gives to its own Services.
const FIRST_NUMBER: Number = 256;

/// How many of the last changes are asked about more than others.
const NEWS: usize = 8;

/// A version of an object. It may be current from when it was sent until the next one was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version {
    pub(crate) state: State,
    /// When the call to the API server began.
    pub(crate) sent: Instant,
    /// When it returned, if it has.
    pub(crate) taken: Option<Instant>,
}

/// The versions of a Service's objects.
#[derive(Clone, Debug)]
pub(crate) struct History {
    parts: [Vec<Version>; 3],
}

impl History {
    fn new() -> History {
        let now = Instant::now();
        let absent = Version {
            state: State::Absent,
            sent: now,
            taken: Some(now),
        };
        History {
            parts: Part::ALL.map(|_| vec![absent]),
        }
    }

    /// The versions of an object, of which there is one at least.
    pub(crate) fn of(&self, part: Part) -> &[Version] {
        &self.parts[part.index()]
    }

    /// Whether a reply that `version` explains, and none from `first` until it, is explained by no older one either.
    pub(crate) fn is_distinct(&self, part: Part, version: usize, first: usize) -> bool {
        let versions = self.of(part);
        let address = |version: usize| versions[version].state.address();
        let is_next_to_its_like = version == first && version > 0 && address(version) == address(version - 1);
        address(version).is_some() && !is_next_to_its_like
    }

    /// What an object says at last.
    pub(crate) fn state(&self, part: Part) -> State {
        self.of(part).last().map_or(State::Absent, |version| version.state)
    }

    /// Takes down that a version is about to be written.
    pub(crate) fn begin(&mut self, part: Part, state: State) {
        self.parts[part.index()].push(Version {
            state,
            sent: Instant::now(),
            taken: None,
        });
    }

    /// Takes down that the last version was taken.
    pub(crate) fn end(&mut self, part: Part) {
        if let Some(version) = self.parts[part.index()].last_mut() {
            version.taken = Some(Instant::now());
        }
    }

    /// The last states but so many.
    pub(crate) fn recent(&self, part: Part, back: usize) -> Option<State> {
        self.of(part).iter().rev().nth(back).map(|version| version.state)
    }
}

/// What the writer and the askers share.
pub(crate) struct Truth {
    slots: [Mutex<History>; SLOTS],
    numbers: AtomicU16,
    /// The objects that have changed last, and how many changes there were.
    news: [AtomicUsize; NEWS],
    changes: AtomicUsize,
    /// Whether the askers are to end.
    pub(crate) asked: AtomicBool,
}

impl Truth {
    /// Nothing is there yet. `round` keeps numbers apart from those of the round before.
    pub(crate) fn new(round: u64) -> Truth {
        Truth {
            slots: [(); SLOTS].map(|()| Mutex::new(History::new())),
            numbers: AtomicU16::new(FIRST_NUMBER + (round as u16 % 4) * 16_000),
            news: [const { AtomicUsize::new(0) }; NEWS],
            changes: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
        }
    }

    pub(crate) fn slot(&self, slot: usize) -> MutexGuard<'_, History> {
        self.slots[slot].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no version had before.
    pub(crate) fn number(&self) -> Number {
        self.numbers.fetch_add(1, Ordering::Relaxed).max(FIRST_NUMBER)
    }

    /// Takes down that a version of an object is about to be written.
    pub(crate) fn begin(&self, slot: usize, part: Part, state: State) {
        self.slot(slot).begin(part, state);
        let place = self.changes.fetch_add(1, Ordering::Relaxed);
        self.news[place % NEWS].store(slot * Part::ALL.len() + part.index(), Ordering::Relaxed);
    }

    /// One of the objects that have changed last.
    pub(crate) fn news(&self, choice: usize) -> (usize, Part) {
        let object = self.news[choice % NEWS].load(Ordering::Relaxed);
        (object / Part::ALL.len(), Part::ALL[object % Part::ALL.len()])
    }

    /// All histories as they are now.
    pub(crate) fn histories(&self) -> Vec<History> {
        (0..SLOTS).map(|slot| self.slot(slot).clone()).collect()
    }
}
