//! The `rewrite` directive: how questions are changed on their way in, and replies on their way out.
//!
//! Names are compared and made as texts, fully qualified and in lower case, as CoreDNS does it: a suffix need not begin at a
//! label. Stricter than CoreDNS: a name of `exact` has to be one, and an option's data have a limit. More lenient: the new name
//! of `cname` needs no dot at its end.

use std::ops::RangeInclusive;

use domain::base::iana::{Class, OptRcode, Rtype};
use regex::Regex;

use super::error::{Error, Problem, Span};
use super::errors::read_pattern;
use super::lexer::Word;
use super::number::read_number;
use super::parser::Statement;
use super::report::Report;
use super::shape::{ANY_NAME, Count, Shape, option};
use crate::name::{Name, parse_text};

/// What can be rewritten.
const FIELDS: [&str; 7] = ["class", "cname", "edns0", "name", "rcode", "ttl", "type"];

/// How names can be chosen.
const MATCHERS: [&str; 5] = ["exact", "prefix", "regex", "substring", "suffix"];

/// The highest TTL of a range without end, in seconds.
const HIGHEST_TTL: u32 = i32::MAX as u32;

/// The longest data of an option, in bytes.
const MAX_OPTION: usize = 4096;

/// A `rewrite` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// What it does.
    pub rule: Rule,
    /// Whether what comes after it is looked at where it was applied.
    pub continues: bool,
    /// Where it stands.
    pub span: Span,
}

/// What a `rewrite` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It changes the name that is asked for, and names of the reply.
    Name(NameRule),
    /// It asks for another type.
    Type {
        /// Instead of this.
        from: Rtype,
        /// The other.
        to: Rtype,
    },
    /// It asks in another class.
    Class {
        /// Instead of this.
        from: Class,
        /// The other.
        to: Class,
    },
    /// It changes an EDNS option of the query.
    Edns(EdnsRule),
    /// It brings the TTLs of a reply into a range.
    Ttl {
        /// The names asked for.
        names: Names,
        /// In seconds.
        range: RangeInclusive<u32>,
    },
    /// It changes the response code of a reply.
    Rcode {
        /// The names asked for.
        names: Names,
        /// The code of the reply.
        from: OptRcode,
        /// The code that it gets.
        to: OptRcode,
    },
    /// It leads aliases in a reply elsewhere, and asks there.
    Cname {
        /// The targets.
        names: Names,
        /// The text that makes the new one.
        to: String,
    },
}

/// How the name that is asked for is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRule {
    /// The names.
    pub names: Names,
    /// The text that makes the new one.
    pub to: String,
    /// Whether the names of the reply are changed back.
    pub auto: bool,
    /// What else is done to the names of the reply.
    pub answers: Vec<AnswerRule>,
}

/// How names of a reply are changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRule {
    /// Whether these are the names in the data of records; else they are those of their owners.
    pub is_value: bool,
    /// The names.
    pub pattern: Pattern,
    /// The text that makes the new one.
    pub to: String,
}

/// Which names are meant, as texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// This one.
    Exact(String),
    /// Those that begin so.
    Prefix(String),
    /// Those that end so.
    Suffix(String),
    /// Those that this stands in.
    Substring(String),
    /// Those in which this is found.
    Regex(Pattern),
}

/// A regular expression.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// How an EDNS option of the query is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdnsRule {
    /// The option.
    pub option: EdnsOption,
    /// What is done to it.
    pub action: EdnsAction,
    /// Whether that is undone in the reply.
    pub revert: bool,
}

/// An EDNS option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdnsOption {
    /// One of any code.
    Local {
        /// Its code.
        code: u16,
        /// What it gets.
        data: OptionData,
    },
    /// The server's identity (RFC 5001).
    Nsid,
    /// The client's subnet (RFC 7871); the numbers are those of bits that are told.
    Subnet {
        /// Of an IPv4 address.
        ipv4: u8,
        /// Of an IPv6 address.
        ipv6: u8,
    },
}

