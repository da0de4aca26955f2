//! Messages (RFC 1035, 4.1): reading them, and writing them with names compressed, up to a limit.
//!
//! What can be read is what CoreDNS's library can: a question may lack its last fields and a section its last records
//! where the message ends, but nothing may be cut in the middle. What is written means what was read; bytes behind the
//! end are gone.
//!
//! Names are compressed against every name that stands in the message before, in the same letter case, those in the data
//! of newer types included, which are written whole themselves (RFC 3597, 4). So just what fits into CoreDNS's replies
//! fits into ours.

use hashbrown::HashMap;

use domain::base::iana::{Class, OptRcode, Rcode, Rtype};
use domain::base::{Header, HeaderCounts};

use super::rdata::{Data, Piece};
use super::reader::{Reader, WireName};

/// Length of a DNS header in bytes (RFC 1035, 4.1.1).
pub(super) const HEADER_LEN: usize = 12;

/// The longest message, in bytes.
pub(super) const MAX_LEN: usize = u16::MAX as usize;

/// Where a pointer cannot lead any more, in bytes.
const MAX_POINTER: usize = 0x4000;

/// A message with one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// ID, opcode and flags; its rcode has no meaning.
    pub(super) header: Header,
    /// The response code, with the part of it that stands in an OPT record (RFC 6891, 6.1.3).
    pub(super) rcode: OptRcode,
    pub(super) question: Question,
    pub(super) answer: Vec<Record>,
    pub(super) authority: Vec<Record>,
    /// The additional section, OPT record included.
    pub(super) additional: Vec<Record>,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// The name asked for.
    pub(super) name: WireName,
    pub(super) qtype: Rtype,
    pub(super) class: Class,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) owner: WireName,
    /// In seconds; an OPT record has other things here.
    pub(super) ttl: u32,
    pub(super) data: Data,
}

/// Why a message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It does not have one question that can be read.
    Question,
    /// It has this header and question, and a record that cannot be read.
    Record(Header, Question),
}

impl Message {
    /// A message without records.
    pub(super) fn new(header: Header, rcode: OptRcode, question: Question) -> Self {
        Self {
            header,
            rcode,
            question,
            answer: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        }
    }

    /// Reads a message.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        let (header, counts) = read_header(&mut reader).ok_or(Unreadable::Question)?;
        if counts.qdcount() != 1 {
            return Err(Unreadable::Question);
        }
        let question = Question::read(&mut reader).ok_or(Unreadable::Question)?;
        let mut message = Self::new(header, OptRcode::from_rcode(header.rcode()), question);
        match message.read_sections(counts, &mut reader) {
            Some(()) => Ok(message),
            None => Err(Unreadable::Record(header, message.question)),
        }
    }

    fn read_sections(&mut self, counts: HeaderCounts, reader: &mut Reader<'_>) -> Option<()> {
        for (section, count) in [
            (&mut self.answer, counts.ancount()),
            (&mut self.authority, counts.nscount()),
            (&mut self.additional, counts.arcount()),
        ] {
            for _ in 0..count {
                if reader.is_at_end() {
                    break;
                }
                section.push(Record::read(reader)?);
            }
        }
        if let Some(opt) = self.opt() {
            self.rcode = OptRcode::from_parts(self.rcode.rcode(), (opt.ttl >> 24) as u8);
        }
        Some(())
    }

    /// The OPT record: the last, if there are several.
    pub(super) fn opt(&self) -> Option<&Record> {
        self.additional.iter().rfind(|record| record.is_opt())
    }

    /// The same, to be changed.
    pub(super) fn opt_mut(&mut self) -> Option<&mut Record> {
        self.additional.iter_mut().rfind(|record| record.is_opt())
    }

    /// Makes the OPT record say its part of the rcode.
    pub(super) fn extend_rcode(&mut self) {
        let extended = u32::from(self.rcode.ext()) << 24;
        if let Some(opt) = self.opt_mut() {
            opt.ttl = opt.ttl & 0x00ff_ffff | extended;
        }
    }

    /// Its length in bytes with no name compressed.
    pub(super) fn len(&self) -> usize {
        let records = [&self.answer, &self.authority, &self.additional];
        let records = records.into_iter().flatten().map(Record::len);
        HEADER_LEN + self.question.name.len() + 4 + records.sum::<usize>()
    }

    /// All sections.
    pub(super) fn sections_mut(&mut self) -> [&mut Vec<Record>; 3] {
        [&mut self.answer, &mut self.authority, &mut self.additional]
    }

    /// Writes the message in at most `limit` bytes: records that do not fit are left out from the end, and TC is set.
    /// The question is always in it, and so is an OPT record.
    pub(super) fn write(&self, limit: usize) -> Vec<u8> {
        let opts = self.additional.iter().filter(|record| record.is_opt());
        // What the records before the next OPT record may fill.
        let mut room = limit.saturating_sub(opts.map(Record::len).sum());
        let mut writer = Writer::new(self.header, self.written_rcode());
        writer.question(&self.question);
        for (section, records) in [
            (Section::Answer, &self.answer),
            (Section::Authority, &self.authority),
            (Section::Additional, &self.additional),
        ] {
            for record in records {
                let is_kept = record.is_opt() && section == Section::Additional;
                let limit = if is_kept { usize::MAX } else { room };
                match writer.record(section, record, limit) {
                    Ok(()) if is_kept => room += record.len(),
                    Ok(()) => {}
                    Err(Full) => {
                        writer.truncate();
                        room = 0;
                    }
                }
            }
        }
        writer.message
    }

    /// The part of the rcode that stands in the header; alone it may mean something else.
    fn written_rcode(&self) -> Rcode {
        match self.rcode.is_ext() && self.opt().is_none() {
            true => Rcode::SERVFAIL,
            false => self.rcode.rcode(),
        }
    }
}

