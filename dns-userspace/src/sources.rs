//! What is told of where the objects come from: how stale they may be, and what of them made no sense.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::cluster::object::Kind;

/// How the kinds of objects are followed.
#[derive(Clone, Debug, Default)]
pub struct SourceMetrics {
    skipped: Family<[(&'static str, &'static str); 1], Counter>,
    /// Since when a kind may have changed unnoticed; `None` while it is followed.
    stale_since: Arc<Mutex<BTreeMap<Kind, Option<Instant>>>>,
}

impl SourceMetrics {
    /// Registers `kxdns_objects_skipped_total{resource}` and `kxdns_watch_staleness_seconds{resource}`.
    ///
    /// All of these kinds are stale until they are followed.
    pub fn register(registry: &mut Registry, kinds: &[Kind]) -> Self {
        let metrics = Self::default();
        kinds.iter().for_each(|kind| metrics.fail(*kind));
        let skipped = "Objects, or parts of them, that made no sense and were left out";
        registry.register("kxdns_objects_skipped", skipped, metrics.skipped.clone());
        registry.register_collector(Box::new(metrics.clone()));
        metrics
    }

    /// Counts an object of which something was left out.
    pub fn skip(&self, kind: Kind) {
        self.skipped.get_or_create(&[("resource", kind.resource())]).inc();
    }

    /// Takes in that a kind is followed.
    pub fn succeed(&self, kind: Kind) {
        self.stale_since().insert(kind, None);
    }

    /// Takes in that a kind is not followed for now.
    pub fn fail(&self, kind: Kind) {
        let mut stale = self.stale_since();
        stale.entry(kind).or_default().get_or_insert_with(Instant::now);
    }

    fn stale_since(&self) -> std::sync::MutexGuard<'_, BTreeMap<Kind, Option<Instant>>> {
        self.stale_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many objects of a kind have been counted.
    #[cfg(test)]
    pub(crate) fn skipped(&self, kind: Kind) -> u64 {
        self.skipped.get_or_create(&[("resource", kind.resource())]).get()
    }
}

impl Collector for SourceMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "For how long the objects of a kind may have changed unnoticed; 0 while they are followed";
        let gauge = ConstGauge::new(0.0);
        let mut family = encoder.encode_descriptor("kxdns_watch_staleness_seconds", help, None, gauge.metric_type())?;
        for (kind, since) in self.stale_since().iter() {
            let seconds = since.map_or(0.0, |since| since.elapsed().as_secs_f64());
            ConstGauge::new(seconds).encode(family.encode_family(&[("resource", kind.resource())])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn a_kind_is_stale_until_it_is_followed_and_from_its_first_failure_on() {
        let mut registry = Registry::default();
        let metrics = SourceMetrics::register(&mut registry, &[Kind::Service]);
        let stale = || {
            let mut page = String::new();
            text::encode(&mut page, &registry).unwrap();
            let name = "kxdns_watch_staleness_seconds{resource=\"services\"} ";
            let value = page.lines().find_map(|line| line.strip_prefix(name));
            value.unwrap().parse::<f64>().unwrap() > 0.0
        };
        assert!(stale());
        metrics.succeed(Kind::Service);
        assert!(!stale());
        metrics.fail(Kind::Service);
        metrics.fail(Kind::Service);
        assert!(stale());
    }
}