/// What stands in an EDNS option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionData {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What is known of the query.
    Variable(Variable),
}

/// What is known of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// The name asked for, as a text.
    Name,
    /// The type asked for, in two bytes.
    Type,
    /// The client's address, in 4 or 16 bytes.
    ClientIp,
    /// The client's port, in two bytes.
    ClientPort,
    /// `udp` or `tcp`.
    Protocol,
    /// The address that was asked, in 4 or 16 bytes.
    ServerIp,
    /// The port that was asked, in two bytes.
    ServerPort,
}

/// What is done to an EDNS option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdnsAction {
    /// It is replaced, or added where there is none.
    Set,
    /// It is added.
    Append,
    /// It is replaced where there is one.
    Replace,
    /// It is removed.
    Unset,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl Rewrite {
    /// Says whether anything that is asked in a zone, or said in reply, may be changed.
    pub fn concerns(&self, zone: &Name) -> bool {
        match &self.rule {
            Rule::Name(NameRule { names, .. }) | Rule::Ttl { names, .. } | Rule::Rcode { names, .. } => {
                names.may_be_within(zone)
            }
            Rule::Class { from, .. } => *from == Class::IN,
            Rule::Type { .. } | Rule::Edns(_) | Rule::Cname { .. } => true,
        }
    }
}

impl Names {
    /// Says whether a name is one of them.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::Exact(text) => name == text,
            Self::Prefix(text) => name.starts_with(text),
            Self::Suffix(text) => name.ends_with(text),
            Self::Substring(text) => name.contains(text),
            Self::Regex(pattern) => pattern.0.is_match(name),
        }
    }

    /// Makes a new name of one of them; `None` where it is another.
    pub fn rewrite(&self, name: &str, to: &str) -> Option<String> {
        match self {
            Self::Exact(text) => (name == text).then(|| to.to_owned()),
            Self::Prefix(text) => Some(format!("{to}{}", name.strip_prefix(text)?)),
            Self::Suffix(text) => Some(format!("{}{to}", name.strip_suffix(text)?)),
            Self::Substring(text) => name.contains(text).then(|| name.replace(text, to)),
            Self::Regex(pattern) => pattern.rewrite(name, to),
        }
    }

    /// Says whether a name in a zone may be one of them; where that is not easily told, it may.
    fn may_be_within(&self, zone: &Name) -> bool {
        let zone = format!(".{zone}");
        match self {
            _ if *zone == *".." => true,
            Self::Exact(text) => format!(".{text}").ends_with(&zone),
            Self::Suffix(text) => text.ends_with(&zone) || zone.ends_with(text),
            Self::Prefix(_) | Self::Substring(_) | Self::Regex(_) => true,
        }
    }
}

impl Pattern {
    /// Makes a new name of one in which the pattern is found: `{1}` and the like stand for its groups, `{0}` for all of it.
    pub fn rewrite(&self, name: &str, to: &str) -> Option<String> {
        let groups = self.0.captures(name)?;
        // One after the other, as in CoreDNS: what stood in for the first may hold the second.
        let texts = groups.iter().map(|group| group.map_or("", |group| group.as_str()));
        Some(texts.enumerate().fold(to.to_owned(), |made, (index, text)| {
            made.replace(&format!("{{{index}}}"), text)
        }))
    }

    /// How many groups it has.
    fn groups(&self) -> usize {
        self.0.captures_len() - 1
    }
}

/// The options are the rest of the arguments, where there are fewer than two of those.
pub(super) const SHAPE: Shape = Shape {
    arguments: Count::ANY,
    options: &[option(ANY_NAME, Count::ANY).in_force().repeated()],
};

