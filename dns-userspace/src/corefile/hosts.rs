//! The `hosts` directive: names and their addresses, as `/etc/hosts` has them, from a file and from the Corefile itself.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::duration::read_duration;
use super::error::{Error, Problem, Span};
use super::kubernetes::{Fallthrough, read_fallthrough};
use super::lexer::Word;
use super::number::read_number;
use super::parser::Statement;
use super::report::Report;
use super::shape::{ANY_NAME, Count, Shape, option};
use super::zones::{is_reverse, read_zones};
use crate::name::Name;

/// The file that is read unless another is given.
const DEFAULT_FILE: &str = "/etc/hosts";

const DEFAULT_TTL: u32 = 3600;

const DEFAULT_RELOAD: Duration = Duration::from_secs(5);

/// The options; whatever else begins a line is the address of an entry.
const OPTIONS: [&str; 5] = ["fallthrough", "fallthrough_unsupported", "no_reverse", "reload", "ttl"];

/// The `hosts` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// The file that is given; else it is `/etc/hosts`.
    pub file: Option<PathBuf>,
    /// The zones whose names it has.
    pub zones: Vec<Name>,
    /// The entries that stand in the Corefile.
    pub inline: Vec<HostEntry>,
    /// The TTL of answers, in seconds: 1 to 65535.
    pub ttl: u32,
    /// Whether addresses have names too.
    pub reverse: bool,
    /// How often it is looked whether the file has changed; never if `None`.
    pub reload: Option<Duration>,
    /// What becomes of names that it does not have.
    pub fallthrough: Fallthrough,
    /// Whether names that it has fall through too where something else than addresses is asked for.
    pub fallthrough_unsupported: bool,
    /// Where it stands.
    pub span: Span,
}

/// An address and its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// The address; IPv4 addresses are never spelled as IPv6 ones.
    pub address: IpAddr,
    /// Its names, in the order of the line.
    pub names: Vec<Name>,
}

impl Hosts {
    /// The file that it reads.
    pub fn path(&self) -> &Path {
        self.file.as_deref().unwrap_or(DEFAULT_FILE.as_ref())
    }

    /// Whether a name may be one of its own.
    pub fn takes(&self, name: &Name) -> bool {
        self.zones.iter().any(|zone| name.is_within(zone))
    }

    /// Whether it may answer names of a zone: which names and addresses the file has is not known before it is read, and
    /// addresses have names wherever their zones are.
    pub(super) fn concerns(&self, zone: &Name) -> bool {
        let mut zones = self.zones.iter();
        zones.any(|own| own.is_within(zone) || zone.is_within(own)) || self.reverse && may_hold_reverse_names(zone)
    }
}

impl HostEntry {
    /// Reads a line of a file; `None` where it has no address and names. As in CoreDNS, an address's zone is cut off, and a
    /// name that is none is passed over.
    pub fn of_line(line: &str) -> Option<Self> {
        let (entry, _comment) = line.split_once('#').unwrap_or((line, ""));
        let mut words = entry.split_whitespace();
        Some(Self {
            address: parse_address(words.next()?)?,
            names: words.filter_map(parse_name).collect(),
        })
    }
}

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::ANY,
    options: &[
        option("fallthrough", Count::ANY).in_force(),
        option("fallthrough_unsupported", Count::NONE).in_force(),
        option("no_reverse", Count::NONE).in_force(),
        option("reload", Count::ONE).in_force(),
        option("ttl", Count::ONE).in_force(),
        option(ANY_NAME, Count::ANY).in_force().repeated(),
    ],
};

/// Reads `hosts [FILE [ZONES..]] { ADDRESS NAMES.. .. OPTIONS }`; without zones it has names of those of its server block.
pub(super) fn read(statement: &Statement, block_zones: &[Name], report: &mut Report) -> Hosts {
    let (file, zones) = match statement.arguments.split_first() {
        Some((file, zones)) => (Some(file.text.clone().into()), zones),
        None => (None, &[][..]),
    };
    let zones = match zones {
        [] => block_zones.to_vec(),
        given => report.keep(read_zones(given)).unwrap_or_default(),
    };
    check_fallthrough(statement, report);
    let reload = statement.value("reload");
    let reload = reload.and_then(|word| report.keep(read_duration(word)));
    let ttl = statement.value("ttl").and_then(|word| report.keep(read_ttl(word)));
    Hosts {
        file,
        zones,
        inline: read_inline(statement, report),
        ttl: ttl.unwrap_or(DEFAULT_TTL),
        reverse: statement.option("no_reverse").is_none(),
        reload: Some(reload.unwrap_or(DEFAULT_RELOAD)).filter(|reload| !reload.is_zero()),
        fallthrough: read_fallthrough(statement, report),
        fallthrough_unsupported: statement.option("fallthrough_unsupported").is_some(),
        span: statement.name.span.clone(),
    }
}

