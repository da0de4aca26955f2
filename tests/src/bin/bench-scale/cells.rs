//! The cells of the table: what is told of many values.

use std::time::Duration;

use kxdns_tests::figures::{percentile, readable};
use kxdns_tests::histogram::Histogram;

/// What was not measured.
pub(crate) fn none() -> String {
    String::from("-")
}

pub(crate) fn lowest_and_median<T: Copy + Ord>(mut values: Vec<T>, tell: fn(T) -> String) -> String {
    values.sort_unstable();
    join(|share| percentile(&values, share).map(tell), [0.0, 0.5])
}

pub(crate) fn p50_and_p99(sorted: &[Duration]) -> String {
    join(|share| percentile(sorted, share).map(readable), [0.5, 0.99])
}

/// The p50 and the p99 as estimates, the upper bounds of their buckets, the mean and the number of the times.
pub(crate) fn times(histogram: &Histogram) -> String {
    let Some(mean) = histogram.mean() else { return none() };
    let estimates = join(|share| histogram.estimate(share).map(seconds), [0.5, 0.99]);
    let (bounds, count) = (bounds(histogram, seconds), histogram.count());
    format!("{estimates} (at most {bounds}; mean {} of {count})", seconds(mean))
}

/// The upper bounds of the buckets with the p50 and the p99, and the mean, of what is counted in whole numbers.
pub(crate) fn counts(histogram: &Histogram) -> String {
    let Some(mean) = histogram.mean() else { return none() };
    format!("at most {} (mean {})", bounds(histogram, fraction), fraction(mean))
}

fn bounds(histogram: &Histogram, tell: fn(f64) -> String) -> String {
    join(
        |share| histogram.bounds(share).map(|(_, upper)| tell(upper)),
        [0.5, 0.99],
    )
}

pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn seconds(seconds: f64) -> String {
    // The last bucket has no bound.
    Duration::try_from_secs_f64(seconds).map_or_else(|_| String::from("no bound"), readable)
}

fn fraction(value: f64) -> String {
    format!("{value:.2}")
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

fn join(tell: impl Fn(f64) -> Option<String>, shares: [f64; 2]) -> String {
    let told = shares.map(|share| tell(share).unwrap_or_else(none));
    match told.iter().all(|told| *told == none()) {
        true => none(),
        false => told.join(" / "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_tell_what_there_is() {
        assert_eq!(
            lowest_and_median(vec![3_000_000, 1_000_000, 2_040_000], megabytes),
            "1.0 MB / 2.0 MB"
        );
        assert_eq!(lowest_and_median(Vec::<u64>::new(), megabytes), "-");
        assert_eq!(p50_and_p99(&[Duration::from_millis(1)]), "1.00 ms / 1.00 ms");
    }

    #[test]
    fn figures_are_told_without_what_says_nothing() {
        assert_eq!([0.0, 1.0, 2.5, 100.0].map(fraction), ["0", "1", "2.5", "100"]);
        assert_eq!([1e-6, f64::INFINITY].map(seconds), ["1.0 us", "no bound"]);
    }
}
