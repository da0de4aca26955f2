//! What `hosts` tells, under the names that CoreDNS gives it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What the `hosts` of all blocks tell.
#[derive(Clone)]
pub(in crate::server) struct HostsMetrics {
    entries: Family<Labels, Gauge>,
    reloaded: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    hostsfile: Arc<str>,
}

impl HostsMetrics {
    /// Makes the gauges and registers them.
    pub(in crate::server) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            entries: Family::default(),
            reloaded: Gauge::default(),
        };
        registry.register(
            "coredns_hosts_entries",
            "Entries of the file and of the Corefile",
            metrics.entries.clone(),
        );
        registry.register(
            "coredns_hosts_reload_timestamp_seconds",
            "The time of the file that was read last",
            metrics.reloaded.clone(),
        );
        metrics
    }

    /// Tells that a file of this time was read, and how many entries there are now.
    pub(super) fn tell(&self, path: &Path, entries: usize, time: SystemTime) {
        let labels = Labels {
            hostsfile: path.to_string_lossy().into(),
        };
        self.entries.get_or_create(&labels).set(entries as i64);
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.reloaded.set(since_epoch.as_secs_f64());
    }
}