/// Writes a message anew in at most `limit` bytes: records that do not fit are left out, with TC set, and so are bytes
/// behind its end. `None` where it cannot be read.
pub fn rewrite(bytes: &[u8], limit: usize) -> Option<Vec<u8>> {
    Message::read(bytes).ok().map(|message| message.write(limit))
}

/// Reads flags and counts.
pub(super) fn read_header(reader: &mut Reader<'_>) -> Option<(Header, HeaderCounts)> {
    let bytes = reader.take(HEADER_LEN)?;
    Some((
        *Header::for_message_slice(bytes),
        *HeaderCounts::for_message_slice(bytes),
    ))
}

impl Question {
    /// Reads a question. Type and class are 0 where the message ends before them.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let name = reader.name()?;
        let mut number = || if reader.is_at_end() { Some(0) } else { reader.u16() };
        Some(Self {
            name,
            qtype: Rtype::from_int(number()?),
            class: Class::from_int(number()?),
        })
    }
}

impl Record {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let owner = reader.name()?;
        let rtype = Rtype::from_int(reader.u16()?);
        let class = Class::from_int(reader.u16()?);
        let ttl = reader.u32()?;
        let len = reader.u16()?;
        let data = Data::read(rtype, class, &mut reader.part(len.into())?)?;
        Some(Self { owner, ttl, data })
    }

    /// Says whether it is an OPT record, and not a record of anything.
    pub(super) fn is_opt(&self) -> bool {
        self.data.rtype == Rtype::OPT
    }

    /// Its length in a message in bytes, with no name compressed, as those of OPT records never are.
    fn len(&self) -> usize {
        self.owner.len() + 10 + self.data.as_bytes().len()
    }
}

/// A section of a message, in the order that they come in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
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
struct Full;

/// A message that is being written.
struct Writer<'m> {
    message: Vec<u8>,
    /// Where names stand that pointers may lead to.
    names: HashMap<&'m [u8], u16>,
}

impl<'m> Writer<'m> {
    fn new(mut header: Header, rcode: Rcode) -> Self {
        header.set_rcode(rcode);
        let mut message = Vec::with_capacity(512);
        message.extend(header.as_slice());
        message.resize(HEADER_LEN, 0);
        Self {
            message,
            names: HashMap::new(),
        }
    }

    fn question(&mut self, question: &'m Question) {
        self.name(&question.name, true);
        self.message.extend(question.qtype.to_int().to_be_bytes());
        self.message.extend(question.class.to_int().to_be_bytes());
        self.message[5] = 1;
    }

