//! Networks in CIDR notation.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};

use super::error::Error;
use super::lexer::Word;

/// Reads a network, or an address, which stands for the network of itself alone. What an address has behind the prefix
/// makes no difference.
pub(super) fn read_network(word: &Word) -> Result<IpNet, Error> {
    let address = |text: &str| text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = word.text.parse::<IpNet>().ok().or_else(|| address(&word.text));
    // Nobody comes from such an address: a client of IPv4 has one of IPv4, whatever socket it comes by.
    let network = network.filter(|network| network.addr() == network.addr().to_canonical());
    let expected = "a network such as `10.0.0.0/8` or `fd00::/8`, or an IP address";
    Ok(network.ok_or_else(|| word.unexpected(expected))?.trunc())
}

/// Reads the prefix of addresses that stand for those of IPv4 (RFC 6052, 2.2), of any length that CoreDNS takes.
pub(super) fn read_prefix(word: &Word) -> Result<Ipv6Net, Error> {
    let prefix = word.text.parse::<Ipv6Net>().ok();
    let prefix =
        prefix.filter(|prefix| matches!(prefix.prefix_len(), 32..=96) && prefix.prefix_len().is_multiple_of(8));
    let expected = "a network of IPv6 such as `64:ff9b::/96`, its length a multiple of 8 from 32 to 96";
    Ok(prefix.ok_or_else(|| word.unexpected(expected))?.trunc())
}
