//! The `errors` directive: which errors are told one by one, and which together.

use std::time::Duration;

use regex::Regex;

use super::duration::read_duration;
use super::error::{Error, Problem};
use super::lexer::Word;
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape, option};

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 10_000;

/// The `errors` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorLog {
    /// What is told together; the first whose pattern an error matches counts.
    pub consolidated: Vec<Consolidate>,
}

/// Errors that are told together.
#[derive(Clone, Debug)]
pub struct Consolidate {
    /// For how long they are gathered.
    pub period: Duration,
    /// What they match.
    pub pattern: Regex,
    /// How they are told.
    pub level: ErrorLevel,
    /// Whether the first is told at once.
    pub shows_first: bool,
}

/// How much an error matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorLevel {
    /// It is told to those who debug.
    Debug,
    /// It is told.
    Info,
    /// It is a warning.
    Warning,
    /// It is an error.
    Error,
}

impl PartialEq for Consolidate {
    fn eq(&self, other: &Self) -> bool {
        (self.period, self.pattern.as_str(), self.level, self.shows_first)
            == (other.period, other.pattern.as_str(), other.level, other.shows_first)
    }
}

impl Eq for Consolidate {}

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::between(0, 1),
    options: &[
        option("consolidate", Count::between(2, 4)).in_force().repeated(),
        // A process that fails prints where anyway.
        option("stacktrace", Count::NONE).in_force(),
    ],
};

/// Reads `errors [stdout] { consolidate DURATION PATTERN [LEVEL] [show_first] }`.
pub(super) fn read(statement: &Statement, report: &mut Report) -> ErrorLog {
    if let Some(word) = statement.arguments.first().filter(|word| word.text != "stdout") {
        report.keep::<()>(Err(word.unexpected("`stdout` or nothing")));
    }
    let options = statement
        .options()
        .iter()
        .filter(|option| option.name.text == "consolidate");
    ErrorLog {
        consolidated: options
            .filter_map(|option| read_consolidate(&option.arguments, report))
            .collect(),
    }
}

fn read_consolidate(words: &[Word], report: &mut Report) -> Option<Consolidate> {
    let [period, pattern, rest @ ..] = words else {
        return None;
    };
    let (period, pattern) = (report.keep(read_duration(period)), report.keep(read_pattern(pattern)));
    let (mut level, mut shows_first) = (None, false);
    for word in rest {
        match (word.text.as_str(), read_level(&word.text)) {
            ("show_first", _) => shows_first = true,
            (_, Some(_)) if shows_first || level.is_some() => {
                report.keep::<()>(Err(word.unexpected("one level, and that before `show_first`")));
            }
            (_, Some(read)) => level = Some(read),
            (other, None) => {
                let known = ["debug", "error", "info", "show_first", "warning"];
                report.add(&word.span, Problem::unknown("option of `consolidate`", other, known));
            }
        }
    }
    Some(Consolidate {
        period: period?,
        pattern: pattern?,
        level: level.unwrap_or(ErrorLevel::Error),
        shows_first,
    })
}

/// Reads a regular expression.
pub(super) fn read_pattern(word: &Word) -> Result<Regex, Error> {
    let pattern = Some(&word.text).filter(|text| text.len() <= MAX_PATTERN);
    let pattern = pattern.and_then(|text| Regex::new(text).ok());
    pattern.ok_or_else(|| word.unexpected("a regular expression of at most 10000 bytes"))
}

fn read_level(text: &str) -> Option<ErrorLevel> {
    match text {
        "debug" => Some(ErrorLevel::Debug),
        "info" => Some(ErrorLevel::Info),
        "warning" => Some(ErrorLevel::Warning),
        "error" => Some(ErrorLevel::Error),
        _ => None,
    }
}
