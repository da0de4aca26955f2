//! What a message is answered with: at once from the zones, at once by the server itself, or by an upstream.

use std::cmp::Reverse;
use std::sync::{Arc, PoisonError};

use domain::base::iana::OptRcode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use super::forward::{self, Upstreams};
use super::message::Message;
use super::query::{Query, Rejection, Transport};
use super::reply::{self, Setting};
use super::{Block, Endpoint, cache};
use crate::corefile::{Cache, route};
use crate::metrics::{ServerMetrics, Source};
use crate::name::Name;
use crate::zone::{Content, Said, SharedZoneTable, ZoneTable};

/// Queries that may wait for upstreams at a time; further ones are refused.
pub(super) const MAX_FORWARDED: usize = 1000;

/// Room for queries that wait for upstreams, wherever they came in.
#[derive(Clone)]
pub(super) struct Slots(Arc<Semaphore>);

impl Default for Slots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_FORWARDED)))
    }
}

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
    query: Query,
    block: Arc<Block>,
    transport: Transport,
    upstreams: Arc<Upstreams>,
    /// The aliases that it was asked for, the first of them last.
    aliases: Vec<Alias>,
    _slot: OwnedSemaphorePermit,
}

/// A query with its block, and the beginning of a reply that goes on with the answer to another.
struct Alias {
    query: Query,
    block: Arc<Block>,
    reply: Message,
}

/// What a query is answered with.
enum Outcome {
    /// This.
    Reply(Source, Message),
    /// What an upstream says.
    Forward(Box<Forward>),
}

/// Answers messages, whatever they came in by.
pub(super) struct Responder {
    zones: SharedZoneTable,
    any_class: bool,
    /// The blocks by their zones, the longest first.
    blocks: Vec<(Name, Arc<Block>)>,
    slots: Slots,
    metrics: ServerMetrics,
}

impl Responder {
    /// Makes a responder for one place where the server listens.
    pub(super) fn new(zones: SharedZoneTable, endpoint: Endpoint, slots: Slots, metrics: ServerMetrics) -> Self {
        let blocks = endpoint.blocks.into_iter().map(Arc::new);
        let mut blocks: Vec<_> = blocks
            .flat_map(|block| block.zones.clone().into_iter().map(move |zone| (zone, block.clone())))
            .collect();
        blocks.sort_by_key(|(zone, _)| Reverse(zone.as_wire().len()));
        Self {
            zones,
            any_class: endpoint.any_class,
            blocks,
            slots,
            metrics,
        }
    }

    /// The block that takes a query.
    fn block_of(&self, query: &Query) -> Option<&Arc<Block>> {
        let zones = self.blocks.iter().map(|(zone, block)| (zone, block));
        route(query.name(), query.message.question.qtype, zones).map(|(_, block)| block)
    }

    /// Decides what to do about a message.
    pub(super) fn respond(&self, message: &[u8], transport: Transport) -> Response {
        let message = match transport {
            Transport::Udp => &message[..message.len().min(MAX_UDP_QUERY)],
            Transport::Tcp => message,
        };
        let response = match Query::read(message) {
            Ok(query) => self.serve(&query, transport),
            Err(Rejection::Silence) => Response::Silence,
            Err(Rejection::Reply(reply)) => Response::Reply(Source::Server, reply),
        };
        if let Response::Reply(source, reply) = &response {
            self.metrics.count(*source, reply);
        }
        response
    }

    fn serve(&self, query: &Query, transport: Transport) -> Response {
        if !self.any_class && !query.is_internet() {
            let refusal = reply::status(query, OptRcode::REFUSED);
            return Response::Reply(Source::Server, reply::write(query, refusal, transport));
        }
        if query.edns().is_some_and(|edns| edns.version != 0) {
            return Response::Reply(Source::Server, reply::write_bad_version(query));
        }
        match self.answer(query, transport, MAX_ALIASES) {
            Outcome::Reply(source, reply) => Response::Reply(source, reply::write(query, reply, transport)),
            Outcome::Forward(forward) => Response::Forward(forward),
        }
    }

    /// Asks upstreams, and passes on what one of them replies, or SERVFAIL.
    pub(super) async fn forward(&self, forward: Box<Forward>) -> Vec<u8> {
        let Forward {
            mut query,
            block,
            aliases,
            ..
        } = *forward;
        let asked = forward::ask(&forward.upstreams, &block.refresh(&query), forward.transport).await;
        let (mut source, mut reply) = match asked {
            Ok(reply) => (Source::Forward, block.pass(&query, reply)),
            Err(error) => {
                debug!("no upstream replied: {error}");
                (Source::Server, reply::status(&query, OptRcode::SERVFAIL))
            }
        };
        for alias in aliases.into_iter().rev() {
            query = alias.query.clone();
            (source, reply) = (Source::Zone, alias.complete(reply));
        }
        let reply = reply::write(&query, reply, forward.transport);
        self.metrics.count(source, &reply);
        reply
    }

