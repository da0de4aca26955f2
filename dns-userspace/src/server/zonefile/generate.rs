//! `$GENERATE RANGE TEMPLATE`: an entry for each number of a range, as BIND has it.

use std::fmt::Write as _;

use super::{Problem, expected};

/// How many entries may be made at once: CoreDNS's limit.
const MAX_STEPS: u64 = 65_535;

/// The highest number that may be written.
const MAX_NUMBER: i64 = i32::MAX as i64;

/// An entry with numbers left out, and which numbers.
pub(super) struct Template {
    start: i64,
    end: i64,
    step: i64,
    text: String,
}

/// How a number is written: `{OFFSET[,WIDTH[,BASE]]}`.
struct Modifier {
    offset: i64,
    width: usize,
    base: char,
}

impl Template {
    /// Reads the words of the directive: `START-END[/STEP]`, and the entry.
    pub(super) fn read(words: &[String]) -> Result<Self, Problem> {
        const RANGE: &str = "a range such as `1-10` or `0-254/2`";
        let (range, entry) = words.split_first().ok_or(Problem::Missing { expected: RANGE })?;
        let (start, end, step) = parse_range(range).ok_or_else(|| expected(RANGE, range))?;
        if entry.is_empty() {
            return Err(Problem::Missing {
                expected: "a record behind the range",
            });
        }
        Ok(Self {
            start,
            end,
            step,
            text: entry.join(" "),
        })
    }

    /// Makes the entries, one a line.
    pub(super) fn expand(&self) -> Result<String, Problem> {
        let mut entries = String::new();
        let mut number = self.start;
        while number <= self.end {
            self.expand_one(number, &mut entries)?;
            entries.push('\n');
            number += self.step;
        }
        Ok(entries)
    }

    fn expand_one(&self, number: i64, entry: &mut String) -> Result<(), Problem> {
        let mut rest = self.text.as_str();
        while let Some(at) = rest.find(['$', '\\']) {
            entry.push_str(&rest[..at]);
            let (sign, tail) = rest[at..].split_at(1);
            rest = match (sign, tail.chars().next()) {
                // As in CoreDNS, a backslash only keeps a `$` or a backslash from being one.
                ("\\", Some('$' | '\\')) | ("$", Some('$')) => {
                    entry.push_str(&tail[..1]);
                    &tail[1..]
                }
                ("\\", _) => {
                    entry.push_str(sign);
                    tail
                }
                (_, Some('{')) => {
                    const MODIFIER: &str = "a modifier such as `${1}` or `${0,3,d}`";
                    let end = tail.find('}').ok_or_else(|| expected(MODIFIER, tail))?;
                    let modifier = self.modifier(&tail[1..end]);
                    modifier
                        .ok_or_else(|| expected(MODIFIER, &tail[..=end]))?
                        .write(number, entry);
                    &tail[end + 1..]
                }
                _ => {
                    Modifier::NONE.write(number, entry);
                    tail
                }
            };
        }
        entry.push_str(rest);
        Ok(())
    }

    /// Reads a modifier whose offset keeps all numbers of the range within limits.
    fn modifier(&self, text: &str) -> Option<Modifier> {
        let parts: Vec<_> = text.split(',').collect();
        let (offset, width, base) = match parts[..] {
            [offset] => (offset, "0", "d"),
            [offset, width] => (offset, width, "d"),
            [offset, width, base] => (offset, width, base),
            _ => return None,
        };
        let offset: i64 = offset.parse().ok()?;
        let least = self.start.checked_add(offset)?;
        let most = self.end.checked_add(offset)?;
        let width: u8 = width.parse().ok()?;
        let base = base.parse().ok().filter(|base| "doxX".contains(*base))?;
        (least >= 0 && most <= MAX_NUMBER).then_some(Modifier {
            offset,
            width: width.into(),
            base,
        })
    }
}

impl Modifier {
    const NONE: Self = Self {
        offset: 0,
        width: 0,
        base: 'd',
    };

    fn write(&self, number: i64, entry: &mut String) {
        let (number, width) = (number + self.offset, self.width);
        // A string takes whatever is written to it.
        let _ = match self.base {
            'o' => write!(entry, "{number:0width$o}"),
            'x' => write!(entry, "{number:0width$x}"),
            'X' => write!(entry, "{number:0width$X}"),
            _ => write!(entry, "{number:0width$}"),
        };
    }
}

fn parse_range(text: &str) -> Option<(i64, i64, i64)> {
    let (range, step) = text.split_once('/').unwrap_or((text, "1"));
    let (start, end) = range.split_once('-')?;
    let (start, end, step): (u64, u64, u64) = (start.parse().ok()?, end.parse().ok()?, step.parse().ok()?);
    let steps = end.checked_sub(start)?.checked_div(step)?;
    let numbers = (start.try_into().ok()?, end.try_into().ok()?, step.try_into().ok()?);
    // So high a step that adding it would exceed what there is makes no second number.
    (steps <= MAX_STEPS && end <= MAX_NUMBER as u64 && step <= MAX_NUMBER as u64).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, Problem> {
        let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
        Template::read(&words)?.expand()
    }

    #[test]
    fn each_number_has_its_entry() {
        for (text, expected) in [
            ("1-3 h$ A 10.0.0.$", "h1 A 10.0.0.1\nh2 A 10.0.0.2\nh3 A 10.0.0.3\n"),
            ("0-5/2 h$", "h0\nh2\nh4\n"),
            ("7-7 h${1} ${-1,3} ${0,2,x}", "h8 006 07\n"),
            (
                "30-31 ${0,4,X} ${0,0,o} $$ \\$ \\\\",
                "001E 36 $ $ \\\n001F 37 $ $ \\\n",
            ),
            ("1-1 a\\.b", "a\\.b\n"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(expand("0-65535 $").unwrap().lines().count(), 65_536);
    }

    #[test]
    fn ranges_and_modifiers_have_their_form() {
        const RANGE: &str = "a range such as `1-10` or `0-254/2`";
        const MODIFIER: &str = "a modifier such as `${1}` or `${0,3,d}`";
        for (text, what, found) in [
            ("1 a", RANGE, "1"),
            ("2-1 a", RANGE, "2-1"),
            ("1-2/0 a", RANGE, "1-2/0"),
            ("0-65536 a", RANGE, "0-65536"),
            ("0-x a", RANGE, "0-x"),
            ("-1-2 a", RANGE, "-1-2"),
            ("1-2 ${x}", MODIFIER, "{x}"),
            ("1-2 ${0,0,b}", MODIFIER, "{0,0,b}"),
            ("1-2 ${0,0,d,1}", MODIFIER, "{0,0,d,1}"),
            ("1-2 ${-2}", MODIFIER, "{-2}"),
            ("1-2 ${1", MODIFIER, "{1"),
        ] {
            assert_eq!(expand(text), Err(super::expected(what, found)), "{text}");
        }
        assert_eq!(
            expand("1-2"),
            Err(Problem::Missing {
                expected: "a record behind the range"
            })
        );
    }
}
