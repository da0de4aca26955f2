//! A reply, as far as two servers must agree on it: everything but the order of records, compression and the SOA's serial.
//!
//! What is said of names, types and data is kept as text, which a disagreement can show.

use std::fmt;

use anyhow::{Context, Result, ensure};
use domain::base::iana::Rtype;
use domain::base::rdata::UnknownRecordData;
use domain::base::record::ParsedRecord;
use domain::base::{Message, ParsedName, Serial};
use domain::dep::octseq::Parser;
use domain::rdata::{AllRecordData, Soa};

const HEADER_LEN: usize = 12;

const AA: u16 = 0x0400;
const RCODE: u16 = 0x000f;
/// The flag of a truncated reply.
const TC: u16 = 0x0200;

/// What a reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The header's second word: flags, opcode, rcode.
    pub flags: u16,
    /// The records promised in each section.
    pub counts: [u16; 4],
    /// The questions, letter case kept.
    pub questions: Vec<String>,
    /// The records of each section but the question's, sorted. OPT records are among them.
    pub records: [Vec<String>; 3],
}

impl Meaning {
    /// Reads a reply whole.
    pub fn read(bytes: &[u8]) -> Result<Meaning> {
        let message = Message::from_slice(bytes).context("shorter than a header")?;
        let counts = message.header_counts();
        let mut parser = Parser::from_ref(bytes);
        parser.advance(HEADER_LEN)?;
        let questions = (0..counts.qdcount())
            .map(|_| read_question(&mut parser))
            .collect::<Result<_>>()?;
        let mut section = |count| read_section(&mut parser, count);
        let records = [
            section(counts.ancount())?,
            section(counts.nscount())?,
            section(counts.arcount())?,
        ];
        ensure!(parser.remaining() == 0, "{} bytes behind its end", parser.remaining());
        Ok(Meaning {
            flags: u16::from_be_bytes([bytes[2], bytes[3]]),
            counts: [counts.qdcount(), counts.ancount(), counts.nscount(), counts.arcount()],
            questions,
            records,
        })
    }

    /// The same with its records in lower case, since letter case makes no difference to names (RFC 4343).
    #[must_use]
    pub fn without_case(mut self) -> Self {
        for section in &mut self.records {
            section.iter_mut().for_each(|record| record.make_ascii_lowercase());
            section.sort();
        }
        self
    }

    /// Says whether another reply means the same. Replies that are both truncated need not hold the same records.
    pub fn agrees(&self, other: &Meaning) -> bool {
        match self.is_truncated() && other.is_truncated() {
            true => self.without_records() == other.without_records(),
            false => self == other,
        }
    }

    /// A few words: the response code and what decides most.
    pub fn kind(&self) -> String {
        let aa = if self.flags & AA == 0 { "" } else { " AA" };
        let tc = if self.is_truncated() { " TC" } else { "" };
        format!("rcode {}{aa}{tc} counts {:?}", self.flags & RCODE, self.counts)
    }

    fn is_truncated(&self) -> bool {
        self.flags & TC != 0
    }

    fn without_records(&self) -> (u16, u16, &[String], Vec<&String>) {
        let opt = self.records[2].iter().filter(|record| record.starts_with(OPT));
        (self.flags, self.counts[0], &self.questions, opt.collect())
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "flags {:04x}, counts {:?}, {:?}",
            self.flags, self.counts, self.questions
        )?;
        for (name, records) in ["answer", "authority", "additional"].iter().zip(&self.records) {
            for record in records {
                write!(f, "\n    {name}: {record}")?;
            }
        }
        Ok(())
    }
}

/// How the text of an OPT record begins.
const OPT: &str = "OPT ";

fn read_question(parser: &mut Parser<'_, [u8]>) -> Result<String> {
    let name = ParsedName::parse(parser).context("a question's name")?;
    let (qtype, qclass) = (parser.parse_u16_be()?, parser.parse_u16_be()?);
    Ok(format!("{name} type {qtype} class {qclass}"))
}

