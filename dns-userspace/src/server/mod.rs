//! The agent's DNS server, for what the kernel passes up: over UDP and TCP, from the zone table or from upstream.
//!
//! A query's way: `udp` or `tcp` receives it, `query` reads it, `respond` asks the zones or lets `forward` ask an
//! upstream, `cache` does what that plugin does to replies, `reply` makes and writes them. `message`, with `reader`,
//! `rdata` and `edns`, is what all of them speak.
//!
//! Messages are read and written here; of the `domain` crate are the names and numbers of codes. What CoreDNS's library
//! takes for a message, expands and compresses is more, and other, than what that crate does. Nor are the crate's
//! transports used: its datagram server hides a datagram's length and replies to responses, its stream server drops
//! replies once the client has sent its FIN, and its clients rewrite the OPT record. It is no cache and no resolver.

mod cache;
mod edns;
mod forward;
mod holding;
mod listen;
mod message;
mod query;
mod rdata;
mod reader;
mod reply;
mod respond;
mod tcp;
mod udp;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

pub use forward::Upstreams;
pub use holding::{Held, hold};
pub use listen::{Listeners, bind};
pub use message::rewrite;
pub use query::Transport;

use crate::corefile::Cache;
use crate::metrics::ServerMetrics;
use crate::zone::SharedZoneTable;
use respond::{Responder, Response};

/// How long queries in progress may take to finish after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(5);

/// How often is told that the start waits.
const TELLING: Duration = Duration::from_secs(1);

/// Where questions go that the zones do not answer.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// The upstreams; the first that takes a name is asked. What none takes is refused.
    pub upstreams: Vec<Upstreams>,
    /// Whether questions of any class are taken, as if they were of class IN; else they are refused.
    pub any_class: bool,
    /// What becomes of TTLs, if anything.
    pub cache: Option<Cache>,
    /// Whether the addresses of an answer come in random order.
    pub shuffles: bool,
}

/// Waits until all objects are known, for so long at most, and tells of it.
pub async fn await_objects(mut synced: watch::Receiver<bool>, limit: Duration) {
    let mut telling = interval_at(Instant::now() + TELLING, TELLING);
    let wait = async {
        let known = synced.wait_for(|synced| *synced);
        tokio::pin!(known);
        loop {
            tokio::select! {
                // Who would tell is gone: the agent is about to end.
                _ = &mut known => return,
                _ = telling.tick() => info!("waiting for the cluster's objects before the DNS server starts"),
            }
        }
    };
    if timeout(limit, wait).await.is_err() {
        warn!("the DNS server starts without all of the cluster's objects: what is not known yet fails (SERVFAIL)");
    }
}

/// What the zones alone reply to a message, if anything; other names are refused.
pub fn reply_to(message: &[u8], transport: Transport, zones: &SharedZoneTable) -> Option<Vec<u8>> {
    let metrics = ServerMetrics::register(&mut Registry::default());
    match Responder::new(zones.clone(), Routes::default(), metrics).respond(message, transport) {
        Response::Reply(_, reply) => Some(reply),
        Response::Silence | Response::Forward(_) => None,
    }
}

/// Answers on these listeners, once `start` has come to pass, until `shutdown`; then finishes what is in progress, within
/// five seconds.
pub async fn serve(
    listeners: Listeners,
    start: impl Future<Output = ()>,
    zones: SharedZoneTable,
    routes: Routes,
    metrics: ServerMetrics,
    shutdown: CancellationToken,
) {
    // Who listens nowhere waits for nothing.
    if !listeners.udp.is_empty() && shutdown.run_until_cancelled(start).await.is_none() {
        return;
    }
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
