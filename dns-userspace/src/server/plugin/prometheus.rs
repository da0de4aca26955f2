//! `prometheus`: counts and measures the queries of a block, under the names that CoreDNS gives all this.

mod metrics;

use std::time::Instant;

pub(in crate::server) use self::metrics::{DROPPED, DnsMetrics, Recorder};
use super::{Next, Outcome, Plugin, Serving, Site};
use crate::name::Name;
use crate::server::query::Query;
use crate::server::reply;

/// Counts the queries of a block, by its zones.
pub(super) struct Measuring {
    zones: Vec<(Name, Recorder)>,
}

impl Measuring {
    pub(super) fn new(zones: &[Name], site: &Site, metrics: &DnsMetrics) -> Self {
        let recorder = |zone: &Name| (zone.clone(), metrics.recorder(&site.server, &zone.to_string()));
        Self {
            zones: zones.iter().map(recorder).collect(),
        }
    }
}

impl Plugin for Measuring {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        let zones = self.zones.iter().filter(|(zone, _)| query.name().is_within(zone));
        // A question for DS records may come to a block whose zones do not hold its name.
        let zone = zones
            .max_by_key(|(zone, _)| zone.as_wire().len())
            .or(self.zones.first());
        let Some((_, recorder)) = zone else {
            return next.serve(query);
        };
        Box::pin(async move {
            let begun = Instant::now();
            let outcome = next.serve(query).await;
            match &outcome {
                Outcome::Reply(reply) => recorder.record(query, Some(&reply.message), reply.source, begun),
                Outcome::Failure(failure) => {
                    let reply = reply::status(query, failure.rcode);
                    recorder.record(query, Some(&reply), "", begun);
                }
                Outcome::Silence => recorder.record(query, None, "", begun),
            }
            outcome
        })
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use crate::server::testing::*;
    use crate::server::{Context, Journal, Metrics};

    #[tokio::test]
    async fn queries_are_counted_as_coredns_counts_them() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let context = Context::new(context().zones, metrics, Journal::to_nobody());
        crate::zone::testing::sync(&mut context.zones.write().unwrap(), Vec::new());
        let responder = responder_in(&context, "prometheus\nkubernetes cluster.local");
        let name = "web.default.svc.cluster.local";
        for query in [
            query(name, 1),
            with_opt(query(name, 28), 1232, 0x8000, b""),
            query("example.org", 0xfedc),
        ] {
            responder.respond(&query, UDP).await;
        }
        let mut chaos = query(name, 1);
        *chaos.last_mut().unwrap() = 3;
        responder.respond(&chaos, UDP).await;
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        for line in [
            "coredns_dns_requests_total{server=\"dns://:0\",zone=\".\",view=\"\",proto=\"udp\",family=\"1\",type=\"A\"} 1",
            "coredns_dns_requests_total{server=\"dns://:0\",zone=\".\",view=\"\",proto=\"udp\",family=\"1\",type=\"other\"} 1",
            "coredns_dns_requests_total{server=\"dns://:0\",zone=\"dropped\",view=\"\",proto=\"udp\",family=\"1\",type=\"A\"} 1",
            "coredns_dns_do_requests_total{server=\"dns://:0\",zone=\".\",view=\"\"} 1",
            "coredns_dns_responses_total{server=\"dns://:0\",zone=\".\",view=\"\",rcode=\"NXDOMAIN\",plugin=\"kubernetes\"} 2",
            "coredns_dns_responses_total{server=\"dns://:0\",zone=\".\",view=\"\",rcode=\"SERVFAIL\",plugin=\"\"} 1",
            "coredns_dns_responses_total{server=\"dns://:0\",zone=\"dropped\",view=\"\",rcode=\"REFUSED\",plugin=\"\"} 1",
            "coredns_dns_request_duration_seconds_count{server=\"dns://:0\",zone=\".\",view=\"\"} 3",
            "coredns_dns_request_size_bytes_bucket{le=\"100.0\",server=\"dns://:0\",zone=\".\",view=\"\",proto=\"udp\"} 3",
            "coredns_dns_response_size_bytes_bucket{le=\"100.0\",server=\"dns://:0\",zone=\".\",view=\"\",proto=\"udp\"} 1",
            "coredns_dns_response_size_bytes_bucket{le=\"200.0\",server=\"dns://:0\",zone=\".\",view=\"\",proto=\"udp\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
