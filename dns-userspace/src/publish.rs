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
    /// Takes events until `shutdown` or until there are no more, and renews the lease meanwhile; then lets it end.
    ///
    /// # Errors
    ///
    /// Fails where a map cannot be written: the kernel's tables are then no longer known to be true.
    pub async fn follow(mut self, mut events: mpsc::Receiver<Event>, shutdown: CancellationToken) -> Result<()> {
        let mut renewals = interval(RENEWAL);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                event = events.recv() => match event {
                    Some(event) => self.take(event)?,
                    None => break,
                },
                _ = renewals.tick() => self.renew()?,
            }
        }
        self.kernel.map_or(Ok(()), |mut kernel| kernel.tables.expire())
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
        changes.retain(|change| match change {
            Change::Put(name, entry) => {
                let zone = name.as_wire().len() - usize::from(entry.zone.name_len);
                self.zones
                    .iter()
                    .any(|allowed| allowed.as_wire() == &name.as_wire()[zone..])
            }
            // A name that is not there is no trouble to remove.
            Change::Remove(_) => true,
        });
        self.tables.publish(&changes)
    }

    /// Serves what was asked for and the DNS Service's cluster IPs as they are now.
    fn serve(&mut self, dns_service: Option<&ServiceKind>) -> Result<()> {
        let mut addresses = self.served.clone();
        if let Some(ServiceKind::ClusterIp(cluster_ips)) = dns_service {
            addresses.extend(cluster_ips.iter().filter(|address| !self.served.contains(address)));
        }
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

fn unix_time() -> u32 {
    // The serial wraps like any other (RFC 1982).
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as u32)
}
