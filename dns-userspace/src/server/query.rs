//! What queries are read: the gate of CoreDNS's server, before any plugin sees a message.
//!
//! Silence for what is no query, a header for what cannot be served, FORMERR for what cannot be read.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use domain::base::Header;
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};

use super::edns::Edns;
use super::message::{HEADER_LEN, MAX_LEN, Message, Question, Unreadable, read_header};
use super::reader::{Reader, WireName};
use super::reply;
use crate::name::Name;

/// What every client takes over UDP, in bytes (RFC 1035, 4.2.1).
const MIN_UDP_LIMIT: usize = 512;

/// How many names the server may ask itself for on behalf of one query.
const MAX_DEPTH: u8 = 8;

/// A query that may be answered: QR=0, opcode QUERY or NOTIFY, exactly one question, records that can be read.
#[derive(Clone)]
pub(super) struct Query {
    pub(super) message: Message,
    /// Who asks.
    pub(super) client: Client,
    /// The name asked for, in the form that the tables want.
    name: Name,
    /// How many names were asked for before this one, by the server itself.
    depth: u8,
}

/// Who asks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    /// Which of our addresses was asked, where that is known.
    pub(super) local: Option<IpAddr>,
    /// Which of our ports was asked; 0 where nobody asked from outside.
    pub(super) port: u16,
    pub(super) transport: Transport,
}

/// How a query came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// Over a stream.
    Tcp,
}

/// Why a message is not a query to answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// It gets no reply.
    Silence,
    /// It gets this reply at once.
    Reply(Vec<u8>),
}

impl Query {
    /// Reads a message.
    pub(super) fn read(bytes: &[u8], client: Client) -> Result<Self, Rejection> {
        let header = check_header(bytes)?;
        match Message::read(bytes) {
            Ok(message) => Ok(Self::new(message, client, 0)),
            Err(_) if bytes.len() == HEADER_LEN => Err(Rejection::Reply(reply::write_bare_failure(header))),
            Err(Unreadable::Question) => Err(bare(header, Rcode::FORMERR)),
            Err(Unreadable::Record(_, question)) => Err(Rejection::Reply(reply::write_rejection(header, question))),
        }
    }

    /// The server's own query, without OPT record.
    pub(super) fn of_question(question: Question) -> Self {
        Self::new(
            Message::new(Header::new(), OptRcode::NOERROR, question),
            Client::SERVER,
            0,
        )
    }

    fn new(message: Message, client: Client, depth: u8) -> Self {
        let name = Name::from_wire(&message.question.name);
        Self {
            message,
            client,
            name,
            depth,
        }
    }

    /// What its OPT record says, if there is one.
    pub(super) fn edns(&self) -> Option<Edns<'_>> {
        self.message.opt().map(Edns::of)
    }

    /// The name asked for, its letter case kept.
    pub(super) fn qname(&self) -> &WireName {
        &self.message.question.name
    }

    /// The name asked for, in the form that the tables want.
    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    /// The same query with another question, as a plugin makes it for those after it.
    pub(super) fn with_question(&self, question: Question) -> Self {
        let mut message = self.message.clone();
        message.question = question;
        self.with_message(message)
    }

    /// The same query, made of another message.
    pub(super) fn with_message(&self, message: Message) -> Self {
        Self::new(message, self.client, self.depth)
    }

    /// The same query for another name and type, in class IN, as the server asks itself; `None` where it has asked often enough.
    pub(super) fn of_name(&self, name: WireName, qtype: Rtype) -> Option<Self> {
        let mut query = self.with_question(Question {
            name,
            qtype,
            class: Class::IN,
        });
        query.depth += 1;
        (query.depth <= MAX_DEPTH).then_some(query)
    }

    /// The same query with a smaller payload size; `None` where its own is none, or no greater.
    pub(super) fn with_payload_limit(&self, limit: u16) -> Option<Self> {
        self.edns().filter(|edns| edns.payload_size > limit)?;
        let mut query = self.clone();
        query.message.opt_mut()?.data.class = Class::from_int(limit);
        Some(query)
    }

    /// The longest reply that the client takes, in bytes.
    pub(super) fn size_limit(&self) -> usize {
        let advertised = self.edns().map_or(0, |edns| edns.payload_size);
        match self.client.transport {
            Transport::Udp => usize::from(advertised).max(MIN_UDP_LIMIT),
            Transport::Tcp => MAX_LEN,
        }
    }

    /// Says whether the question's class is IN.
    pub(super) fn is_internet(&self) -> bool {
        self.message.question.class == Class::IN
    }
}

