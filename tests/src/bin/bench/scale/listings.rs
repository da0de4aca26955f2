//! What the agent's log says of its lists: `2026-01-01T00:00:01.500000Z  INFO listed 10 services in 0.250 s`; and of their way
//! into the kernel: `INFO the kernel knows 40 names, in 24 KiB, after 0.001 s`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: f64 = 24.0 * 3600.0;

/// One list that the agent has finished.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listing {
    /// What was listed.
    pub(crate) kind: String,
    /// When it was asked for, in seconds since midnight (UTC).
    began: f64,
}

/// Reads the lists out of a log, in the order in which they ended.
pub(crate) fn read(log: &str) -> Vec<Listing> {
    log.lines().filter_map(read_line).collect()
}

/// The time from the request for the earliest of these lists until `end`.
pub(crate) fn time_from_first(listings: &[Listing], end: SystemTime) -> Option<Duration> {
    let end = end.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    // Only times of day are compared: midnight may lie in between.
    let since = listings.iter().map(|listing| (end - listing.began).rem_euclid(DAY));
    since.max_by(f64::total_cmp).map(Duration::from_secs_f64)
}

/// All names on their way into the kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct IntoKernel {
    /// How many they are.
    pub(crate) names: u64,
    /// How much memory they take there.
    pub(crate) bytes: u64,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Reads that out of a log.
pub(crate) fn into_kernel(log: &str) -> Option<IntoKernel> {
    let (_, told) = log.split_once(" the kernel knows ")?;
    let words: Vec<_> = told.lines().next()?.split(' ').collect();
    let [names, "names,", "in", kibibytes, "KiB,", "after", seconds, "s"] = words[..] else {
        return None;
    };
    Some(IntoKernel {
        names: names.parse().ok()?,
        bytes: kibibytes.parse::<u64>().ok()? * 1024,
        took: Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?,
    })
}

fn read_line(line: &str) -> Option<Listing> {
    let (head, told) = line.split_once(" listed ")?;
    let mut words = told.split_ascii_whitespace();
    let (_count, kind, _in) = (words.next()?, words.next()?, words.next()?);
    let took: f64 = words.next()?.parse().ok()?;
    let ended = time_of_day(head.split_ascii_whitespace().next()?)?;
    Some(Listing {
        kind: kind.to_owned(),
        began: (ended - took).rem_euclid(DAY),
    })
}

/// Reads the time of `2026-01-01T00:00:01.500000Z`, in seconds since midnight.
fn time_of_day(timestamp: &str) -> Option<f64> {
    let (_, time) = timestamp.strip_suffix('Z')?.split_once('T')?;
    let parts: Vec<f64> = time.split(':').map_while(|part| part.parse().ok()).collect();
    match parts[..] {
        [hours, minutes, seconds] => Some(hours * 3600.0 + minutes * 60.0 + seconds),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_into_the_kernel_is_read_from_the_log() {
        let log = format!("{LOG}2026-01-01T00:00:03.0Z  INFO the kernel knows 40 names, in 24 KiB, after 0.125 s\n");
        let expected = IntoKernel {
            names: 40,
            bytes: 24 * 1024,
            took: Duration::from_millis(125),
        };
        assert_eq!(into_kernel(&log), Some(expected));
        assert_eq!(into_kernel(LOG), None);
    }

    const LOG: &str = "\
2026-01-01T00:00:01.500000Z  INFO listed 101 namespaces in 0.250 s
2026-01-01T00:00:02.000000Z  WARN something else was listed
2026-01-01T00:00:03.000000Z  INFO listed 10000 endpointslices in 2.000 s
";

    #[test]
    fn the_first_list_is_the_one_that_was_asked_for_first() {
        let listings = read(LOG);
        let kinds: Vec<&str> = listings.iter().map(|listing| listing.kind.as_str()).collect();
        assert_eq!(kinds, ["namespaces", "endpointslices"]);
        let end = UNIX_EPOCH + Duration::from_millis(3_250);
        assert_eq!(time_from_first(&listings, end), Some(Duration::from_millis(2_250)));
    }

    #[test]
    fn a_list_may_last_over_midnight() {
        let listings = read("2026-01-01T00:00:00.500000Z  INFO listed 1 services in 1.000 s\n");
        let end = UNIX_EPOCH + Duration::from_secs(1);
        assert_eq!(time_from_first(&listings, end), Some(Duration::from_millis(1_500)));
    }

    #[test]
    fn a_log_without_lists_tells_no_time() {
        assert_eq!(
            time_from_first(&read("2026-01-01T00:00:00Z  INFO started\n"), UNIX_EPOCH),
            None
        );
    }
}
