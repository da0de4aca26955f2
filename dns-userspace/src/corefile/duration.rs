//! Durations as Go writes them: `5s`, `1m30s`, `0.5s`, `300ms`.

use std::time::Duration;

use super::error::Error;
use super::lexer::Word;

/// The units in seconds; `ms` before `m`, since the first that fits is taken.
const UNITS: [(&str, f64); 7] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Reads a duration; a negative one is an error.
pub(super) fn read_duration(word: &Word) -> Result<Duration, Error> {
    parse(&word.text).ok_or_else(|| word.unexpected("a duration such as `5s` or `1m30s`"))
}

/// Writes a duration as Go does: `5m0s`, `1.5s`, `300ms`.
pub fn describe_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_secs() {
        0 if duration.is_zero() => "0s".to_owned(),
        0 if duration.as_millis() > 0 => format!("{}ms", seconds * 1e3),
        0 if duration.as_micros() > 0 => format!("{}µs", seconds * 1e6),
        0 => format!("{}ns", duration.as_nanos()),
        whole => {
            let (hours, minutes) = (whole / 3600, whole / 60 % 60);
            let rest = format!("{}s", seconds - (whole / 60 * 60) as f64);
            match (hours, minutes) {
                (0, 0) => rest,
                (0, minutes) => format!("{minutes}m{rest}"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
            }
        }
    }
}

fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|next: char| !next.is_ascii_digit() && next != '.')?);
        let (unit, seconds) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        let part = number.parse::<f64>().ok()? * seconds;
        total = total.checked_add(Duration::try_from_secs_f64(part).ok()?)?;
        rest = tail.strip_prefix(unit)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_durations_as_go_does() {
        for (millis, text) in [
            (0, "0s"),
            (300, "300ms"),
            (1_500, "1.5s"),
            (30_000, "30s"),
            (90_000, "1m30s"),
            (300_000, "5m0s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(describe_duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(describe_duration(Duration::from_micros(2)), "2µs");
    }

    #[test]
    fn reads_durations_as_go_does() {
        for (text, millis) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("5s", Some(5_000)),
            ("0.5s", Some(500)),
            (".5s", Some(500)),
            ("300ms", Some(300)),
            ("1m30s", Some(90_000)),
            ("1h0.5m", Some(3_630_000)),
            ("2000us", Some(2)),
            ("2000µs", Some(2)),
            ("", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("-5s", None),
            ("5 s", None),
            ("5d", None),
            ("5sec", None),
            ("1.2.3s", None),
            ("99999999999999999999999h", None),
        ] {
            assert_eq!(parse(text), millis.map(Duration::from_millis), "{text:?}");
        }
    }
}
