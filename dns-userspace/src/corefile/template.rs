//! The `template` directive: replies made of what a query's name matches.

use domain::base::iana::{Class, OptRcode, Rtype};
use regex::Regex;

use super::error::{Error, Problem};
use super::errors::read_pattern;
use super::kubernetes::{Fallthrough, read_fallthrough};
use super::lexer::Word;
use super::number::{read_number, read_rcode};
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape, option};
use super::zones::read_zones;
use crate::gotemplate::{self, Need, NoTemplate, Question, Values, find_group};
use crate::name::Name;
use crate::zonefile::{NoRecord, read_record};

/// The classes, by the names that CoreDNS has for them.
const CLASSES: [(&str, Class); 6] = [
    ("IN", Class::IN),
    ("CS", Class::from_int(2)),
    ("CH", Class::CH),
    ("HS", Class::HS),
    ("NONE", Class::NONE),
    ("ANY", Class::ANY),
];

/// The codes that do not fit into a header, by the names that CoreDNS has for them.
const EXTENDED_RCODES: [(&str, u16); 8] = [
    ("BADSIG", 16),
    ("BADKEY", 17),
    ("BADTIME", 18),
    ("BADMODE", 19),
    ("BADNAME", 20),
    ("BADALG", 21),
    ("BADTRUNC", 22),
    ("BADCOOKIE", 23),
];

/// The longest reason of an error, in bytes: it has to fit into a reply.
const MAX_REASON: usize = 1024;

/// A `template` directive.
#[derive(Clone, Debug)]
pub struct Template {
    /// The class of the questions that it takes, or ANY.
    pub class: Class,
    /// The type of the questions that it takes, or ANY.
    pub qtype: Rtype,
    /// The zones whose names it takes.
    pub zones: Vec<Name>,
    /// What names match; the first that does counts. At least one.
    pub patterns: Vec<Regex>,
    /// The records of the answer.
    pub answer: Vec<gotemplate::Template>,
    /// The records of the authority section.
    pub authority: Vec<gotemplate::Template>,
    /// The records of the additional section.
    pub additional: Vec<gotemplate::Template>,
    /// The reply's code.
    pub rcode: OptRcode,
    /// The extended error that the reply has (RFC 8914).
    pub error: Option<ExtendedError>,
    /// What becomes of names that match nothing.
    pub fallthrough: Fallthrough,
}

/// An extended error (RFC 8914).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedError {
    /// Its code.
    pub code: u16,
    /// What it is told with, perhaps nothing.
    pub reason: String,
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        let patterns = |template: &Self| -> Vec<_> { template.patterns.iter().map(Regex::to_string).collect() };
        let records = |template: &Self| [&template.answer, &template.authority, &template.additional].map(Vec::clone);
        (self.class, self.qtype, &self.zones, self.rcode) == (other.class, other.qtype, &other.zones, other.rcode)
            && (&self.error, &self.fallthrough) == (&other.error, &other.fallthrough)
            && patterns(self) == patterns(other)
            && records(self) == records(other)
    }
}

impl Eq for Template {}

impl Template {
    /// The zone that a name lies in, the longest if there are several.
    pub fn zone_of(&self, name: &Name) -> Option<&Name> {
        let zones = self.zones.iter().filter(|zone| name.is_within(zone));
        zones.max_by_key(|zone| zone.as_wire().len())
    }

    /// Whether it may answer names of a zone, in class IN.
    pub(super) fn concerns(&self, zone: &Name) -> bool {
        let mut zones = self.zones.iter();
        [Class::IN, Class::ANY].contains(&self.class) && zones.any(|own| own.is_within(zone) || zone.is_within(own))
    }
}