/// Reads `rewrite [continue|stop] FIELD ..`.
pub(super) fn read(statement: &Statement, report: &mut Report) -> Option<Rewrite> {
    let words = flatten(statement, report);
    let (continues, words) = match &words[..] {
        [mode, rest @ ..] if is(mode, "continue") => (true, rest),
        [mode, rest @ ..] if is(mode, "stop") => (false, rest),
        rest => (false, rest),
    };
    let Some((field, arguments)) = words.split_first() else {
        let expected = "what to rewrite: `name`, `type`, `class`, `edns0`, `ttl`, `rcode` or `cname`".to_owned();
        let found = "nothing".to_owned();
        report.add(&statement.name.span, Problem::Expected { expected, found });
        return None;
    };
    let rule = match field.text.to_lowercase().as_str() {
        "name" => read_name(field, arguments, report).map(Rule::Name),
        "type" => read_pair(field, arguments, read_type, report).map(|(from, to)| Rule::Type { from, to }),
        "class" => read_pair(field, arguments, read_class, report).map(|(from, to)| Rule::Class { from, to }),
        "edns0" => read_edns(field, arguments, report).map(Rule::Edns),
        "ttl" => read_ttl(field, arguments, report),
        "rcode" => read_rcodes(field, arguments, report),
        "cname" => read_cname(field, arguments, report),
        "answer" => report.keep(Err(field.unexpected("`name` and what it takes before `answer`"))),
        other => {
            report.add(&field.span, Problem::unknown("field of `rewrite`", other, FIELDS));
            None
        }
    };
    Some(Rewrite {
        rule: rule?,
        continues,
        span: statement.name.span.clone(),
    })
}

/// The arguments, and where they are fewer than two, what stands in braces as well.
fn flatten(statement: &Statement, report: &mut Report) -> Vec<Word> {
    let mut words = statement.arguments.clone();
    if words.len() < 2 {
        let lines = statement.options().iter();
        words.extend(lines.flat_map(|line| [std::slice::from_ref(&line.name), &line.arguments].concat()));
    } else if statement.options.is_some() {
        let expected =
            "no braces behind two words and more: all of `rewrite` on a line, or the rest in braces".to_owned();
        let found = "`{`".to_owned();
        report.add(&statement.name.span, Problem::Expected { expected, found });
    }
    words
}

/// Whether a word is this, in any letter case.
fn is(word: &Word, text: &str) -> bool {
    word.text.to_lowercase() == text
}

fn read_name(field: &Word, arguments: &[Word], report: &mut Report) -> Option<NameRule> {
    let (names, to, answers) = match arguments {
        [from, to] => (report.keep(read_exact(from)), to, &[][..]),
        [matcher, from, to, answers @ ..] => (report.keep(read_names(matcher, from)), to, answers),
        _ => {
            Count::between(2, usize::MAX).check(field, arguments, report);
            return None;
        }
    };
    let is_exact = matches!(names, Some(Names::Exact(_)));
    let to = report.keep(match &names {
        Some(Names::Exact(_)) => check_name(to),
        Some(Names::Regex(pattern)) => read_groups(to, pattern),
        _ => Ok(normalize(&to.text)),
    });
    let (auto, answers) = read_answers(answers, report)?;
    Some(NameRule {
        names: names?,
        to: to?,
        auto: auto || is_exact,
        answers,
    })
}

