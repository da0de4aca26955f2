//! What the `cache` plugin does to replies, also to those that it never keeps: every record gets the lowest TTL of a
//! reply's, within limits, an OPT record is made anew for the client, and AD is for those who asked for it.
//!
//! The cache itself is yet to come: nothing is kept, and no TTL counts down.

use domain::base::iana::{Opcode, OptRcode, Rtype};

use super::message::{Message, Record};
use super::query::Query;
use crate::corefile::{Cache, limit_ttl};

/// The TTL of a reply without records, and of one that is no answer to a question, in seconds.
const DEFAULT_TTL: u32 = 5;

/// What a reply says, as far as its TTL goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Success,
    Denial,
    /// A failure of the server's.
    Failure,
    /// It is no answer to a question.
    Other,
}

/// Does it to a reply to this query, which the cache takes.
pub(super) fn pass(cache: &Cache, query: &Query, reply: &mut Message) {
    for section in reply.sections_mut() {
        section.retain(|record| !record.is_opt());
    }
    let ttl = limit(cache, kind(reply), lowest_ttl(reply));
    for record in reply.sections_mut().into_iter().flatten() {
        record.ttl = ttl;
    }
    let wants_signatures = query.edns().is_some_and(|edns| edns.wants_signatures());
    if !wants_signatures && !query.message.header.ad() {
        reply.header.set_ad(false);
    }
}

fn lowest_ttl(reply: &mut Message) -> Option<u32> {
    reply
        .sections_mut()
        .into_iter()
        .flatten()
        .map(|record| record.ttl)
        .min()
}

fn kind(reply: &Message) -> Kind {
    let has = |records: &[Record], rtype: Rtype| records.iter().any(|record| record.data.rtype == rtype);
    let qtype = reply.question.qtype;
    let (starts, refers) = (has(&reply.authority, Rtype::SOA), has(&reply.authority, Rtype::NS));
    match reply.rcode {
        _ if reply.header.opcode() != Opcode::QUERY => Kind::Other,
        _ if matches!(qtype, Rtype::AXFR | Rtype::IXFR) => Kind::Other,
        OptRcode::NOERROR if !reply.answer.is_empty() => match starts && !answers(reply) {
            true => Kind::Denial,
            false => Kind::Success,
        },
        OptRcode::NXDOMAIN if !reply.answer.is_empty() => Kind::Other,
        OptRcode::NOERROR if starts => Kind::Denial,
        OptRcode::NXDOMAIN => Kind::Denial,
        OptRcode::SERVFAIL | OptRcode::NOTIMP => Kind::Failure,
        OptRcode::NOERROR if refers => Kind::Other,
        OptRcode::NOERROR => Kind::Success,
        _ => Kind::Other,
    }
}

/// Says whether there is a record of the type that was asked for.
fn answers(reply: &Message) -> bool {
    let qtype = reply.question.qtype;
    let mut records = reply.answer.iter();
    records.any(|record| qtype == Rtype::ANY || record.data.rtype == qtype)
}

fn limit(cache: &Cache, kind: Kind, lowest: Option<u32>) -> u32 {
    let lowest = lowest.unwrap_or(DEFAULT_TTL);
    match kind {
        Kind::Success => limit_ttl(&cache.success, lowest),
        Kind::Denial => limit_ttl(&cache.denial, lowest),
        Kind::Other => limit_ttl(&cache.success, DEFAULT_TTL),
        Kind::Failure => DEFAULT_TTL,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    const CACHE: Cache = Cache {
        zones: Vec::new(),
        success: 5..=30,
        denial: 6..=20,
    };

    /// A reply with these records in answer and authority: type and TTL of each.
    fn reply(rcode: u8, answer: &[(u8, u8)], authority: &[(u8, u8)]) -> Message {
        let mut reply = query("a", 1);
        (reply[2], reply[3]) = (0x81, rcode);
        (reply[7], reply[9]) = (answer.len() as u8, authority.len() as u8);
        for &(rtype, ttl) in answer.iter().chain(authority) {
            // Data may be missing.
            reply.extend([0xc0, 12, 0, rtype, 0, 1, 0, 0, 0, ttl, 0, 0]);
        }
        Message::read(&reply).unwrap()
    }

    fn passed(query: &[u8], mut reply: Message) -> Message {
        pass(&CACHE, &Query::read(query).unwrap(), &mut reply);
        reply
    }

    const A: u8 = 1;
    const NS: u8 = 2;
    const CNAME: u8 = 5;
    const SOA: u8 = 6;

    #[test]
    fn all_records_get_the_lowest_ttl_within_limits() {
        for (before, after) in [([60, 90], 30), ([9, 60], 9), ([1, 60], 5)] {
            let answer = before.map(|ttl| (A, ttl));
            let expected = reply(0, &[(A, after); 2], &[]);
            assert_eq!(passed(&query("a", 1), reply(0, &answer, &[])), expected);
        }
    }

    #[test]
    fn limits_depend_on_what_is_said() {
        for (rcode, answer, authority, expected) in [
            (0, &[(A, 200)][..], &[][..], 30),
            (0, &[(A, 200)], &[(SOA, 200)], 30),
            (0, &[(CNAME, 200)], &[(SOA, 200)], 20),
            (0, &[], &[(SOA, 200)], 20),
            (0, &[], &[(SOA, 1)], 6),
            (3, &[], &[(SOA, 200)], 20),
            (3, &[], &[(NS, 200)], 20),
            (3, &[(CNAME, 200)], &[(SOA, 200)], 5),
            (0, &[], &[(NS, 200)], 5),
            (2, &[], &[(SOA, 200)], 5),
            (4, &[], &[(SOA, 200)], 5),
            (5, &[], &[(SOA, 200)], 5),
        ] {
            let mut reply = passed(&query("a", 1), reply(rcode, answer, authority));
            assert_eq!(
                lowest_ttl(&mut reply),
                Some(expected),
                "{rcode} {answer:?} {authority:?}"
            );
        }
        let mut notify = reply(0, &[(A, 200)], &[]);
        notify.header.set_opcode(Opcode::NOTIFY);
        assert_eq!(lowest_ttl(&mut passed(&query("a", 1), notify)), Some(5));
    }

    #[test]
    fn an_upstreams_opt_record_goes() {
        let bytes = with_opt(reply(0, &[(A, 7)], &[]).write(512), 1232, 0x8000, b"\0\x03\0\x02id");
        let upstreams = Message::read(&bytes).unwrap();
        assert_eq!(passed(&query("a", 1), upstreams), reply(0, &[(A, 7)], &[]));
    }

    #[test]
    fn ad_is_for_those_who_asked_for_it() {
        let mut authentic = reply(0, &[(A, 7)], &[]);
        authentic.header.set_ad(true);
        let plain = query("a", 1);
        let mut with_ad = plain.clone();
        with_ad[3] |= 0x20;
        for (query, expected) in [
            (plain.clone(), false),
            (with_ad, true),
            (with_opt(plain.clone(), 1232, 0x8000, b""), true),
            (with_opt(plain, 1232, 0x4000, b""), false),
        ] {
            assert_eq!(passed(&query, authentic.clone()).header.ad(), expected, "{query:02x?}");
        }
    }
}