impl Client {
    /// The server itself, which takes replies of any length.
    pub(super) const SERVER: Self = Self {
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        local: None,
        port: 0,
        transport: Transport::Tcp,
    };
}

fn check_header(bytes: &[u8]) -> Result<Header, Rejection> {
    let (header, counts) = read_header(&mut Reader::new(bytes)).ok_or(Rejection::Silence)?;
    if header.qr() {
        return Err(Rejection::Silence);
    }
    if !matches!(header.opcode(), Opcode::QUERY | Opcode::NOTIFY) {
        return Err(bare(header, Rcode::NOTIMP));
    }
    if counts.qdcount() != 1 || counts.ancount() > 1 || counts.nscount() > 1 || counts.arcount() > 2 {
        return Err(bare(header, Rcode::FORMERR));
    }
    Ok(header)
}

fn bare(header: Header, rcode: Rcode) -> Rejection {
    Rejection::Reply(reply::write_bare_rejection(header, rcode))
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn read(bytes: &[u8]) -> Result<Query, Rejection> {
        Query::read(bytes, UDP)
    }

    /// An A query for `a.`
    fn simple() -> Vec<u8> {
        query("a", 1)
    }

    fn changed(mut bytes: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
        bytes[at] = value;
        bytes
    }

    #[test]
    fn is_silent_to_what_is_no_query() {
        for bytes in [
            vec![],
            simple()[..11].to_vec(),
            changed(simple(), 2, 0x81),
            changed(simple(), 2, 0xa9),
        ] {
            assert_eq!(read(&bytes).err(), Some(Rejection::Silence), "{bytes:02x?}");
        }
    }

    #[test]
    fn rejects_a_header_or_a_question_with_a_header() {
        let question_points_at_itself = [&simple()[..12], b"\xc0\x0c\x00\x01\x00\x01"].concat();
        for (what, bytes, flags) in [
            ("opcode UPDATE", changed(simple(), 2, 0x29), [0xa9, 4]),
            ("opcode STATUS without RD", changed(simple(), 2, 0x10), [0x90, 4]),
            ("no question", changed(simple(), 5, 0), [0x81, 1]),
            (
                "no question, NOTIFY",
                changed(changed(simple(), 5, 0), 2, 0x21),
                [0x81, 1],
            ),
            ("two questions", changed(simple(), 5, 2), [0x81, 1]),
            ("two answers", changed(simple(), 7, 2), [0x81, 1]),
            ("two authority records", changed(simple(), 9, 2), [0x81, 1]),
            ("three additional records", changed(simple(), 11, 3), [0x81, 1]),
            ("a header alone", simple()[..12].to_vec(), [0x81, 2]),
            (
                "a header alone, NOTIFY",
                changed(simple(), 2, 0x21)[..12].to_vec(),
                [0xa0, 2],
            ),
            ("a question cut in its name", simple()[..14].to_vec(), [0x81, 1]),
            ("a question cut in its class", simple()[..18].to_vec(), [0x81, 1]),
            ("a question that points at itself", question_points_at_itself, [0x81, 1]),
            ("a label of 64 bytes", changed(simple(), 12, 64), [0x81, 1]),
        ] {
            let expected = [&[0x12, 0x34], &flags[..], &[0; 8]].concat();
            assert_eq!(read(&bytes).err(), Some(Rejection::Reply(expected)), "{what}");
        }
    }

    #[test]
    fn rejections_copy_all_flags_but_aa_and_z() {
        let record = changed(with_opt(simple(), 0, 0, b""), 12 + 7 + 10, 1);
        for (bytes, rest) in [
            (changed(simple(), 5, 0), vec![0; 8]),
            (record.clone(), [&[0, 1, 0, 0, 0, 0, 0, 0], &simple()[12..]].concat()),
        ] {
            let bytes = changed(changed(bytes, 2, 0x07), 3, 0xff);
            let expected = [&[0x12, 0x34, 0x83, 0xb1], &rest[..]].concat();
            assert_eq!(read(&bytes).err(), Some(Rejection::Reply(expected)), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_header_alone_is_failed_like_a_question() {
        let bytes = changed(changed(simple(), 2, 0x07), 3, 0xff);
        let expected = [&[0x12, 0x34, 0x81, 0x12][..], &[0; 8]].concat();
        assert_eq!(read(&bytes[..12]).err(), Some(Rejection::Reply(expected)));
    }

    #[test]
    fn rejects_records_that_it_cannot_read_with_the_question() {
        let whole = with_opt(simple(), 1232, 0, b"\x00\x0a\x00\x02ab");
        let overrun = with_opt(simple(), 1232, 0, b"\x00\x0a\x00\x03ab");
        let bad_option = with_opt(simple(), 1232, 0x0001_0000, b"\x00\x0b\x00\x01a");
        let expected = [b"\x12\x34\x81\x01\x00\x01\x00\x00\x00\x00\x00\x00", &simple()[12..]].concat();
        let cuts = (simple().len() + 1..whole.len()).map(|len| whole[..len].to_vec());
        for bytes in cuts.chain([overrun, bad_option]) {
            assert_eq!(
                read(&bytes).err(),
                Some(Rejection::Reply(expected.clone())),
                "{bytes:02x?}"
            );
        }
    }

    #[test]
    fn tolerates_what_coredns_tolerates() {
        let opt = |query, size| with_opt(query, size, 0, b"");
        for (what, bytes, payload_size) in [
            ("trailing bytes", [simple(), b"garbage".to_vec()].concat(), None),
            (
                "trailing bytes after an OPT",
                [opt(simple(), 1232), b"garbage".to_vec()].concat(),
                Some(1232),
            ),
            ("an additional record that is missing", changed(simple(), 11, 1), None),
            ("two OPT records", opt(opt(simple(), 512), 4096), Some(4096)),
            (
                "an OPT record in the answer",
                changed(changed(opt(simple(), 512), 11, 0), 7, 1),
                None,
            ),
            ("NOTIFY", changed(simple(), 2, 0x21), None),
        ] {
            let query = read(&bytes).unwrap_or_else(|rejection| panic!("{what}: {rejection:?}"));
            assert_eq!(query.edns().map(|edns| edns.payload_size), payload_size, "{what}");
        }
    }

    #[test]
    fn reads_the_question_and_every_field_of_the_opt_record() {
        let bytes = with_opt(query("WWW.Example.com", 28), 1232, 0x0003_c0ff, b"\x00\x0a\x00\x01x");
        let query = read(&bytes).unwrap();
        assert_eq!(query.qname(), b"\x03WWW\x07Example\x03com\0");
        assert_eq!(query.message.question.qtype.to_int(), 28);
        assert!(query.is_internet());
        assert_eq!(query.name(), &Name::parse("www.example.com").unwrap());
        let edns = query.edns().unwrap();
        assert_eq!((edns.payload_size, edns.version, edns.flags), (1232, 3, 0xc0ff));
    }

    #[test]
    fn limits_replies_to_what_the_client_takes() {
        for (bytes, udp) in [
            (simple(), 512),
            (with_opt(simple(), 100, 0, b""), 512),
            (with_opt(simple(), 1232, 0, b""), 1232),
            (with_opt(simple(), 65535, 0, b""), 65535),
        ] {
            let limit = |transport| {
                let client = Client { transport, ..UDP };
                Query::read(&bytes, client).unwrap().size_limit()
            };
            assert_eq!((limit(Transport::Udp), limit(Transport::Tcp)), (udp, 65535));
        }
    }
}