/// Reads `answer auto`, `answer name FROM TO` and `answer value FROM TO`; `answer` may be left out but at first.
fn read_answers(mut words: &[Word], report: &mut Report) -> Option<(bool, Vec<AnswerRule>)> {
    let (mut auto, mut by_name, mut rules) = (None, None, Vec::new());
    let mut is_first = true;
    while let Some(word) = words.first() {
        match word.text == "answer" {
            true => words = &words[1..],
            false if is_first => return report.keep(Err(word.unexpected("`answer` or nothing"))),
            false => {}
        }
        is_first = false;
        let Some((kind, rest)) = words.split_first() else {
            let expected = "`auto`, `name` or `value` after `answer`".to_owned();
            let found = "nothing".to_owned();
            report.add(&word.span, Problem::Expected { expected, found });
            return None;
        };
        words = match (kind.text.as_str(), rest) {
            ("auto", rest) => {
                auto.get_or_insert(kind);
                rest
            }
            ("name" | "value", [from, to, rest @ ..]) => {
                let is_value = kind.text == "value";
                if !is_value {
                    by_name.get_or_insert(kind);
                }
                rules.push(read_answer(is_value, from, to, report)?);
                rest
            }
            ("name" | "value", rest) => {
                Count::between(2, 2).check(kind, rest, report);
                return None;
            }
            (other, _) => {
                let problem = Problem::unknown("rule for answers", other, ["auto", "name", "value"]);
                report.add(&kind.span, problem);
                return None;
            }
        };
    }
    if let (Some(auto), Some(first)) = (auto, by_name) {
        let (word, other) = ("answer auto", "answer name");
        let first = first.span.clone();
        report.add(&auto.span, Problem::Exclusive { word, other, first });
    }
    Some((auto.is_some(), rules))
}

fn read_answer(is_value: bool, from: &Word, to: &Word, report: &mut Report) -> Option<AnswerRule> {
    let pattern = report.keep(read_pattern(from)).map(Pattern)?;
    let to = report.keep(read_groups(to, &pattern))?;
    Some(AnswerRule { is_value, pattern, to })
}

fn read_ttl(field: &Word, arguments: &[Word], report: &mut Report) -> Option<Rule> {
    let (names, ttl) = match arguments {
        [name, ttl] => (read_exact(name), ttl),
        [matcher, name, ttl] => (read_names(matcher, name), ttl),
        _ => {
            Count::between(2, 3).check(field, arguments, report);
            return None;
        }
    };
    let (names, range) = (report.keep(names), report.keep(read_range(ttl)));
    Some(Rule::Ttl {
        names: names?,
        range: range?,
    })
}

/// Reads a TTL in seconds, or a range of them, of which either end may be missing.
fn read_range(word: &Word) -> Result<RangeInclusive<u32>, Error> {
    let number = |text: &str, default| match text {
        "" => Some(default),
        text => text.parse().ok(),
    };
    let range = match word.text.split_once('-') {
        None => word.text.parse().ok().map(|ttl| ttl..=ttl),
        Some(("", "")) => None,
        Some((low, high)) => number(low, 0)
            .zip(number(high, HIGHEST_TTL))
            .map(|(low, high)| low..=high),
    };
    let range = range.filter(|range| !range.is_empty());
    range.ok_or_else(|| word.unexpected("a TTL in seconds, or a range such as `30-300`, `30-` or `-300`"))
}

fn read_rcodes(field: &Word, arguments: &[Word], report: &mut Report) -> Option<Rule> {
    let (names, from, to) = match arguments {
        [name, from, to] => (read_exact(name), from, to),
        [matcher, name, from, to] => (read_names(matcher, name), from, to),
        _ => {
            Count::between(3, 4).check(field, arguments, report);
            return None;
        }
    };
    let names = report.keep(names);
    let (from, to) = (report.keep(read_rcode(from)), report.keep(read_rcode(to)));
    Some(Rule::Rcode {
        names: names?,
        from: from?,
        to: to?,
    })
}

/// The response codes that have names.
const RCODES: [(&str, u16); 20] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("YXRRSET", 7),
    ("NXRRSET", 8),
    ("NOTAUTH", 9),
    ("NOTZONE", 10),
    ("DSOTYPENI", 11),
    ("BADSIG", 16),
    ("BADKEY", 17),
    ("BADTIME", 18),
    ("BADMODE", 19),
    ("BADNAME", 20),
    ("BADALG", 21),
    ("BADTRUNC", 22),
    ("BADCOOKIE", 23),
];

