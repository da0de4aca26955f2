//! The `log` directive: which queries are logged, and in which form.

use super::error::Problem;
use super::lexer::Word;
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape, option};
use crate::name::Name;

/// The form of a line unless another is given.
const COMMON: &str = "{remote}:{port} - {>id} \"{type} {class} {name} {proto} {size} {>do} {>bufsize}\" {rcode} {>rflags} \
                      {rsize} {duration}";

/// A rule of the `log` directive: the first whose zone holds a name counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The zone.
    pub zone: Name,
    /// The form of a line: text with placeholders such as `{name}`.
    pub format: String,
    /// Which replies are logged.
    pub classes: Vec<Class>,
}

/// A class of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Any.
    All,
    /// Answers and referrals.
    Success,
    /// The name does not exist, or has no records of the type.
    Denial,
    /// Failures.
    Error,
}

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::ANY,
    options: &[option("class", Count::SOME).in_force().repeated()],
};

/// Reads `log [NAMES..] [FORMAT] { class CLASSES.. }`.
pub(super) fn read(statement: &Statement, report: &mut Report) -> Vec<Log> {
    // As in CoreDNS: what stands alone is a name.
    let (names, format) = match &statement.arguments[..] {
        [names @ .., format] if !names.is_empty() && format.text.contains('{') => (names, format.text.as_str()),
        names => (names, COMMON),
    };
    let combined = format!("{COMMON} \"{{>opcode}}\"");
    let format = format.replace("{common}", COMMON).replace("{combined}", &combined);
    let mut classes: Vec<_> = statement
        .values("class")
        .iter()
        .filter_map(|word| read_class(word, report))
        .collect();
    if classes.is_empty() {
        classes.push(Class::All);
    }
    let zones = match names {
        [] => vec![Name::root()],
        names => names.iter().filter_map(|word| read_name(word, report)).collect(),
    };
    let rule = |zone| Log {
        zone,
        format: format.clone(),
        classes: classes.clone(),
    };
    zones.into_iter().map(rule).collect()
}

fn read_name(word: &Word, report: &mut Report) -> Option<Name> {
    let name =
        Name::parse(&word.text).ok_or_else(|| word.unexpected("a domain name, or a format behind one such as `.`"));
    report.keep(name)
}

fn read_class(word: &Word, report: &mut Report) -> Option<Class> {
    match word.text.as_str() {
        "all" => Some(Class::All),
        "success" => Some(Class::Success),
        "denial" => Some(Class::Denial),
        "error" => Some(Class::Error),
        other => {
            let known = ["all", "success", "denial", "error"];
            report.add(&word.span, Problem::unknown("class of replies", other, known));
            None
        }
    }
}
