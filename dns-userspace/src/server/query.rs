//! Reading a query: the header gate, then the question and the OPT record.
//!
//! What is let through, and what the rest gets, is what CoreDNS does before any plugin sees a message: silence for
//! what is no query, twelve bytes for a header that cannot be served, FORMERR for a body that cannot be read. Records
//! other than OPT are skipped over, not understood.

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::name::ToName;
use domain::base::opt::Opt;
use domain::base::record::ParsedRecord;
use domain::base::wire::ParseError;
use domain::base::{Header, Message, ParsedName, Question};
use domain::dep::octseq::Parser;

use super::message::{HEADER_LEN, WireName};
use super::reply;
use crate::name::Name;

/// What every client takes over UDP, in bytes (RFC 1035, 4.2.1).
const MIN_UDP_LIMIT: usize = 512;

/// A query that may be answered: QR=0, opcode QUERY or NOTIFY, exactly one question.
pub(super) struct Query<'a> {
    /// The header as it came.
    pub(super) header: Header,
    /// The question as it came, letter case included.
    pub(super) question: Question<ParsedName<&'a [u8]>>,
    /// What the OPT record says, if there is one.
    pub(super) edns: Option<Edns<'a>>,
}

/// A query's OPT record (RFC 6891, 6.1).
pub(super) struct Edns<'a> {
    /// The UDP payload size that the client advertises, in bytes.
    pub(super) payload_size: u16,
    /// The EDNS version.
    pub(super) version: u8,
    /// The sixteen flags; DO is the highest bit.
    pub(super) flags: u16,
    /// The options.
    pub(super) options: Opt<&'a [u8]>,
}

/// How a query came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
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

impl<'a> Query<'a> {
    /// Reads a message.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Rejection> {
        let message = Message::from_slice(bytes).map_err(|_| Rejection::Silence)?;
        check_header(message)?;
        let header = message.header();
        if bytes.len() == HEADER_LEN {
            return Err(bare(header, Opcode::QUERY, Rcode::SERVFAIL));
        }
        let question = match message.sole_question() {
            Ok(question) => question,
            Err(_) => return Err(bare(header, Opcode::QUERY, Rcode::FORMERR)),
        };
        match find_edns(message) {
            Ok(edns) => Ok(Self { header, question, edns }),
            Err(_) => Err(Rejection::Reply(reply::write_format_error(&Self {
                header,
                question,
                edns: None,
            }))),
        }
    }

    /// The name asked for, in uncompressed wire form, its letter case kept.
    pub(super) fn qname(&self) -> WireName {
        let name: domain::base::Name<Vec<u8>> = self.question.qname().to_name();
        name.as_slice().to_vec()
    }

    /// The name asked for, in the form that the tables want.
    pub(super) fn name(&self) -> Name {
        Name::from_wire(&self.qname())
    }

    /// The longest reply that the client takes, in bytes.
    pub(super) fn size_limit(&self, transport: Transport) -> usize {
        let advertised = self.edns.as_ref().map_or(0, |edns| edns.payload_size);
        match transport {
            Transport::Udp => usize::from(advertised).max(MIN_UDP_LIMIT),
            Transport::Tcp => usize::from(u16::MAX),
        }
    }

    /// Says whether the question's class is IN.
    pub(super) fn is_internet(&self) -> bool {
        self.question.qclass() == Class::IN
    }
}

fn check_header(message: &Message<[u8]>) -> Result<(), Rejection> {
    let (header, counts) = (message.header(), message.header_counts());
    if header.qr() {
        return Err(Rejection::Silence);
    }
    if !matches!(header.opcode(), Opcode::QUERY | Opcode::NOTIFY) {
        return Err(bare(header, header.opcode(), Rcode::NOTIMP));
    }
    if counts.qdcount() != 1 || counts.ancount() > 1 || counts.nscount() > 1 || counts.arcount() > 2 {
        return Err(bare(header, Opcode::QUERY, Rcode::FORMERR));
    }
    Ok(())
}

/// Walks the records after the question and returns the last OPT record of the additional section.
///
/// A section that ends early at a record's boundary and bytes after the last record are both tolerated.
fn find_edns(message: &Message<[u8]>) -> Result<Option<Edns<'_>>, ParseError> {
    let counts = message.header_counts();
    let before = usize::from(counts.ancount() + counts.nscount());
    let total = before + usize::from(counts.arcount());
    let mut parser = Parser::from_ref(message.as_slice());
    parser.advance(HEADER_LEN)?;
    Question::<ParsedName<_>>::parse(&mut parser)?;
    let mut edns = None;
    for index in 0..total {
        if parser.remaining() == 0 {
            break;
        }
        let record = ParsedRecord::parse(&mut parser)?;
        if index >= before && record.rtype() == Rtype::OPT {
            edns = read_edns(&record)?;
        }
    }
    Ok(edns)
}