/// Reads a response code by its name or number.
fn read_rcode(word: &Word) -> Result<OptRcode, Error> {
    let named = RCODES.iter().find(|(name, _)| word.text.eq_ignore_ascii_case(name));
    let code = match named {
        Some((_, code)) => *code,
        None => read_number(
            word,
            0..=23,
            "a response code such as `NXDOMAIN`, or its number from 0 to 23",
        )?,
    };
    Ok(OptRcode::masked_from_int(code))
}

fn read_cname(field: &Word, arguments: &[Word], report: &mut Report) -> Option<Rule> {
    let lower = |word: &Word| Word {
        text: word.text.to_lowercase(),
        span: word.span.clone(),
    };
    let (names, to) = match arguments {
        [from, to] => (read_exact(from), check_name(to)),
        [matcher, from, to] if is(matcher, "exact") => (read_exact(from), check_name(to)),
        [matcher, from, to] => (read_target(matcher, &lower(from)), read_filled(&lower(to))),
        _ => {
            Count::between(2, 3).check(field, arguments, report);
            return None;
        }
    };
    let (names, to) = (report.keep(names), report.keep(to));
    Some(Rule::Cname { names: names?, to: to? })
}

/// Reads which targets are meant. Unlike other names they are taken as they stand, without a dot at their end.
fn read_target(matcher: &Word, from: &Word) -> Result<Names, Error> {
    let text = read_filled(from)?;
    Ok(match read_names(matcher, from)? {
        Names::Prefix(_) => Names::Prefix(text),
        Names::Suffix(_) => Names::Suffix(text),
        Names::Substring(_) => Names::Substring(text),
        other @ (Names::Exact(_) | Names::Regex(_)) => other,
    })
}

fn read_filled(word: &Word) -> Result<String, Error> {
    let text = Some(&word.text).filter(|text| !text.is_empty());
    text.cloned().ok_or_else(|| word.unexpected("a name or a part of one"))
}

fn read_pair<T>(
    field: &Word,
    arguments: &[Word],
    read: impl Fn(&Word) -> Result<T, Error>,
    report: &mut Report,
) -> Option<(T, T)> {
    let [from, to] = arguments else {
        Count::between(2, 2).check(field, arguments, report);
        return None;
    };
    let (from, to) = (report.keep(read(from)), report.keep(read(to)));
    from.zip(to)
}

fn read_type(word: &Word) -> Result<Rtype, Error> {
    let rtype = match word.text.to_uppercase().as_str() {
        "NSAP-PTR" => Ok(Rtype::NSAPPTR),
        text => text.parse(),
    };
    let rtype = rtype.ok().filter(|rtype| *rtype != Rtype::from_int(0));
    rtype.ok_or_else(|| word.unexpected("a type of records such as `A`"))
}

fn read_class(word: &Word) -> Result<Class, Error> {
    let classes = [
        ("IN", Class::IN),
        // CSNET is obsolete, and so has no name elsewhere.
        ("CS", Class::from_int(2)),
        ("CH", Class::CH),
        ("HS", Class::HS),
        ("NONE", Class::NONE),
        ("ANY", Class::ANY),
    ];
    let class = classes
        .iter()
        .find(|(name, _)| word.text.eq_ignore_ascii_case(name))
        .map(|(_, class)| *class);
    class.ok_or_else(|| word.unexpected("one of the classes `IN`, `CH`, `HS`, `CS`, `NONE` and `ANY`"))
}

fn read_names(matcher: &Word, from: &Word) -> Result<Names, Error> {
    Ok(match matcher.text.to_lowercase().as_str() {
        "exact" => return read_exact(from),
        "prefix" => Names::Prefix(normalize(&from.text)),
        "suffix" => Names::Suffix(normalize(&from.text)),
        "substring" => Names::Substring(normalize(&from.text)),
        "regex" => Names::Regex(Pattern(read_pattern(from)?)),
        other => {
            let problem = Problem::unknown("way to match names", other, MATCHERS);
            return Err(matcher.span.error(problem));
        }
    })
}

