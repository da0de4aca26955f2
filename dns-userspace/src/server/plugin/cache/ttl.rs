//! What `cache` does to every reply that comes by: every record gets the lowest TTL of a reply's, within limits, an OPT record
//! is made anew for the client, and AD is for those who asked for it.

use crate::corefile::{Cache, limit_ttl};
use crate::server::kind::Kind;
use crate::server::message::Message;
use crate::server::query::Query;

/// The TTL of a reply without records, and of one that is no answer to a question, in seconds.
const DEFAULT_TTL: u32 = 5;

/// Does it to a reply to this query, which the cache takes.
pub(in crate::server) fn pass(cache: &Cache, query: &Query, reply: &mut Message) {
    level(cache, reply);
    hide_authentic(query, reply);
}

/// Gives every record the lowest TTL, within limits, and removes OPT records.
pub(super) fn level(cache: &Cache, reply: &mut Message) {
    for section in reply.sections_mut() {
        section.retain(|record| !record.is_opt());
    }
    let ttl = ttl(cache, Kind::to_cache(reply), reply);
    for record in reply.sections_mut().into_iter().flatten() {
        record.ttl = ttl;
    }
}

/// Clears AD in a reply to a client that asked neither for it nor for signatures (RFC 6840, 5.7).
pub(super) fn hide_authentic(query: &Query, reply: &mut Message) {
    let wants_signatures = query.edns().is_some_and(|edns| edns.wants_signatures());
    if !wants_signatures && !query.message.header.ad() {
        reply.header.set_ad(false);
    }
}

/// The TTL of a reply of this kind and without OPT record.
pub(super) fn ttl(cache: &Cache, kind: Kind, reply: &Message) -> u32 {
    let sections = [&reply.answer, &reply.authority, &reply.additional];
    let lowest = sections.into_iter().flatten().map(|record| record.ttl).min();
    let lowest = lowest.unwrap_or(DEFAULT_TTL);
    match kind {
        Kind::Success => limit_ttl(&cache.success, lowest),
        Kind::NoData | Kind::NameError => limit_ttl(&cache.denial, lowest),
        Kind::Delegation | Kind::OtherFailure | Kind::Meta => limit_ttl(&cache.success, DEFAULT_TTL),
        Kind::ServerFailure => cache.keeping.failure_ttl,
    }
}