    /// Writes a record, or nothing if the message would then be longer than `limit`.
    fn record(&mut self, section: Section, record: &'m Record, limit: usize) -> Result<(), Full> {
        let start = self.message.len();
        let data = &record.data;
        self.name(&record.owner, true);
        self.message.extend(data.rtype.to_int().to_be_bytes());
        self.message.extend(data.class.to_int().to_be_bytes());
        self.message.extend(record.ttl.to_be_bytes());
        let len_at = self.message.len();
        self.message.extend([0, 0]);
        for piece in data.pieces() {
            match piece {
                Piece::Bytes(bytes) => self.message.extend(bytes),
                Piece::Name(name) => self.name(name, data.is_compressed()),
            }
        }
        let len = self.message.len() - len_at - 2;
        if self.message.len() > limit {
            self.message.truncate(start);
            self.names.retain(|_, at| usize::from(*at) < start);
            return Err(Full);
        }
        self.message[len_at..len_at + 2].copy_from_slice(&(len as u16).to_be_bytes());
        self.count(section);
        Ok(())
    }

    /// Writes a name; where it may be compressed, from its first suffix on that stands in the message.
    fn name(&mut self, wire: &'m [u8], compress: bool) {
        let mut rest = wire;
        while let Some((&len, _)) = rest.split_first().filter(|(len, _)| **len > 0) {
            match self.names.get(rest) {
                Some(at) if compress => {
                    self.message.extend((0xc000 | at).to_be_bytes());
                    return;
                }
                Some(_) => {}
                None if self.message.len() < MAX_POINTER => {
                    self.names.insert(rest, self.message.len() as u16);
                }
                None => {}
            }
            let (label, tail) = rest.split_at(usize::from(len) + 1);
            self.message.extend(label);
            rest = tail;
        }
        self.message.push(0);
    }

    /// Sets TC.
    fn truncate(&mut self) {
        self.message[2] |= 2;
    }

