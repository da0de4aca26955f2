//! `dns64`: IPv6 addresses for names that have IPv4 addresses alone (RFC 6147).

use std::sync::Arc;

use domain::base::iana::{OptRcode, Rtype};
use ipnet::Ipv6Net;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Next, Outcome, Plugin, Reply, Serving, Site};
use crate::corefile::Dns64;
use crate::server::kind::Kind;
use crate::server::message::{Message, Record};
use crate::server::query::Query;
use crate::server::rdata::Data;
use crate::server::reply::status;

const NAME: &str = "dns64";

/// The longest TTL of an address that is made up, in seconds, where no SOA record tells another (RFC 6147, 5.1.7).
const LONGEST_TTL: u32 = 600;

/// The byte of an address that stays zero (RFC 6052, 2.2).
const RESERVED: usize = 8;

/// The `dns64` of a server block.
pub(super) struct Translating {
    config: Dns64,
    translated: Counter,
}

/// What the `dns64`s of all blocks count.
#[derive(Clone)]
pub(in crate::server) struct Dns64Metrics {
    translated: Family<Labels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    server: Arc<str>,
}

impl Translating {
    pub(super) fn new(config: &Dns64, site: &Site, metrics: &Dns64Metrics) -> Self {
        let server = site.server.clone();
        Self {
            config: config.clone(),
            translated: metrics.translated.get_or_create_owned(&Labels { server }),
        }
    }

    fn takes(&self, query: &Query) -> bool {
        let is_ipv6 = query.client.address.ip().to_canonical().is_ipv6();
        let asks_for_address = query.message.question.qtype == Rtype::AAAA && query.is_internet();
        asks_for_address && (is_ipv6 || self.config.allows_ipv4)
    }

    /// Says whether a reply lacks addresses that could be made up. As in CoreDNS, a failure lacks them too.
    fn lacks_addresses(&self, reply: &Message) -> bool {
        let has_any = || reply.answer.iter().any(|record| record.data.rtype == Rtype::AAAA);
        Kind::of(reply) != Kind::NameError && (self.config.translates_all || !has_any())
    }

    async fn translate(&self, query: &Query, next: Next<'_>) -> Outcome {
        let outcome = next.serve(query).await;
        let Outcome::Reply(original) = &outcome else {
            return outcome;
        };
        if !self.lacks_addresses(&original.message) {
            return outcome;
        }
        let Some(found) = next
            .resolve_type(query, query.name().as_wire().to_vec(), Rtype::A)
            .await
        else {
            return Outcome::failure(
                OptRcode::SERVFAIL,
                "plugin/dns64: no reply to the question for A records",
            );
        };
        self.translated.inc();
        let message = self.synthesize(query, &original.message, found);
        Outcome::Reply(Reply { message, source: NAME })
    }

    /// Makes an answer of the one for IPv4 addresses; whatever its rcode was, this one's is NOERROR, as CoreDNS's.
    fn synthesize(&self, query: &Query, original: &Message, found: Message) -> Message {
        let mut message = status(query, OptRcode::NOERROR);
        message.header.set_tc(found.header.tc());
        let start = original
            .authority
            .iter()
            .rfind(|record| record.data.rtype == Rtype::SOA);
        let longest = start.map_or(LONGEST_TTL, |start| start.ttl);
        let records = found.answer.into_iter();
        message.answer = records.map(|record| self.translate_record(record, longest)).collect();
        message.authority = found.authority;
        message.additional = found.additional;
        message
    }

    fn translate_record(&self, record: Record, longest: u32) -> Record {
        if record.data.rtype != Rtype::A {
            return record;
        }
        let address = embed(self.config.prefix, record.data.as_bytes());
        let mut data = Data::of_bytes(Rtype::AAAA, &address);
        data.class = record.data.class;
        Record {
            owner: record.owner,
            ttl: record.ttl.min(longest),
            data,
        }
    }
}

impl Plugin for Translating {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        match self.takes(query) {
            true => Box::pin(self.translate(query, next)),
            false => next.serve(query),
        }
    }
}