/// The name of a class; nothing if it has none, as in CoreDNS.
pub fn class_name(class: Class) -> &'static str {
    let known = CLASSES.iter().find(|(_, known)| *known == class);
    known.map_or("", |(name, _)| name)
}

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::between(2, usize::MAX),
    options: &[
        option("additional", Count::SOME).in_force().repeated(),
        option("answer", Count::SOME).in_force().repeated(),
        option("authority", Count::SOME).in_force().repeated(),
        option("ederror", Count::between(1, 2)).in_force(),
        option("fallthrough", Count::ANY).in_force(),
        option("match", Count::SOME).in_force().repeated(),
        option("rcode", Count::ONE).in_force(),
        // It has no effect in CoreDNS either.
        option("upstream", Count::ANY).in_force().repeated(),
    ],
};

/// Reads `template CLASS TYPE [ZONES..] { OPTIONS }`; without zones it takes names of those of its server block.
pub(super) fn read(statement: &Statement, block_zones: &[Name], report: &mut Report) -> Option<Template> {
    let [class, qtype, zones @ ..] = &statement.arguments[..] else {
        return None;
    };
    let (class, qtype) = (report.keep(read_class(class)), report.keep(read_type(qtype)));
    let zones = match zones {
        [] => block_zones.to_vec(),
        given => report.keep(read_zones(given)).unwrap_or_default(),
    };
    let rcode = statement
        .value("rcode")
        .and_then(|word| report.keep(read_any_rcode(word)));
    let mut template = Template {
        class: class.unwrap_or(Class::ANY),
        qtype: qtype.unwrap_or(Rtype::ANY),
        zones,
        patterns: read_patterns(statement, report),
        answer: Vec::new(),
        authority: Vec::new(),
        additional: Vec::new(),
        rcode: rcode.unwrap_or(OptRcode::NOERROR),
        error: statement
            .option("ederror")
            .and_then(|option| read_error(option, report)),
        fallthrough: read_fallthrough(statement, report),
    };
    let [answer, authority, additional] =
        ["answer", "authority", "additional"].map(|section| read_records(&template, section, statement, report));
    (template.answer, template.authority, template.additional) = (answer, authority, additional);
    (class.is_some() && qtype.is_some()).then_some(template)
}

fn read_class(word: &Word) -> Result<Class, Error> {
    let known = CLASSES.iter().find(|(name, _)| *name == word.text);
    let (_, class) = known.ok_or_else(|| word.unexpected("a class such as `IN` or `ANY`"))?;
    Ok(*class)
}

fn read_type(word: &Word) -> Result<Rtype, Error> {
    // As CoreDNS has types.
    let is_upper_case = !word.text.bytes().any(|byte| byte.is_ascii_lowercase());
    let qtype = word.text.parse().ok().filter(|_| is_upper_case);
    qtype.ok_or_else(|| word.unexpected("a type such as `A` or `ANY`"))
}

fn read_any_rcode(word: &Word) -> Result<OptRcode, Error> {
    let extended = EXTENDED_RCODES.iter().find(|(name, _)| *name == word.text);
    match extended {
        Some((_, code)) => Ok(OptRcode::masked_from_int(*code)),
        None => read_rcode(word).map(OptRcode::from_rcode),
    }
}

fn read_patterns(statement: &Statement, report: &mut Report) -> Vec<Regex> {
    let words = statement.values("match");
    let patterns: Vec<_> = words
        .iter()
        .filter_map(|word| report.keep(read_pattern(word)))
        .collect();
    match patterns.is_empty() {
        true => Regex::new(".*").into_iter().collect(),
        false => patterns,
    }
}

/// Reads `ederror CODE [REASON]`.
fn read_error(option: &Statement, report: &mut Report) -> Option<ExtendedError> {
    let mut words = option.arguments.iter();
    let code = read_number(words.next()?, .., "the code of an extended error, from 0 to 65535");
    let code = report.keep(code)?;
    let reason = match words.next() {
        Some(word) if word.text.len() > MAX_REASON => {
            report.keep(Err(word.unexpected(format!("a reason of at most {MAX_REASON} bytes"))))?
        }
        Some(word) => word.text.clone(),
        None => String::new(),
    };
    Some(ExtendedError { code, reason })
}

