//! `acl`: refuses some questions, answers others without records, and is silent about others still.

use std::sync::Arc;

use domain::base::iana::{ExtendedErrorCode, OptRcode, OptionCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Next, Outcome, Plugin, Serving, Site, at_once, reply};
use crate::corefile::{Acl, AclAction};
use crate::name::Name;
use crate::server::edns::{self, DO};
use crate::server::message::Message;
use crate::server::query::Query;
use crate::server::reply::status;

const NAME: &str = "acl";

/// The payload size in the OPT record of its replies, in bytes, where the client gives none.
const PAYLOAD_SIZE: u16 = 4096;

/// The `acl`s of a server block, in order.
pub(super) struct AccessControl {
    rules: Vec<Acl>,
    server: Arc<str>,
    metrics: AclMetrics,
    allowed: Counter,
}

/// What the `acl`s of all blocks count.
#[derive(Clone)]
pub(in crate::server) struct AclMetrics {
    allowed: Family<Labels, Counter>,
    blocked: Family<ZoneLabels, Counter>,
    filtered: Family<ZoneLabels, Counter>,
    dropped: Family<ZoneLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    server: Arc<str>,
    view: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ZoneLabels {
    server: Arc<str>,
    zone: String,
    view: &'static str,
}

impl AccessControl {
    pub(super) fn new(rules: &[Acl], site: &Site, metrics: &AclMetrics) -> Self {
        Self {
            rules: rules.to_vec(),
            server: site.server.clone(),
            metrics: metrics.clone(),
            allowed: metrics.allowed.get_or_create_owned(&Labels {
                server: site.server.clone(),
                view: "",
            }),
        }
    }

    /// What becomes of a query, and the zone for which that was decided; `None` where no rule takes it.
    fn decide(&self, query: &Query) -> Option<(AclAction, &Name)> {
        let (qtype, client) = (query.message.question.qtype, query.client.address.ip());
        self.rules.iter().find_map(|acl| {
            let zones = acl.zones.iter().filter(|zone| query.name().is_within(zone));
            let zone = zones.max_by_key(|zone| zone.as_wire().len())?;
            Some((acl.decide(qtype, client)?, zone))
        })
    }

    fn count(&self, family: &Family<ZoneLabels, Counter>, zone: &Name) {
        let labels = ZoneLabels {
            server: self.server.clone(),
            zone: zone.to_string(),
            view: "",
        };
        family.get_or_create_owned(&labels).inc();
    }
}

impl Plugin for AccessControl {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        match self.decide(query) {
            None | Some((AclAction::Allow, _)) => {
                self.allowed.inc();
                next.serve(query)
            }
            Some((AclAction::Block, zone)) => {
                self.count(&self.metrics.blocked, zone);
                reply(NAME, explain(query, OptRcode::REFUSED, ExtendedErrorCode::BLOCKED))
            }
            Some((AclAction::Filter, zone)) => {
                self.count(&self.metrics.filtered, zone);
                reply(NAME, explain(query, OptRcode::NOERROR, ExtendedErrorCode::FILTERED))
            }
            Some((AclAction::Drop, zone)) => {
                self.count(&self.metrics.dropped, zone);
                at_once(Outcome::Silence)
            }
        }
    }
}

/// A reply that says why it has no records (RFC 8914). As in CoreDNS, clients are told that know no OPT records too, and DO
/// is set.
fn explain(query: &Query, rcode: OptRcode, why: ExtendedErrorCode) -> Message {
    let numbers = [OptionCode::EXTENDED_ERROR.to_int(), 2, why.to_int()];
    let option: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    let mut message = status(query, rcode);
    message.additional.push(edns::opt(PAYLOAD_SIZE, DO, &option));
    message
}

