//! What a message is answered with: by the server itself, or by the plugins of the block that takes its name.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use domain::base::iana::OptRcode;
use futures::FutureExt as _;

use super::endpoints::{Block, Endpoint, label};
use super::message::Message;
use super::metrics::Metrics;
use super::plugin::{DROPPED, Failure, Next, Outcome, Recorder};
use super::query::{Client, Query, Rejection, Transport};
use super::reply;
use crate::corefile::route;
use crate::name::Name;

/// The longest query that is read over UDP, in bytes: what CoreDNS's buffer holds.
const MAX_UDP_QUERY: usize = 512;

/// The name under which the server's own replies are counted.
const SERVER: &str = "server";

/// What to do about a message.
pub(super) enum Response {
    /// Nothing.
    Silence,
    /// Send this.
    Reply(Vec<u8>),
    /// Send what comes of this, if anything: somebody is being asked.
    Later(Serving),
}

/// What becomes of a message some time.
pub(super) type Serving = Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send>>;

/// Answers messages, whatever they came in by.
pub(super) struct Responder {
    port: u16,
    any_class: bool,
    /// The blocks by their zones, the longest first.
    blocks: Vec<(Name, Arc<Block>)>,
    metrics: Metrics,
    dropped: Recorder,
}

impl Responder {
    /// Makes a responder for one place where the server listens.
    pub(super) fn new(address: SocketAddr, endpoint: Endpoint, metrics: Metrics) -> Self {
        let mut blocks = endpoint.blocks;
        blocks.sort_by_key(|(zone, _)| Reverse(zone.as_wire().len()));
        Self {
            port: address.port(),
            any_class: endpoint.any_class,
            blocks,
            dropped: metrics.dns.recorder(&label(address), DROPPED),
            metrics,
        }
    }

    /// Lets the plugins begin what they do beside.
    pub(super) fn start(&self, address: SocketAddr) {
        let blocks = self.blocks.iter().flat_map(|(_, block)| &block.plugins);
        blocks.for_each(|plugin| plugin.start(address));
    }

    /// The port at which it is asked.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Decides what to do about a message, and does it where nobody has to be waited for.
    pub(super) fn respond_at_once(self: &Arc<Self>, message: &[u8], client: Client) -> Response {
        let query = match self.read(message, client) {
            Ok(query) => query,
            Err(Some(rejection)) => return Response::Reply(rejection),
            Err(None) => return Response::Silence,
        };
        let responder = self.clone();
        let mut serving: Serving = Box::pin(async move { responder.serve(&query).await });
        // Whoever waits for what is pending polls it again, with a waker of its own.
        let mut context = std::task::Context::from_waker(Waker::noop());
        match serving.as_mut().poll(&mut context) {
            Poll::Ready(Some(reply)) => Response::Reply(reply),
            Poll::Ready(None) => Response::Silence,
            Poll::Pending => Response::Later(serving),
        }
    }

    /// The reply to a message, if there is one.
    pub(super) async fn respond(self: &Arc<Self>, message: &[u8], client: Client) -> Option<Vec<u8>> {
        match self.read(message, client) {
            Ok(query) => self.serve(&query).await,
            Err(rejection) => rejection,
        }
    }

    /// Reads a query, or returns what it is rejected with.
    fn read(&self, message: &[u8], client: Client) -> Result<Query, Option<Vec<u8>>> {
        let message = match client.transport {
            Transport::Udp => &message[..message.len().min(MAX_UDP_QUERY)],
            Transport::Tcp => message,
        };
        Query::read(message, client).map_err(|rejection| match rejection {
            Rejection::Silence => None,
            Rejection::Reply(reply) => Some(self.count(SERVER, reply)),
        })
    }

