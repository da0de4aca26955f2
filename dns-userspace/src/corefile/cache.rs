//! The `cache` directive, as far as it is in force: the limits that it puts on TTLs.

use std::ops::RangeInclusive;

use super::error::Error;
use super::lexer::Word;
use super::parser::Statement;
use super::report::Report;
use super::zones::read_zones;
use crate::name::Name;

/// The lowest TTL, in seconds, unless another is given.
const LOWEST: u32 = 5;

/// The highest TTL of answers, in seconds, unless another is given.
const HIGHEST: u32 = 3600;

/// The highest TTL of denials, in seconds, unless another is given.
const HIGHEST_DENIAL: u32 = 1800;

/// What `cache` does to TTLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The zones whose replies it takes; all if empty.
    pub zones: Vec<Name>,
    /// The TTLs that answers may have, in seconds.
    pub success: RangeInclusive<u32>,
    /// The TTLs that denials may have, in seconds.
    pub denial: RangeInclusive<u32>,
}

impl Cache {
    /// Whether replies for this name go through the cache, be they kept or not.
    pub fn takes(&self, name: &Name) -> bool {
        self.zones.is_empty() || self.zones.iter().any(|zone| name.is_within(zone))
    }
}

/// Brings a TTL within limits. The upper one wins where it is the lower.
pub fn limit_ttl(limits: &RangeInclusive<u32>, ttl: u32) -> u32 {
    ttl.max(*limits.start()).min(*limits.end())
}

/// Reads `cache [TTL] [ZONES..] { success CAPACITY [TTL] [MINTTL] .. }`.
pub(super) fn read(statement: &Statement, report: &mut Report) -> Cache {
    let (ttl, zones) = match statement.arguments.split_first() {
        Some((first, zones)) if first.text.bytes().all(|byte| byte.is_ascii_digit()) => {
            (report.keep(read_seconds(first)), zones)
        }
        _ => (None, &statement.arguments[..]),
    };
    Cache {
        zones: report.keep(read_zones(zones)).unwrap_or_default(),
        success: read_limits(statement, "success", ttl.unwrap_or(HIGHEST), report),
        denial: read_limits(statement, "denial", ttl.unwrap_or(HIGHEST_DENIAL), report),
    }
}

fn read_limits(statement: &Statement, option: &str, highest: u32, report: &mut Report) -> RangeInclusive<u32> {
    let mut seconds = statement.values(option).into_iter().skip(1);
    let mut read = |unless: u32| match seconds.next() {
        Some(word) => report.keep(read_seconds(&word)).unwrap_or(unless),
        None => unless,
    };
    let highest = read(highest);
    read(LOWEST)..=highest
}

fn read_seconds(word: &Word) -> Result<u32, Error> {
    let seconds = word.text.parse().ok().filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| word.unexpected("a TTL in seconds, from 1"))
}
