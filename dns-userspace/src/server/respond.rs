//! What a message is answered with: at once from the zones, at once by the server itself, or by an upstream.

use std::sync::{Arc, PoisonError};

use domain::base::iana::Rcode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use super::forward::{self, Upstreams};
use super::message::WireName;
use super::query::{Query, Rejection, Transport};
use super::reply::{self, Body, Setting};
use super::{Routes, alias, forwarded, ttl};
use crate::metrics::{ServerMetrics, Source};
use crate::name::Name;
use crate::zone::{Content, Said, SharedZoneTable};

/// Queries that may wait for upstreams at a time; further ones are refused.
pub(super) const MAX_FORWARDED: usize = 1000;

/// The longest query that is read over UDP, in bytes: what CoreDNS's buffer holds.
const MAX_UDP_QUERY: usize = 512;

/// How many aliases from one zone into another are followed.
const MAX_ALIASES: usize = 8;

/// What to do about a message.
pub(super) enum Response {
    /// Nothing.
    Silence,
    /// Send this.
    Reply(Source, Vec<u8>),
    /// Send what [`Responder::forward`] returns for this.
    Forward(Box<Forward>),
}

/// A query that an upstream is to answer.
pub(super) struct Forward {
    query: Vec<u8>,
    transport: Transport,
    upstreams: Arc<Upstreams>,
    /// What the client gets when no upstream replies.
    failure: Vec<u8>,
    /// The queries for aliases that it was asked for, the first of them last.
    aliases: Vec<Alias>,
    _slot: OwnedSemaphorePermit,
}

/// A query whose answer leads on to that of another.
struct Alias {
    query: Vec<u8>,
    body: Body,
}

/// Answers messages, whatever they came in by.
pub(super) struct Responder {
    zones: SharedZoneTable,
    routes: Routes,
    upstreams: Vec<Arc<Upstreams>>,
    slots: Arc<Semaphore>,
    metrics: ServerMetrics,
}

