//! How long it takes from when the API server has taken a version until pods are told it.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use kxdns_tests::figures::{percentile, readable};

use crate::history::History;
use crate::state::{Part, SLOTS};

/// When the API server has taken a version, and what it is.
type Taken = (Option<Instant>, Change);

/// What a version is to whoever asks for the addresses of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// There are addresses that there were not.
    Told,
    /// The addresses are gone.
    Gone,
    /// No question about addresses tells it apart.
    Neither,
}

impl Change {
    fn of(history: &History, part: Part, version: usize) -> Change {
        let versions = history.of(part);
        let before = version
            .checked_sub(1)
            .and_then(|before| versions[before].state.address());
        match (before, versions[version].state.address()) {
            (before, Some(address)) if before != Some(address) => Change::Told,
            (Some(_), None) => Change::Gone,
            _ => Change::Neither,
        }
    }
}

/// What was measured, for each version of each object.
pub(crate) struct Delays {
    versions: Vec<[Vec<Taken>; 3]>,
    /// The first version that is not known to be told yet.
    unseen: [Places; SLOTS],
    /// Until the first reply that proves the version.
    changes: Vec<Duration>,
    deletions: Vec<Duration>,
    /// Until the last question that was answered by an older version.
    old: HashMap<(usize, usize, usize), Duration>,
}

type Places = [usize; 3];

impl Delays {
    pub(crate) fn new(histories: &[History]) -> Delays {
        let taken = |history: &History, part: Part| -> Vec<Taken> {
            let versions = history.of(part).iter().enumerate();
            let taken = versions.map(|(place, version)| (version.taken, Change::of(history, part, place)));
            taken.collect()
        };
        let versions = |history: &History| Part::ALL.map(|part| taken(history, part));
        Delays {
            versions: histories.iter().map(versions).collect(),
            // Nothing is written yet in the first.
            unseen: [[1; 3]; SLOTS],
            changes: Vec::new(),
            deletions: Vec::new(),
            old: HashMap::new(),
        }
    }

    /// Takes down a reply at this moment that proves a version. Of those that were over before anybody was told them,
    /// nothing is known.
    pub(crate) fn see(&mut self, slot: usize, part: Part, version: usize, answered: Instant) {
        let unseen = &mut self.unseen[slot][part.index()];
        if *unseen > version {
            return;
        }
        *unseen = version + 1;
        let (taken, change) = self.versions[slot][part.index()][version];
        let delay = taken.map_or(Duration::ZERO, |taken| answered.saturating_duration_since(taken));
        match change {
            Change::Told => self.changes.push(delay),
            Change::Gone => self.deletions.push(delay),
            Change::Neither => {}
        }
    }

    /// Takes down that a question at this moment was answered by a version that is this one or older.
    pub(crate) fn tell_old(&mut self, slot: usize, part: Part, version: usize, sent: Instant) {
        let next = version + 1;
        let Some((Some(taken), _)) = self.versions[slot][part.index()].get(next) else {
            return;
        };
        let delay = self.old.entry((slot, part.index(), next)).or_default();
        *delay = (*delay).max(sent.saturating_duration_since(*taken));
    }

    /// How many versions were written.
    pub(crate) fn versions(&self) -> usize {
        self.versions.iter().flatten().map(|versions| versions.len() - 1).sum()
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut old: Vec<Duration> = self.old.values().copied().collect();
        // Of most versions nothing older was told once they were taken.
        old.resize(self.versions().max(old.len()), Duration::ZERO);
        writeln!(formatter, "  from the API's reply to the first answer that tells it:")?;
        writeln!(formatter, "    of addresses that came: {}", told(self.changes.clone()))?;
        writeln!(
            formatter,
            "    of addresses that went: {}",
            told(self.deletions.clone())
        )?;
        writeln!(
            formatter,
            "  from the API's reply to the last question that was told an older version:"
        )?;
        write!(formatter, "    {}", told(old))
    }
}

fn told(mut delays: Vec<Duration>) -> String {
    delays.sort_unstable();
    let at = |share| percentile(&delays, share).map(readable).unwrap_or_default();
    format!(
        "p50 {}, p99 {}, highest {} of {}",
        at(0.5),
        at(0.99),
        at(1.0),
        delays.len()
    )
}
