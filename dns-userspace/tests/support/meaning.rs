//! What a reply means: all of it but what a client cannot rely on, such as the order of records and compression.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use domain::base::iana::{Opcode, Rcode, Rtype};
use domain::base::record::ParsedRecord;
use domain::base::{Message, ParsedName};
use domain::rdata::AllRecordData;

/// A reply's meaning.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) opcode: Opcode,
    pub(crate) rcode: Rcode,
    pub(crate) authoritative: bool,
    pub(crate) recursion_available: bool,
    pub(crate) recursion_desired: bool,
    pub(crate) checking_disabled: bool,
    pub(crate) truncated: bool,
    /// How often each record stands in its section; the serials of SOA records are left out, letter case too.
    pub(crate) records: BTreeMap<String, usize>,
    /// What the OPT record says, if there is one.
    pub(crate) edns: Option<String>,
}

impl Meaning {
    /// Reads a reply.
    pub(crate) fn of(reply: &[u8]) -> Result<Self> {
        let message = Message::from_slice(reply).context("no message")?;
        let header = message.header();
        let mut records = BTreeMap::new();
        for record in message.iter() {
            let (record, section) = record?;
            if record.rtype() != Rtype::OPT {
                *records.entry(format!("{section:?} {}", text(&record)?)).or_default() += 1;
            }
        }
        let edns = message.opt().map(|opt| {
            let flags = (opt.version(), opt.dnssec_ok(), opt.rcode(header));
            format!("size {} {flags:?} {} bytes", opt.udp_payload_size(), opt.opt().len())
        });
        Ok(Self {
            opcode: header.opcode(),
            rcode: header.rcode(),
            authoritative: header.aa(),
            recursion_available: header.ra(),
            recursion_desired: header.rd(),
            checking_disabled: header.cd(),
            truncated: header.tc(),
            records,
            edns,
        })
    }

    /// Whether any record is about a name that ends so.
    pub(crate) fn is_about(&self, name: &str) -> bool {
        self.records.keys().any(|record| record.contains(name))
    }

    /// Leaves out the TTLs.
    pub(crate) fn forget_ttls(&mut self) {
        let forget = |(record, count): (String, usize)| {
            let mut words: Vec<_> = record.split(' ').collect();
            words.remove(2);
            (words.join(" "), count)
        };
        self.records = std::mem::take(&mut self.records).into_iter().map(forget).collect();
    }
}

fn text(record: &ParsedRecord<'_, [u8]>) -> Result<String> {
    let record = record.to_any_record::<AllRecordData<_, ParsedName<_>>>()?;
    let data = match record.data() {
        AllRecordData::Soa(soa) => format!(
            "{} {} {} {}",
            soa.mname(),
            soa.rname(),
            soa.refresh().as_secs(),
            soa.minimum().as_secs()
        ),
        data => data.to_string(),
    };
    let (owner, ttl, rtype) = (record.owner(), record.ttl().as_secs(), record.rtype());
    Ok(format!("{owner} {ttl} {rtype} {data}").to_lowercase())
}
