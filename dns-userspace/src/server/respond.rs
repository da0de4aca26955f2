//! What a message is answered with: at once from the zones, at once by the server itself, or by an upstream.

use std::sync::{Arc, PoisonError};

use dns_ebpf::decide::{Action, Tables as _, decide};
use domain::base::iana::Rcode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use super::Routes;
use super::forward::{self, Upstreams};
use super::query::{Query, Rejection, Transport};
use super::reply::{self, Content};
use crate::corefile::Fallthrough;
use crate::metrics::{ServerMetrics, Source};
use crate::zone::SharedZoneTable;

/// Queries that may wait for upstreams at a time; further ones are refused.
pub(super) const MAX_FORWARDED: usize = 1000;

/// The longest query that is read over UDP, in bytes: what CoreDNS's buffer holds.
const MAX_UDP_QUERY: usize = 512;

/// What to do about a message.
pub(super) enum Response {
    /// Nothing.
    Silence,
    /// Send this.
    Reply(Vec<u8>),
    /// Send what [`Responder::forward`] returns for this.
    Forward(Forward),
}

/// A query that an upstream is to answer.
pub(super) struct Forward {
    query: Vec<u8>,
    transport: Transport,
    upstreams: Arc<Upstreams>,
    /// What the client gets when no upstream replies.
    failure: Vec<u8>,
    _slot: OwnedSemaphorePermit,
}

/// Answers messages, whatever they came in by.
pub(super) struct Responder {
    zones: SharedZoneTable,
    fallthrough: Fallthrough,
    upstreams: Vec<Arc<Upstreams>>,
    slots: Arc<Semaphore>,
    metrics: ServerMetrics,
}

impl Responder {
    /// Makes a responder for these zones and, for other names, these routes.
    pub(super) fn new(zones: SharedZoneTable, routes: Routes, metrics: ServerMetrics) -> Self {
        Self {
            zones,
            fallthrough: routes.fallthrough,
            upstreams: routes.upstreams.into_iter().map(Arc::new).collect(),
            slots: Arc::new(Semaphore::new(MAX_FORWARDED)),
            metrics,
        }
    }

    /// Decides what to do about a message.
    pub(super) fn respond(&self, message: &[u8], transport: Transport) -> Response {
        let message = match transport {
            Transport::Udp => &message[..message.len().min(MAX_UDP_QUERY)],
            Transport::Tcp => message,
        };
        match Query::read(message) {
            Ok(query) => self.answer(message, &query, transport),
            Err(Rejection::Silence) => Response::Silence,
            Err(Rejection::Reply(reply)) => self.send(Source::Server, reply),
        }
    }

    /// Asks upstreams, and passes on what one of them replies, or SERVFAIL.
    pub(super) async fn forward(&self, forward: Forward) -> Vec<u8> {
        let (source, reply) = match forward::ask(&forward.upstreams, &forward.query, forward.transport).await {
            Ok(reply) => (Source::Forward, reply),
            Err(error) => {
                debug!("no upstream replied: {error}");
                (Source::Server, forward.failure)
            }
        };
        self.metrics.count(source, &reply);
        reply
    }

    fn answer(&self, message: &[u8], query: &Query<'_>, transport: Transport) -> Response {
        if query.edns.as_ref().is_some_and(|edns| edns.version != 0) {
            return self.send(Source::Server, reply::write_bad_version(query));
        }
        match self.consult_zones(query) {
            Claim::Content(content) => {
                let limit = query.size_limit(transport);
                self.send(Source::Zone, reply::write(query, &content, limit))
            }
            Claim::Status(rcode) => self.send(Source::Server, reply::write_status(query, rcode)),
            Claim::None => self.pass_on(message, query, transport),
        }
    }

    /// Asks the zones. A name of theirs about which they are not certain is nobody else's to answer.
    fn consult_zones(&self, query: &Query<'_>) -> Claim {
        if !query.is_internet() {
            return Claim::None;
        }
        let name = query.name();
        let zones = self.zones.read().unwrap_or_else(PoisonError::into_inner);
        if query.is_transfer() && zones.encloses(&name) {
            return Claim::Status(Rcode::REFUSED);
        }
        let verdict = decide(&*zones, &name, query.question.qtype().to_int());
        if verdict.action == Action::NxDomain && self.fallthrough.takes(&name) {
            return Claim::None;
        }
        match Content::of(verdict, query, zones.serial()) {
            Some(content) => Claim::Content(content),
            None if zones.encloses(&name) => Claim::Status(Rcode::SERVFAIL),
            None => Claim::None,
        }
    }

    fn pass_on(&self, message: &[u8], query: &Query<'_>, transport: Transport) -> Response {
        let refuse = || self.send(Source::Server, reply::write_status(query, Rcode::REFUSED));
        let name = query.name();
        let Some(upstreams) = self.upstreams.iter().find(|upstreams| upstreams.serve(&name)) else {
            return refuse();
        };
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            return refuse();
        };
        Response::Forward(Forward {
            query: message.to_vec(),
            transport,
            upstreams: upstreams.clone(),
            failure: reply::write_status(query, Rcode::SERVFAIL),
            _slot: slot,
        })
    }

    fn send(&self, source: Source, reply: Vec<u8>) -> Response {
        self.metrics.count(source, &reply);
        Response::Reply(reply)
    }
}

/// What the zones say to a query.
enum Claim {
    /// This.
    Content(Content),
    /// It is theirs, but all they can give is this rcode.
    Status(Rcode),
    /// It is not theirs.
    None,
}
