//! Writing a message: sections of records behind a question, with names compressed (RFC 1035, 4.1.4), up to a limit.
//!
//! Names are compressed against every name that stands in the message before, in the same letter case, those in SRV data
//! included, which are written whole themselves (RFC 2782). So just what fits into CoreDNS's replies fits into ours.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use domain::base::Header;

/// Length of a DNS header in bytes (RFC 1035, 4.1.1).
pub(super) const HEADER_LEN: usize = 12;

/// Where a pointer cannot lead any more, in bytes.
const MAX_POINTER: usize = 0x4000;

/// The class IN.
const INTERNET: u16 = 1;

/// A name in uncompressed wire form, its letter case kept.
pub(super) type WireName = Vec<u8>;

/// A record of any class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) owner: WireName,
    /// In seconds.
    pub(super) ttl: u32,
    pub(super) data: Data,
}

/// A record's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(WireName),
    Ns(WireName),
    Ptr(WireName),
    Txt(&'static str),
    Srv {
        weight: u16,
        port: u16,
        target: WireName,
    },
    Soa {
        mname: WireName,
        rname: WireName,
        /// Serial, refresh, retry, expire, minimum.
        numbers: [u32; 5],
    },
    /// Of any type and class, without compressed names.
    Other {
        rtype: u16,
        class: u16,
        bytes: Vec<u8>,
    },
}

impl Data {
    fn rtype(&self) -> u16 {
        match self {
            Self::A(_) => 1,
            Self::Ns(_) => 2,
            Self::Cname(_) => 5,
            Self::Soa { .. } => 6,
            Self::Ptr(_) => 12,
            Self::Txt(_) => 16,
            Self::Aaaa(_) => 28,
            Self::Srv { .. } => 33,
            Self::Other { rtype, .. } => *rtype,
        }
    }

    fn class(&self) -> u16 {
        match self {
            Self::Other { class, .. } => *class,
            _ => INTERNET,
        }
    }
}

/// A section of a message, in the order that they come in.
#[derive(Clone, Copy)]
pub(super) enum Section {
    Answer,
    Authority,
    Additional,
}

impl Section {
    /// Where its count stands in the header.
    fn count_at(self) -> usize {
        match self {
            Self::Answer => 6,
            Self::Authority => 8,
            Self::Additional => 10,
        }
    }
}

/// A record would exceed the limit.
#[derive(Debug)]
pub(super) struct Full;

/// A message that is being written.
pub(super) struct Writer {
    message: Vec<u8>,
    limit: usize,
    /// Where names stand that pointers may lead to.
    names: HashMap<Vec<u8>, u16>,
}

impl Writer {
    /// Starts a message that takes records up to `limit` bytes.
    pub(super) fn new(header: Header, limit: usize) -> Self {
        let mut message = Vec::with_capacity(512);
        message.extend(header.as_slice());
        message.resize(HEADER_LEN, 0);
        Self {
            message,
            limit,
            names: HashMap::new(),
        }
    }

    /// Writes the question.
    pub(super) fn question(&mut self, name: &[u8], qtype: u16, class: u16) {
        self.name(name, true);
        self.message.extend(qtype.to_be_bytes());
        self.message.extend(class.to_be_bytes());
        self.message[5] = 1;
    }

    /// Writes a record, or nothing if it would exceed the limit.
    pub(super) fn record(&mut self, section: Section, record: &Record) -> Result<(), Full> {
        let start = self.message.len();
        self.name(&record.owner, true);
        self.message.extend(record.data.rtype().to_be_bytes());
        self.message.extend(record.data.class().to_be_bytes());
        self.message.extend(record.ttl.to_be_bytes());
        let len_at = self.message.len();
        self.message.extend([0, 0]);
        self.data(&record.data);
        let len = self.message.len() - len_at - 2;
        if self.message.len() > self.limit {
            self.message.truncate(start);
            self.names.retain(|_, at| usize::from(*at) < start);
            return Err(Full);
        }
        self.message[len_at..len_at + 2].copy_from_slice(&(len as u16).to_be_bytes());
        self.count(section);
        Ok(())
    }

    /// Writes an OPT record (RFC 6891, 6.1.2), whatever the limit; `bits` are extended rcode, version and flags.
    pub(super) fn opt(&mut self, payload_size: u16, bits: u32, options: &[u8]) {
        self.message.extend(b"\x00\x00\x29");
        self.message.extend(payload_size.to_be_bytes());
        self.message.extend(bits.to_be_bytes());
        self.message.extend((options.len() as u16).to_be_bytes());
        self.message.extend(options);
        self.count(Section::Additional);
    }

    /// Sets TC.
    pub(super) fn truncate(&mut self) {
        self.message[2] |= 2;
    }

    /// The message.
    pub(super) fn finish(self) -> Vec<u8> {
        self.message
    }

    fn data(&mut self, data: &Data) {
        match data {
            Data::A(address) => self.message.extend(address.octets()),
            Data::Aaaa(address) => self.message.extend(address.octets()),
            Data::Cname(name) | Data::Ns(name) | Data::Ptr(name) => self.name(name, true),
            Data::Txt(text) => {
                self.message.push(text.len() as u8);
                self.message.extend(text.bytes());
            }
            Data::Srv { weight, port, target } => {
                let fields = [0, *weight, *port];
                self.message.extend(fields.into_iter().flat_map(u16::to_be_bytes));
                self.name(target, false);
            }
            Data::Soa { mname, rname, numbers } => {
                self.name(mname, true);
                self.name(rname, true);
                self.message
                    .extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
            }
            Data::Other { bytes, .. } => self.message.extend(bytes),
        }
    }

