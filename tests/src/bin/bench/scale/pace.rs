//! How fast endpoints change.

use std::thread::available_parallelism;
use std::time::Duration;

use crate::page::grouped;

/// So many changes may be on their way for each processor: it keeps an API server busy, and more would only wait for each
/// other there.
const WRITERS: usize = 4;
/// About so many changes a second are timed: asking for them takes a small part of a processor.
const TIMED_PER_SECOND: u32 = 200;
/// Of a flood one in so many is.
const TIMED_OF_A_FLOOD: usize = 10;

/// How fast endpoints change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pace {
    /// Each once the one before is answered.
    OneByOne,
    /// So many a second, at even distances, as far as the API server takes as many.
    PerSecond(u32),
    /// As many as the API server takes.
    Flood,
}

impl Pace {
    pub(crate) const ALL: [Pace; 4] = [
        Pace::OneByOne,
        Pace::PerSecond(100),
        Pace::PerSecond(1_000),
        Pace::Flood,
    ];

    /// What it is called in a table.
    pub(crate) fn name(self) -> String {
        match self {
            Pace::OneByOne => "one change at a time".to_owned(),
            Pace::PerSecond(rate) => format!("{} changes a second", grouped(rate.into())),
            Pace::Flood => "as many changes as the API server takes".to_owned(),
        }
    }

    /// When the change of this number is due, from the first on.
    pub(crate) fn due(self, number: usize) -> Duration {
        match self {
            Pace::PerSecond(rate) => Duration::from_secs_f64(number as f64 / f64::from(rate)),
            Pace::OneByOne | Pace::Flood => Duration::ZERO,
        }
    }

    /// How many changes may be on their way at once.
    pub(crate) fn writers(self) -> usize {
        match self {
            Pace::OneByOne => 1,
            Pace::PerSecond(_) | Pace::Flood => available_parallelism().map_or(1, usize::from) * WRITERS,
        }
    }

    /// Whether the change of this number is timed. Which are is known beforehand: were it those that come when the prober has
    /// nothing to do, slow ones would be missed.
    pub(crate) fn times(self, number: usize) -> bool {
        let one_of = match self {
            Pace::OneByOne => 1,
            Pace::PerSecond(rate) => rate.div_ceil(TIMED_PER_SECOND) as usize,
            Pace::Flood => TIMED_OF_A_FLOOD,
        };
        number.is_multiple_of(one_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_at_even_distances_and_some_two_hundred_a_second_are_timed() {
        for (rate, timed) in [(100, 100), (1_000, 200)] {
            let pace = Pace::PerSecond(rate);
            assert_eq!(pace.due(rate as usize), Duration::from_secs(1));
            assert_eq!((0..rate as usize).filter(|number| pace.times(*number)).count(), timed);
        }
    }
}
