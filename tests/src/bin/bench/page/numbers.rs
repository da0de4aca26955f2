//! Figures as a reader wants them: three digits, in the unit that suits, with their noise.

use crate::results::{Unit, median, quartiles};

/// A size and what a unit of this size is called.
type Step = (f64, &'static str);

const TIMES: [Step; 4] = [(1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s")];
const SIZES: [Step; 4] = [(1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB")];
const RATES: [Step; 4] = [(1.0, "bit/s"), (1e3, "kbit/s"), (1e6, "Mbit/s"), (1e9, "Gbit/s")];

/// The median of some samples and behind it their noise: half the distance between the quartiles, as a share of the median. A
/// single sample has none; a median of 0 has the highest instead.
pub(super) fn cell(samples: &[f64], unit: Unit) -> String {
    let Some((median, (lower, upper))) = median(samples).zip(quartiles(samples)) else {
        return "-".to_owned();
    };
    let middle = figure(median, unit);
    if samples.len() == 1 {
        return middle;
    }
    if median == 0.0 {
        let highest = samples.iter().copied().fold(0.0, f64::max);
        return match highest > 0.0 {
            true => format!("{middle} (up to {})", figure(highest, unit)),
            false => middle,
        };
    }
    let noise = (upper - lower) / 2.0 / median.abs();
    format!("{middle} ±{} %", noise_percents(100.0 * noise))
}

/// A figure, to three digits where it is not a number of things.
pub(super) fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds => scaled(value, &TIMES),
        Unit::Bytes => scaled(value, &SIZES),
        Unit::BitsPerSecond => scaled(value, &RATES),
        Unit::PerSecond => format!("{}/s", number(value)),
        Unit::Count => number(value),
        // Two places, always: what is close to 100 % differs in them.
        Unit::Share => format!("{:.2} %", 100.0 * value),
        Unit::Ratio => format!("{}×", three_digits(round(value))),
    }
}

/// A figure that is no measured one: without zeros that claim to be exact.
pub(super) fn round_figure(value: f64, unit: Unit) -> String {
    let figure = figure(value, unit);
    let end = figure.find(|character: char| !"-.,0123456789".contains(character));
    let (number, unit) = figure.split_at(end.unwrap_or(figure.len()));
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    };
    format!("{number}{unit}")
}

fn noise_percents(percents: f64) -> String {
    let places = usize::from(percents < 0.95);
    format!("{percents:.places$}")
}

fn scaled(value: f64, steps: &[Step; 4]) -> String {
    // Rounded first, so that 999.9 us are 1.00 ms.
    let value = round(value);
    let fits = |(size, _): &&Step| *size <= value.abs();
    let (size, name) = steps.iter().rev().find(fits).unwrap_or(&steps[0]);
    format!("{} {name}", three_digits(value / size))
}

/// A number of things: all of its digits from a hundred on, and wherever it is whole.
fn number(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 {
        grouped(value)
    } else {
        three_digits(round(value))
    }
}

/// The closest value that three digits can say.
fn round(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

fn three_digits(value: f64) -> String {
    match value.abs() {
        100.0.. | 0.0 => grouped(value),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A whole number with a comma before each three digits.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_three_digits_and_the_unit_that_suits() {
        for (value, unit, expected) in [
            (0.0, Unit::Seconds, "0 ns"),
            (0.5e-9, Unit::Seconds, "0.500 ns"),
            (181.3e-9, Unit::Seconds, "181 ns"),
            (-3e-9, Unit::Seconds, "-3.00 ns"),
            (4.4568e-6, Unit::Seconds, "4.46 us"),
            (96.34e-6, Unit::Seconds, "96.3 us"),
            (999.6e-6, Unit::Seconds, "1.00 ms"),
            (1.0, Unit::Seconds, "1.00 s"),
            (7215.0, Unit::Seconds, "7,220 s"),
            (512.0, Unit::Bytes, "512 B"),
            (64.25e6, Unit::Bytes, "64.2 MB"),
            (1.3e9, Unit::Bytes, "1.30 GB"),
            (25.31e9, Unit::BitsPerSecond, "25.3 Gbit/s"),
            (189_876.4, Unit::PerSecond, "189,876/s"),
            (3.254, Unit::PerSecond, "3.25/s"),
            (100.0, Unit::PerSecond, "100/s"),
            (1_234_567.0, Unit::Count, "1,234,567"),
            (12.0, Unit::Count, "12"),
            (12.5, Unit::Count, "12.5"),
            (0.995_87, Unit::Share, "99.59 %"),
            (1.0, Unit::Share, "100.00 %"),
            (0.9962, Unit::Ratio, "0.996×"),
            (12.345, Unit::Ratio, "12.3×"),
        ] {
            assert_eq!(figure(value, unit), expected, "{value} {unit:?}");
        }
    }

    #[test]
    fn a_round_figure_claims_no_digit_that_nobody_has_measured() {
        for (value, unit, expected) in [
            (1e-6, Unit::Seconds, "1 us"),
            (100e-6, Unit::Seconds, "100 us"),
            (0.99, Unit::Ratio, "0.99×"),
            (10.0, Unit::Ratio, "10×"),
            (0.001, Unit::Share, "0.1 %"),
            (1000.0, Unit::PerSecond, "1,000/s"),
            (1500.0, Unit::Bytes, "1.5 kB"),
        ] {
            assert_eq!(round_figure(value, unit), expected, "{value} {unit:?}");
        }
    }

    #[test]
    fn a_cell_says_the_median_and_its_noise() {
        for (samples, unit, expected) in [
            (&[][..], Unit::PerSecond, "-"),
            (&[189_876.0], Unit::PerSecond, "189,876/s"),
            (&[184_000.0, 189_876.0, 195_400.0], Unit::PerSecond, "189,876/s ±3 %"),
            (&[1.0, 1.0], Unit::Ratio, "1.00× ±0.0 %"),
            (&[1.0, 1.004], Unit::Ratio, "1.00× ±0.2 %"),
            (&[10e-6, 20e-6, 90e-6], Unit::Seconds, "20.0 us ±200 %"),
            (&[-1e-9, -2e-9, -3e-9], Unit::Seconds, "-2.00 ns ±50 %"),
            (&[0.0, 0.0, 7.0], Unit::Count, "0 (up to 7)"),
            (&[0.0, 0.0], Unit::Count, "0"),
        ] {
            assert_eq!(cell(samples, unit), expected, "{samples:?}");
        }
    }
}
