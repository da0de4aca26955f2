//! The one task that takes events in and puts what follows from them in force: in the zone table, and in the kernel.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use dns_ebpf::decide::Tables as _;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::collect::AgentMetrics;
use crate::index::{Event, ServiceKind};
use crate::kernel::maps::Tables;
use crate::name::Name;
use crate::zone::{Change, SharedZoneTable};

/// The Service whose cluster IPs pods have as their nameserver.
const DNS_SERVICE: (&str, &str) = ("kube-system", "kube-dns");
/// How often the lease is renewed.
const RENEWAL: Duration = Duration::from_secs(1);

/// Puts events in force.
pub struct Publisher {
    /// The agent's own table, which the server reads.
    pub zones: SharedZoneTable,
    /// What is told of the tables.
    pub metrics: AgentMetrics,
    /// The kernel's side, unless the agent attaches to nothing.
    pub kernel: Option<KernelSide>,
}

/// What of the zone table goes to the kernel, and how.
pub struct KernelSide {
    tables: Tables,
    /// The zones that the kernel may answer from.
    zones: Vec<Name>,
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
    pub async fn follow(mut self, events: mpsc::Receiver<Event>, shutdown: CancellationToken) -> Result<()> {
        let followed = self.take_all(events, shutdown).await;
        let expired = self.kernel.map_or(Ok(()), |mut kernel| kernel.tables.expire());
        followed.and(expired)
    }

    async fn take_all(&mut self, mut events: mpsc::Receiver<Event>, shutdown: CancellationToken) -> Result<()> {
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
    fn take(&mut self, event: Event) -> Result<()> {
        let (changes, dns_service) = {
            let mut zones = self.zones.write().unwrap_or_else(PoisonError::into_inner);
            let changes = zones.update(event, unix_time());
            self.metrics.tell(&zones);
            (changes, zones.index().service(DNS_SERVICE.0, DNS_SERVICE.1).cloned())
        };
        if let Some(kernel) = &mut self.kernel {
            kernel.publish(changes)?;
            kernel.serve(dns_service.as_ref())?;
            self.metrics.tell_kernel(&kernel.tables);
        }
        self.renew()
    }

    fn renew(&mut self) -> Result<()> {
        let Some(kernel) = &mut self.kernel else { return Ok(()) };
        let zones = self.zones.read().unwrap_or_else(PoisonError::into_inner);
        kernel.tables.renew(kernel.lease, zones.synced(), zones.serial())
    }
}

impl KernelSide {
    /// Makes the kernel's side: it may answer from these zones, at these addresses besides the DNS Service's, and goes
    /// on for this long without the agent.
    ///
    /// # Errors
    ///
    /// Fails where there are more addresses than fit.
    pub fn new(mut tables: Tables, zones: Vec<Name>, served: Vec<IpAddr>, lease: Duration) -> Result<Self> {
        tables.serve(&served).context("--served")?;
        Ok(Self {
            tables,
            zones,
            served,
            lease,
            in_force: None,
        })
    }

    fn publish(&mut self, mut changes: Vec<Change>) -> Result<()> {
        changes.retain(|change| concerns(&self.zones, change));
        self.tables.publish(&changes)
    }

    /// Serves what was asked for and the DNS Service's cluster IPs as they are now.
    fn serve(&mut self, dns_service: Option<&ServiceKind>) -> Result<()> {
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

/// Says whether a change is one of these zones. A name that is not there is no trouble to remove.
fn concerns(zones: &[Name], change: &Change) -> bool {
    let Change::Put(name, entry) = change else { return true };
    let zone = name.as_wire().len() - usize::from(entry.zone.name_len);
    zones.iter().any(|allowed| allowed.as_wire() == &name.as_wire()[zone..])
}

/// Puts the DNS Service's cluster IPs behind the addresses that are served anyway.
fn addresses(served: &[IpAddr], dns_service: Option<&ServiceKind>) -> Vec<IpAddr> {
    let mut addresses = served.to_vec();
    if let Some(ServiceKind::ClusterIp(cluster_ips)) = dns_service {
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

    use dns_ebpf::decide::{Entry, Zone};
    use tokio::time::timeout;

    use super::*;
    use crate::index::{ObjectKey, Service};
    use crate::metrics;
    use crate::zone::{ServedZone, Trust, ZoneTable};

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn serves_the_dns_services_addresses_besides_what_was_asked_for() {
        let [extra, ipv4, ipv6] = ["10.0.0.1", "10.96.0.10", "fd00::a"].map(|address| address.parse().unwrap());
        let dual_stack = ServiceKind::ClusterIp(vec![ipv4, ipv6]);
        for (served, dns_service, expected) in [
            (&[][..], None, &[][..]),
            (&[extra], None, &[extra]),
            (&[], Some(&dual_stack), &[ipv4, ipv6]),
            (&[extra, ipv6], Some(&dual_stack), &[extra, ipv6, ipv4]),
            (&[extra], Some(&ServiceKind::Headless), &[extra]),
        ] {
            assert_eq!(addresses(served, dns_service), expected);
        }
    }

    #[test]
    fn keeps_from_the_kernel_what_is_not_of_its_zones() {
        let [cluster, other] = ["cluster.local", "other.local"].map(|zone| Name::parse(zone).unwrap());
        let name = Name::parse("web.default.svc.cluster.local").unwrap();
        let zone = Zone {
            name_len: cluster.as_wire().len() as u8,
            ttl: 30,
        };
        let put = Change::Put(name.clone(), Entry::new(Some([10, 0, 0, 1]), None, zone));
        assert!(concerns(&[other.clone(), cluster], &put));
        assert!(!concerns(std::slice::from_ref(&other), &put));
        assert!(!concerns(&[], &put));
        assert!(concerns(&[other], &Change::Remove(name)));
    }

    #[tokio::test]
    async fn follows_events_until_it_is_told_to_stop() {
        let zones = zones();
        let (events, received) = mpsc::channel(1);
        let shutdown = CancellationToken::new();
        let following = tokio::spawn(publisher(&zones).follow(received, shutdown.clone()));
        events.send(Event::Reset(vec![web()])).await.unwrap();
        // Taken out of the channel only when the one before is in force.
        events.send(Event::Delete(web().key)).await.unwrap();
        events.reserve().await.unwrap();
        assert!(zones.read().unwrap().synced());
        shutdown.cancel();
        timeout(PATIENCE, following).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn renews_no_promise_when_nobody_follows_the_objects_any_more() {
        let (events, received) = mpsc::channel(1);
        let following = publisher(&zones()).follow(received, CancellationToken::new());
        drop(events);
        timeout(PATIENCE, following).await.unwrap().unwrap();
    }

    fn publisher(zones: &SharedZoneTable) -> Publisher {
        Publisher {
            zones: zones.clone(),
            metrics: AgentMetrics::register(&mut metrics::registry()),
            kernel: None,
        }
    }

    fn zones() -> SharedZoneTable {
        let name = Name::parse("cluster.local").unwrap();
        Arc::new(RwLock::new(ZoneTable::new(vec![ServedZone {
            name,
            ttl: 30,
            trust: Trust::Whole,
        }])))
    }

    fn web() -> Service {
        Service {
            key: ObjectKey {
                namespace: "default".into(),
                name: "web".into(),
            },
            kind: ServiceKind::ClusterIp(vec![[10, 0, 0, 1].into()]),
        }
    }
}