fn read_exact(word: &Word) -> Result<Names, Error> {
    check_name(word).map(Names::Exact)
}

fn check_name(word: &Word) -> Result<String, Error> {
    let name = normalize(&word.text);
    match parse_text(&name) {
        Some(_) => Ok(name),
        None => Err(word.unexpected("a name such as `www.example.org`")),
    }
}

/// Reads the text that makes a new name of the groups of a pattern.
fn read_groups(word: &Word, pattern: &Pattern) -> Result<String, Error> {
    let text = normalize(&word.text);
    let used = (0..=100).filter(|index| text.contains(&format!("{{{index}}}"))).count();
    match used <= pattern.groups() {
        true => Ok(text),
        false => {
            let expected = format!(
                "no more of `{{0}}`, `{{1}}` and so on than the {} groups of `{}`",
                pattern.groups(),
                pattern.0
            );
            Err(word.unexpected(expected))
        }
    }
}

/// A name in lower case, with a dot at its end.
fn normalize(text: &str) -> String {
    let mut text = text.to_lowercase();
    let before = text
        .strip_suffix('.')
        .map(|rest| rest.len() - rest.trim_end_matches('\\').len());
    // The last dot ends the name unless it is escaped.
    if before.is_none_or(|backslashes| backslashes % 2 == 1) {
        text.push('.');
    }
    text
}

fn read_edns(field: &Word, arguments: &[Word], report: &mut Report) -> Option<EdnsRule> {
    let [kind, action, rest @ ..] = arguments else {
        Count::between(2, usize::MAX).check(field, arguments, report);
        return None;
    };
    let action = report.keep(read_action(action));
    let (rest, revert) = match rest.split_last() {
        Some((last, rest)) if last.text == "revert" && action != Some(EdnsAction::Unset) => (rest, true),
        _ => (rest, false),
    };
    let option = match kind.text.to_lowercase().as_str() {
        "local" => read_local(kind, action?, rest, report),
        "nsid" => {
            Count::NONE.check(kind, rest, report);
            Some(EdnsOption::Nsid)
        }
        "subnet" => read_subnet(kind, action?, rest, report),
        other => {
            let problem = Problem::unknown("EDNS option", other, ["local", "nsid", "subnet"]);
            report.add(&kind.span, problem);
            None
        }
    };
    Some(EdnsRule {
        option: option?,
        action: action?,
        revert,
    })
}

fn read_action(word: &Word) -> Result<EdnsAction, Error> {
    match word.text.to_lowercase().as_str() {
        "set" => Ok(EdnsAction::Set),
        "append" => Ok(EdnsAction::Append),
        "replace" => Ok(EdnsAction::Replace),
        "unset" => Ok(EdnsAction::Unset),
        _ => Err(word.unexpected("`set`, `append`, `replace` or `unset`")),
    }
}

fn read_local(kind: &Word, action: EdnsAction, arguments: &[Word], report: &mut Report) -> Option<EdnsOption> {
    let (code, data) = match (action, arguments) {
        (EdnsAction::Unset, [code]) => (code, Some(OptionData::Bytes(Vec::new()))),
        (EdnsAction::Set | EdnsAction::Append | EdnsAction::Replace, [code, data]) => {
            (code, report.keep(read_data(data)))
        }
        (EdnsAction::Unset, _) => {
            Count::ONE.check(kind, arguments, report);
            return None;
        }
        _ => {
            Count::between(2, 2).check(kind, arguments, report);
            return None;
        }
    };
    let code = report.keep(read_coded(
        code,
        u16::MAX,
        "the code of an EDNS option, from 0 to 65535 or as `0xffee`",
    ));
    Some(EdnsOption::Local {
        code: code?,
        data: data?,
    })
}

