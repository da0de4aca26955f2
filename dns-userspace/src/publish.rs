//! The one task that takes events in and puts what follows from them in force: in the zone table, and in the kernel.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cluster::Event;
use crate::cluster::object::{Reach, Service};
use crate::collect::AgentMetrics;
use crate::kernel::maps::Tables;
use crate::kernel::record::Record;
use crate::kernel::zones::{self, KernelZone};
use crate::name::Name;
use crate::server::Passage;
use crate::zone::{self, SharedZoneTable, ZoneTable, dns_service};

/// How many names are worked out at once when all are.
const BATCH: usize = 8192;
/// How many of them are worth a thread: some 3 ms.
const LEAST_SHARE: usize = 512;

/// How often the lease is renewed.
const RENEWAL: Duration = Duration::from_secs(1);

/// An event on its way to being in force.
#[derive(Debug)]
pub struct Update {
    /// The event.
    pub event: Event,
    /// When it came.
    pub received: Instant,
    /// Whether it should change nothing, being about what should be known already; if it does, an event was lost.
    pub known: bool,
}

impl Update {
    /// An event that has just come, with news.
    pub fn new(event: Event) -> Self {
        Self {
            event,
            received: Instant::now(),
            known: false,
        }
    }
}

/// Puts events in force.
pub struct Publisher {
    /// The agent's own table, which the server reads.
    pub zones: SharedZoneTable,
    /// What is told of the tables.
    pub metrics: AgentMetrics,
    /// The kernel's side, unless the agent attaches to nothing.
    pub kernel: Option<KernelSide>,
    /// Tells when every object is known.
    pub synced: watch::Sender<bool>,
}

/// What of the zone table goes to the kernel, and how.
pub struct KernelSide {
    tables: Tables,
    /// The zones that it answers from, by their numbers.
    zones: Vec<KernelZone>,
    /// What replies go through.
    passage: Passage,
    /// The addresses that are served besides the DNS Service's.
    served: Vec<IpAddr>,
    /// For how long each promise holds.
    lease: Duration,
    /// The addresses in force; none before the first event.
    in_force: Option<Vec<IpAddr>>,
}

impl Publisher {
    /// Takes events and renews the lease until `shutdown`, or until nobody is left to send events; then ends the lease.
    ///
    /// # Errors
    ///
    /// Fails where a map cannot be written: the kernel's tables are then no longer known to be true.
    pub async fn follow(mut self, events: mpsc::Receiver<Update>, shutdown: CancellationToken) -> Result<()> {
        let followed = self.take_all(events, shutdown).await;
        let expired = self.kernel.map_or(Ok(()), |mut kernel| kernel.tables.expire());
        followed.and(expired)
    }

