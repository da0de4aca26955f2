//! What the server counts.

use prometheus_client::registry::Registry;

use super::plugin::{CacheMetrics, ForwardMetrics};
use crate::metrics::ServerMetrics;

/// What the server and its plugins count.
#[derive(Clone)]
pub struct Metrics {
    pub(super) server: ServerMetrics,
    pub(super) cache: CacheMetrics,
    pub(super) forward: ForwardMetrics,
}

impl Metrics {
    /// Makes all counters and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            server: ServerMetrics::register(registry),
            cache: CacheMetrics::register(registry),
            forward: ForwardMetrics::register(registry),
        }
    }
}
