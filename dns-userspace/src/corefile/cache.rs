//! The `cache` directive: the limits that it puts on TTLs, and what is kept.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::duration::read_duration;
use super::error::{Error, Problem};
use super::lexer::Word;
use super::number::read_number;
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape, option};
use super::zones::read_zones;
use crate::name::Name;

/// The lowest TTL, in seconds, unless another is given.
const LOWEST: u32 = 5;

/// The highest TTL of answers, in seconds, unless another is given.
const HIGHEST: u32 = 3600;

/// The highest TTL of denials, in seconds, unless another is given.
const HIGHEST_DENIAL: u32 = 1800;

/// How many replies of a kind are kept, unless another number is given.
const CAPACITY: usize = 10_000;

/// Failures may not be kept for longer (RFC 2308, 7.1), nor may a failed refresh be.
const LONGEST_FAILURE: Duration = Duration::from_secs(300);

/// The `cache` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The zones whose replies it takes; all if empty.
    pub zones: Vec<Name>,
    /// The TTLs that answers may have, in seconds.
    pub success: RangeInclusive<u32>,
    /// The TTLs that denials may have, in seconds.
    pub denial: RangeInclusive<u32>,
    /// What is kept, and for how long.
    pub keeping: Keeping,
}

/// What a cache keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// How many answers are kept.
    pub success: usize,
    /// How many denials and failures are kept.
    pub denial: usize,
    /// The TTL of failures, in seconds.
    pub failure_ttl: u32,
    /// The zones whose answers are not kept.
    pub no_success: Vec<Name>,
    /// The zones whose denials and failures are not kept.
    pub no_denial: Vec<Name>,
    /// Whether what is kept has the TTL that it was kept with until it is gone.
    pub keeps_ttl: bool,
    /// Which replies are asked for anew before they are gone.
    pub prefetch: Option<Prefetch>,
    /// What becomes of replies whose TTL is over.
    pub stale: Option<Stale>,
}

/// Which replies are asked for anew before they are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefetch {
    /// Those asked for so many times,
    pub hits: u32,
    /// with no longer than this between two times,
    pub within: Duration,
    /// once so many hundredths of their TTL are left.
    pub percentage: u32,
}

/// How replies are used whose TTL is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// For how long.
    pub up_to: Duration,
    /// Whether the upstream is asked first, and how long it may take, if not as long as it likes.
    pub verify: Option<Option<Duration>>,
    /// The TTL that they get, in seconds.
    pub ttl: u32,
    /// How long nobody is asked after a refresh has failed.
    pub recheck: Duration,
    /// Whether a stale answer is better than a denial.
    pub prefer_positive: bool,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            success: CAPACITY,
            denial: CAPACITY,
            failure_ttl: LOWEST,
            no_success: Vec::new(),
            no_denial: Vec::new(),
            keeps_ttl: false,
            prefetch: None,
            stale: None,
        }
    }
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

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::ANY,
    options: &[
        option("denial", Count::between(1, 3)).in_force(),
        option("disable", Count::SOME).in_force().repeated(),
        option("keepttl", Count::NONE).in_force(),
        option("prefetch", Count::between(1, 3)).in_force(),
        option("serve_stale", Count::between(0, 5)).in_force(),
        option("serve_stale_policy", Count::ONE).in_force(),
        option("servfail", Count::ONE).in_force(),
        option("success", Count::between(1, 3)).in_force(),
    ],
};

/// Reads `cache [TTL] [ZONES..] { success CAPACITY [TTL] [MINTTL] .. }`.
pub(super) fn read(statement: &Statement, report: &mut Report) -> Cache {
    let (ttl, zones) = match statement.arguments.split_first() {
        Some((first, zones)) if first.text.bytes().all(|byte| byte.is_ascii_digit()) => {
            (report.keep(read_ttl(first)), zones)
        }
        _ => (None, &statement.arguments[..]),
    };
    Cache {
        zones: report.keep(read_zones(zones)).unwrap_or_default(),
        success: read_limits(statement, "success", ttl.unwrap_or(HIGHEST), report),
        denial: read_limits(statement, "denial", ttl.unwrap_or(HIGHEST_DENIAL), report),
        keeping: read_keeping(statement, report),
    }
}

fn read_keeping(statement: &Statement, report: &mut Report) -> Keeping {
    let mut capacity = |option| {
        let word = statement.value(option);
        let read = |word| report.keep(read_number(word, .., "how many replies are kept, from 0"));
        word.and_then(read).unwrap_or(CAPACITY)
    };
    let (success, denial) = (capacity("success"), capacity("denial"));
    let servfail = statement
        .value("servfail")
        .and_then(|word| report.keep(read_failure_time(word)));
    let (no_success, no_denial) = read_disabled(statement, report);
    Keeping {
        success,
        denial,
        failure_ttl: servfail.map_or(LOWEST, |time| time.as_secs() as u32),
        no_success,
        no_denial,
        keeps_ttl: statement.option("keepttl").is_some(),
        prefetch: statement
            .option("prefetch")
            .and_then(|option| read_prefetch(option, report)),
        stale: read_stale(statement, report),
    }
}

