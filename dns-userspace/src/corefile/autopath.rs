//! The `autopath` directive: whose search paths are followed, and what is in them.

use std::path::{Path, PathBuf};

use super::error::{Error, Errors, Problem, Span};
use super::files;
use super::lexer::Word;
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape};
use super::zones::read_zones;
use crate::name::Name;

/// What has the search domains of the host.
const HOST: &str = "/etc/resolv.conf";

/// The `autopath` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Autopath {
    /// The zones whose questions it is about; at least one.
    pub zones: Vec<Name>,
    /// Where search paths come from.
    pub source: PathSource,
    /// Where it stands.
    pub span: Span,
}

/// Where search paths come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathSource {
    /// A file such as `resolv.conf`, for all clients.
    File(PathBuf, Span),
    /// The Pod that asks: its namespace, and the host's search path behind that.
    Pods,
    /// The same, where Pods are not known: there are none.
    Nothing,
}

impl PathSource {
    /// The search domains that are the same for all clients.
    ///
    /// # Errors
    ///
    /// A file that the Corefile names and that cannot be read.
    pub fn find_domains(&self) -> Result<Vec<Name>, Errors> {
        match self {
            Self::File(path, span) => {
                let unreadable = |error| Errors::one(span.error(Problem::unreadable(path, &error)));
                let bytes = files::read(path).map_err(unreadable)?;
                Ok(parse_search(&String::from_utf8_lossy(&bytes)))
            }
            // As in CoreDNS: without that file there are none.
            Self::Pods => {
                let bytes = files::read(Path::new(HOST)).unwrap_or_default();
                Ok(parse_search(&String::from_utf8_lossy(&bytes)))
            }
            Self::Nothing => Ok(Vec::new()),
        }
    }
}

/// The search domains of a `resolv.conf`: those of the last line that has some, without what is no domain.
fn parse_search(text: &str) -> Vec<Name> {
    let mut domains = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let count = match words.next() {
            Some("search") => usize::MAX,
            Some("domain") => 1,
            _ => continue,
        };
        domains = words.take(count).filter_map(Name::parse).collect();
    }
    domains
}

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::SOME,
    options: &[],
};

/// Reads `autopath [ZONES..] RESOLV-CONF`; without zones it is about those of its server block.
pub(super) fn read(statement: &Statement, block_zones: &[Name], report: &mut Report) -> Option<Autopath> {
    let (source, zones) = statement.arguments.split_last()?;
    let zones = match zones {
        [] => Some(block_zones.to_vec()),
        zones => report.keep(read_zones(zones)),
    };
    Some(Autopath {
        source: report.keep(read_source(source))?,
        zones: zones?,
        span: statement.name.span.clone(),
    })
}

fn read_source(word: &Word) -> Result<PathSource, Error> {
    match word.text.strip_prefix('@') {
        None => Ok(PathSource::File(word.text.clone().into(), word.span.clone())),
        Some("kubernetes") => Ok(PathSource::Pods),
        Some(other) => {
            let kind = "plugin with search paths";
            Err(word.span.error(Problem::unknown(kind, other, ["kubernetes"])))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::{Config, parse, plan};

    fn read(directives: &str) -> Result<Config, String> {
        let text = format!("example.org:53 {{\n{directives}\n}}");
        parse("Corefile".as_ref(), &text).map_err(|errors| errors.to_string())
    }

    fn read_one(directive: &str) -> Autopath {
        read(directive).unwrap().servers.remove(0).autopath.unwrap()
    }

    fn names(names: &[&str]) -> Vec<Name> {
        names.iter().map(|name| Name::parse(name).unwrap()).collect()
    }

    #[test]
    fn reads_zones_and_a_file() {
        let autopath = read_one("autopath resolv.conf");
        assert_eq!(autopath.zones, names(&["example.org"]));
        assert!(matches!(autopath.source, PathSource::File(path, _) if path == Path::new("resolv.conf")));
        assert_eq!(read_one("autopath a b /etc/resolv.conf").zones, names(&["a", "b"]));
    }

    #[test]
    fn pods_are_asked_where_they_are_known() {
        let verified = "kubernetes cluster.local {\npods verified\n}\nautopath cluster.local @kubernetes";
        let config = read(verified).unwrap();
        config.check_support().unwrap();
        let autopath = config.servers[0].autopath.as_ref().unwrap();
        assert_eq!(
            (&autopath.source, &autopath.zones),
            (&PathSource::Pods, &names(&["cluster.local"]))
        );
        for without in [
            verified.replace("verified", "insecure"),
            "autopath @kubernetes".to_owned(),
        ] {
            assert_eq!(read_one(&without).source, PathSource::Nothing, "{without}");
        }
    }

    #[test]
    fn the_kernel_denies_nothing_beside_it() {
        let verified = "autopath @kubernetes\nkubernetes cluster.example.org {\npods verified\n}";
        let verdict = plan(&read(verified).unwrap())[0].verdict.to_string();
        assert_eq!(
            verdict,
            "only what exists, since `autopath` at Corefile:2:1 may answer other names in place of those that do not exist"
        );
        let insecure = verified.replace("verified", "insecure");
        assert_eq!(plan(&read(&insecure).unwrap())[0].verdict.to_string(), "everything");
    }

    #[test]
    fn finds_the_search_domains_of_a_resolv_conf() {
        for (text, expected) in [
            ("", &[][..]),
            ("nameserver 10.0.0.1\n#search a\n ; search b\noptions ndots:5", &[]),
            ("search A.b c", &["a.b", "c"]),
            ("\tsearch a\tb.\r\n", &["a", "b"]),
            ("search a\nsearch b c", &["b", "c"]),
            ("search a b\ndomain c d", &["c"]),
            ("domain a\nsearch", &[]),
            ("search a..b c", &["c"]),
        ] {
            assert_eq!(parse_search(text), names(expected), "{text:?}");
        }
    }

    #[test]
    fn says_which_file_it_cannot_read() {
        let error = read_one("autopath /nowhere/resolv.conf")
            .source
            .find_domains()
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "Corefile:2:10: cannot read /nowhere/resolv.conf: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for (directive, expected) in [
            ("autopath", "2:1: `autopath` takes at least 1 argument, found 0"),
            (
                "autopath @kubernets",
                "2:10: unknown plugin with search paths `kubernets`; did you mean `kubernetes`?",
            ),
            ("autopath @erratic", "2:10: unknown plugin with search paths `erratic`"),
            (
                "autopath a..b @kubernetes",
                "2:10: expected a zone such as `cluster.local` or `10.96.0.0/12`, found `a..b`",
            ),
        ] {
            assert_eq!(
                read(directive).unwrap_err(),
                format!("Corefile:{expected}"),
                "{directive}"
            );
        }
    }
}
