//! The zones that keys and arguments name.
//!
//! A zone is a name or a network in CIDR notation, which stands for its reverse zones (RFC 1035, 3.5; RFC 3596, 2.5): one
//! on an octet boundary (IPv4) or a nibble boundary (IPv6), else the several just below that together cover it.

use std::net::IpAddr;

use domain::base::Rtype;

use super::error::{Error, Problem};
use super::lexer::Word;
use crate::name::Name;

const DEFAULT_PORT: u16 = 53;
/// What CoreDNS listens with beside plain DNS.
const OTHER_TRANSPORTS: [&str; 6] = ["tls", "grpc", "https", "https3", "quic", "unix"];

/// Finds out who takes a question, of those who have these zones, the longest first: whoever has the longest that holds the
/// name. DS records stand in the parent zone; as in CoreDNS, a question for them goes to the shortest zone but the root.
pub fn route<'z, T>(
    name: &Name,
    qtype: Rtype,
    zones: impl DoubleEndedIterator<Item = (&'z Name, T)>,
) -> Option<(&'z Name, T)> {
    let mut holding = zones.filter(|(zone, _)| name.is_within(zone));
    let longest = holding.next()?;
    match qtype {
        Rtype::DS => holding.rfind(|(zone, _)| **zone != Name::root()).or(Some(longest)),
        _ => Some(longest),
    }
}

/// Reads the zones that a directive's arguments name.
pub(super) fn read_zones(words: &[Word]) -> Result<Vec<Name>, Error> {
    let zones: Result<Vec<_>, _> = words.iter().map(read_zone).collect();
    Ok(zones?.concat())
}

/// Reads an argument that names a zone; a network may stand for several.
pub(super) fn read_zone(word: &Word) -> Result<Vec<Name>, Error> {
    if word.text.is_empty() {
        return Err(expected_zone(word));
    }
    parse_zone(word, &word.text)
}

/// Reads a key of a server block: `[dns://]ZONE[:PORT]`, where no zone is the root.
pub(super) fn read_key(word: &Word) -> Result<(Vec<Name>, u16), Error> {
    let rest = match word.text.split_once("://") {
        Some(("dns", rest)) => rest,
        Some((scheme, _)) => return Err(word.span.error(refuse_transport(scheme))),
        None => &word.text,
    };
    let (zone, port) = match rest.rsplit_once(':') {
        // The last colon of an IPv6 network has a prefix length behind it.
        Some((_, tail)) if tail.contains('/') => (rest, DEFAULT_PORT),
        Some((zone, port)) => (
            zone,
            port.parse()
                .map_err(|_| word.unexpected("a port from 0 to 65535 after the colon"))?,
        ),
        None => (rest, DEFAULT_PORT),
    };
    Ok((parse_zone(word, zone)?, port))
}

/// Whether a zone is one of addresses.
pub fn is_reverse(zone: &Name) -> bool {
    ["in-addr.arpa", "ip6.arpa"]
        .into_iter()
        .filter_map(Name::parse)
        .any(|root| zone.is_within(&root))
}

/// Refuses a transport that is not plain DNS.
pub(super) fn refuse_transport(scheme: &str) -> Problem {
    if OTHER_TRANSPORTS.contains(&scheme) {
        let way_out = "it speaks plain DNS only: write `dns://` or nothing";
        return Problem::NotSupported {
            what: format!("`{scheme}://`"),
            way_out,
        };
    }
    Problem::unknown("scheme", scheme, OTHER_TRANSPORTS.into_iter().chain(["dns"]))
}

fn parse_zone(word: &Word, text: &str) -> Result<Vec<Name>, Error> {
    // What has a slash behind something else than an address is a name, such as RFC 2317 delegates.
    if let Some((address, prefix)) = text.rsplit_once('/')
        && let Ok(address) = address.parse()
    {
        return parse_network(word, address, prefix);
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*/".contains(&byte);
    let name = if text.bytes().all(known) {
        Name::parse(text)
    } else {
        None
    };
    Ok(vec![name.ok_or_else(|| expected_zone(word))?])
}

fn parse_network(word: &Word, address: IpAddr, prefix: &str) -> Result<Vec<Name>, Error> {
    let (longest, expected) = match address {
        IpAddr::V4(_) => (32, "a prefix length from 0 to 32 after the slash"),
        IpAddr::V6(_) => (128, "a prefix length from 0 to 128 after the slash"),
    };
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= longest);
    Ok(find_reverse_zones(
        address,
        prefix.ok_or_else(|| word.unexpected(expected))?,
    ))
}

fn find_reverse_zones(address: IpAddr, prefix: u8) -> Vec<Name> {
    let bits = if address.is_ipv4() { 8 } else { 4 };
    let digits = split_digits(address);
    let kept = usize::from(prefix.div_ceil(bits));
    let Some((last, leading)) = digits.get(..kept).and_then(<[u8]>::split_last) else {
        return format_zone(address, &[]).into_iter().collect();
    };
    // The part of the last digit that the prefix leaves open.
    let open = ((1_u16 << (kept * usize::from(bits) - usize::from(prefix))) - 1) as u8;
    let first = last & !open;
    (first..=first | open)
        .filter_map(|last| format_zone(address, &[leading, &[last]].concat()))
        .collect()
}