    async fn serve(self: &Arc<Self>, query: &Query) -> Option<Vec<u8>> {
        if self.takes_class(query) && query.edns().is_some_and(|edns| edns.version != 0) {
            return Some(self.count(SERVER, reply::write_bad_version(query)));
        }
        let (block, query) = self.assign(query);
        let query = &*query;
        let (source, message) = match self.ask_block(block, query).await {
            Outcome::Reply(reply) => (reply.source, reply.message),
            Outcome::Failure(Failure { rcode, .. }) => (SERVER, reply::status(query, rcode)),
            Outcome::Silence => return None,
        };
        Some(self.count(source, reply::write(query, message)))
    }

    /// The reply to a query of the server's own, as its client would get it; `None` if that is nothing.
    pub(super) async fn answer(self: &Arc<Self>, query: &Query) -> Option<Message> {
        match Box::pin(self.ask(query)).await {
            Outcome::Reply(reply) => Some(reply.message),
            Outcome::Failure(Failure { rcode, .. }) => Some(reply::status(query, rcode)),
            Outcome::Silence => None,
        }
    }

    /// Lets the plugins of the block that takes the query serve it; where there is none it is refused.
    pub(super) async fn ask(self: &Arc<Self>, query: &Query) -> Outcome {
        let (block, query) = self.assign(query);
        self.ask_block(block, &query).await
    }

    /// The block that takes a query, and the query as that block lets it be.
    fn assign<'a>(&'a self, query: &'a Query) -> (Option<&'a Arc<Block>>, Cow<'a, Query>) {
        let block = self.block_of(query).filter(|_| self.takes_class(query));
        let limited = block.and_then(|block| query.with_payload_limit(block.payload_limit?));
        (block, limited.map_or(Cow::Borrowed(query), Cow::Owned))
    }

    async fn ask_block(self: &Arc<Self>, block: Option<&Arc<Block>>, query: &Query) -> Outcome {
        if let Some(block) = block {
            let serving = async { Next::all(block, self).serve(query).await };
            // A query that finds a mistake of ours is not to take the others with it.
            return AssertUnwindSafe(serving).catch_unwind().await.unwrap_or_else(|_| {
                self.metrics.panics.inc();
                Outcome::failure(OptRcode::SERVFAIL, "panic")
            });
        }
        let rcode = OptRcode::REFUSED;
        let refusal = reply::status(query, rcode);
        self.dropped.record(query, Some(&refusal), "", Instant::now());
        Outcome::Failure(Failure { rcode, error: None })
    }

    fn takes_class(&self, query: &Query) -> bool {
        self.any_class || query.is_internet()
    }

    /// The block that takes a query; one without plugins refuses it.
    fn block_of(&self, query: &Query) -> Option<&Arc<Block>> {
        let zones = self.blocks.iter().map(|(zone, block)| (zone, block));
        let found = route(query.name(), query.message.question.qtype, zones);
        found.map(|(_, block)| block).filter(|block| !block.plugins.is_empty())
    }

    fn count(&self, source: &'static str, reply: Vec<u8>) -> Vec<u8> {
        self.metrics.server.count(source, &reply);
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::super::plugin::{Plugin, Serving as PluginServing};
    use super::super::testing::*;
    use super::*;

    struct Mistaken;

    impl Plugin for Mistaken {
        fn serve<'a>(&'a self, _: &'a Query, _: Next<'a>) -> PluginServing<'a> {
            panic!("a mistake")
        }
    }

    #[tokio::test]
    async fn a_panic_fails_its_query_alone() {
        let endpoint = Endpoint {
            blocks: vec![(Name::root(), Arc::new(Block::new(vec![Box::new(Mistaken)])))],
            any_class: false,
        };
        let metrics = context().metrics;
        let responder = Arc::new(Responder::new(UDP.address, endpoint, metrics.clone()));
        for count in 1..3 {
            let reply = responder.respond(&query("a", 1), UDP).await.unwrap();
            assert_eq!(reply[3] & 0xf, 2);
            assert_eq!(metrics.panics.get(), count);
        }
    }
}
