//! What `cache` does to TTLs, also to those of replies that it never keeps: every record of a reply gets the lowest of
//! them, within limits.
//!
//! The cache itself is yet to come: nothing is kept, and no TTL counts down.

use domain::base::Message;
use domain::base::iana::{Opcode, Rcode};

use super::forwarded::Layout;
use super::message::Data;
use super::reply::Body;
use crate::corefile::{Cache, limit_ttl};
use crate::name::Name;

/// The TTL of a reply without records, and of one that is no answer to a question, in seconds.
const DEFAULT_TTL: u32 = 5;

/// What a reply says, as far as its TTL goes.
#[derive(Clone, Copy)]
enum Kind {
    Success,
    Denial,
    Failure,
    /// It is not for a cache.
    Other,
}

/// Makes the TTLs of a reply of the zones those that `cache` would give them.
pub(super) fn flatten(cache: &Cache, name: &Name, opcode: Opcode, body: &mut Body) {
    if !cache.takes(name) {
        return;
    }
    let denies = body
        .authority
        .iter()
        .any(|record| matches!(record.data, Data::Soa { .. }));
    let lowest = body.records_mut().map(|record| record.ttl).min();
    if let Some(ttl) = limit(cache, kind(opcode, body.rcode, denies, !body.answer.is_empty()), lowest) {
        body.records_mut().for_each(|record| record.ttl = ttl);
    }
}

/// Does the same to an upstream's reply, in place.
pub(super) fn flatten_reply(cache: &Cache, name: &Name, layout: &Layout, reply: &mut [u8]) {
    let Ok(message) = Message::from_slice(reply) else {
        return;
    };
    let header = message.header();
    // Nobody keeps a part.
    if !cache.takes(name) || header.tc() {
        return;
    }
    let kind = kind(header.opcode(), header.rcode(), layout.denies, layout.answers);
    let lowest = layout.ttls.iter().map(|(_, ttl)| *ttl).min();
    if let Some(ttl) = limit(cache, kind, lowest) {
        for (at, _) in &layout.ttls {
            reply[*at..at + 4].copy_from_slice(&ttl.to_be_bytes());
        }
    }
}

fn kind(opcode: Opcode, rcode: Rcode, denies: bool, answers: bool) -> Kind {
    match rcode {
        _ if opcode != Opcode::QUERY => Kind::Failure,
        Rcode::NOERROR if denies && !answers => Kind::Denial,
        Rcode::NOERROR => Kind::Success,
        Rcode::NXDOMAIN if denies => Kind::Denial,
        Rcode::SERVFAIL | Rcode::NOTIMP => Kind::Failure,
        _ => Kind::Other,
    }
}

fn limit(cache: &Cache, kind: Kind, lowest: Option<u32>) -> Option<u32> {
    let limits = match kind {
        Kind::Success => &cache.success,
        Kind::Denial => &cache.denial,
        Kind::Failure => return Some(DEFAULT_TTL),
        Kind::Other => return None,
    };
    Some(limit_ttl(limits, lowest.unwrap_or(DEFAULT_TTL)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::query;
    use super::*;

    const CACHE: Cache = Cache {
        zones: Vec::new(),
        success: 5..=30,
        denial: 5..=20,
    };

    #[test]
    fn an_upstreams_reply_gets_the_lowest_ttl_within_limits() {
        let name = Name::parse("a").unwrap();
        let record = |ttl: u8| {
            [
                b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00",
                &[ttl][..],
                b"\x00\x04\x0a\x00\x00\x01",
            ]
            .concat()
        };
        let reply = |ttls: &[u8]| {
            let mut reply = query("a", 1);
            (reply[2], reply[7]) = (0x81, ttls.len() as u8);
            [reply, ttls.iter().flat_map(|ttl| record(*ttl)).collect()].concat()
        };
        for (before, after) in [(&[60, 90][..], &[30, 30][..]), (&[9, 60], &[9, 9]), (&[1], &[5])] {
            let mut flattened = reply(before);
            let layout = Layout::of(&flattened).unwrap();
            flatten_reply(&CACHE, &name, &layout, &mut flattened);
            assert_eq!(flattened, reply(after), "{before:?}");
        }
    }

    #[test]
    fn limits_depend_on_what_is_said() {
        for (kind, lowest, expected) in [
            (Kind::Success, Some(300), Some(30)),
            (Kind::Denial, Some(300), Some(20)),
            (Kind::Failure, Some(300), Some(5)),
            (Kind::Success, None, Some(5)),
            (Kind::Other, Some(300), None),
        ] {
            assert_eq!(limit(&CACHE, kind, lowest), expected);
        }
    }
}
