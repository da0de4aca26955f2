//! Measured figures, told whether or not a test's output is kept.

use std::io::{Write, stdout};
use std::time::Duration;

use anyhow::Result;

/// Prints a line past the test runner's capture: a figure is a result, not a debugging aid.
pub fn tell(line: &str) -> Result<()> {
    Ok(writeln!(stdout(), "    {line}")?)
}

/// The value at this share (0 to 1) of the sorted values; `None` of no values.
pub fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied()
}

/// The lowest and the median of some times, in nanoseconds; zero of none. Sorts them.
pub fn lowest_and_median(times: &mut [Duration]) -> [i128; 2] {
    times.sort_unstable();
    [0.0, 0.5].map(|share| percentile(times, share).unwrap_or_default().as_nanos() as i128)
}

/// A duration in the unit that suits it.
pub fn readable(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1000.0 {
        format!("{micros:.1} us")
    } else if micros < 1e6 {
        format!("{:.2} ms", micros / 1e3)
    } else {
        format!("{:.2} s", micros / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u32> = (1..=101).collect();
        assert_eq!(percentile(&values, 0.5), Some(51));
        assert_eq!(percentile(&values, 0.99), Some(100));
        assert_eq!(percentile(&values, 1.0), Some(101));
        assert_eq!(percentile::<u32>(&[], 0.5), None);
    }

    #[test]
    fn a_duration_is_told_in_the_unit_that_suits_it() {
        assert_eq!(readable(Duration::from_nanos(6_540)), "6.5 us");
        assert_eq!(readable(Duration::from_micros(1_234)), "1.23 ms");
        assert_eq!(readable(Duration::from_millis(12_340)), "12.34 s");
    }
}