    async fn take_all(&mut self, mut events: mpsc::Receiver<Update>, shutdown: CancellationToken) -> Result<()> {
        let mut renewals = interval(RENEWAL);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                event = events.recv() => match event {
                    Some(event) => self.take(event)?,
                    // Nobody would notice from now on that the tables are no longer true.
                    None => return Ok(()),
                },
                _ = renewals.tick() => self.renew()?,
            }
        }
    }

    /// Puts one event in force.
    fn take(&mut self, update: Update) -> Result<()> {
        let kind = update.event.kind();
        let mut zones = self.zones.write().unwrap_or_else(PoisonError::into_inner);
        let was_synced = zones.synced();
        let zone::Update { changed, names } = zones.update(update.event, unix_time());
        let becomes_known = zones.synced() && !was_synced;
        // Held until the kernel knows: else the server would tell what is new, and then the kernel what was before.
        if let Some(kernel) = &mut self.kernel {
            match becomes_known {
                true => kernel.publish_all(&mut zones)?,
                false => kernel.publish(&zones, &names)?,
            }
            // Before the Services are listed nobody knows.
            if zones.synced() {
                kernel.serve(zones.cluster().local().service(&dns_service()))?;
            }
            kernel.renew(&zones)?;
            self.metrics.tell_kernel(&kernel.tables);
        }
        self.metrics.tell(&zones);
        let synced = zones.synced();
        drop(zones);
        self.metrics.count_update(update.received.elapsed(), names.len());
        if update.known && changed {
            warn!("{kind}: an event was lost, a fresh list has repaired what followed");
            self.metrics.count_repair(kind);
        }
        // Only the first time is told: it never goes back.
        self.synced
            .send_if_modified(|known| std::mem::replace(known, synced) != synced);
        Ok(())
    }

    fn renew(&mut self) -> Result<()> {
        let Some(kernel) = &mut self.kernel else { return Ok(()) };
        kernel.renew(&self.zones.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl KernelSide {
    /// Makes the kernel's side: it may answer from these zones, with what becomes of replies on this passage, at these addresses
    /// besides the DNS Service's, and goes on for this long without the agent.
    ///
    /// # Errors
    ///
    /// Fails where there are more addresses than fit.
    pub fn new(
        mut tables: Tables,
        zones: Vec<KernelZone>,
        passage: Passage,
        served: Vec<IpAddr>,
        lease: Duration,
    ) -> Result<Self> {
        tables.serve(&served).context("--served")?;
        Ok(Self {
            tables,
            zones,
            passage,
            served,
            lease,
            in_force: None,
        })
    }

    /// Publishes what these names mean now.
    fn publish(&mut self, zones: &ZoneTable, names: &BTreeSet<Name>) -> Result<()> {
        for name in names {
            self.tables.set(name, self.record(zones, name))?;
            self.tables.fit()?;
        }
        self.tables.retry()
    }

    /// Publishes what every name means.
    fn publish_all(&mut self, zones: &mut ZoneTable) -> Result<()> {
        let started = Instant::now();
        let mut outcome = Ok(());
        let mut batch = Vec::with_capacity(BATCH);
        zones.for_each_name(|zones, name| {
            batch.push(name);
            if batch.len() == BATCH {
                if outcome.is_ok() {
                    outcome = self.publish_batch(zones, &batch);
                }
                batch.clear();
            }
        });
        outcome?;
        self.publish_batch(zones, &batch)?;
        self.tables.fit()?;
        info!(
            "the kernel knows {} names, in {} KiB, after {:.3} s",
            self.tables.names(),
            self.tables.bytes() / 1024,
            started.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// Publishes what new names mean. Most of the time goes into asking what, which all processors share.
    fn publish_batch(&mut self, zones: &ZoneTable, names: &[Name]) -> Result<()> {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let share = names.len().div_ceil(processors).max(LEAST_SHARE);
        let this = &*self;
        let records: Vec<Option<Record>> = thread::scope(|scope| {
            let work = |names: &'_ [Name]| names.iter().map(|name| this.record(zones, name)).collect::<Vec<_>>();
            let workers: Vec<_> = names
                .chunks(share)
                .map(|names| scope.spawn(move || work(names)))
                .collect();
            let results = workers.into_iter().map(|worker| worker.join());
            results
                .flat_map(|records| records.unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        for (name, record) in names.iter().zip(records) {
            if let Some(record) = record {
                self.tables.set(name, Some(record))?;
            }
        }
        Ok(())
    }

    fn record(&self, zones: &ZoneTable, name: &Name) -> Option<Record> {
        zones::record(&self.zones, &self.passage, zones, name)
    }

    fn renew(&mut self, table: &ZoneTable) -> Result<()> {
        self.tables.set_zones(&zones::lay_out(&self.zones, table))?;
        self.tables.renew(self.lease, table.synced())
    }

    /// Serves what was asked for and the DNS Service's cluster IPs as they are now.
    fn serve(&mut self, dns_service: Option<&Service>) -> Result<()> {
        let addresses = addresses(&self.served, dns_service);
        if self.in_force.as_ref() == Some(&addresses) {
            return Ok(());
        }
        let listed = addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
        match addresses.is_empty() {
            true => warn!("no address is served: there is no Service kube-system/kube-dns; give --served"),
            false => info!("served: {listed}"),
        }
        self.tables.serve(&addresses)?;
        self.in_force = Some(addresses);
        Ok(())
    }
}

/// Puts the DNS Service's cluster IPs behind the addresses that are served anyway.
fn addresses(served: &[IpAddr], dns_service: Option<&Service>) -> Vec<IpAddr> {
    let mut addresses = served.to_vec();
    if let Some(Reach::ClusterIps(cluster_ips)) = dns_service.map(|service| &service.reach) {
        addresses.extend(cluster_ips.iter().filter(|address| !served.contains(address)));
    }
    addresses
}

fn unix_time() -> u32 {
    // The serial wraps like any other (RFC 1982).
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as u32)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, RwLock};

    use tokio::time::timeout;

    use super::*;
    use crate::cluster::object::{Kind, Object};
    use crate::metrics;
    use crate::zone::testing::{service, table};

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn serves_the_dns_services_addresses_besides_what_was_asked_for() {
        let [extra, ipv4, ipv6] = ["10.0.0.1", "10.96.0.10", "fd00::a"].map(|address| address.parse().unwrap());
        let reached = |reach| Service { reach, ports: vec![] };
        let dual_stack = reached(Reach::ClusterIps(vec![ipv4, ipv6]));
        for (served, dns_service, expected) in [
            (&[][..], None, &[][..]),
            (&[extra], None, &[extra]),
            (&[], Some(&dual_stack), &[ipv4, ipv6]),
            (&[extra, ipv6], Some(&dual_stack), &[extra, ipv6, ipv4]),
            (&[extra], Some(&reached(Reach::Headless)), &[extra]),
        ] {
            assert_eq!(addresses(served, dns_service), expected);
        }
    }

    #[tokio::test]
    async fn follows_events_until_it_is_told_to_stop() {
        let zones = zones();
        let (events, received) = mpsc::channel(1);
        let (publisher, mut synced) = publisher(&zones);
        let shutdown = CancellationToken::new();
        let following = tokio::spawn(publisher.follow(received, shutdown.clone()));
        for kind in [Kind::Namespace, Kind::Service, Kind::EndpointSlice] {
            for event in Event::list(kind, vec![Object::Namespace("n".into())]) {
                events.send(Update::new(event)).await.unwrap();
            }
        }
        synced.wait_for(|synced| *synced).await.unwrap();
        assert!(zones.read().unwrap().synced());
        shutdown.cancel();
        timeout(PATIENCE, following).await.unwrap().unwrap().unwrap();
    }

    #[test]
    fn counts_what_a_fresh_list_repairs() {
        let (mut publisher, _synced) = publisher(&zones());
        let (key, web) = service("web", Reach::Headless);
        let update = |known| Update {
            known,
            ..Update::new(Event::Apply(Object::Service(key.clone(), web.clone())))
        };
        publisher.take(update(true)).unwrap();
        publisher.take(update(true)).unwrap();
        assert_eq!(publisher.metrics.repairs(Kind::Service), 1);
    }

    #[tokio::test]
    async fn renews_no_promise_when_nobody_follows_the_objects_any_more() {
        let (events, received) = mpsc::channel(1);
        let (publisher, _synced) = publisher(&zones());
        let following = publisher.follow(received, CancellationToken::new());
        drop(events);
        timeout(PATIENCE, following).await.unwrap().unwrap();
    }

    fn publisher(zones: &SharedZoneTable) -> (Publisher, watch::Receiver<bool>) {
        let (synced, is_synced) = watch::channel(false);
        let publisher = Publisher {
            zones: zones.clone(),
            metrics: AgentMetrics::register(&mut metrics::registry()),
            kernel: None,
            synced,
        };
        (publisher, is_synced)
    }

    fn zones() -> SharedZoneTable {
        Arc::new(RwLock::new(table(&["cluster.local"])))
    }
}