fn read_subnet(kind: &Word, action: EdnsAction, arguments: &[Word], report: &mut Report) -> Option<EdnsOption> {
    let [ipv4, ipv6] = match (action, arguments) {
        (EdnsAction::Unset, []) => return Some(EdnsOption::Subnet { ipv4: 0, ipv6: 0 }),
        (EdnsAction::Unset, _) => {
            Count::NONE.check(kind, arguments, report);
            return None;
        }
        (_, [ipv4, ipv6]) => [ipv4, ipv6],
        _ => {
            Count::between(2, 2).check(kind, arguments, report);
            return None;
        }
    };
    let ipv4 = report.keep(read_coded(
        ipv4,
        32,
        "how many bits of an IPv4 address are told, from 0 to 32",
    ));
    let ipv6 = report.keep(read_coded(
        ipv6,
        128,
        "how many bits of an IPv6 address are told, from 0 to 128",
    ));
    Some(EdnsOption::Subnet {
        ipv4: ipv4? as u8,
        ipv6: ipv6? as u8,
    })
}

/// Reads a number that may be written as in Go: `0x` begins a hexadecimal one, `0b` a binary one, `0` an octal one.
fn read_coded(word: &Word, most: u16, expected: &str) -> Result<u16, Error> {
    let text = word.text.to_lowercase();
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'x', ..] => (16, &text[2..]),
        [b'0', b'b', ..] => (2, &text[2..]),
        [b'0', b'o', ..] => (8, &text[2..]),
        [b'0', _, ..] => (8, &text[1..]),
        _ => (10, &*text),
    };
    let number = Some(digits).filter(|digits| !digits.starts_with('+'));
    let number = number.and_then(|digits| u16::from_str_radix(digits, radix).ok());
    let number = number.filter(|number| *number <= most);
    number.ok_or_else(|| word.unexpected(expected))
}

/// Reads what stands in an option: a variable in braces, bytes in hexadecimal digits behind `0x`, or a text.
fn read_data(word: &Word) -> Result<OptionData, Error> {
    let text = &word.text;
    if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return read_variable(word, name).map(OptionData::Variable);
    }
    let bytes = match text.strip_prefix("0x") {
        None => Some(text.as_bytes().to_vec()),
        Some(digits) => parse_hex(digits),
    };
    let bytes = bytes.filter(|bytes| bytes.len() <= MAX_OPTION);
    bytes
        .map(OptionData::Bytes)
        .ok_or_else(|| word.unexpected("at most 4096 bytes: a text, or pairs of hexadecimal digits behind `0x`"))
}

fn parse_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let (pairs, []) = digits.as_ref()?.as_chunks::<2>() else {
        return None;
    };
    Some(pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect())
}

fn read_variable(word: &Word, name: &str) -> Result<Variable, Error> {
    const KNOWN: [(&str, Variable); 7] = [
        ("qname", Variable::Name),
        ("qtype", Variable::Type),
        ("client_ip", Variable::ClientIp),
        ("client_port", Variable::ClientPort),
        ("protocol", Variable::Protocol),
        ("server_ip", Variable::ServerIp),
        ("server_port", Variable::ServerPort),
    ];
    if let Some((_, variable)) = KNOWN.iter().find(|(known, _)| *known == name) {
        return Ok(*variable);
    }
    Err(word.span.error(match name.split_once('/') {
        Some((plugin, label)) if !plugin.is_empty() && !label.is_empty() => Problem::NotSupported {
            what: format!("`{}`, a value of the `metadata` plugin,", word.text),
            way_out: "write a text, or one of `{qname}`, `{qtype}`, `{client_ip}`, `{client_port}`, `{protocol}`, \
                      `{server_ip}` and `{server_port}`",
        },
        _ => Problem::unknown("variable", name, KNOWN.map(|(known, _)| known)),
    }))
}

#[cfg(test)]
mod tests;