    fn count(&mut self, section: Section) {
        let at = section.count_at();
        let count = u16::from_be_bytes([self.message[at], self.message[at + 1]]) + 1;
        self.message[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use domain::base::ParsedName;
    use domain::base::rdata::{ComposeRecordData as _, RecordData as _};
    use domain::rdata::AllRecordData;
    use proptest::prelude::*;

    use super::super::edns;
    use super::super::testing::*;
    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_what_was_meant(
            names in proptest::collection::vec(name(), 1..8),
            limit in 512..2000usize,
        ) {
            let message = message_of(&names);
            let bytes = message.write(limit);
            prop_assert!(bytes.len() <= limit);
            let read = Message::read(&bytes).unwrap();
            let [meant, found] = [&message, &read].map(|message| {
                [&message.answer, &message.authority, &message.additional].map(|section| section.to_vec()).concat()
            });
            let (opt, found) = found.split_last().unwrap();
            prop_assert_eq!(Some(opt), meant.last());
            prop_assert!(meant.starts_with(found));
            prop_assert_eq!(read.header.tc(), found.len() + 1 < meant.len());
            // Another reader sees the same.
            let other = domain::base::Message::from_octets(&bytes[..]).unwrap();
            for (record, (other, _)) in found.iter().zip(other.iter().map(Result::unwrap)) {
                let other = other.to_any_record::<AllRecordData<_, ParsedName<_>>>().unwrap();
                prop_assert_eq!(other.ttl().as_secs(), record.ttl);
                prop_assert_eq!(other.data().rtype(), record.data.rtype);
                let mut data = Vec::new();
                other.data().compose_rdata(&mut data).unwrap();
                prop_assert_eq!(data, record.data.as_bytes());
            }
        }
    }

    /// Records of several types in every section, about these names.
    fn message_of(names: &[WireName]) -> Message {
        let question = Question {
            name: names[0].clone(),
            qtype: Rtype::SRV,
            class: Class::IN,
        };
        let mut message = Message::new(Header::new(), OptRcode::NOERROR, question);
        for (index, owner) in names.iter().enumerate() {
            let (number, target) = (index as u16, &names[(index + 1) % names.len()]);
            let data = [
                Data::of_address([10, 0, 0, number as u8].into()),
                Data::of_service(number, 80, target),
                Data::of_name(Rtype::CNAME, target),
                Data::of_authority(target, owner, [1, 2, 3, 4, number.into()]),
                Data::of_text("text"),
            ];
            for (ttl, data) in data.into_iter().enumerate() {
                let record = Record {
                    owner: owner.clone(),
                    ttl: ttl as u32,
                    data,
                };
                let section = index * 3 / names.len();
                message.sections_mut()[section].push(record);
            }
        }
        message.additional.push(edns::opt(1232, 0x8000, b""));
        message
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

    /// A message of class IN with this question and answer.
    fn answer(question: &[u8], owner: &[u8], data: Data) -> Message {
        let question = Question {
            name: question.to_vec(),
            qtype: data.rtype,
            class: Class::IN,
        };
        let mut message = Message::new(Header::new(), OptRcode::NOERROR, question);
        let owner = owner.to_vec();
        message.answer.push(Record { owner, ttl: 5, data });
        message
    }

    #[test]
    fn names_point_to_the_question_and_to_the_targets_of_services() {
        let (web, target) = (b"\x03web\x01a\0", b"\x01x\x03web\x01a\0".to_vec());
        let mut message = answer(web, web, Data::of_service(1, 2, &target));
        message.additional.push(Record {
            owner: target,
            ttl: 5,
            data: Data::of_address([10, 0, 0, 1].into()),
        });
        let bytes = message.write(512);
        let answer = b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x05\x00\x0f\x00\x00\x00\x01\x00\x02\x01x\x03web\x01a\x00";
        let glue = b"\xc0\x29\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x01";
        assert_eq!(bytes[23..], [&answer[..], glue].concat());
        assert_eq!(bytes[4..12], [0, 1, 0, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn another_letter_case_is_written_out() {
        let message = answer(b"\x01a\0", b"\x01A\0", Data::of_name(Rtype::PTR, &b"\x01a\0".to_vec()));
        assert_eq!(message.write(512)[19..22], *b"\x01A\x00");
    }

    #[test]
    fn a_question_may_lack_its_last_fields_and_a_section_its_last_records() {
        let whole = with_opt(query("a", 28), 1232, 0, b"");
        for (what, len, qtype, class, additionals) in [
            ("cut behind the name", 15, 0, 0, 0),
            ("cut behind the type", 17, 28, 0, 0),
            ("cut behind the question", 19, 28, 1, 0),
            ("whole", 30, 28, 1, 1),
        ] {
            let message = Message::read(&whole[..len]).unwrap_or_else(|error| panic!("{what}: {error:?}"));
            let question = &message.question;
            assert_eq!(
                (question.qtype.to_int(), question.class.to_int()),
                (qtype, class),
                "{what}"
            );
            assert_eq!(message.additional.len(), additionals, "{what}");
        }
    }

    #[test]
    fn nothing_may_be_cut_in_the_middle() {
        let whole = with_opt(query("a", 28), 1232, 0, b"\0\x0a\0\x02ab");
        for len in 0..whole.len() {
            let question = match Message::read(&whole[..len]) {
                Err(Unreadable::Question) => (0..15).contains(&len) || len == 16 || len == 18,
                Err(Unreadable::Record(_, question)) => len > 19 && question.name == b"\x01a\0",
                Ok(_) => [15, 17, 19].contains(&len),
            };
            assert!(question, "{len}");
        }
        for counts in [[0, 0], [0, 2]] {
            let message = [&whole[..4], &counts, &whole[6..]].concat();
            assert_eq!(Message::read(&message), Err(Unreadable::Question));
        }
    }

    #[test]
    fn the_last_opt_record_says_a_part_of_the_rcode() {
        let two = with_opt(with_opt(query("a", 1), 512, 0x0200_0000, b""), 4096, 0x0100_0000, b"");
        let message = Message::read(&two).unwrap();
        assert_eq!(message.rcode, OptRcode::BADVERS);
        assert_eq!(message.write(512), two);
        let mut alone = message;
        alone.additional.clear();
        assert_eq!(alone.write(512)[3] & 0xf, 2, "without its part it would be NOERROR");
    }

    #[test]
    fn a_message_without_room_is_header_question_and_opt_record() {
        let query = query("Example.com", 1);
        let empty = |flags| [&query[..2], &[flags, 0xf0], &query[4..]].concat();
        assert_eq!(rewrite(&strange_reply(&query), HEADER_LEN), Some(empty(0x87)));
        let mut with_answer = strange_reply(&query);
        with_answer.truncate(with_answer.len() - b" trailing bytes".len());
        let with_answer = with_opt(with_answer, 1232, 0, b"");
        assert_eq!(
            rewrite(&with_answer, HEADER_LEN),
            Some(with_opt(empty(0x87), 1232, 0, b""))
        );
        assert_eq!(rewrite(b"short", HEADER_LEN), None);
        assert_eq!(rewrite(&bare_reply(&query, 0x85), HEADER_LEN), None);
    }
}