fn read_ttl(word: &Word) -> Result<u32, Error> {
    read_number(word, 1..=65_535, "a TTL from 1 to 65535 seconds")
}

fn check_fallthrough(statement: &Statement, report: &mut Report) {
    let lonely = statement.option("fallthrough_unsupported");
    if let Some(option) = lonely.filter(|_| statement.option("fallthrough").is_none()) {
        report.add(
            &option.name.span,
            Problem::Lonely {
                word: "fallthrough_unsupported",
                other: "fallthrough",
            },
        );
    }
}

/// Reads the entries. As in CoreDNS they stand before `fallthrough`.
fn read_inline(statement: &Statement, report: &mut Report) -> Vec<HostEntry> {
    let mut entries = Vec::new();
    let mut falls_through = false;
    for line in statement.options() {
        let name = &line.name;
        falls_through |= name.text == "fallthrough";
        if OPTIONS.contains(&name.text.as_str()) {
            continue;
        }
        let entry = report.keep(read_entry(line));
        if entry.is_some() && falls_through {
            report.keep::<()>(Err(
                name.unexpected("an option, since entries stand before `fallthrough`")
            ));
        }
        entries.extend(entry);
    }
    entries
}

fn read_entry(line: &Statement) -> Result<HostEntry, Error> {
    let name = &line.name;
    let address = parse_address(&name.text).ok_or_else(|| match name.text.contains(['.', ':']) {
        true => name.unexpected("an IP address or an option"),
        false => name.span.error(Problem::unknown("option", &name.text, OPTIONS)),
    })?;
    if line.arguments.is_empty() {
        return Err(name.span.error(Problem::ArgumentCount {
            word: name.text.clone(),
            expected: "at least 1 name".to_owned(),
            found: 0,
        }));
    }
    let names = line
        .arguments
        .iter()
        .map(|word| parse_name(&word.text).ok_or_else(|| word.unexpected("the name of a host")));
    Ok(HostEntry {
        address,
        names: names.collect::<Result<_, _>>()?,
    })
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let (address, _zone) = text.split_once('%').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    Some(address.to_canonical())
}

/// Hosts' names have no escapes.
fn parse_name(text: &str) -> Option<Name> {
    Name::parse(text).filter(|_| !text.contains('\\'))
}

/// Whether names of addresses lie in a zone.
fn may_hold_reverse_names(zone: &Name) -> bool {
    let mut roots = ["in-addr.arpa", "ip6.arpa"].into_iter().filter_map(Name::parse);
    is_reverse(zone) || roots.any(|root| root.is_within(zone))
}

#[cfg(test)]
mod tests {
    use super::super::{parse_in, plan};
    use super::*;

    fn parse(corefile: &str) -> Result<Hosts, String> {
        let config = parse_in("Corefile".as_ref(), corefile, &|_| None).map_err(|errors| errors.to_string())?;
        Ok(config.servers[0].hosts.clone().unwrap())
    }

