//! What becomes of an upstream's reply on its way to the client: it is passed on as it came, but for what is between the
//! client and us alone. That is the OPT record's size, the room that the client has, and bytes behind the end.

use domain::base::iana::{Rcode, Rtype};
use domain::base::record::ParsedRecord;
use domain::base::{Message, ParsedName, Question};
use domain::dep::octseq::Parser;

use super::message::HEADER_LEN;
use super::query::{Query, Transport};
use super::reply;
use super::ttl::flatten_reply;
use crate::corefile::Cache;

/// Where the parts of a message stand.
pub(super) struct Layout {
    /// The TTLs of all records but OPT, and where they stand.
    pub(super) ttls: Vec<(usize, u32)>,
    /// Where the OPT record's payload size stands, if there is one.
    payload_size_at: Option<usize>,
    /// Whether there are records in the answer section.
    pub(super) answers: bool,
    /// Whether there is an SOA record in the authority section.
    pub(super) denies: bool,
    /// Where the last record ends.
    end: usize,
}

impl Layout {
    /// Reads a message; `None` where it cannot be read to its end.
    pub(super) fn of(message: &[u8]) -> Option<Self> {
        let counts = Message::from_slice(message).ok()?.header_counts();
        let mut parser = Parser::from_ref(message);
        parser.advance(HEADER_LEN).ok()?;
        for _ in 0..counts.qdcount() {
            Question::<ParsedName<_>>::parse(&mut parser).ok()?;
        }
        let [answers, authorities, others] = [counts.ancount(), counts.nscount(), counts.arcount()].map(usize::from);
        let mut layout = Self {
            ttls: Vec::new(),
            payload_size_at: None,
            answers: answers > 0,
            denies: false,
            end: 0,
        };
        for index in 0..answers + authorities + others {
            let start = parser.pos();
            ParsedName::skip(&mut parser).ok()?;
            let class_at = parser.pos() + 2;
            parser.seek(start).ok()?;
            let record = ParsedRecord::parse(&mut parser).ok()?;
            layout.denies |= record.rtype() == Rtype::SOA && (answers..answers + authorities).contains(&index);
            match record.rtype() {
                Rtype::OPT => layout.payload_size_at = Some(class_at),
                _ => layout.ttls.push((class_at + 2, record.ttl().as_secs())),
            }
        }
        layout.end = parser.pos();
        Some(layout)
    }
}

/// Makes an upstream's reply one for this client. What cannot be read is asked for again over TCP, and fails there.
pub(super) fn adapt(query: &Query<'_>, mut reply: Vec<u8>, cache: Option<&Cache>, transport: Transport) -> Vec<u8> {
    let Some(layout) = Layout::of(&reply) else {
        let truncated = reply::write_truncated(query, &reply).filter(|_| transport == Transport::Udp);
        return truncated.unwrap_or_else(|| reply::write_status(query, Rcode::SERVFAIL));
    };
    reply.truncate(layout.end);
    if let Some(cache) = cache {
        flatten_reply(cache, &query.name(), &layout, &mut reply);
    }
    match (&query.edns, layout.payload_size_at) {
        (Some(edns), Some(at)) => reply[at..at + 2].copy_from_slice(&edns.payload_size.to_be_bytes()),
        (Some(_), None) => add_opt(query, &mut reply),
        (None, _) => {}
    }
    match reply.len() > query.size_limit(transport) {
        true => reply::write_truncated(query, &reply).unwrap_or(reply),
        false => reply,
    }
}

fn add_opt(query: &Query<'_>, reply: &mut Vec<u8>) {
    if let Some(opt) = reply::write_opt(query) {
        reply.extend(opt);
        let count = u16::from_be_bytes([reply[10], reply[11]]).saturating_add(1);
        reply[10..HEADER_LEN].copy_from_slice(&count.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    /// A reply to a query for `a`, with this many addresses.
    fn reply(addresses: u8) -> Vec<u8> {
        let mut reply = query("a", 1);
        (reply[2], reply[7]) = (0x81, addresses);
        let record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\x0a\x00\x00\x01";
        reply.extend(record.repeat(addresses.into()));
        reply
    }

    fn adapted(query: &[u8], reply: Vec<u8>, transport: Transport) -> Vec<u8> {
        adapt(&Query::read(query).unwrap(), reply, None, transport)
    }

    #[test]
    fn an_opt_record_tells_the_clients_size() {
        let plain = query("a", 1);
        let asked = with_opt(plain.clone(), 4096, 0x8000, b"\x00\x03\x00\x00");
        let replied = |size| with_opt(reply(1), size, 0x8000, b"\x00\x03\x00\x00");
        assert_eq!(adapted(&asked, replied(1232), Transport::Udp), replied(4096));
        assert_eq!(adapted(&asked, reply(1), Transport::Udp), replied(4096), "none came");
        assert_eq!(adapted(&plain, reply(1), Transport::Udp), reply(1));
    }

    #[test]
    fn what_the_client_has_no_room_for_is_truncated() {
        let plain = query("a", 1);
        let asked = with_opt(plain.clone(), 1232, 0, b"");
        let empty = [&plain[..2], &[0x83, 0], &plain[4..]].concat();
        assert_eq!(adapted(&plain, reply(40), Transport::Udp), empty);
        assert_eq!(
            adapted(&asked, reply(80), Transport::Udp),
            with_opt(empty, 1232, 0, b"")
        );
        assert_eq!(adapted(&plain, reply(40), Transport::Tcp), reply(40));
        assert_eq!(
            adapted(&asked, reply(40), Transport::Udp),
            with_opt(reply(40), 1232, 0, b"")
        );
    }

    #[test]
    fn bytes_behind_the_end_are_dropped_and_missing_ones_are_asked_for_again() {
        let plain = query("a", 1);
        assert_eq!(
            adapted(&plain, [reply(1), b"more".to_vec()].concat(), Transport::Udp),
            reply(1)
        );
        let cut = reply(1)[..30].to_vec();
        let truncated = [&plain[..2], &[0x83, 0], &plain[4..]].concat();
        assert_eq!(adapted(&plain, cut.clone(), Transport::Udp), truncated);
        let failed = [&plain[..2], &[0x81, 2], &plain[4..]].concat();
        assert_eq!(adapted(&plain, cut, Transport::Tcp), failed);
    }
}