fn read_section(parser: &mut Parser<'_, [u8]>, count: u16) -> Result<Vec<String>> {
    let records = (0..count).map(|_| describe(&ParsedRecord::parse(parser).context("a record")?));
    let mut records: Vec<String> = records.collect::<Result<_>>()?;
    records.sort();
    Ok(records)
}

fn describe(record: &ParsedRecord<'_, [u8]>) -> Result<String> {
    let (owner, class, ttl) = (record.owner(), record.class().to_int(), record.ttl().as_secs());
    let data = describe_data(record)?;
    Ok(match record.rtype() {
        Rtype::OPT => format!("{OPT}at {owner}: size {class}, rcode, version and flags {ttl:08x}, options {data}"),
        rtype => format!("{owner} {ttl} class {class} type {} {data}", rtype.to_int()),
    })
}

/// The data as the type's own presentation form, or in bytes.
fn describe_data(record: &ParsedRecord<'_, [u8]>) -> Result<String> {
    let raw = record
        .to_record::<UnknownRecordData<_>>()?
        .context("a record without data")?;
    let bytes = || hex(raw.data().data());
    if record.rtype() == Rtype::OPT {
        return Ok(bytes());
    }
    Ok(match record.to_any_record::<AllRecordData<_, ParsedName<_>>>() {
        Ok(record) => match record.into_data() {
            AllRecordData::Soa(soa) => without_serial(&soa).to_string(),
            data => data.to_string(),
        },
        Err(_) => bytes(),
    })
}

fn without_serial<N: Clone>(soa: &Soa<N>) -> Soa<N> {
    let names = (soa.mname().clone(), soa.rname().clone());
    let serial = Serial(0);
    Soa::new(
        names.0,
        names.1,
        serial,
        soa.refresh(),
        soa.retry(),
        soa.expire(),
        soa.minimum(),
    )
}

/// Bytes as text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a. A` with two addresses and an OPT record.
    const REPLY: &[u8] = b"\0\x01\x85\0\0\x01\0\x02\0\0\0\x01\x01a\0\0\x01\0\x01\
        \xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x0a\0\0\x01\
        \xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x0a\0\0\x02\
        \0\0\x29\x10\0\0\0\x80\0\0\0";

    fn changed(at: usize, value: u8) -> Meaning {
        let mut bytes = REPLY.to_vec();
        bytes[at] = value;
        Meaning::read(&bytes).unwrap()
    }

    #[test]
    fn order_and_compression_mean_nothing() {
        let meaning = Meaning::read(REPLY).unwrap();
        let swapped = [&REPLY[..19], &REPLY[35..51], b"\x01a\0", &REPLY[21..35], &REPLY[51..]].concat();
        assert!(meaning.agrees(&Meaning::read(&swapped).unwrap()));
    }

    #[test]
    fn every_field_means_something() {
        let meaning = Meaning::read(REPLY).unwrap();
        for (what, at, value) in [
            ("rcode", 3, 3),
            ("AA", 2, 0x81),
            ("letter case", 13, b'A'),
            ("class", 18, 3),
            ("TTL", 28, 5),
            ("address", 34, 9),
            ("OPT size", 54, 0x08),
            ("DO", 58, 0),
        ] {
            assert!(!meaning.agrees(&changed(at, value)), "{what}");
        }
    }

    #[test]
    fn truncated_replies_need_not_hold_the_same_records() {
        let truncated = changed(2, 0x87);
        let mut less = REPLY.to_vec();
        less.drain(35..51);
        (less[2], less[7]) = (0x87, 1);
        assert!(truncated.agrees(&Meaning::read(&less).unwrap()));
        less[2] = 0x85;
        assert!(!truncated.agrees(&Meaning::read(&less).unwrap()));
    }

    #[test]
    fn surplus_and_missing_bytes_are_faults() {
        assert!(Meaning::read(&[REPLY, b"x"].concat()).is_err());
        assert!(Meaning::read(&REPLY[..REPLY.len() - 1]).is_err());
    }
}
