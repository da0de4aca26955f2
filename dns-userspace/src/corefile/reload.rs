//! The `reload` directive: how often it is looked whether the Corefile has changed.

use std::time::Duration;

use super::duration::read_duration;
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape};

/// The shortest interval, and the shortest jitter that is one.
const MIN_INTERVAL: Duration = Duration::from_secs(2);
const MIN_JITTER: Duration = Duration::from_secs(1);

/// The `reload` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// How often it is looked.
    pub interval: Duration,
    /// How much the interval varies from one agent to the other, half of it in either direction.
    pub jitter: Duration,
}

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::between(0, 2),
    options: &[],
};

/// Reads `reload [INTERVAL] [JITTER]`.
pub(super) fn read(statement: &Statement, report: &mut Report) -> Option<Reload> {
    let mut words = statement.arguments.iter();
    let mut read = |expected: &str, default: u64, fits: fn(Duration) -> bool| match words.next() {
        None => Some(Duration::from_secs(default)),
        Some(word) => {
            let duration = report.keep(read_duration(word))?;
            match fits(duration) {
                true => Some(duration),
                false => report.keep(Err(word.unexpected(expected))),
            }
        }
    };
    let interval = read("an interval of at least `2s`", 30, |interval| interval >= MIN_INTERVAL)?;
    let jitter = read("a jitter of `0s`, or of at least `1s`", 15, |jitter| {
        jitter.is_zero() || jitter >= MIN_JITTER
    })?;
    Some(Reload {
        interval,
        // As in CoreDNS: it is half of the interval at most.
        jitter: jitter.min(interval / 2),
    })
}