    /// Answers a query; up to `aliases` may still be followed.
    fn answer(&self, query: &Query, transport: Transport, aliases: usize) -> Outcome {
        let Some(block) = self.block_of(query) else {
            return refuse(query);
        };
        match block.kubernetes.then(|| self.consult_zones(query)) {
            Some(Claim::Reply(reply)) => Outcome::Reply(Source::Zone, block.pass(query, reply)),
            Some(Claim::Alias(reply, target)) => {
                let (query, block) = (query.clone(), block.clone());
                self.follow(Alias { query, block, reply }, transport, &target, aliases)
            }
            Some(Claim::Refused) => refuse(query),
            Some(Claim::None) | None => self.pass_on(block, query, transport),
        }
    }

    fn consult_zones(&self, query: &Query) -> Claim {
        let zones = self.zones.read().unwrap_or_else(PoisonError::into_inner);
        consult(&zones, query)
    }

    /// Asks for an alias's target what was asked for the alias, as a client would.
    fn follow(&self, alias: Alias, transport: Transport, target: &str, aliases: usize) -> Outcome {
        let target = reply::below(target, reply::ROOT).filter(|_| aliases > 0);
        let outcome = target.map(|target| self.answer(&alias.query.of_name(target), transport, aliases - 1));
        match outcome {
            Some(Outcome::Forward(mut forward)) => {
                forward.aliases.insert(0, alias);
                Outcome::Forward(forward)
            }
            Some(Outcome::Reply(_, rest)) => Outcome::Reply(Source::Zone, alias.complete(rest)),
            None => Outcome::Reply(Source::Zone, alias.block.pass(&alias.query, alias.reply)),
        }
    }

    fn pass_on(&self, block: &Arc<Block>, query: &Query, transport: Transport) -> Outcome {
        let Some(upstreams) = block.upstreams.iter().find(|upstreams| upstreams.serve(query.name())) else {
            return refuse(query);
        };
        let Ok(slot) = self.slots.0.clone().try_acquire_owned() else {
            return refuse(query);
        };
        Outcome::Forward(Box::new(Forward {
            query: query.clone(),
            block: block.clone(),
            transport,
            upstreams: upstreams.clone(),
            aliases: Vec::new(),
            _slot: slot,
        }))
    }
}

impl Alias {
    /// Puts the answer of the reply for the alias's target behind the alias, which stands alone where there is none.
    fn complete(self, rest: Message) -> Message {
        let Self {
            query,
            block,
            mut reply,
        } = self;
        if matches!(rest.rcode, OptRcode::NOERROR | OptRcode::NXDOMAIN) {
            reply.answer.extend(rest.answer);
            reply.header.set_tc(rest.header.tc());
        }
        block.pass(&query, reply)
    }
}

impl Block {
    /// What upstreams are asked: as CoreDNS's cache, with AD where it keeps the reply, for clients that want to know.
    fn refresh(&self, query: &Query) -> Query {
        let mut query = query.clone();
        if self.cache_of(&query).is_some() {
            query.message.header.set_ad(true);
        }
        query
    }

    /// The cache that replies to this query go through, if there is one.
    fn cache_of(&self, query: &Query) -> Option<&Cache> {
        self.cache.as_ref().filter(|cache| cache.takes(query.name()))
    }

    /// Takes a reply through `cache` and `loadbalance`.
    fn pass(&self, query: &Query, mut reply: Message) -> Message {
        if let Some(cache) = self.cache_of(query) {
            cache::pass(cache, query, &mut reply);
        }
        if self.shuffles {
            reply::shuffle(&mut reply);
        }
        reply
    }
}

fn refuse(query: &Query) -> Outcome {
    Outcome::Reply(Source::Server, reply::status(query, OptRcode::REFUSED))
}

/// Asks the zones.
fn consult(zones: &ZoneTable, query: &Query) -> Claim {
    match zones.ask(query.name(), query.message.question.qtype.to_int()) {
        Said::Outside | Said::FallThrough => Claim::None,
        Said::Refused => Claim::Refused,
        Said::Here { zone, content } => {
            let reply = Setting::new(query, zone, zones.primary()).reply(&content);
            match content {
                Content::Elsewhere { target, .. } => Claim::Alias(reply, target),
                _ => Claim::Reply(reply),
            }
        }
    }
}

/// What the zones say to a query.
enum Claim {
    /// This.
    Reply(Message),
    /// This, and what stands at this name.
    Alias(Message, String),
    /// Nobody is told.
    Refused,
    /// It is not theirs.
    None,
}
