//! What `forward` counts, under the names that CoreDNS gives it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{NAME, Protocol};
use crate::metrics::{ResponseCode, duration_histogram};
use crate::server::message::Message;

/// What all `forward`s count.
#[derive(Clone)]
pub(in crate::server) struct ForwardMetrics {
    all_down: Counter,
    rejected: Counter,
    hedges: Counter,
    durations: Family<ReplyLabels, Histogram, fn() -> Histogram>,
    failed_checks: Family<UpstreamLabels, Counter>,
    reused: Family<ConnectionLabels, Counter>,
    made: Family<ConnectionLabels, Counter>,
}

/// What one upstream counts.
pub(super) struct UpstreamMetrics {
    all: ForwardMetrics,
    labels: UpstreamLabels,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    proxy_name: &'static str,
    to: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReplyLabels {
    proxy_name: &'static str,
    to: Arc<str>,
    rcode: ResponseCode,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    proxy_name: &'static str,
    to: Arc<str>,
    proto: &'static str,
}

impl ForwardMetrics {
    /// Makes the counters and registers them.
    pub(in crate::server) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            all_down: Counter::default(),
            rejected: Counter::default(),
            hedges: Counter::default(),
            durations: Family::new_with_constructor(duration_histogram),
            failed_checks: Family::default(),
            reused: Family::default(),
            made: Family::default(),
        };
        registry.register(
            "coredns_forward_healthcheck_broken",
            "How often all upstreams were down",
            metrics.all_down.clone(),
        );
        registry.register(
            "coredns_forward_max_concurrent_rejects",
            "Queries refused because of `max_concurrent`",
            metrics.rejected.clone(),
        );
        registry.register(
            "kxdns_forward_hedges",
            "Queries that were asked of a second upstream since the first was slow",
            metrics.hedges.clone(),
        );
        registry.register(
            "coredns_proxy_request_duration_seconds",
            "How long each upstream took to reply",
            metrics.durations.clone(),
        );
        registry.register(
            "coredns_proxy_healthcheck_failures",
            "Checks that each upstream failed",
            metrics.failed_checks.clone(),
        );
        registry.register(
            "coredns_proxy_conn_cache_hits",
            "Connections to each upstream that were used again",
            metrics.reused.clone(),
        );
        registry.register(
            "coredns_proxy_conn_cache_misses",
            "Connections to each upstream that were made",
            metrics.made.clone(),
        );
        metrics
    }

    pub(super) fn count_all_down(&self) {
        self.all_down.inc();
    }

    pub(super) fn count_rejected(&self) {
        self.rejected.inc();
    }

    pub(super) fn count_hedge(&self) {
        self.hedges.inc();
    }

    pub(super) fn of_upstream(&self, address: SocketAddr) -> UpstreamMetrics {
        UpstreamMetrics {
            all: self.clone(),
            labels: UpstreamLabels {
                proxy_name: NAME,
                to: address.to_string().into(),
            },
        }
    }
}

impl UpstreamMetrics {
    pub(super) fn count_reply(&self, reply: &Message, duration: Duration) {
        let labels = ReplyLabels {
            proxy_name: self.labels.proxy_name,
            to: self.labels.to.clone(),
            rcode: ResponseCode(reply.rcode),
        };
        let histogram = self.all.durations.get_or_create(&labels);
        histogram.observe(duration.as_secs_f64());
    }

    pub(super) fn count_failed_check(&self) {
        self.all.failed_checks.get_or_create(&self.labels).inc();
    }

    pub(super) fn count_connection(&self, protocol: Protocol, is_new: bool) {
        let family = if is_new { &self.all.made } else { &self.all.reused };
        let labels = ConnectionLabels {
            proxy_name: self.labels.proxy_name,
            to: self.labels.to.clone(),
            proto: match protocol {
                Protocol::Datagrams => "udp",
                Protocol::Stream => "tcp",
            },
        };
        family.get_or_create(&labels).inc();
    }
}
