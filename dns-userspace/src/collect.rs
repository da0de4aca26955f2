//! What the agent tells of itself and of the kernel's side, as metrics.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use dns_ebpf::outcome::{Kind, Outcome, Pass, Rcode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tracing::warn;

use crate::cluster::Counts as NameCounts;
use crate::cluster::object::Kind as ObjectKind;
use crate::kernel::hook::Hook;
use crate::kernel::links::LinkState;
use crate::kernel::maps::{Counts, Tables};
use crate::zone::ZoneTable;

/// The bounds between which the durations of updates are counted, in seconds; 1 ms is the goal.
const UPDATE_DURATIONS: [f64; 16] = [
    1e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 1e-1, 2.5e-1, 1.0,
];

/// What is told when it changes.
#[derive(Clone, Debug)]
pub struct AgentMetrics {
    synced: Gauge,
    names: Family<[(&'static str, &'static str); 1], Gauge>,
    kernel_names: Gauge,
    kernel_bytes: Gauge,
    kernel_refused: Gauge<u64, AtomicU64>,
    update_duration: Histogram,
    update_names: Histogram,
    repairs: Family<[(&'static str, &'static str); 1], Counter>,
}

impl AgentMetrics {
    /// Registers `kxdns_synced`, `kxdns_names{kind}`, `kxdns_kernel_names`, `kxdns_kernel_bytes`,
    /// `kxdns_kernel_names_refused`, `kxdns_update_duration_seconds`, `kxdns_update_names` and `kxdns_reconcile_repairs_total{resource}`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            synced: Gauge::default(),
            names: Family::default(),
            kernel_names: Gauge::default(),
            kernel_bytes: Gauge::default(),
            kernel_refused: Gauge::default(),
            update_duration: Histogram::new(UPDATE_DURATIONS),
            update_names: Histogram::new([0.0, 1.0, 2.0, 5.0, 10.0, 100.0, 1000.0, 10_000.0]),
            repairs: Family::default(),
        };
        let synced = "1 once every object that there is stands in the tables";
        registry.register("kxdns_synced", synced, metrics.synced.clone());
        let names = "Names that are answered, by the kind of their object";
        registry.register("kxdns_names", names, metrics.names.clone());
        let kernel_names = "Names in the kernel's tables";
        registry.register("kxdns_kernel_names", kernel_names, metrics.kernel_names.clone());
        let bytes = "Memory that the names take in the kernel, in bytes";
        registry.register("kxdns_kernel_bytes", bytes, metrics.kernel_bytes.clone());
        let refused = "How many times a name found no room in the kernel's tables";
        registry.register("kxdns_kernel_names_refused", refused, metrics.kernel_refused.clone());
        let duration = "From the arrival of an object's event until it is in force, in seconds";
        registry.register(
            "kxdns_update_duration_seconds",
            duration,
            metrics.update_duration.clone(),
        );
        let rewritten = "How many of the kernel's names an object's event concerned";
        registry.register("kxdns_update_names", rewritten, metrics.update_names.clone());
        let repairs = "Differences that a fresh list found and repaired, so that an event must have been lost";
        registry.register("kxdns_reconcile_repairs", repairs, metrics.repairs.clone());
        metrics
    }

    /// Tells how the zone table stands.
    pub fn tell(&self, zones: &ZoneTable) {
        self.synced.set(zones.synced().into());
        let [local, imported] = [zones.cluster().local().counts(), zones.cluster().imported().counts()];
        let of = |kind, count: fn(&NameCounts) -> usize| {
            let count = count(&local) + count(&imported);
            self.names.get_or_create(&[("kind", kind)]).set(count as i64);
        };
        of("cluster_ip", |counts| counts.cluster_ip);
        of("headless", |counts| counts.headless);
        of("external_name", |counts| counts.external_name);
        of("endpoint", |counts| counts.endpoint);
    }

    /// Tells how the kernel's tables stand.
    pub fn tell_kernel(&self, tables: &Tables) {
        self.kernel_names.set(tables.names() as i64);
        self.kernel_bytes.set(tables.bytes() as i64);
        self.kernel_refused.set(tables.refused());
    }

    /// Counts an event that is in force, how long that took, and how many of the kernel's names it concerned.
    pub fn count_update(&self, duration: Duration, names: usize) {
        self.update_duration.observe(duration.as_secs_f64());
        self.update_names.observe(names as f64);
    }

    /// Counts a difference that should not have been.
    pub fn count_repair(&self, kind: ObjectKind) {
        self.repairs.get_or_create(&[("resource", kind.resource())]).inc();
    }

    /// How many differences of this kind have been repaired.
    #[cfg(test)]
    pub(crate) fn repairs(&self, kind: ObjectKind) -> u64 {
        self.repairs.get_or_create(&[("resource", kind.resource())]).get()
    }
}

/// What is read when metrics are asked for: the kernel's counters and the links.
pub struct KernelCollector {
    /// What the programs counted.
    pub counts: Counts,
    /// How the links stand.
    pub links: watch::Receiver<Vec<LinkState>>,
}

impl fmt::Debug for KernelCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelCollector")
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

impl Collector for KernelCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_links(&mut encoder)?;
        match self.counts.read() {
            Ok(counters) => encode_counters(&mut encoder, |outcome| counters[outcome.counter()]),
            Err(error) => {
                warn!("{error:#}");
                Ok(())
            }
        }
    }
}

impl KernelCollector {
    fn encode_links(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let links = self.links.borrow();
        let help = "Links that the programs are attached to, by hook; `none`: links that were refused";
        let gauge = ConstGauge::new(0i64);
        let mut family = encoder.encode_descriptor("kxdns_links", help, None, gauge.metric_type())?;
        let hook = |link: &LinkState| link.attached.as_ref().map_or("none", |choice| choice.hook.name());
        for name in Hook::ALL.map(Hook::name).into_iter().chain(["none"]) {
            let count = links.iter().filter(|link| hook(link) == name).count();
            ConstGauge::new(count as i64).encode(family.encode_family(&[("hook", name)])?)?;
        }
        Ok(())
    }
}

fn encode_counters(encoder: &mut DescriptorEncoder<'_>, count: impl Fn(Outcome) -> u64) -> fmt::Result {
    let counter = ConstCounter::new(0u64);
    let help = "Questions answered in the kernel";
    let mut family = encoder.encode_descriptor("kxdns_kernel_answers", help, None, counter.metric_type())?;
    for (kind, rcode) in Kind::ALL
        .into_iter()
        .flat_map(|kind| Rcode::ALL.map(|rcode| (kind, rcode)))
    {
        let labels = [("type", kind.label()), ("rcode", rcode.label())];
        ConstCounter::new(count(Outcome::Answered(kind, rcode))).encode(family.encode_family(&labels)?)?;
    }
    let help = "Packets that the kernel passed on unchanged, by reason";
    let mut family = encoder.encode_descriptor("kxdns_kernel_passes", help, None, counter.metric_type())?;
    for reason in Pass::ALL {
        let labels = [("reason", reason.label())];
        ConstCounter::new(count(Outcome::Pass(reason))).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
