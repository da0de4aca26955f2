//! The agent's DNS server, for what the kernel passes up: over UDP and TCP, from the zone table or from upstream.
//!
//! A query's way: `udp` or `tcp` receives it, `query` reads it, `respond` lets the plugins of its server block serve it, and
//! `reply` writes what comes of that. `message`, with `reader`, `rdata` and `edns`, is what all of them speak. What needs no
//! waiting is answered by the loop that received it; the rest has a task of its own.
//!
//! Messages are read and written here; of the `domain` crate are the names and numbers of codes, and the forms of data in zone files (`zonefile`). What CoreDNS's library
//! takes for a message, expands and compresses is more, and other, than what that crate does. Nor are the crate's
//! transports used: its datagram server hides a datagram's length and replies to responses, its stream server drops
//! replies once the client has sent its FIN, and its clients rewrite the OPT record. It is no cache and no resolver.

mod edns;
mod endpoints;
mod holding;
mod journal;
mod kind;
mod listen;
mod message;
mod metrics;
mod plugin;
mod query;
mod rdata;
mod reader;
mod reply;
mod respond;
mod slots;
mod tcp;
mod udp;
mod zonefile;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

pub use endpoints::{Endpoint, endpoints};
pub use holding::{Held, Passage, hold};
pub use journal::Journal;
pub use listen::{Listener, Sockets};
pub use message::rewrite;
pub use metrics::Metrics;
pub use plugin::Fatal;
pub use query::Transport;

use crate::zone::SharedZoneTable;
use query::Client;
use respond::{Responder, Response};
use slots::Slots;

/// How long queries in progress may take to finish after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(5);

/// Queries that may wait for upstreams at a time; further ones are refused.
const MAX_WAITING: usize = 10_000;

/// How often is told that the start waits.
const TELLING: Duration = Duration::from_secs(1);

/// What all plugins share.
#[derive(Clone)]
pub struct Context {
    /// What the cluster's names are answered from.
    pub zones: SharedZoneTable,
    /// What is counted.
    pub metrics: Metrics,
    /// Where queries and errors are logged.
    pub journal: Journal,
    /// Where it is told why the agent cannot go on.
    pub fatal: Fatal,
    slots: Slots,
}

impl Context {
    /// What plugins share that answer from this table.
    pub fn new(zones: SharedZoneTable, metrics: Metrics, journal: Journal) -> Self {
        Self {
            zones,
            metrics,
            journal,
            fatal: Fatal::default(),
            slots: Slots::new(MAX_WAITING),
        }
    }
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
    let metrics = Metrics::register(&mut Registry::default());
    let responder = Responder::new(Client::SERVER.address, Endpoint::of_zones(zones.clone()), metrics);
    let client = Client {
        transport,
        ..Client::SERVER
    };
    match Arc::new(responder).respond_at_once(message, client) {
        Response::Reply(reply) => Some(reply),
        Response::Silence | Response::Later(_) => None,
    }
}

/// A DNS server: where it listens, and who answers there at the time.
pub struct Server {
    places: Vec<Place>,
    metrics: Metrics,
}

struct Place {
    listener: Listener,
    responder: watch::Sender<Arc<Responder>>,
}

impl Server {
    /// A server that answers where these listen.
    pub fn new(listeners: Vec<(Listener, Endpoint)>, metrics: Metrics) -> Self {
        let place = |(listener, endpoint): (Listener, Endpoint)| Place {
            responder: watch::Sender::new(Arc::new(Responder::new(listener.address, endpoint, metrics.clone()))),
            listener,
        };
        Self {
            places: listeners.into_iter().map(place).collect(),
            metrics,
        }
    }

    /// Lets these answer from now on, at the same addresses; queries in progress go on by what was in force. False, and nothing
    /// is changed, if the addresses are others.
    pub fn replace(&self, endpoints: Vec<(SocketAddr, Endpoint)>) -> bool {
        let old = self.places.iter().map(|place| place.listener.address);
        if !old.eq(endpoints.iter().map(|(address, _)| *address)) {
            return false;
        }
        for (place, (address, endpoint)) in self.places.iter().zip(endpoints) {
            let responder = Responder::new(address, endpoint, self.metrics.clone());
            responder.start(address);
            place.responder.send_replace(Arc::new(responder));
        }
        true
    }

    /// Checks that the addresses of these can be listened at, those where it listens already aside.
    ///
    /// # Errors
    ///
    /// As [`Sockets::open`].
    pub fn check_addresses(&self, endpoints: &[(SocketAddr, Endpoint)]) -> anyhow::Result<()> {
        let listeners = self.places.iter().map(|place| place.listener.clone());
        let mut sockets = Sockets::of(listeners.collect());
        sockets.open(endpoints.to_vec()).map(drop)
    }

    /// Answers, once `start` has come to pass, until `shutdown`; then finishes what is in progress, within five seconds.
    pub async fn serve(&self, start: impl Future<Output = ()>, shutdown: CancellationToken) {
        // Who listens nowhere waits for nothing.
        if !self.places.is_empty() && shutdown.run_until_cancelled(start).await.is_none() {
            return;
        }
        let tasks = TaskTracker::new();
        for Place { listener, responder } in &self.places {
            responder.borrow().start(listener.address);
            for udp in &listener.udp {
                tasks.spawn(udp::serve(
                    udp.clone(),
                    responder.subscribe(),
                    tasks.clone(),
                    shutdown.clone(),
                ));
            }
            let tcp = listener.tcp.clone();
            tasks.spawn(tcp::serve(tcp, responder.subscribe(), tasks.clone(), shutdown.clone()));
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
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