fn read_records(
    template: &Template,
    section: &'static str,
    statement: &Statement,
    report: &mut Report,
) -> Vec<gotemplate::Template> {
    let words = statement.values(section);
    let records = words
        .iter()
        .filter_map(|word| read_record_template(template, section, word, report));
    records.collect()
}

fn read_record_template(
    template: &Template,
    section: &'static str,
    word: &Word,
    report: &mut Report,
) -> Option<gotemplate::Template> {
    let record = match gotemplate::Template::parse(section, &word.text) {
        Ok(record) => record,
        Err(NoTemplate::NotSupported(construct)) => {
            report.refuse(&format!("template {construct}"), &word.span);
            return None;
        }
        Err(NoTemplate::Expected(expected)) => return report.keep(Err(word.unexpected(expected))),
    };
    for need in record.needs() {
        report.keep(check_need(template, need, word))?;
    }
    match check_record(template, &record) {
        Ok(()) => {}
        Err(NoRecord::Type(rtype)) => report.refuse(&format!("template {rtype}"), &word.span),
        Err(reason) => {
            let expected = format!("a record such as `{{{{ .Name }}}} 60 IN A 192.0.2.1` ({reason})");
            report.keep::<()>(Err(word.unexpected(expected)));
        }
    }
    Some(record)
}

/// Checks that some pattern has a group.
fn check_need(template: &Template, need: Need<'_>, word: &Word) -> Result<(), Error> {
    let mut patterns = template.patterns.iter();
    match need {
        Need::Group(group) if !patterns.any(|pattern| find_group(pattern, group).is_some()) => {
            let groups = template.patterns.iter().flat_map(Regex::capture_names).flatten();
            Err(word.span.error(Problem::unknown("group", group, groups)))
        }
        Need::Match(index) if !patterns.any(|pattern| index < pattern.captures_len()) => {
            let expected = format!("a number of a group of `match` in place of {index}");
            Err(word.unexpected(expected))
        }
        _ => Ok(()),
    }
}

