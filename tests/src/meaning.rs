//! A reply by its meaning: what a client can tell two replies apart by, and nothing else.
//!
//! The order of records, compression and letter case outside of the question carry no meaning, nor does a zone's serial.

use std::fmt;

use anyhow::{Context, Result};
use domain::base::iana::{Class, OptRcode, Rtype};
use domain::base::message::RecordSection;
use domain::base::opt::UnknownOptData;
use domain::base::{Message, Record};
use domain::rdata::AllRecordData;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing.
    Silence,
    /// What is no DNS message, in hex, and why.
    Broken(String),
    /// A message.
    Message(Meaning),
}

/// A message by its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The names of the bits that are set, and the opcode if it is not QUERY.
    pub flags: String,
    /// The TC bit.
    pub truncated: bool,
    /// The rcode, extended by the OPT record.
    pub rcode: OptRcode,
    /// The question section, letter case kept.
    pub question: Vec<String>,
    /// The records of the answer, authority and additional section, sorted.
    pub sections: [Vec<Fact>; 3],
    /// The OPT record's size, version, flags and options.
    pub opt: Option<String>,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    /// The name that it is of, in lower case.
    pub owner: String,
    /// Its type.
    pub rtype: Rtype,
    /// Its class.
    pub class: Class,
    /// Its TTL, in seconds.
    pub ttl: u32,
    /// What it says, in presentation format; in lower case, but for TXT.
    pub data: String,
}

impl Reply {
    /// Reads a message.
    pub fn read(bytes: &[u8]) -> Reply {
        match Meaning::read(bytes) {
            Ok(meaning) => Reply::Message(meaning),
            Err(error) => Reply::Broken(format!("{error:#}: {bytes:02x?}")),
        }
    }

    /// Puts its scope for each of the server's own addresses where it tells them as the name server's: the servers that
    /// are compared cannot share one.
    pub fn hide_own(&mut self, own: &[(String, String)]) {
        let Reply::Message(meaning) = self else { return };
        for facts in &mut meaning.sections {
            for fact in facts.iter_mut().filter(|fact| fact.owner.starts_with("ns.dns.")) {
                if let Some((_, scope)) = own.iter().find(|(address, _)| *address == fact.data) {
                    fact.data = format!("its own address of scope {scope}");
                }
            }
            facts.sort();
        }
    }

    /// The message, if it is one.
    pub fn meaning(&self) -> Option<&Meaning> {
        match self {
            Reply::Message(meaning) => Some(meaning),
            _ => None,
        }
    }
}

impl Meaning {
    fn read(bytes: &[u8]) -> Result<Meaning> {
        let message = Message::from_octets(bytes).context("shorter than a header")?;
        let header = message.header();
        let mut questions = Vec::new();
        for question in message.question() {
            let question = question?;
            questions.push(format!(
                "{} {} {}",
                question.qname(),
                question.qclass(),
                question.qtype()
            ));
        }
        let (_, answer, authority, additional) = message.sections()?;
        Ok(Meaning {
            flags: flags_of(bytes),
            truncated: header.tc(),
            rcode: message.opt_rcode(),
            question: questions,
            sections: [facts(answer)?, facts(authority)?, facts(additional)?],
            opt: opt_of(&message),
        })
    }

    /// The answer section.
    pub fn answer(&self) -> &[Fact] {
        &self.sections[0]
    }
}

fn flags_of(bytes: &[u8]) -> String {
    let flags = u16::from_be_bytes([bytes[2], bytes[3]]);
    let names = [
        (0x8000, "QR"),
        (0x0400, "AA"),
        (0x0100, "RD"),
        (0x0080, "RA"),
        (0x0040, "Z"),
        (0x0020, "AD"),
        (0x0010, "CD"),
    ];
    let mut set: Vec<String> = names
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, name)| (*name).to_owned())
        .collect();
    match flags >> 11 & 0xf {
        0 => {}
        opcode => set.push(format!("opcode {opcode}")),
    }
    set.join(" ")
}

fn facts(section: RecordSection<'_, &[u8]>) -> Result<Vec<Fact>> {
    let mut facts = Vec::new();
    for record in section {
        let record = record?;
        if record.rtype() != Rtype::OPT {
            let record = record
                .to_any_record::<AllRecordData<_, _>>()
                .context("a record that cannot be read")?;
            facts.push(fact_of(&record));
        }
    }
    facts.sort();
    Ok(facts)
}

fn fact_of<N: fmt::Display, O: AsRef<[u8]>, M: fmt::Display>(record: &Record<N, AllRecordData<O, M>>) -> Fact
where
    AllRecordData<O, M>: fmt::Display + domain::base::rdata::RecordData,
{
    let data = match record.data() {
        AllRecordData::Soa(soa) => format!(
            "{} {} {} {} {} {}",
            soa.mname(),
            soa.rname(),
            soa.refresh().as_secs(),
            soa.retry().as_secs(),
            soa.expire().as_secs(),
            soa.minimum().as_secs()
        )
        .to_ascii_lowercase(),
        data @ AllRecordData::Txt(_) => data.to_string(),
        data => data.to_string().to_ascii_lowercase(),
    };
    Fact {
        owner: record.owner().to_string().to_ascii_lowercase(),
        rtype: record.rtype(),
        class: record.class(),
        ttl: record.ttl().as_secs(),
        data,
    }
}

fn opt_of(message: &Message<&[u8]>) -> Option<String> {
    let record = message
        .additional()
        .ok()?
        .flatten()
        .find(|record| record.rtype() == Rtype::OPT)?;
    let size = record.class().to_int();
    let flags = record.ttl().as_secs() & 0x00ff_ffff;
    let opt = message.opt()?;
    let options = opt.opt().iter::<UnknownOptData<_>>().map(|option| match option {
        Ok(option) => format!("{} {:02x?}", option.code(), option.as_slice()),
        Err(error) => error.to_string(),
    });
    let mut options: Vec<String> = options.collect();
    options.sort();
    Some(format!("size {size} version and flags {flags:06x} options {options:?}"))
}

impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Silence => write!(formatter, "no reply"),
            Reply::Broken(why) => write!(formatter, "no message: {why}"),
            Reply::Message(meaning) => meaning.fmt(formatter),
        }
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let truncated = if self.truncated { " TC" } else { "" };
        writeln!(
            formatter,
            "{}, {}{truncated}, question {:?}",
            self.rcode, self.flags, self.question
        )?;
        for (name, facts) in ["answer", "authority", "additional"].iter().zip(&self.sections) {
            for fact in facts {
                let Fact {
                    owner,
                    rtype,
                    class,
                    ttl,
                    data,
                } = fact;
                writeln!(formatter, "  {name}: {owner} {ttl} {class} {rtype} {data}")?;
            }
        }
        match &self.opt {
            Some(opt) => writeln!(formatter, "  OPT: {opt}"),
            None => Ok(()),
        }
    }
}
