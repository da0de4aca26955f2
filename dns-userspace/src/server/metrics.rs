//! What the server counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::plugin::{
    AclMetrics, AutopathMetrics, CacheMetrics, Dns64Metrics, DnsMetrics, ForwardMetrics, HostsMetrics, TemplateMetrics,
};
use crate::metrics::ServerMetrics;

/// What the server and its plugins count.
#[derive(Clone)]
pub struct Metrics {
    pub(super) server: ServerMetrics,
    lost_lines: Counter,
    pub(super) panics: Counter,
    pub(super) dns: DnsMetrics,
    pub(super) acl: AclMetrics,
    pub(super) autopath: AutopathMetrics,
    pub(super) cache: CacheMetrics,
    pub(super) dns64: Dns64Metrics,
    pub(super) forward: ForwardMetrics,
    pub(super) hosts: HostsMetrics,
    pub(super) template: TemplateMetrics,
}

impl Metrics {
    /// Makes all counters and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let lost_lines = Counter::default();
        registry.register(
            "kxdns_log_lines_lost",
            "Lines of log and errors that were lost, since whoever reads them was too slow",
            lost_lines.clone(),
        );
        let panics = Counter::default();
        registry.register("coredns_panics", "Queries that ended in a panic", panics.clone());
        Self {
            lost_lines,
            panics,
            server: ServerMetrics::register(registry),
            dns: DnsMetrics::register(registry),
            acl: AclMetrics::register(registry),
            autopath: AutopathMetrics::register(registry),
            cache: CacheMetrics::register(registry),
            dns64: Dns64Metrics::register(registry),
            forward: ForwardMetrics::register(registry),
            hosts: HostsMetrics::register(registry),
            template: TemplateMetrics::register(registry),
        }
    }

    /// Counts the lines of logs that are lost.
    pub fn lost_lines(&self) -> Counter {
        self.lost_lines.clone()
    }
}
