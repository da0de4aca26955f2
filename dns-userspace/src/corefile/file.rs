//! The `file` directive: zone files, and the zones that are answered from them.

use std::path::PathBuf;
use std::time::Duration;

use super::config::ServerBlock;
use super::duration::read_duration;
use super::error::Span;
use super::kubernetes::{Fallthrough, read_fallthrough};
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape, option};
use super::zones::read_zones;
use crate::name::Name;

const DEFAULT_RELOAD: Duration = Duration::from_secs(60);

/// A `file` directive. As in CoreDNS, `reload` and `reload_by_mtime` hold for those after it in its block too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneFile {
    /// The file.
    pub path: PathBuf,
    /// The zones that it is read for, each with its name as the origin.
    pub zones: Vec<Name>,
    /// How often it is looked whether the file has changed; never if `None`.
    pub reload: Option<Duration>,
    /// Whether the file's time says that it has changed, and not the serial of its SOA record.
    pub by_time: bool,
    /// What becomes of names that do not exist. The last that is given in a block counts for all of it.
    pub fallthrough: Fallthrough,
    /// Where it stands.
    pub span: Span,
}

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::SOME,
    options: &[
        option("fallthrough", Count::ANY).in_force(),
        option("reload", Count::ONE).in_force(),
        option("reload_by_mtime", Count::NONE).in_force(),
        // What older versions asked about aliases; it is the server itself now, whatever stands here.
        option("upstream", Count::ANY).in_force(),
    ],
};

/// Reads `file DBFILE [ZONES..] { .. }`; without zones it has those of its server block.
pub(super) fn read(statement: &Statement, server: &ServerBlock, report: &mut Report) -> Option<ZoneFile> {
    let (path, zones) = statement.arguments.split_first()?;
    let zones = match zones {
        [] => server.keys.iter().map(|key| key.zone.clone()).collect(),
        given => report.keep(read_zones(given))?,
    };
    let before = server.file.last();
    let reload = match statement.value("reload") {
        Some(word) => Some(report.keep(read_duration(word))?).filter(|reload| !reload.is_zero()),
        None => before.map_or(Some(DEFAULT_RELOAD), |before| before.reload),
    };
    Some(ZoneFile {
        path: path.text.clone().into(),
        zones,
        reload,
        by_time: statement.option("reload_by_mtime").is_some() || before.is_some_and(|before| before.by_time),
        fallthrough: read_fallthrough(statement, report),
        span: statement.name.span.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse_in;
    use super::*;

    fn parse(directives: &str) -> Result<Vec<ZoneFile>, String> {
        let corefile = format!("a.example b.example {{\n{directives}\n}}");
        let config = parse_in("Corefile".as_ref(), &corefile, &|_| None).map_err(|errors| errors.to_string())?;
        Ok(config.servers[0].file.clone())
    }

    fn read(options: &str) -> ZoneFile {
        parse(&format!("file db {{\n{options}\n}}")).unwrap().remove(0)
    }

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| Name::parse(text).unwrap()).collect()
    }

    #[test]
    fn has_defaults() {
        let file = parse("file some/db").unwrap().remove(0);
        assert_eq!(file.path, Path::new("some/db"));
        assert_eq!(file.zones, names(&["a.example", "b.example"]));
        assert_eq!((file.reload, file.by_time), (Some(Duration::from_secs(60)), false));
        assert_eq!(file.fallthrough, Fallthrough::None);
    }

    #[test]
    fn reads_its_arguments_and_options() {
        let file = parse("file db c.example 10.0.0.0/8").unwrap().remove(0);
        assert_eq!(file.zones, names(&["c.example", "10.in-addr.arpa"]));
        assert_eq!(read("reload 5s").reload, Some(Duration::from_secs(5)));
        assert_eq!(read("reload 0").reload, None);
        assert!(read("reload_by_mtime").by_time);
        assert_eq!(read("fallthrough").fallthrough, Fallthrough::All);
        assert_eq!(
            read("fallthrough c.example").fallthrough,
            Fallthrough::Zones(names(&["c.example"]))
        );
        assert_eq!(read("upstream 10.0.0.1 10.0.0.2"), read(""));
    }

    #[test]
    fn options_hold_for_those_after_it() {
        let files = parse("file a\nfile b {\nreload 5s\nreload_by_mtime\n}\nfile c\nfile d {\nreload 0\n}").unwrap();
        let told = files
            .iter()
            .map(|file| (file.reload.map(|reload| reload.as_secs()), file.by_time));
        let expected = [(Some(60), false), (Some(5), true), (Some(5), true), (None, true)];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn says_what_is_wrong() {
        for (directives, expected) in [
            ("file", "Corefile:2:1: `file` takes at least 1 argument, found 0"),
            (
                "file db a..b",
                "Corefile:2:9: expected a zone such as `cluster.local` or `10.96.0.0/12`, found `a..b`",
            ),
            (
                "file db {\nreload 5\n}",
                "Corefile:3:8: expected a duration such as `5s` or `1m30s`, found `5`",
            ),
            (
                "file db {\nreload\n}",
                "Corefile:3:1: `reload` takes 1 argument, found 0",
            ),
            (
                "file db {\nreload_by_mtime yes\n}",
                "Corefile:3:1: `reload_by_mtime` takes no argument, found 1",
            ),
            (
                "file db {\nfallthrough a..b\n}",
                "Corefile:3:13: expected a zone such as `cluster.local` or `10.96.0.0/12`, found `a..b`",
            ),
            (
                "file db {\nno_reload\n}",
                "Corefile:3:1: unknown option `no_reload`; did you mean `reload`?",
            ),
        ] {
            assert_eq!(parse(directives).unwrap_err(), expected, "{directives}");
        }
    }
}
