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
pub use listen::{Listener, bind};
pub use message::rewrite;
pub use query::Transport;

use crate::corefile::Cache;
use crate::metrics::ServerMetrics;
use crate::name::Name;
use crate::zone::SharedZoneTable;
use respond::{Responder, Response, Slots};

/// How long queries in progress may take to finish after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(5);

/// How often is told that the start waits.
const TELLING: Duration = Duration::from_secs(1);

/// A place where the server listens, and who takes the questions there.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// The server blocks; the one with the longest zone that holds a name takes it.
    pub blocks: Vec<Block>,
    /// Whether questions of any class are taken, as if they were of class IN; else they are refused.
    pub any_class: bool,
}

/// A server block: what becomes of the questions that it takes.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// The zones that it takes questions for.
    pub zones: Vec<Name>,
    /// Whether the cluster's zones are asked first.
    pub kubernetes: bool,
    /// The upstreams; the first that takes a name is asked. What none takes is refused.
    pub upstreams: Vec<Arc<Upstreams>>,
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
    let endpoint = Endpoint {
        blocks: vec![Block {
            zones: vec![Name::root()],
            kubernetes: true,
            ..Block::default()
        }],
        any_class: false,
    };
    match Responder::new(zones.clone(), endpoint, Slots::default(), metrics).respond(message, transport) {
        Response::Reply(_, reply) => Some(reply),
        Response::Silence | Response::Forward(_) => None,
    }
}

/// Answers where these listen, once `start` has come to pass, until `shutdown`; then finishes what is in progress, within five
/// seconds.
pub async fn serve(
    listeners: Vec<(Listener, Endpoint)>,
    start: impl Future<Output = ()>,
    zones: SharedZoneTable,
    metrics: ServerMetrics,
    shutdown: CancellationToken,
) {
    // Who listens nowhere waits for nothing.
    if !listeners.is_empty() && shutdown.run_until_cancelled(start).await.is_none() {
        return;
    }
    let (tasks, slots) = (TaskTracker::new(), Slots::default());
    for (Listener { udp, tcp }, endpoint) in listeners {
        let responder = Responder::new(zones.clone(), endpoint, slots.clone(), metrics.clone());
        let responder = Arc::new(responder);
        tasks.spawn(udp::serve(udp, responder.clone(), tasks.clone(), shutdown.clone()));
        tasks.spawn(tcp::serve(tcp, responder, tasks.clone(), shutdown.clone()));
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