fn read_edns<'a>(record: &ParsedRecord<'a, [u8]>) -> Result<Option<Edns<'a>>, ParseError> {
    let bits = record.ttl().as_secs();
    Ok(record.to_record::<Opt<_>>()?.map(|opt| Edns {
        payload_size: record.class().to_int(),
        version: (bits >> 16) as u8,
        flags: bits as u16,
        options: opt.into_data(),
    }))
}

fn bare(header: Header, opcode: Opcode, rcode: Rcode) -> Rejection {
    Rejection::Reply(reply::write_bare(header, opcode, rcode))
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

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
            assert_eq!(Query::read(&bytes).err(), Some(Rejection::Silence), "{bytes:02x?}");
        }
    }

    #[test]
    fn rejects_a_header_or_a_question_with_a_header() {
        let question_points_at_itself = [&simple()[..12], b"\xc0\x0c\x00\x01\x00\x01"].concat();
        for (what, bytes, flags) in [
            ("opcode UPDATE", changed(simple(), 2, 0x29), [0xa9, 4]),
            ("opcode STATUS without RD", changed(simple(), 2, 0x10), [0x90, 4]),
            ("no question", changed(simple(), 5, 0), [0x81, 1]),
            ("two questions", changed(simple(), 5, 2), [0x81, 1]),
            ("two answers", changed(simple(), 7, 2), [0x81, 1]),
            ("two authority records", changed(simple(), 9, 2), [0x81, 1]),
            ("three additional records", changed(simple(), 11, 3), [0x81, 1]),
            ("a header alone", simple()[..12].to_vec(), [0x81, 2]),
            ("a question cut in its name", simple()[..14].to_vec(), [0x81, 1]),
            ("a question cut in its class", simple()[..18].to_vec(), [0x81, 1]),
            ("a question that points at itself", question_points_at_itself, [0x81, 1]),
            ("a label of 64 bytes", changed(simple(), 12, 64), [0x81, 1]),
        ] {
            let expected = [&[0x12, 0x34], &flags[..], &[0; 8]].concat();
            assert_eq!(Query::read(&bytes).err(), Some(Rejection::Reply(expected)), "{what}");
        }
    }

    #[test]
    fn rejects_records_that_it_cannot_read_with_the_question() {
        let whole = with_opt(simple(), 1232, 0, b"\x00\x0a\x00\x02ab");
        let overrun = with_opt(simple(), 1232, 0, b"\x00\x0a\x00\x03ab");
        let expected = [b"\x12\x34\x81\x01\x00\x01\x00\x00\x00\x00\x00\x00", &simple()[12..]].concat();
        let cuts = (simple().len() + 1..whole.len()).map(|len| whole[..len].to_vec());
        for bytes in cuts.chain([overrun]) {
            assert_eq!(
                Query::read(&bytes).err(),
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
            let query = Query::read(&bytes).unwrap_or_else(|rejection| panic!("{what}: {rejection:?}"));
            assert_eq!(query.edns.map(|edns| edns.payload_size), payload_size, "{what}");
        }
    }

    #[test]
    fn reads_the_question_and_every_field_of_the_opt_record() {
        let bytes = with_opt(query("WWW.Example.com", 28), 1232, 0x0003_c0ff, b"\x00\x0a\x00\x01x");
        let query = Query::read(&bytes).unwrap();
        assert_eq!(query.question.qname().to_string(), "WWW.Example.com");
        assert_eq!(
            (query.question.qtype(), query.question.qclass()),
            (Rtype::AAAA, Class::IN)
        );
        assert_eq!(query.name(), Name::parse("www.example.com").unwrap());
        let edns = query.edns.unwrap();
        assert_eq!(
            (edns.payload_size, edns.version, edns.flags, edns.options.len()),
            (1232, 3, 0xc0ff, 5)
        );
    }

    #[test]
    fn limits_replies_to_what_the_client_takes() {
        for (bytes, udp) in [
            (simple(), 512),
            (with_opt(simple(), 100, 0, b""), 512),
            (with_opt(simple(), 1232, 0, b""), 1232),
            (with_opt(simple(), 65535, 0, b""), 65535),
        ] {
            let query = Query::read(&bytes).unwrap();
            assert_eq!(
                (query.size_limit(Transport::Udp), query.size_limit(Transport::Tcp)),
                (udp, 65535)
            );
        }
    }
}