/// Puts an IPv4 address behind a prefix (RFC 6052, 2.2). Data without address stay without.
fn embed(prefix: Ipv6Net, address: &[u8]) -> Vec<u8> {
    let mut embedded = prefix.addr().octets();
    let start = usize::from(prefix.prefix_len() / 8);
    let places = (start..embedded.len()).filter(|place| *place != RESERVED);
    for (place, byte) in places.zip(address) {
        embedded[place] = *byte;
    }
    match address {
        [] => Vec::new(),
        _ => embedded.to_vec(),
    }
}

impl Dns64Metrics {
    /// Makes the counter and registers it.
    pub(in crate::server) fn register(registry: &mut Registry) -> Self {
        let translated = Family::default();
        registry.register(
            "coredns_dns64_requests_translated",
            "Queries answered with IPv6 addresses made of those of IPv4",
            translated.clone(),
        );
        Self { translated }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::server::plugin::testing::{assert_counts, counted};
    use crate::server::query::{Client, Transport};
    use crate::server::testing::*;

    const IPV6: Client = Client {
        address: std::net::SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), 1),
        ..UDP
    };

    /// Replies by the first label: `four` has IPv4 addresses alone, `six` has both, `none` does not exist, `fail` fails,
    /// `empty` has no records at all, `alias` leads to `four`.
    fn upstream(query: &[u8]) -> Vec<Vec<u8>> {
        let mut message = Message::read(query).unwrap();
        let name = message.question.name.clone();
        let four = b"\x04four\0".to_vec();
        message.header.set_qr(true);
        let record = |owner: &[u8], ttl, data| Record {
            owner: owner.to_vec(),
            ttl,
            data,
        };
        let ipv4 = |owner: &[u8], ttl| record(owner, ttl, Data::of_address([10, 0, 0, 4].into()));
        let ipv6 = record(&name, 300, Data::of_address(Ipv6Addr::LOCALHOST.into()));
        let start = |ttl| record(b"\0", ttl, Data::of_authority(&vec![0], &vec![0], [1; 5]));
        let is_ipv6 = message.question.qtype == Rtype::AAAA;
        match (&name.to_ascii_lowercase()[1..3], is_ipv6) {
            (b"fo", false) => message.answer = vec![ipv4(&name, 700), ipv4(&name, 100)],
            (b"fo" | b"em", true) => message.authority = vec![start(400)],
            (b"al", is_ipv6) => {
                message.answer = vec![record(&name, 900, Data::of_name(Rtype::CNAME, &four))];
                message.answer.extend((!is_ipv6).then(|| ipv4(&four, 700)));
            }
            (b"si", true) => message.answer = vec![ipv6],
            (b"si", false) => message.answer = vec![ipv4(&name, 50)],
            (b"no", _) => {
                message.rcode = OptRcode::NXDOMAIN;
                message.authority = vec![start(400)];
            }
            (b"fa", _) => message.rcode = OptRcode::SERVFAIL,
            _ => {}
        }
        vec![message.write(512)]
    }

    /// The rcode and the answer, each record as its TTL and what it holds.
    fn summary(reply: &[u8]) -> (u8, Vec<String>) {
        let message = Message::read(reply).unwrap();
        let text = |record: &Record| {
            let data = match <[u8; 16]>::try_from(record.data.as_bytes()) {
                Ok(address) => Ipv6Addr::from(address).to_string(),
                Err(_) => record.data.rtype.to_string(),
            };
            format!("{} {data}", record.ttl)
        };
        (reply[3] & 0xf, message.answer.iter().map(text).collect())
    }

    #[tokio::test]
    async fn addresses_are_made_where_there_are_none() {
        let (address, _) = script(Transport::Udp, upstream).await;
        let four = &["400 64:ff9b::a00:4", "100 64:ff9b::a00:4"][..];
        let own = &["300 ::1"][..];
        for (options, name, qtype, client, rcode, expected) in [
            ("", "Four", 28, IPV6, 0, four),
            ("", "four", 28, UDP, 0, &[]),
            ("allow_ipv4", "four", 28, UDP, 0, four),
            ("", "four", 1, IPV6, 0, &["700 A", "100 A"]),
            ("", "six", 28, IPV6, 0, own),
            ("translate_all", "six", 28, IPV6, 0, &["50 64:ff9b::a00:4"]),
            (
                "prefix 64:1337::/96",
                "four",
                28,
                IPV6,
                0,
                &["400 64:1337::a00:4", "100 64:1337::a00:4"],
            ),
            // Without SOA record the TTL has a limit of its own.
            ("", "alias", 28, IPV6, 0, &["900 CNAME", "600 64:ff9b::a00:4"]),
            ("", "none", 28, IPV6, 3, &[]),
            ("translate_all", "none", 28, IPV6, 3, &[]),
            ("", "empty", 28, IPV6, 0, &[]),
            ("", "fail", 28, IPV6, 0, &[]),
        ] {
            let responder = responder(&format!("dns64 {{\n{options}\n}}\nforward . {address}"));
            let reply = responder.respond(&query(name, qtype), client).await.unwrap();
            let (found, answer) = summary(&reply);
            assert_eq!(
                (found, &answer.iter().map(String::as_str).collect::<Vec<_>>()[..]),
                (rcode, expected),
                "{options} {name}"
            );
        }
    }

    #[tokio::test]
    async fn the_reply_is_the_servers_own_about_the_name_in_lower_case() {
        let (address, seen) = script(Transport::Udp, upstream).await;
        let responder = responder(&format!("dns64\nforward . {address}"));
        let asked = query("FouR", 28);
        let reply = Message::read(&responder.respond(&asked, IPV6).await.unwrap()).unwrap();
        assert_eq!(reply.question.name, b"\x04FouR\0");
        assert_eq!(reply.answer[0].owner, b"\x04four\0");
        assert!(!reply.header.ra() && !reply.header.aa() && reply.header.rd());
        let seen = seen.lock().unwrap();
        let asked: Vec<_> = seen
            .iter()
            .map(|query| Message::read(query).unwrap().question.qtype)
            .collect();
        assert_eq!(asked, [Rtype::AAAA, Rtype::A]);
    }

    #[tokio::test]
    async fn other_classes_and_failures_stay_as_they_are() {
        let mut chaos = query("four", 28);
        *chaos.last_mut().unwrap() = 3;
        let (address, seen) = script(Transport::Udp, upstream).await;
        let to_upstream = responder(&format!("dns64\nforward . {address}"));
        assert!(summary(&to_upstream.respond(&chaos, IPV6).await.unwrap()).1.is_empty());
        assert_eq!(seen.lock().unwrap().len(), 1);
        let to_nobody = responder("dns64\nkubernetes cluster.local");
        assert_eq!(
            summary(&to_nobody.respond(&query("four", 28), IPV6).await.unwrap()),
            (2, vec![])
        );
    }

    #[tokio::test]
    async fn translations_are_counted() {
        let (address, _) = script(Transport::Udp, upstream).await;
        let (context, registry) = counted();
        let responder = responder_in(&context, &format!("dns64\nforward . {address}"));
        for name in ["four", "six", "none", "alias"] {
            responder.respond(&query(name, 28), IPV6).await;
        }
        assert_counts(
            &registry,
            &["coredns_dns64_requests_translated_total{server=\"dns://:0\"} 2"],
        );
    }

    /// The table of RFC 6052, 2.4, and the lengths that only CoreDNS knows.
    #[test]
    fn an_address_stands_behind_a_prefix_of_any_length() {
        for (prefix, expected) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344:a00::/72", "2001:db8:122:344:ac0:2:2100:0"),
            ("2001:db8:122:344::/88", "2001:db8:122:344:0:c0:2:2100"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::c000:221"),
        ] {
            let embedded = embed(prefix.parse().unwrap(), &[192, 0, 2, 33]);
            let embedded = <[u8; 16]>::try_from(embedded).unwrap();
            assert_eq!(
                Ipv6Addr::from(embedded),
                expected.parse::<Ipv6Addr>().unwrap(),
                "{prefix}"
            );
        }
        assert!(embed("64:ff9b::/96".parse().unwrap(), &[]).is_empty());
    }
}
