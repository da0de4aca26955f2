//! What `cache` counts, under the names that CoreDNS gives it.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What the caches of all blocks count.
#[derive(Clone)]
pub(in crate::server) struct CacheMetrics {
    entries: Family<KeptLabels, Gauge>,
    hits: Family<KeptLabels, Counter>,
    evictions: Family<KeptLabels, Counter>,
    requests: Family<Labels, Counter>,
    misses: Family<Labels, Counter>,
    prefetches: Family<Labels, Counter>,
    served_stale: Family<Labels, Counter>,
}

/// What one cache counts.
pub(super) struct Counters {
    pub(super) success: KeptCounters,
    pub(super) denial: KeptCounters,
    pub(super) requests: Counter,
    pub(super) misses: Counter,
    pub(super) prefetches: Counter,
    pub(super) served_stale: Counter,
}

/// What is counted of answers, and of denials and failures.
pub(super) struct KeptCounters {
    pub(super) entries: Gauge,
    pub(super) hits: Counter,
    pub(super) evictions: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    server: Arc<str>,
    zones: Arc<str>,
    view: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeptLabels {
    server: Arc<str>,
    r#type: &'static str,
    zones: Arc<str>,
    view: &'static str,
}

impl CacheMetrics {
    /// Makes the counters and registers them.
    pub(in crate::server) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            entries: Family::default(),
            hits: Family::default(),
            evictions: Family::default(),
            requests: Family::default(),
            misses: Family::default(),
            prefetches: Family::default(),
            served_stale: Family::default(),
        };
        registry.register(
            "coredns_cache_entries",
            "Replies that are kept",
            metrics.entries.clone(),
        );
        registry.register(
            "coredns_cache_hits",
            "Queries answered from what is kept",
            metrics.hits.clone(),
        );
        registry.register(
            "coredns_cache_evictions",
            "Replies that had to make room for others",
            metrics.evictions.clone(),
        );
        registry.register(
            "coredns_cache_requests",
            "Queries that came to the cache",
            metrics.requests.clone(),
        );
        registry.register(
            "coredns_cache_misses",
            "Queries for which nothing was kept",
            metrics.misses.clone(),
        );
        registry.register(
            "coredns_cache_prefetch",
            "Replies that were asked for before they were gone",
            metrics.prefetches.clone(),
        );
        registry.register(
            "coredns_cache_served_stale",
            "Queries answered with a reply whose TTL was over",
            metrics.served_stale.clone(),
        );
        metrics
    }

    /// The counters of the cache of these zones.
    pub(super) fn of_cache(&self, server: &Arc<str>, zones: &Arc<str>) -> Counters {
        let labels = Labels {
            server: server.clone(),
            zones: zones.clone(),
            view: "",
        };
        let kept = |kind| {
            let labels = KeptLabels {
                server: server.clone(),
                r#type: kind,
                zones: zones.clone(),
                view: "",
            };
            KeptCounters {
                entries: self.entries.get_or_create_owned(&labels),
                hits: self.hits.get_or_create_owned(&labels),
                evictions: self.evictions.get_or_create_owned(&labels),
            }
        };
        Counters {
            success: kept("success"),
            denial: kept("denial"),
            requests: self.requests.get_or_create_owned(&labels),
            misses: self.misses.get_or_create_owned(&labels),
            prefetches: self.prefetches.get_or_create_owned(&labels),
            served_stale: self.served_stale.get_or_create_owned(&labels),
        }
    }
}