    fn read(options: &str) -> Hosts {
        parse(&format!(". {{\nhosts {{\n{options}\n}}\n}}")).unwrap()
    }

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| Name::parse(text).unwrap()).collect()
    }

    fn entry(address: &str, texts: &[&str]) -> HostEntry {
        HostEntry {
            address: address.parse().unwrap(),
            names: names(texts),
        }
    }

    #[test]
    fn has_defaults() {
        let hosts = parse("a.example b.example {\nhosts\n}").unwrap();
        assert_eq!(hosts.path(), Path::new("/etc/hosts"));
        assert_eq!(hosts.zones, names(&["a.example", "b.example"]));
        assert_eq!((hosts.file, hosts.inline), (None, vec![]));
        assert_eq!((hosts.ttl, hosts.reverse), (3600, true));
        assert_eq!(hosts.reload, Some(Duration::from_secs(5)));
        assert_eq!(
            (hosts.fallthrough, hosts.fallthrough_unsupported),
            (Fallthrough::None, false)
        );
    }

    #[test]
    fn reads_its_arguments_and_options() {
        let hosts = parse(". {\nhosts some/file a.example 10.0.0.9/8\n}").unwrap();
        assert_eq!(hosts.path(), Path::new("some/file"));
        assert_eq!(hosts.zones, names(&["a.example", "10.in-addr.arpa"]));
        assert_eq!(read("ttl 65535").ttl, 65_535);
        assert!(!read("no_reverse").reverse);
        assert_eq!(read("reload 1m").reload, Some(Duration::from_secs(60)));
        assert_eq!(read("reload 0").reload, None);
        assert_eq!(read("fallthrough").fallthrough, Fallthrough::All);
        assert_eq!(
            read("fallthrough a.example").fallthrough,
            Fallthrough::Zones(names(&["a.example"]))
        );
        assert!(read("fallthrough_unsupported\nfallthrough").fallthrough_unsupported);
    }

    #[test]
    fn reads_entries_among_its_options() {
        let hosts = read("10.0.0.1 A.example b.example. # c.example\nttl 7\n::1 *.c\n10.0.0.1 a.example\nfallthrough");
        let expected = [
            entry("10.0.0.1", &["a.example", "b.example"]),
            entry("::1", &["*.c"]),
            entry("10.0.0.1", &["a.example"]),
        ];
        assert_eq!(hosts.inline, expected);
        assert_eq!(hosts.ttl, 7);
    }

    #[test]
    fn reads_lines_as_coredns_does() {
        for (line, expected) in [
            ("10.0.0.1 a", Some(entry("10.0.0.1", &["a"]))),
            ("\t10.0.0.1\ta  B.c.\r", Some(entry("10.0.0.1", &["a", "b.c"]))),
            ("10.0.0.1 a#b c", Some(entry("10.0.0.1", &["a"]))),
            ("fe80::1%eth0 a", Some(entry("fe80::1", &["a"]))),
            ("::ffff:10.0.0.1 a", Some(entry("10.0.0.1", &["a"]))),
            ("10.0.0.1 a..b c", Some(entry("10.0.0.1", &["c"]))),
            ("10.0.0.01 a", None),
            ("10.0.0 a", None),
            ("a 10.0.0.1", None),
            ("# 10.0.0.1 a", None),
            ("", None),
        ] {
            assert_eq!(HostEntry::of_line(line), expected, "{line:?}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (options, expected) in [
            (
                "ttl 0",
                "Corefile:3:5: expected a TTL from 1 to 65535 seconds, found `0`",
            ),
            (
                "ttl 65536",
                "Corefile:3:5: expected a TTL from 1 to 65535 seconds, found `65536`",
            ),
            (
                "reload -1s",
                "Corefile:3:8: expected a duration such as `5s` or `1m30s`, found `-1s`",
            ),
            (
                "no_reverse yes",
                "Corefile:3:1: `no_reverse` takes no argument, found 1",
            ),
            (
                "fallthrough_unsupported",
                "Corefile:3:1: `fallthrough_unsupported` has no effect without `fallthrough`; add it or remove \
                 `fallthrough_unsupported`",
            ),
            ("tll 5", "Corefile:3:1: unknown option `tll`; did you mean `ttl`?"),
            (
                "10.0.0.256 a",
                "Corefile:3:1: expected an IP address or an option, found `10.0.0.256`",
            ),
            ("10.0.0.1", "Corefile:3:1: `10.0.0.1` takes at least 1 name, found 0"),
            (
                "10.0.0.1 a..b",
                "Corefile:3:10: expected the name of a host, found `a..b`",
            ),
            (
                "10.0.0.1 a\\.b",
                "Corefile:3:10: expected the name of a host, found `a\\.b`",
            ),
            (
                "10.0.0.1 a {\n b\n}",
                "Corefile:3:1: `10.0.0.1` takes no options in braces",
            ),
            (
                "fallthrough\n10.0.0.1 a",
                "Corefile:4:1: expected an option, since entries stand before `fallthrough`, found `10.0.0.1`",
            ),
            (
                "ttl x\n10.0.0.1\nreload 5",
                "Corefile:3:5: expected a TTL from 1 to 65535 seconds, found `x`\nCorefile:4:1: `10.0.0.1` takes at least 1 \
                 name, found 0\nCorefile:5:8: expected a duration such as `5s` or `1m30s`, found `5`",
            ),
        ] {
            let read = parse(&format!(". {{\nhosts {{\n{options}\n}}\n}}"));
            assert_eq!(read.unwrap_err(), expected, "{options}");
        }
        let twice = parse(". {\nhosts\nhosts\n}").unwrap_err();
        assert_eq!(
            twice,
            "Corefile:3:1: `hosts` may stand only once here; the first is at Corefile:2:1"
        );
    }

    #[test]
    fn leaves_zones_alone_that_it_has_no_names_of() {
        let nothing = "nothing, since `hosts` at Corefile:3:1 may answer names of the cluster by itself";
        let everything = "everything";
        for (hosts, expected) in [
            ("hosts", [nothing, nothing]),
            ("hosts x a.example", [everything, nothing]),
            ("hosts x a.example {\n no_reverse\n}", [everything, everything]),
            ("hosts x local {\n no_reverse\n}", [nothing, everything]),
            ("hosts x a.svc.cluster.local {\n no_reverse\n}", [nothing, everything]),
            ("hosts x in-addr.arpa {\n no_reverse\n}", [everything, nothing]),
        ] {
            let corefile = format!(". {{\nkubernetes cluster.local 10.0.0.0/8\n{hosts}\n}}");
            let config = parse_in("Corefile".as_ref(), &corefile, &|_| None).unwrap();
            let verdicts: Vec<_> = plan(&config).iter().map(|plan| plan.verdict.to_string()).collect();
            assert_eq!(verdicts, expected, "{hosts}");
        }
    }
}
