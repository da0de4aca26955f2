//! The `dns64` directive: IPv6 addresses made of those of IPv4 (RFC 6147).

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::network::read_prefix;
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape, option};

/// The well-known prefix (RFC 6052, 2.1).
const WELL_KNOWN: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// The `dns64` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns64 {
    /// What the addresses begin with: of a length that is a multiple of 8 from 32 to 96.
    pub prefix: Ipv6Net,
    /// Whether addresses are made for names that have IPv6 addresses of their own.
    pub translates_all: bool,
    /// Whether they are made for clients that ask over IPv4.
    pub allows_ipv4: bool,
}

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::between(0, 1),
    options: &[
        option("allow_ipv4", Count::NONE).in_force(),
        option("prefix", Count::ONE).in_force(),
        option("translate_all", Count::NONE).in_force(),
    ],
};

/// Reads `dns64 [PREFIX] { prefix PREFIX, translate_all, allow_ipv4 }`; the option's prefix counts before the argument.
pub(super) fn read(statement: &Statement, report: &mut Report) -> Dns64 {
    let words = statement.arguments.first().into_iter().chain(statement.value("prefix"));
    let prefixes = words.filter_map(|word| report.keep(read_prefix(word)));
    Dns64 {
        prefix: prefixes.last().unwrap_or(WELL_KNOWN),
        translates_all: statement.option("translate_all").is_some(),
        allows_ipv4: statement.option("allow_ipv4").is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::parse;

    fn read(directive: &str) -> Result<Dns64, String> {
        let config = parse("Corefile".as_ref(), &format!(".:53 {{\n{directive}\n}}"));
        let mut config = config.map_err(|errors| errors.to_string())?;
        config.check_support().unwrap();
        Ok(config.servers.remove(0).dns64.unwrap())
    }

    #[test]
    fn reads_prefix_and_options() {
        for (directive, prefix, translates_all, allows_ipv4) in [
            ("dns64", "64:ff9b::/96", false, false),
            ("dns64 64:1337::/96", "64:1337::/96", false, false),
            (
                "dns64 {\nprefix 64:1337::/64\ntranslate_all\n}",
                "64:1337::/64",
                true,
                false,
            ),
            ("dns64 64:1337::/32 {\nallow_ipv4\n}", "64:1337::/32", false, true),
            (
                "dns64 64:1337::/32 {\nprefix 64:1338::/32\n}",
                "64:1338::/32",
                false,
                false,
            ),
            ("dns64 64:1337::1/72", "64:1337::/72", false, false),
        ] {
            let expected = Dns64 {
                prefix: prefix.parse().unwrap(),
                translates_all,
                allows_ipv4,
            };
            assert_eq!(read(directive), Ok(expected), "{directive}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        let prefix =
            "expected a network of IPv6 such as `64:ff9b::/96`, its length a multiple of 8 from 32 to 96, found";
        for (directive, expected) in [
            ("dns64 64:ff9b::", format!("2:7: {prefix} `64:ff9b::`")),
            ("dns64 10.0.0.0/32", format!("2:7: {prefix} `10.0.0.0/32`")),
            ("dns64 64:ff9b::/24", format!("2:7: {prefix} `64:ff9b::/24`")),
            ("dns64 64:ff9b::/97", format!("2:7: {prefix} `64:ff9b::/97`")),
            ("dns64 64:ff9b::/104", format!("2:7: {prefix} `64:ff9b::/104`")),
            (
                "dns64 {\nprefix 64:ff9b::/60\n}",
                format!("3:8: {prefix} `64:ff9b::/60`"),
            ),
            ("dns64 a b", "2:1: `dns64` takes at most 1 argument, found 2".to_owned()),
            (
                "dns64 {\nprefix\n}",
                "3:1: `prefix` takes 1 argument, found 0".to_owned(),
            ),
            (
                "dns64 {\nallow_ipv4 yes\n}",
                "3:1: `allow_ipv4` takes no argument, found 1".to_owned(),
            ),
            (
                "dns64 {\ntranslate_al\n}",
                "3:1: unknown option `translate_al`; did you mean `translate_all`?".to_owned(),
            ),
        ] {
            let error = read(directive).unwrap_err();
            let error = error.lines().next().unwrap_or_default();
            assert_eq!(error, format!("Corefile:{expected}"), "{directive}");
        }
    }
}
