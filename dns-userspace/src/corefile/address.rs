//! Addresses to listen on, as Go writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::error::Error;
use super::lexer::Word;

/// All addresses of both families, which an address without a host stands for.
pub(super) const ANY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Reads `[HOST]:PORT` where HOST is an IP address, `localhost` or nothing.
pub(super) fn read_listen_address(word: &Word) -> Result<SocketAddr, Error> {
    parse(&word.text).ok_or_else(|| word.unexpected("an address such as `:9153` or `127.0.0.1:9153`"))
}

fn parse(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (host, port) = text.rsplit_once(':')?;
    let ip = match host {
        "" => ANY,
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        _ => return None,
    };
    Some((ip, port.parse().ok()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_as_go_does() {
        for (text, expected) in [
            (":9153", Some("[::]:9153")),
            ("localhost:9153", Some("127.0.0.1:9153")),
            ("0.0.0.0:9153", Some("0.0.0.0:9153")),
            ("[::1]:9153", Some("[::1]:9153")),
            ("127.0.0.1:0", Some("127.0.0.1:0")),
            ("9153", None),
            (":", None),
            (":http", None),
            (":65536", None),
            ("::1:9153", None),
            ("example.org:9153", None),
            ("", None),
        ] {
            assert_eq!(
                parse(text),
                expected.map(|expected| expected.parse().unwrap()),
                "{text:?}"
            );
        }
    }
}