fn read_limits(statement: &Statement, option: &str, highest: u32, report: &mut Report) -> RangeInclusive<u32> {
    let words = statement.values(option);
    let highest = words.get(1).map_or(Some(highest), |word| report.keep(read_ttl(word)));
    let lowest = words.get(2).map_or(Some(LOWEST), |word| {
        report.keep(read_number(word, .., "the lowest TTL in seconds, from 0"))
    });
    lowest.unwrap_or(LOWEST)..=highest.unwrap_or(HIGHEST)
}

fn read_ttl(word: &Word) -> Result<u32, Error> {
    read_number(word, 1.., "a TTL in seconds, from 1")
}

fn read_failure_time(word: &Word) -> Result<Duration, Error> {
    let time = read_duration(word)?;
    match time > LONGEST_FAILURE {
        true => Err(word.unexpected("a duration of at most `5m`")),
        false => Ok(time),
    }
}

/// Reads every `disable success|denial [ZONES..]`; of each kind the last counts, as in CoreDNS.
fn read_disabled(statement: &Statement, report: &mut Report) -> (Vec<Name>, Vec<Name>) {
    let (mut success, mut denial) = (Vec::new(), Vec::new());
    for option in statement
        .options()
        .iter()
        .filter(|option| option.name.text == "disable")
    {
        let Some((kind, zones)) = option.arguments.split_first() else {
            continue;
        };
        let zones = match zones {
            [] => vec![Name::root()],
            zones => report.keep(read_zones(zones)).unwrap_or_default(),
        };
        match kind.text.as_str() {
            "success" => success = zones,
            "denial" => denial = zones,
            other => {
                let known = ["success", "denial"];
                report.add(&kind.span, Problem::unknown("kind of replies", other, known));
            }
        }
    }
    (success, denial)
}

/// Reads `prefetch AMOUNT [DURATION] [PERCENTAGE%]`.
fn read_prefetch(option: &Statement, report: &mut Report) -> Option<Prefetch> {
    let mut words = option.arguments.iter();
    let hits = report.keep(read_number(words.next()?, .., "how often a name was asked for, from 0"))?;
    let within = words
        .next()
        .map_or(Some(Duration::from_secs(60)), |word| report.keep(read_duration(word)))?;
    let percentage = words
        .next()
        .map_or(Some(10), |word| report.keep(read_percentage(word)))?;
    let prefetch = Prefetch {
        hits,
        within,
        percentage,
    };
    (hits > 0).then_some(prefetch)
}

fn read_percentage(word: &Word) -> Result<u32, Error> {
    let number = word.text.strip_suffix('%').and_then(|number| number.parse().ok());
    let number = number.filter(|number| (10..=90).contains(number));
    number.ok_or_else(|| word.unexpected("a percentage from `10%` to `90%`"))
}

/// Reads `serve_stale [DURATION] [immediate|verify [TIMEOUT]] [TTL] [RECHECK]` and `serve_stale_policy prefer_positive`.
fn read_stale(statement: &Statement, report: &mut Report) -> Option<Stale> {
    let policy = statement.value("serve_stale_policy");
    if let Some(word) = policy.filter(|word| !word.text.eq_ignore_ascii_case("prefer_positive")) {
        report.add(&word.span, Problem::unknown("policy", &word.text, ["prefer_positive"]));
    }
    let Some(option) = statement.option("serve_stale") else {
        if let Some(word) = policy {
            report.keep::<()>(Err(word.unexpected("`serve_stale` beside `serve_stale_policy`")));
        }
        return None;
    };
    let mut words = option.arguments.iter();
    let up_to = match words.next() {
        Some(word) => report.keep(read_duration(word))?,
        None => Duration::from_secs(3600),
    };
    let verify = match words.next() {
        None => None,
        Some(word) if word.text.eq_ignore_ascii_case("immediate") => None,
        Some(word) if word.text.eq_ignore_ascii_case("verify") => {
            let timeout = match words.next() {
                Some(word) => report.keep(read_duration(word))?,
                None => Duration::ZERO,
            };
            Some(Some(timeout).filter(|timeout| !timeout.is_zero()))
        }
        Some(word) => {
            let known = ["immediate", "verify"];
            report.add(&word.span, Problem::unknown("mode of `serve_stale`", &word.text, known));
            return None;
        }
    };
    let ttl = match words.next() {
        Some(word) => report.keep(read_whole_seconds(word))?,
        None => 0,
    };
    let recheck = match words.next() {
        Some(word) => report.keep(read_failure_time(word))?,
        None => Duration::ZERO,
    };
    if let Some(word) = words.next() {
        report.keep::<()>(Err(word.unexpected("nothing more")));
    }
    Some(Stale {
        up_to,
        verify,
        ttl,
        recheck,
        prefer_positive: policy.is_some(),
    })
}

fn read_whole_seconds(word: &Word) -> Result<u32, Error> {
    let time = read_duration(word)?;
    let seconds = u32::try_from(time.as_secs()).ok().filter(|_| time.subsec_nanos() == 0);
    seconds.ok_or_else(|| word.unexpected("a TTL of whole seconds, such as `30s`"))
}