/// Checks what comes of a record's template for some name, where it comes of every name in the same way.
fn check_record(template: &Template, record: &gotemplate::Template) -> Result<(), NoRecord> {
    let is_known = |need: &Need<'_>| match need {
        Need::Class => true,
        Need::Type => template.qtype != Rtype::ANY,
        Need::Group(_) | Need::Match(_) | Need::Query => false,
    };
    let Some(pattern) = Regex::new("").ok().filter(|_| record.needs().iter().all(is_known)) else {
        return Ok(());
    };
    for zone in &template.zones {
        let zone = zone.to_string();
        let name = format!("name.{}", if zone == "." { "" } else { &*zone });
        let captures = pattern.captures(&name);
        let text = captures.map(|captures| {
            record.render(&Values {
                zone: &zone,
                name: &name,
                class: "IN",
                qtype: &template.qtype.to_string(),
                remote: "",
                question: Question {
                    name: &name,
                    qtype: 0,
                    class: 0,
                },
                id: 0,
                pattern: &pattern,
                captures: &captures,
            })
        });
        if let Some(Ok(text)) = text {
            read_record(&text)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{parse_in, plan};
    use super::*;

    fn parse(directive: &str) -> Result<Vec<Template>, String> {
        let corefile = format!("a.example b.example {{\n{directive}\n}}");
        let config = parse_in("Corefile".as_ref(), &corefile, &|_| None).map_err(|errors| errors.to_string())?;
        config.check_support().map_err(|errors| errors.to_string())?;
        Ok(config.servers[0].template.clone())
    }

    fn read(options: &str) -> Template {
        parse(&format!("template IN A {{\n{options}\n}}")).unwrap().remove(0)
    }

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| Name::parse(text).unwrap()).collect()
    }

    fn patterns(template: &Template) -> Vec<&str> {
        template.patterns.iter().map(Regex::as_str).collect()
    }

    fn records(templates: &[gotemplate::Template]) -> Vec<String> {
        templates.iter().map(gotemplate::Template::to_string).collect()
    }

    #[test]
    fn has_defaults() {
        let template = read("");
        assert_eq!((template.class, template.qtype), (Class::IN, Rtype::A));
        assert_eq!(template.zones, names(&["a.example", "b.example"]));
        assert_eq!(patterns(&template), [".*"]);
        assert!(template.answer.is_empty() && template.authority.is_empty() && template.additional.is_empty());
        assert_eq!((template.rcode, &template.error), (OptRcode::NOERROR, &None));
        assert_eq!(template.fallthrough, Fallthrough::None);
    }

    #[test]
    fn reads_its_arguments_and_options() {
        let templates = parse("template CH ANY c.example 10.0.0.0/8\ntemplate ANY TXT").unwrap();
        assert_eq!((templates[0].class, templates[0].qtype), (Class::CH, Rtype::ANY));
        assert_eq!(templates[0].zones, names(&["c.example", "10.in-addr.arpa"]));
        assert_eq!((templates[1].class, templates[1].qtype), (Class::ANY, Rtype::TXT));
        assert_eq!(patterns(&read("match a b\nmatch \"c d\"")), ["a", "b", "c d"]);
        let template = read(
            "answer \"a A 10.0.0.1\" \"b A 10.0.0.2\"\nadditional \"c A 10.0.0.3\"\nauthority \"d NS {{ .Name }}\"\n\
             answer \"e A 10.0.0.4\"",
        );
        assert_eq!(
            records(&template.answer),
            ["a A 10.0.0.1", "b A 10.0.0.2", "e A 10.0.0.4"]
        );
        assert_eq!(records(&template.additional), ["c A 10.0.0.3"]);
        assert_eq!(records(&template.authority), ["d NS {{.Name}}"]);
        for (name, code) in [
            ("NOERROR", 0),
            ("NXDOMAIN", 3),
            ("REFUSED", 5),
            ("BADSIG", 16),
            ("BADCOOKIE", 23),
        ] {
            assert_eq!(read(&format!("rcode {name}")).rcode.to_int(), code, "{name}");
        }
        let error = |code, reason: &str| {
            Some(ExtendedError {
                code,
                reason: reason.to_owned(),
            })
        };
        assert_eq!(read("ederror 21").error, error(21, ""));
        assert_eq!(
            read("ederror 65535 \"for a reason\"").error,
            error(65_535, "for a reason")
        );
        assert_eq!(read("fallthrough").fallthrough, Fallthrough::All);
        assert_eq!(read("fallthrough c").fallthrough, Fallthrough::Zones(names(&["c"])));
        // It has no effect.
        assert_eq!(read("upstream 10.0.0.1\nupstream"), read(""));
    }

    #[test]
    fn says_what_is_wrong() {
        let wrap = |options: &str| format!("template IN A {{\n{options}\n}}");
        for (directive, expected) in [
            (
                "template IN".to_owned(),
                "Corefile:2:1: `template` takes at least 2 arguments, found 1",
            ),
            (
                "template in A".to_owned(),
                "Corefile:2:10: expected a class such as `IN` or `ANY`, found `in`",
            ),
            (
                "template IN AX".to_owned(),
                "Corefile:2:13: expected a type such as `A` or `ANY`, found `AX`",
            ),
            (
                "template IN a".to_owned(),
                "Corefile:2:13: expected a type such as `A` or `ANY`, found `a`",
            ),
            (
                wrap("match"),
                "Corefile:3:1: `match` takes at least 1 argument, found 0",
            ),
            (
                wrap("match ("),
                "Corefile:3:7: expected a regular expression of at most 10000 bytes, found `(`",
            ),
            (
                wrap("rcode NOCODE"),
                "Corefile:3:7: expected a response code such as `NXDOMAIN` or `SERVFAIL`, found `NOCODE`",
            ),
            (
                wrap("ederror 65536"),
                "Corefile:3:9: expected the code of an extended error, from 0 to 65535, found `65536`",
            ),
            (
                wrap("ederror 1 a b"),
                "Corefile:3:1: `ederror` takes 1 to 2 arguments, found 3",
            ),
            (
                wrap("anwser x"),
                "Corefile:3:1: unknown option `anwser`; did you mean `answer`?",
            ),
            (wrap("answer {{"), "Corefile:3:8: expected `}}` behind `{{`, found `{{`"),
            (
                wrap("answer \"{{ .Name }} 60 IN\""),
                "Corefile:3:8: expected a record such as `{{ .Name }} 60 IN A 192.0.2.1` (unexpected end of entry), found `{{ \
                 .Name }} 60 IN`",
            ),
            (
                wrap("authority \"{{ .Zone }} 60 IN {{ .Type }} x\""),
                "Corefile:3:11: expected a record such as `{{ .Name }} 60 IN A 192.0.2.1` (expected IPv4 address), found `{{ \
                 .Zone }} 60 IN {{ .Type }} x`",
            ),
            (
                wrap("match (?P<name>a)\nadditional \"a A {{ .Group.nam }}\""),
                "Corefile:4:12: unknown group `nam`; did you mean `name`?",
            ),
            (
                wrap("answer \"a A {{ index .Group `1` }}\""),
                "Corefile:3:8: unknown group `1`",
            ),
            (
                wrap("match (a)(b) c\nanswer \"a A {{ index .Match 3 }}\""),
                "Corefile:4:8: expected a number of a group of `match` in place of 3, found `a A {{ index .Match 3 }}`",
            ),
            (
                wrap("answer \"{{ printf .Name }}\""),
                "Corefile:3:8: `template printf` is not supported by kxdns; remove it, or leave serving to CoreDNS and run with \
                 --kernel-only",
            ),
            (
                wrap("answer \"a 60 IN LOC 1 N 1 E 0\""),
                "Corefile:3:8: `template LOC` is not supported by kxdns; remove it, or leave serving to CoreDNS and run with \
                 --kernel-only",
            ),
            (
                wrap("rcode x\nederror y"),
                "Corefile:3:7: expected a response code such as `NXDOMAIN` or `SERVFAIL`, found `x`\nCorefile:4:9: expected the \
                 code of an extended error, from 0 to 65535, found `y`",
            ),
        ] {
            assert_eq!(parse(&directive).unwrap_err(), expected, "{directive}");
        }
        let long = "x".repeat(MAX_REASON + 1);
        assert!(parse(&wrap(&format!("ederror 1 {long}"))).is_err());
    }

    /// What comes of these depends on the query, or is of another form for another.
    #[test]
    fn takes_records_that_may_be_some() {
        for options in [
            "match (a)? b\nanswer \"a A {{ index .Match 1 }}\"",
            "match (?P<x>a) b\nanswer \"a A {{ .Group.x }}\"",
            "answer \"{{ if eq .Name `x.` }}a A 10.0.0.1{{ end }}\"",
            "answer \"a TXT {{ .Remote }}\"",
        ] {
            assert!(parse(&format!("template IN A {{\n{options}\n}}")).is_ok(), "{options}");
        }
        assert!(parse("template IN ANY . {\nanswer \"{{ .Name }} 60 IN {{ .Type }} 10.0.0.1\"\n}").is_ok());
    }

    #[test]
    fn leaves_zones_alone_whose_names_it_does_not_take() {
        let nothing = "nothing, since `template` at Corefile:3:1 may answer names of the cluster by itself";
        for (template, is_disturbed) in [
            ("template IN A", true),
            ("template ANY ANY", true),
            ("template IN AAAA local", true),
            ("template IN A a.svc.cluster.local", true),
            ("template IN A a.example cluster.local", true),
            ("template CH A", false),
            ("template IN A a.example", false),
        ] {
            let corefile = format!(". {{\nkubernetes cluster.local\n{template}\n}}");
            let config = parse_in("Corefile".as_ref(), &corefile, &|_| None).unwrap();
            let verdict = plan(&config)[0].verdict.to_string();
            let expected = if is_disturbed { nothing } else { "everything" };
            assert_eq!(verdict, expected, "{template}");
        }
    }
}