impl AclMetrics {
    /// Makes the counters and registers them.
    pub(in crate::server) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            allowed: Family::default(),
            blocked: Family::default(),
            filtered: Family::default(),
            dropped: Family::default(),
        };
        registry.register(
            "coredns_acl_allowed_requests",
            "Queries that were let pass",
            metrics.allowed.clone(),
        );
        registry.register(
            "coredns_acl_blocked_requests",
            "Queries that were refused",
            metrics.blocked.clone(),
        );
        registry.register(
            "coredns_acl_filtered_requests",
            "Queries that were answered without records",
            metrics.filtered.clone(),
        );
        registry.register(
            "coredns_acl_dropped_requests",
            "Queries that got no reply",
            metrics.dropped.clone(),
        );
        metrics
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use crate::server::plugin::testing::{assert_counts, counted};
    use crate::server::query::Client;
    use crate::server::testing::*;

    const EDE_BLOCKED: &[u8] = b"\0\x0f\0\x02\0\x0f";
    const EDE_FILTERED: &[u8] = b"\0\x0f\0\x02\0\x11";

    /// The query went on, and no plugin answered it.
    const PASSED: &str = "passed";

    async fn respond(directives: &str, message: &[u8], from: &str) -> Option<Vec<u8>> {
        let address: IpAddr = from.parse().unwrap();
        let client = Client {
            address: (address, 1).into(),
            ..UDP
        };
        responder(directives).respond(message, client).await
    }

    /// The reply of `acl` alone.
    fn bare(query: &[u8], rcode: u8) -> Vec<u8> {
        [&query[..2], &[0x81, rcode], &query[4..]].concat()
    }

    #[tokio::test]
    async fn each_action_has_its_reply() {
        let plain = query("a.Example.org", 1);
        for (action, rcode, ede) in [("block", 5, EDE_BLOCKED), ("filter", 0, EDE_FILTERED)] {
            let directives = format!("acl {{\n{action}\n}}\nkubernetes cluster.local");
            let expected = with_opt(bare(&plain, rcode), 4096, 0x8000, ede);
            assert_eq!(
                respond(&directives, &plain, "10.0.0.1").await,
                Some(expected),
                "{action}"
            );
            let asked = with_opt(plain.clone(), 1232, 0, b"\0\x0a\0\0");
            let expected = with_opt(bare(&plain, rcode), 1232, 0x8000, ede);
            assert_eq!(
                respond(&directives, &asked, "10.0.0.1").await,
                Some(expected),
                "{action}"
            );
        }
        let dropped = respond("acl {\ndrop\n}\nkubernetes cluster.local", &plain, "10.0.0.1").await;
        assert_eq!(dropped, None);
    }

    /// What becomes of a question about `a.example.org`.
    async fn fate(directives: &str, qtype: u16, from: &str) -> &'static str {
        let directives = format!("{directives}\nkubernetes cluster.local");
        let reply = respond(&directives, &query("a.example.org", qtype), from).await;
        match reply.map(|reply| reply[3] & 0xf) {
            None => "drop",
            Some(0) => "filter",
            Some(5) => "block",
            Some(2) => PASSED,
            Some(other) => panic!("rcode {other}"),
        }
    }

    #[tokio::test]
    async fn the_first_rule_that_takes_a_query_counts() {
        let only = "acl {\nallow net 192.168.0.0/24 192.168.2.7 fd00::/8\nblock\n}";
        let except = "acl {\nallow net 192.168.1.0/24\nblock net 192.168.9.9/16\n}";
        let types = "acl {\nfilter type A AAAA net *\ndrop type MX\n}";
        for (directives, qtype, from, expected) in [
            ("acl {\nblock type A net 192.168.0.0/16\n}", 1, "192.168.3.4", "block"),
            ("acl {\nblock type A net 192.168.0.0/16\n}", 28, "192.168.3.4", PASSED),
            ("acl {\nblock type A net 192.168.0.0/16\n}", 1, "192.169.0.0", PASSED),
            (
                "acl {\nblock type A net 192.168.0.0/16\n}",
                1,
                "::ffff:192.168.3.4",
                "block",
            ),
            (only, 1, "192.168.0.255", PASSED),
            (only, 1, "192.168.1.0", "block"),
            (only, 1, "192.168.2.7", PASSED),
            (only, 1, "192.168.2.8", "block"),
            (only, 1, "fd12::1", PASSED),
            (only, 1, "fe80::1", "block"),
            (except, 1, "192.168.1.1", PASSED),
            (except, 1, "192.168.2.1", "block"),
            (except, 1, "10.0.0.1", PASSED),
            (types, 28, "10.0.0.1", "filter"),
            (types, 15, "::1", "drop"),
            (types, 16, "10.0.0.1", PASSED),
            ("acl {\nblock type *\n}", 16, "10.0.0.1", "block"),
            ("acl {\nblock type A type MX\n}", 15, "10.0.0.1", "block"),
            // A rule of another zone takes nothing, and what one directive lets pass the next may not.
            ("acl b.example.org {\nblock\n}", 1, "10.0.0.1", PASSED),
            ("acl a.example.org {\nblock\n}", 1, "10.0.0.1", "block"),
            ("acl {\nblock type MX\n}\nacl {\ndrop\n}", 1, "10.0.0.1", "drop"),
            ("acl {\nallow\n}\nacl {\ndrop\n}", 1, "10.0.0.1", PASSED),
            ("acl {\n}", 1, "10.0.0.1", PASSED),
        ] {
            assert_eq!(
                fate(directives, qtype, from).await,
                expected,
                "{directives} {qtype} {from}"
            );
        }
    }

    #[tokio::test]
    async fn queries_are_counted_by_what_becomes_of_them() {
        let (context, registry) = counted();
        let directives = "prometheus\nacl example.org a.example.org {\nblock type A\nfilter type MX\ndrop type TXT\n}";
        let responder = responder_in(&context, directives);
        for (name, qtype) in [
            ("A.example.org", 1),
            ("b.example.org", 15),
            ("b.example.org", 16),
            ("b.example.org", 28),
            ("c", 1),
        ] {
            responder.respond(&query(name, qtype), UDP).await;
        }
        assert_counts(
            &registry,
            &[
                "coredns_acl_allowed_requests_total{server=\"dns://:0\",view=\"\"} 2",
                "coredns_acl_blocked_requests_total{server=\"dns://:0\",zone=\"a.example.org.\",view=\"\"} 1",
                "coredns_acl_filtered_requests_total{server=\"dns://:0\",zone=\"example.org.\",view=\"\"} 1",
                // What is dropped counts as a reply of no length.
                "coredns_dns_responses_total{server=\"dns://:0\",zone=\".\",view=\"\",rcode=\"NOERROR\",plugin=\"\"} 1",
                "coredns_dns_response_size_bytes_bucket{le=\"0.0\",server=\"dns://:0\",zone=\".\",view=\"\",proto=\"udp\"} 1",
                "coredns_acl_dropped_requests_total{server=\"dns://:0\",zone=\"example.org.\",view=\"\"} 1",
            ],
        );
    }
}