/// The octets of an IPv4 address, the nibbles of an IPv6 one.
fn split_digits(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address
            .octets()
            .iter()
            .flat_map(|octet| [octet >> 4, octet & 15])
            .collect(),
    }
}

fn format_zone(address: IpAddr, digits: &[u8]) -> Option<Name> {
    let (root, format): (_, fn(&u8) -> String) = match address {
        IpAddr::V4(_) => ("in-addr.arpa", |digit| format!("{digit}.")),
        IpAddr::V6(_) => ("ip6.arpa", |digit| format!("{digit:x}.")),
    };
    let labels: String = digits.iter().rev().map(format).collect();
    Name::parse(&(labels + root))
}

fn expected_zone(word: &Word) -> Error {
    word.unexpected("a zone such as `cluster.local` or `10.96.0.0/12`")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::error::Span;
    use super::*;

    fn word(text: &str) -> Word {
        let span = Span {
            file: Path::new("Corefile").into(),
            line: 1,
            column: 1,
        };
        Word {
            text: text.to_owned(),
            span,
        }
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn reads_the_keys_of_a_server_block() {
        for (text, zone, port) in [
            (".", ".", 53),
            (".:53", ".", 53),
            (":1053", ".", 1053),
            ("Example.ORG", "example.org", 53),
            ("example.org.:5300", "example.org", 5300),
            ("dns://example.org:54", "example.org", 54),
            ("dns://.", ".", 53),
            ("10.0.0.0/8", "10.in-addr.arpa", 53),
            ("10.0.0.0/24:54", "0.0.10.in-addr.arpa", 54),
            ("fd00::/8", "d.f.ip6.arpa", 53),
            ("2001:db8::/32:54", "8.b.d.0.1.0.0.2.ip6.arpa", 54),
            ("0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa", 53),
            ("_tcp.example.org", "_tcp.example.org", 53),
        ] {
            assert_eq!(read_key(&word(text)), Ok((vec![name(zone)], port)), "{text}");
        }
    }

    #[test]
    fn refuses_keys_that_name_no_zone() {
        let zone = "expected a zone such as `cluster.local` or `10.96.0.0/12`";
        let port = "expected a port from 0 to 65535 after the colon";
        for (text, expected) in [
            ("a..b", format!("{zone}, found `a..b`")),
            ("é.org", format!("{zone}, found `é.org`")),
            ("a\\.b", format!("{zone}, found `a\\.b`")),
            ("example.org:dns", format!("{port}, found `example.org:dns`")),
            ("example.org:", format!("{port}, found `example.org:`")),
            ("example.org:65536", format!("{port}, found `example.org:65536`")),
            (
                "10.0.0.0/33",
                "expected a prefix length from 0 to 32 after the slash, found `10.0.0.0/33`".to_owned(),
            ),
            (
                "fd00::/129",
                "expected a prefix length from 0 to 128 after the slash, found `fd00::/129`".to_owned(),
            ),
            (
                "tls://example.org",
                "`tls://` is not supported by kxdns; it speaks plain DNS only: write `dns://` or nothing".to_owned(),
            ),
            (
                "htps://example.org",
                "unknown scheme `htps`; did you mean `https`?".to_owned(),
            ),
        ] {
            let error = read_key(&word(text)).unwrap_err().to_string();
            assert_eq!(error, format!("Corefile:1:1: {expected}"));
        }
    }

    #[test]
    fn makes_reverse_zones_of_networks() {
        for (network, count, first, last) in [
            ("0.0.0.0/0", 1, "in-addr.arpa", "in-addr.arpa"),
            ("10.0.0.0/8", 1, "10.in-addr.arpa", "10.in-addr.arpa"),
            ("10.96.0.0/12", 16, "96.10.in-addr.arpa", "111.10.in-addr.arpa"),
            ("10.99.1.2/12", 16, "96.10.in-addr.arpa", "111.10.in-addr.arpa"),
            ("172.16.0.0/9", 128, "0.172.in-addr.arpa", "127.172.in-addr.arpa"),
            ("128.0.0.0/1", 128, "128.in-addr.arpa", "255.in-addr.arpa"),
            ("10.0.0.254/31", 2, "254.0.0.10.in-addr.arpa", "255.0.0.10.in-addr.arpa"),
            ("10.0.0.1/32", 1, "1.0.0.10.in-addr.arpa", "1.0.0.10.in-addr.arpa"),
            ("::/0", 1, "ip6.arpa", "ip6.arpa"),
            ("fd00::/7", 2, "c.f.ip6.arpa", "d.f.ip6.arpa"),
            (
                "2001:db8::/33",
                8,
                "0.8.b.d.0.1.0.0.2.ip6.arpa",
                "7.8.b.d.0.1.0.0.2.ip6.arpa",
            ),
        ] {
            let zones = read_zone(&word(network)).unwrap();
            assert_eq!(zones.len(), count, "{network}");
            assert_eq!(
                (zones.first(), zones.last()),
                (Some(&name(first)), Some(&name(last))),
                "{network}"
            );
            assert!(zones.iter().all(is_reverse), "{network}");
        }
    }
}