    /// Writes a name; where it may be compressed, from its first suffix on that stands in the message.
    fn name(&mut self, wire: &[u8], compress: bool) {
        let mut rest = wire;
        while let Some((&len, _)) = rest.split_first().filter(|(len, _)| **len > 0) {
            match self.names.get(rest) {
                Some(at) if compress => {
                    self.message.extend((0xc000 | at).to_be_bytes());
                    return;
                }
                Some(_) => {}
                None if self.message.len() < MAX_POINTER => {
                    self.names.insert(rest.to_vec(), self.message.len() as u16);
                }
                None => {}
            }
            let (label, tail) = rest.split_at(usize::from(len) + 1);
            self.message.extend(label);
            rest = tail;
        }
        self.message.push(0);
    }

    fn count(&mut self, section: Section) {
        let at = section.count_at();
        let count = u16::from_be_bytes([self.message[at], self.message[at + 1]]) + 1;
        self.message[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use domain::base::{Message, ParsedName, ToName as _};
    use domain::rdata::AllRecordData;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_parses_back_to_what_was_meant(
            names in proptest::collection::vec(name(), 1..8),
            limit in 512..2000usize,
        ) {
            let question = names[0].clone();
            let mut writer = Writer::new(Header::new(), limit);
            writer.question(&question, 33, INTERNET);
            let mut written = Vec::new();
            for (index, owner) in names.iter().enumerate() {
                let target = names[(index + 1) % names.len()].clone();
                for data in each_data(index as u16, target) {
                    let record = Record { owner: owner.clone(), ttl: index as u32, data };
                    if writer.record(Section::Answer, &record).is_err() {
                        break;
                    }
                    written.push(record);
                }
            }
            writer.opt(1232, 0, b"");
            let message = writer.finish();
            prop_assert!(message.len() <= limit + 11);
            let message = Message::from_slice(&message).unwrap();
            let records = message.answer().unwrap().map(|record| record.unwrap());
            let read: Vec<_> = records.map(|record| {
                let record = record.to_any_record::<AllRecordData<_, ParsedName<_>>>().unwrap();
                (record.owner().to_vec().into_octets(), record.ttl().as_secs(), record.data().to_string())
            }).collect();
            let meant: Vec<_> = written.iter().map(|record| (record.owner.clone(), record.ttl, text(&record.data))).collect();
            prop_assert_eq!(read, meant);
            prop_assert_eq!(message.opt().unwrap().udp_payload_size(), 1232);
        }
    }

    fn each_data(number: u16, target: WireName) -> [Data; 4] {
        [
            Data::A([10, 0, 0, number as u8].into()),
            Data::Srv {
                weight: number,
                port: 80,
                target: target.clone(),
            },
            Data::Cname(target.clone()),
            Data::Soa {
                mname: target.clone(),
                rname: target,
                numbers: [1, 2, 3, 4, u32::from(number)],
            },
        ]
    }

    fn text(data: &Data) -> String {
        let name = |wire: &[u8]| domain::base::Name::from_slice(wire).unwrap().fmt_with_dot().to_string();
        match data {
            Data::A(address) => address.to_string(),
            Data::Srv { weight, port, target } => {
                // The library writes this one without the last dot.
                format!("0 {weight} {port} {}", name(target).trim_end_matches('.'))
            }
            Data::Cname(target) => name(target),
            Data::Soa { mname, rname, numbers } => {
                let numbers: Vec<_> = numbers.iter().map(u32::to_string).collect();
                format!("{} {} {}", name(mname), name(rname), numbers.join(" "))
            }
            other => panic!("{other:?}"),
        }
    }

    fn name() -> impl Strategy<Value = WireName> {
        let label = proptest::sample::select(vec!["a", "B", "web", "svc", "cluster", "Cluster", "local"]);
        proptest::collection::vec(label, 1..6).prop_map(|labels| {
            let labels = labels
                .iter()
                .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
            labels.chain([0]).collect()
        })
    }

    #[test]
    fn names_point_to_the_question_and_to_the_targets_of_srv_records() {
        let web = b"\x03web\x01a\x00".to_vec();
        let target = b"\x01x\x03web\x01a\x00".to_vec();
        let mut writer = Writer::new(Header::new(), 512);
        writer.question(&web, 33, INTERNET);
        let data = Data::Srv {
            weight: 1,
            port: 2,
            target: target.clone(),
        };
        writer
            .record(
                Section::Answer,
                &Record {
                    owner: web,
                    ttl: 5,
                    data,
                },
            )
            .unwrap();
        let glue = Record {
            owner: target.clone(),
            ttl: 5,
            data: Data::A([10, 0, 0, 1].into()),
        };
        writer.record(Section::Additional, &glue).unwrap();
        let message = writer.finish();
        let answer = b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x05\x00\x0f\x00\x00\x00\x01\x00\x02\x01x\x03web\x01a\x00";
        let glue = b"\xc0\x29\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x01";
        assert_eq!(message[23..], [&answer[..], glue].concat());
        assert_eq!(message[4..12], [0, 1, 0, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn another_letter_case_is_written_out() {
        let mut writer = Writer::new(Header::new(), 512);
        writer.question(b"\x01a\x00", 12, INTERNET);
        let record = Record {
            owner: b"\x01A\x00".to_vec(),
            ttl: 0,
            data: Data::Ptr(b"\x01a\x00".to_vec()),
        };
        writer.record(Section::Answer, &record).unwrap();
        assert_eq!(writer.finish()[19..22], *b"\x01A\x00");
    }
}
