//! The agent's DNS server, for what the kernel passes up: over UDP and TCP, from the zone table or from upstream.
//!
//! A query's way: `udp` or `tcp` receives it, `query` reads it, `respond` decides with the function that the kernel
//! runs too, `reply` writes the answer, or `forward` asks an upstream and passes its reply on as it came.
//!
//! The `domain` crate reads and writes messages. Its transports are deliberately not used: its datagram server hides a
//! datagram's length and replies to responses, its stream server drops replies once the client has sent its FIN, and
//! its clients rewrite the OPT record. It is no cache and no resolver.

mod forward;
mod listen;
mod query;
mod reply;
mod respond;
mod tcp;
mod udp;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

pub use forward::Upstreams;
pub use listen::{Listeners, bind};

use crate::corefile::Fallthrough;
use crate::metrics::ServerMetrics;
use crate::zone::SharedZoneTable;
use respond::Responder;

/// How long queries in progress may take to finish after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(5);

/// Where questions go that the zones do not answer.
#[derive(Clone, Debug)]
pub struct Routes {
    /// Names of the zones that do not exist go on to the upstreams where this takes them.
    pub fallthrough: Fallthrough,
    /// The upstreams; the first that takes a name is asked. What none takes is refused.
    pub upstreams: Vec<Upstreams>,
}

/// Answers on these listeners until `shutdown`, then finishes what is in progress, within five seconds.
pub async fn serve(
    listeners: Listeners,
    zones: SharedZoneTable,
    routes: Routes,
    metrics: ServerMetrics,
    shutdown: CancellationToken,
) {
    let responder = Arc::new(Responder::new(zones, routes, metrics));
    let tasks = TaskTracker::new();
    for socket in listeners.udp {
        tasks.spawn(udp::serve(socket, responder.clone(), tasks.clone(), shutdown.clone()));
    }
    for listener in listeners.tcp {
        tasks.spawn(tcp::serve(listener, responder.clone(), tasks.clone(), shutdown.clone()));
    }
    shutdown.cancelled().await;
    tasks.close();
    if timeout(GRACE, tasks.wait()).await.is_err() {
        warn!(
            "{} DNS queries and connections did not finish within {GRACE:?}",
            tasks.len()
        );
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