impl Responder {
    /// Makes a responder for these zones and, for other names, these routes.
    pub(super) fn new(zones: SharedZoneTable, mut routes: Routes, metrics: ServerMetrics) -> Self {
        let upstreams = std::mem::take(&mut routes.upstreams);
        Self {
            zones,
            routes,
            upstreams: upstreams.into_iter().map(Arc::new).collect(),
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
        let response = match Query::read(message) {
            Ok(query) => self.answer(message, &query, transport, MAX_ALIASES),
            Err(Rejection::Silence) => Response::Silence,
            Err(Rejection::Reply(reply)) => Response::Reply(Source::Server, reply),
        };
        if let Response::Reply(source, reply) = &response {
            self.metrics.count(*source, reply);
        }
        response
    }

    /// Asks upstreams, and passes on what one of them replies, or SERVFAIL.
    pub(super) async fn forward(&self, mut forward: Box<Forward>) -> Vec<u8> {
        let asked = forward::ask(&forward.upstreams, &forward.query, forward.transport).await;
        let (mut source, mut reply) = match asked {
            Ok(reply) => (Source::Forward, self.adapt(&forward, reply)),
            Err(error) => {
                debug!("no upstream replied: {error}");
                (Source::Server, std::mem::take(&mut forward.failure))
            }
        };
        while let Some(Alias { query, mut body }) = forward.aliases.pop() {
            alias::complete(&mut body, &reply);
            // It was read before.
            if let Ok(query) = Query::read(&query) {
                (source, reply) = (Source::Zone, self.write(&query, body, forward.transport));
            }
        }
        self.metrics.count(source, &reply);
        reply
    }

    fn adapt(&self, forward: &Forward, reply: Vec<u8>) -> Vec<u8> {
        match Query::read(&forward.query) {
            Ok(query) => forwarded::adapt(&query, reply, self.routes.cache.as_ref(), forward.transport),
            // It was read before.
            Err(_) => reply,
        }
    }

    /// Answers a query; up to `aliases` may still be followed.
    fn answer(&self, message: &[u8], query: &Query<'_>, transport: Transport, aliases: usize) -> Response {
        if query.edns.as_ref().is_some_and(|edns| edns.version != 0) {
            return Response::Reply(Source::Server, reply::write_bad_version(query));
        }
        if !self.routes.any_class && !query.is_internet() {
            return self.say(query, Rcode::REFUSED);
        }
        let qname = query.qname();
        let name = Name::from_wire(&qname);
        match self.consult_zones(query, &qname, &name) {
            Claim::Body(body) => Response::Reply(Source::Zone, self.write(query, body, transport)),
            Claim::Alias(body, target) => self.follow(message, query, transport, body, &target, aliases),
            Claim::Refused => self.say(query, Rcode::REFUSED),
            Claim::None => self.pass_on(message, query, &name, transport),
        }
    }

    fn consult_zones(&self, query: &Query<'_>, qname: &WireName, name: &Name) -> Claim {
        let zones = self.zones.read().unwrap_or_else(PoisonError::into_inner);
        match zones.ask(name, query.question.qtype().to_int()) {
            Said::Outside | Said::FallThrough => Claim::None,
            Said::Refused => Claim::Refused,
            Said::Here { zone, serial, content } => {
                let body = Setting::new(qname, zone, zones.primary(), serial).body(&content);
                match content {
                    Content::Elsewhere { target, .. } => Claim::Alias(body, target),
                    _ => Claim::Body(body),
                }
            }
        }
    }

    /// Asks for an alias's target what was asked for the alias, as a client would.
    fn follow(
        &self,
        message: &[u8],
        query: &Query<'_>,
        transport: Transport,
        mut body: Body,
        target: &str,
        aliases: usize,
    ) -> Response {
        let asked = reply::write_query(query, target).filter(|_| aliases > 0);
        let response = asked.as_ref().and_then(|asked| {
            let query = Query::read(asked).ok()?;
            Some(self.answer(asked, &query, transport, aliases - 1))
        });
        match response {
            Some(Response::Forward(mut forward)) => {
                let query = message.to_vec();
                forward.aliases.insert(0, Alias { query, body });
                return Response::Forward(forward);
            }
            Some(Response::Reply(_, reply)) => alias::complete(&mut body, &reply),
            Some(Response::Silence) | None => {}
        }
        Response::Reply(Source::Zone, self.write(query, body, transport))
    }

    fn pass_on(&self, message: &[u8], query: &Query<'_>, name: &Name, transport: Transport) -> Response {
        let Some(upstreams) = self.upstreams.iter().find(|upstreams| upstreams.serve(name)) else {
            return self.say(query, Rcode::REFUSED);
        };
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            return self.say(query, Rcode::REFUSED);
        };
        Response::Forward(Box::new(Forward {
            query: message.to_vec(),
            transport,
            upstreams: upstreams.clone(),
            failure: reply::write_status(query, Rcode::SERVFAIL),
            aliases: Vec::new(),
            _slot: slot,
        }))
    }

    fn write(&self, query: &Query<'_>, mut body: Body, transport: Transport) -> Vec<u8> {
        if let Some(cache) = &self.routes.cache {
            ttl::flatten(cache, &query.name(), query.header.opcode(), &mut body);
        }
        if self.routes.shuffles {
            body.shuffle();
        }
        reply::write(query, &body, query.size_limit(transport))
    }

    fn say(&self, query: &Query<'_>, rcode: Rcode) -> Response {
        Response::Reply(Source::Server, reply::write_status(query, rcode))
    }
}

/// What the zones say to a query.
enum Claim {
    /// This.
    Body(Body),
    /// This, and what stands at this name.
    Alias(Body, String),
    /// Nobody is told.
    Refused,
    /// It is not theirs.
    None,
}
