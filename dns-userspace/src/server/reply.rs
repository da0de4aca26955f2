//! Making replies: pure functions from a query and what the zones say to the bytes on the wire.
//!
//! Flags, SOA, order and OPT are those of CoreDNS's `kubernetes` plugin and server. Unlike CoreDNS, names are always
//! compressed.

use domain::base::iana::{Class, Opcode, OptionCode, Rcode};
use domain::base::name::ToName;
use domain::base::opt::UnknownOptData;
use domain::base::{Header, Message, Name as DomainName};
use rand::seq::SliceRandom as _;

use super::message::{Data, HEADER_LEN, Record, Section, WireName, Writer};
use super::query::{Edns, Query};
use crate::corefile::soa_ttl;
use crate::name::Name;
use crate::rules::{self, Records};
use crate::zone::Content;

/// The TTL of the specification's version, in seconds.
const VERSION_TTL: u32 = 28_800;

/// The SOA's refresh, retry and expire fields, in seconds.
const SOA_TIMES: [u32; 3] = [7200, 1800, 86400];

/// The options that are echoed; all others are dropped.
const ECHOED_OPTIONS: [OptionCode; 5] = [
    OptionCode::NSID,
    OptionCode::EXPIRE,
    OptionCode::COOKIE,
    OptionCode::TCP_KEEPALIVE,
    OptionCode::PADDING,
];

/// The flags that are echoed: DO and the seven after it.
const ECHOED_FLAGS: u16 = 0xff00;

/// BADVERS is 16: this in the OPT record's part of the rcode, 0 in the header's.
const BADVERS_EXTENDED: u32 = 1 << 24;

/// The part of an authoritative reply that is not copied from the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) rcode: Rcode,
    /// Whether records are missing already.
    pub(super) truncated: bool,
    pub(super) answer: Vec<Record>,
    pub(super) authority: Vec<Record>,
    pub(super) additional: Vec<Record>,
}

/// What the records of a zone's reply have in common.
pub(super) struct Setting<'q> {
    /// The name asked for, in the question's letter case.
    qname: &'q WireName,
    /// The zone's name in the same letter case: the end of that name.
    apex: &'q [u8],
    /// The zone in which the targets of PTR records lie.
    primary: &'q Name,
    ttl: u32,
    serial: u32,
}

impl<'q> Setting<'q> {
    /// The setting of a question for this name, in the zone of its last bytes.
    pub(super) fn new(qname: &'q WireName, zone: dns_ebpf::decide::Zone, primary: &'q Name, serial: u32) -> Self {
        let start = qname.len().saturating_sub(zone.name_len.into());
        Self {
            apex: &qname[start..],
            qname,
            primary,
            ttl: zone.ttl,
            serial,
        }
    }

    /// The reply's body.
    pub(super) fn body(&self, content: &Content) -> Body {
        match content {
            Content::Records(records) => self.positive(&records.answer, &records.glue),
            Content::Elsewhere { aliases, .. } => self.positive(aliases, &Records::default().glue),
            Content::Soa => Body {
                answer: self.soa().into_iter().collect(),
                ..Body::empty(Rcode::NOERROR)
            },
            Content::NoData => self.negative(Rcode::NOERROR),
            Content::NxDomain => self.negative(Rcode::NXDOMAIN),
            Content::Failure => self.negative(Rcode::SERVFAIL),
        }
    }

    fn positive(&self, answer: &[rules::Record], glue: &[(rules::Target, std::net::IpAddr)]) -> Body {
        let glue = glue.iter().filter_map(|(target, address)| {
            Some(Record {
                owner: below(target, self.apex)?,
                ttl: self.ttl,
                data: (*address).into(),
            })
        });
        Body {
            answer: answer.iter().filter_map(|record| self.record(record)).collect(),
            additional: glue.collect(),
            ..Body::empty(Rcode::NOERROR)
        }
    }

    fn negative(&self, rcode: Rcode) -> Body {
        Body {
            authority: self.soa().into_iter().collect(),
            ..Body::empty(rcode)
        }
    }

    /// A record on the wire; `None` where a name would be too long.
    fn record(&self, record: &rules::Record) -> Option<Record> {
        let target = |target: &str| below(target, self.apex);
        let data = match &record.data {
            rules::Data::A(address) => Data::A(*address),
            rules::Data::Aaaa(address) => Data::Aaaa(*address),
            rules::Data::Cname(name) => Data::Cname(below(name, &[0])?),
            rules::Data::Ns(name) => Data::Ns(target(name)?),
            rules::Data::Ptr(name) => Data::Ptr(below(name, self.primary.as_wire())?),
            rules::Data::Txt(text) => Data::Txt(text),
            rules::Data::Srv {
                weight,
                port,
                target: name,
            } => Data::Srv {
                weight: *weight,
                port: *port,
                target: target(name)?,
            },
        };
        let owner = match &record.owner {
            Some(owner) => below(owner, &[0])?,
            None => self.qname.clone(),
        };
        let ttl = match data {
            Data::Txt(_) => VERSION_TTL,
            _ => self.ttl,
        };
        Some(Record { owner, ttl, data })
    }

    /// The zone's SOA record, in the letter case of the question; `None` where its names would be too long.
    fn soa(&self) -> Option<Record> {
        let [refresh, retry, expire] = SOA_TIMES;
        Some(Record {
            owner: self.apex.to_vec(),
            ttl: soa_ttl(self.ttl),
            data: Data::Soa {
                mname: below("ns.dns", self.apex)?,
                rname: below("hostmaster", self.apex)?,
                numbers: [self.serial, refresh, retry, expire, self.ttl],
            },
        })
    }
}

/// The name with these labels left of a zone's, given in wire form; `None` where it would be none.
fn below(labels: &str, zone: &[u8]) -> Option<WireName> {
    let mut wire = Vec::with_capacity(labels.len() + zone.len() + 1);
    for label in labels.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).ok().filter(|len| *len < 64)?);
        wire.extend(label.bytes());
    }
    wire.extend(zone);
    (wire.len() <= crate::name::MAX_NAME_LEN).then_some(wire)
}

impl Body {
    fn empty(rcode: Rcode) -> Self {
        Self {
            rcode,
            truncated: false,
            answer: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        }
    }

    /// All records but OPT.
    pub(super) fn records_mut(&mut self) -> impl Iterator<Item = &mut Record> {
        let rest = self.authority.iter_mut().chain(&mut self.additional);
        self.answer.iter_mut().chain(rest)
    }

    /// Puts the addresses of each section into random order, behind all other records.
    pub(super) fn shuffle(&mut self) {
        for section in [&mut self.answer, &mut self.additional] {
            let is_address = |record: &Record| matches!(record.data, Data::A(_) | Data::Aaaa(_));
            section.sort_by_key(is_address);
            let start = section.partition_point(|record| !is_address(record));
            section[start..].shuffle(&mut rand::rng());
        }
    }
}

impl From<std::net::IpAddr> for Data {
    fn from(address: std::net::IpAddr) -> Self {
        match address {
            std::net::IpAddr::V4(address) => Self::A(address),
            std::net::IpAddr::V6(address) => Self::Aaaa(address),
        }
    }
}

/// Writes an authoritative reply of at most `limit` bytes: records that do not fit are left out from the end, and TC is
/// set. The OPT record is always in it.
pub(super) fn write(query: &Query<'_>, body: &Body, limit: usize) -> Vec<u8> {
    let opt = query.edns.as_ref().map(ReplyOpt::echo);
    let room = limit.saturating_sub(opt.as_ref().map_or(0, ReplyOpt::wire_len));
    let mut header = reply_header(query.header, body.rcode);
    header.set_aa(true);
    header.set_tc(body.truncated);
    let mut writer = begin(query, header, room);
    let sections = [
        (Section::Answer, &body.answer),
        (Section::Authority, &body.authority),
        (Section::Additional, &body.additional),
    ];
    let mut records = sections
        .into_iter()
        .flat_map(|(section, records)| records.iter().map(move |record| (section, record)));
    if records.any(|(section, record)| writer.record(section, record).is_err()) {
        writer.truncate();
    }
    end(writer, opt)
}

/// Writes a reply of the server's own: AA=0 and no records but OPT.
pub(super) fn write_status(query: &Query<'_>, rcode: Rcode) -> Vec<u8> {
    let writer = begin(query, reply_header(query.header, rcode), 0);
    end(writer, query.edns.as_ref().map(ReplyOpt::echo))
}

/// Writes the reply to an EDNS version that is not known (RFC 6891, 6.1.3): BADVERS, with an empty OPT.
pub(super) fn write_bad_version(query: &Query<'_>) -> Vec<u8> {
    let writer = begin(query, reply_header(query.header, Rcode::NOERROR), 0);
    let opt = ReplyOpt {
        payload_size: 0,
        bits: BADVERS_EXTENDED,
        options: Vec::new(),
    };
    end(writer, Some(opt))
}

/// Writes a reply of a header only; like CoreDNS's, it copies more of the query's flags than others.
pub(super) fn write_bare(header: Header, opcode: Opcode, rcode: Rcode) -> Vec<u8> {
    let mut reply = Header::new();
    reply.set_id(header.id());
    reply.set_qr(true);
    reply.set_opcode(opcode);
    copy_flags(header, &mut reply);
    reply.set_rcode(rcode);
    Writer::new(reply, 0).finish()
}

/// Writes FORMERR with the question, for a query whose records cannot be read.
pub(super) fn write_format_error(query: &Query<'_>) -> Vec<u8> {
    let mut header = reply_header(query.header, Rcode::FORMERR);
    copy_flags(query.header, &mut header);
    begin(query, header, 0).finish()
}

fn copy_flags(query: Header, reply: &mut Header) {
    reply.set_rd(query.rd());
    reply.set_tc(query.tc());
    reply.set_ad(query.ad());
    reply.set_cd(query.cd());
}

/// Writes the query that asks for another name what this one asks for its own, in class IN.
pub(super) fn write_query(query: &Query<'_>, name: &str) -> Option<Vec<u8>> {
    let mut writer = Writer::new(query.header, 0);
    let question = &query.question;
    writer.question(&below(name, &[0])?, question.qtype().to_int(), Class::IN.to_int());
    if let Some(edns) = &query.edns {
        writer.opt(edns.payload_size, edns.flags.into(), &copy_options(edns, |_| true));
    }
    Some(writer.finish())
}

/// Empties a reply that is too big for its transport: header with TC set, and the question.
///
/// Returns `None` where the reply cannot be read that far.
pub(super) fn truncate(reply: &[u8]) -> Option<Vec<u8>> {
    begin_truncated(reply).map(Writer::finish)
}

/// Empties an upstream's reply that is too big for the client, and keeps an OPT record for it.
pub(super) fn write_truncated(query: &Query<'_>, reply: &[u8]) -> Option<Vec<u8>> {
    Some(end(begin_truncated(reply)?, query.edns.as_ref().map(ReplyOpt::echo)))
}

fn begin_truncated(reply: &[u8]) -> Option<Writer> {
    let message = Message::from_slice(reply).ok()?;
    let question = message.sole_question().ok()?;
    let mut header = message.header();
    header.set_tc(true);
    let mut writer = Writer::new(header, 0);
    let qname: DomainName<Vec<u8>> = question.qname().to_name();
    writer.question(qname.as_slice(), question.qtype().to_int(), question.qclass().to_int());
    Some(writer)
}

/// The OPT record of a reply to this query, in wire form, if it is to have one.
pub(super) fn write_opt(query: &Query<'_>) -> Option<Vec<u8>> {
    let mut writer = Writer::new(Header::new(), 0);
    let opt = ReplyOpt::echo(query.edns.as_ref()?);
    writer.opt(opt.payload_size, opt.bits, &opt.options);
    Some(writer.finish().split_off(HEADER_LEN))
}

/// A reply's OPT record.
struct ReplyOpt {
    payload_size: u16,
    /// Extended rcode, version and flags.
    bits: u32,
    options: Vec<u8>,
}

impl ReplyOpt {
    fn echo(edns: &Edns<'_>) -> Self {
        Self {
            payload_size: edns.payload_size,
            bits: u32::from(edns.flags & ECHOED_FLAGS),
            options: copy_options(edns, |code| ECHOED_OPTIONS.contains(&code)),
        }
    }

    /// Its length in bytes: the root's name, type, class, TTL and length of the data before the options.
    fn wire_len(&self) -> usize {
        11 + self.options.len()
    }
}

/// The options of these codes, in wire form.
fn copy_options(edns: &Edns<'_>, keep: impl Fn(OptionCode) -> bool) -> Vec<u8> {
    let options = edns.options.iter::<UnknownOptData<_>>().flatten();
    let kept = options.filter(|option| keep(option.code()));
    let bytes = kept.flat_map(|option| {
        let (code, data) = (option.code().to_int(), option.as_slice());
        [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
    });
    bytes.collect()
}

fn begin(query: &Query<'_>, header: Header, room: usize) -> Writer {
    let mut writer = Writer::new(header, room);
    let question = &query.question;
    writer.question(&query.qname(), question.qtype().to_int(), question.qclass().to_int());
    writer
}

fn end(mut writer: Writer, opt: Option<ReplyOpt>) -> Vec<u8> {
    if let Some(opt) = opt {
        writer.opt(opt.payload_size, opt.bits, &opt.options);
    }
    writer.finish()
}

fn reply_header(query: Header, rcode: Rcode) -> Header {
    let copied = query.opcode() == Opcode::QUERY;
    let mut header = Header::new();
    header.set_id(query.id());
    header.set_qr(true);
    header.set_opcode(query.opcode());
    header.set_rd(copied && query.rd());
    header.set_cd(copied && query.cd());
    header.set_rcode(rcode);
    header
}

#[cfg(test)]
mod tests {
    use dns_ebpf::decide::Zone;
    use domain::base::ParsedName;
    use domain::rdata::AllRecordData;

    use super::super::testing::*;
    use super::*;
    use crate::rules::{Data as RuleData, Record as RuleRecord};

    const SERIAL: u32 = 1_700_000_000;

    fn records(answer: Vec<RuleData>) -> Content {
        let at_question = |data| RuleRecord { owner: None, data };
        Content::Records(Records {
            answer: answer.into_iter().map(at_question).collect(),
            glue: Vec::new(),
        })
    }

    fn address() -> Content {
        records(vec![RuleData::A([10, 96, 0, 10].into())])
    }

    fn body(query: &Query<'_>, content: &Content, ttl: u32) -> Body {
        let zone = Zone { name_len: 15, ttl };
        let primary = Name::parse("cluster.local").unwrap();
        Setting::new(&query.qname(), zone, &primary, SERIAL).body(content)
    }

    /// The reply in the zone `cluster.local`.
    fn answer(query: &[u8], content: &Content, limit: usize) -> Vec<u8> {
        let query = Query::read(query).unwrap();
        write(&query, &body(&query, content, 30), limit)
    }

    /// The records of a reply, after their section.
    fn list(reply: &[u8]) -> Vec<String> {
        let message = Message::from_slice(reply).unwrap();
        let text = |record: domain::base::record::ParsedRecord<'_, [u8]>| {
            record
                .to_any_record::<AllRecordData<_, ParsedName<_>>>()
                .unwrap()
                .to_string()
        };
        message
            .iter()
            .map(|record| record.unwrap())
            .map(|(record, section)| format!("{section:?} {}", text(record)))
            .collect()
    }

    #[test]
    fn writes_an_address_byte_by_byte() {
        let query = query("A.cluster.local", 1);
        let expected = [
            b"\x12\x34\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00",
            &query[12..],
            b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\x0a\x60\x00\x0a",
        ]
        .concat();
        assert_eq!(answer(&query, &address(), 512), expected);
    }

    #[test]
    fn writes_each_kind_of_content_in_the_letter_case_of_the_question() {
        let soa = |section: &str, ttl: u32, minimum: u32| {
            format!(
                "{section} Cluster.LOCAL. {ttl} IN SOA ns.dns.Cluster.LOCAL. hostmaster.Cluster.LOCAL. \
                 {SERIAL} 7200 1800 86400 {minimum}"
            )
        };
        let owner = "Answer Web.n.svc.Cluster.LOCAL.";
        let target = || "a.b.svc".to_owned();
        let srv = RuleData::Srv {
            weight: 50,
            port: 80,
            target: target(),
        };
        let glued = Content::Records(Records {
            answer: vec![RuleRecord { owner: None, data: srv }],
            glue: vec![(target(), [10, 0, 0, 1].into())],
        });
        let alias = "x.n.svc.cluster.local";
        let cname = RuleRecord {
            owner: None,
            data: RuleData::Cname(alias.into()),
        };
        let behind = RuleRecord {
            owner: Some(alias.into()),
            data: RuleData::A([10, 0, 0, 1].into()),
        };
        let aliased = Content::Records(Records {
            answer: vec![cname, behind],
            glue: vec![],
        });
        for (content, ttl, rcode, expected) in [
            (
                address(),
                30,
                Rcode::NOERROR,
                vec![format!("{owner} 30 IN A 10.96.0.10")],
            ),
            (
                records(vec![RuleData::Ns(target())]),
                3600,
                Rcode::NOERROR,
                vec![format!("{owner} 3600 IN NS a.b.svc.Cluster.LOCAL.")],
            ),
            (
                records(vec![RuleData::Ptr(target())]),
                5,
                Rcode::NOERROR,
                vec![format!("{owner} 5 IN PTR a.b.svc.cluster.local.")],
            ),
            (
                records(vec![RuleData::Txt("1.1.0")]),
                5,
                Rcode::NOERROR,
                vec![format!("{owner} 28800 IN TXT \"1.1.0\"")],
            ),
            (
                glued,
                5,
                Rcode::NOERROR,
                vec![
                    format!("{owner} 5 IN SRV 0 50 80 a.b.svc.Cluster.LOCAL"),
                    "Additional a.b.svc.Cluster.LOCAL. 5 IN A 10.0.0.1".into(),
                ],
            ),
            (
                aliased,
                5,
                Rcode::NOERROR,
                vec![
                    format!("{owner} 5 IN CNAME x.n.svc.cluster.local."),
                    "Answer x.n.svc.cluster.local. 5 IN A 10.0.0.1".into(),
                ],
            ),
            (Content::Soa, 30, Rcode::NOERROR, vec![soa("Answer", 30, 30)]),
            (Content::NoData, 30, Rcode::NOERROR, vec![soa("Authority", 30, 30)]),
            (
                Content::NxDomain,
                3600,
                Rcode::NXDOMAIN,
                vec![soa("Authority", 300, 3600)],
            ),
            (Content::Failure, 0, Rcode::SERVFAIL, vec![soa("Authority", 0, 0)]),
        ] {
            let query = query("Web.n.svc.Cluster.LOCAL", 1);
            let parsed = Query::read(&query).unwrap();
            let reply = write(&parsed, &body(&parsed, &content, ttl), 512);
            assert_eq!(list(&reply), expected, "{content:?}");
            assert_eq!(reply[12..query.len()], query[12..], "{content:?}");
            let header = Message::from_slice(&reply).unwrap().header();
            assert_eq!(
                (header.rcode(), header.aa(), header.tc()),
                (rcode, true, false),
                "{content:?}"
            );
        }
    }

    #[test]
    fn puts_addresses_behind_other_records_in_random_order() {
        let data = |last| RuleData::A([10, 0, 0, last].into());
        let content = records(
            [
                vec![data(1)],
                vec![RuleData::Cname("x".into())],
                (2..20).map(data).collect(),
            ]
            .concat(),
        );
        let query = query("a.cluster.local", 1);
        let query = Query::read(&query).unwrap();
        let mut orders = std::collections::HashSet::new();
        for _ in 0..20 {
            let mut body = body(&query, &content, 30);
            body.shuffle();
            assert!(matches!(body.answer[0].data, Data::Cname(_)));
            orders.insert(format!("{:?}", body.answer));
        }
        assert!(orders.len() > 10);
    }

    #[test]
    fn copies_rd_and_cd_of_a_query_and_no_other_flag() {
        for (asked, expected) in [
            ([0x00, 0x00], [0x84, 0x00]),
            ([0x01, 0x00], [0x85, 0x00]),
            ([0x00, 0x10], [0x84, 0x10]),
            // AA, TC, RA, Z, AD and an rcode are no business of a query.
            ([0x07, 0xff], [0x85, 0x10]),
            // NOTIFY keeps its opcode alone.
            ([0x21, 0x10], [0xa4, 0x00]),
        ] {
            let mut query = query("a.cluster.local", 1);
            query[2..4].copy_from_slice(&asked);
            assert_eq!(answer(&query, &address(), 512)[2..4], expected, "{asked:02x?}");
        }
    }

    #[test]
    fn echoes_an_opt_record_and_the_options_that_may_be() {
        let nsid = &b"\x00\x03\x00\x00"[..];
        let subnet = b"\x00\x08\x00\x04\x00\x01\x00\x00";
        let cookie = b"\x00\x0a\x00\x0812345678";
        let private = b"\xfd\xe9\x00\x01x";
        let padding = b"\x00\x0c\x00\x02\x00\x00";
        let options = [nsid, subnet, cookie, private, padding].concat();
        let echoed = [nsid, cookie, padding].concat();
        let query = query("a.cluster.local", 1);
        let bare = answer(&query, &address(), 512);
        for (size, asked, expected) in [(100, 0, 0), (1232, 0x8000, 0x8000), (65535, 0xc0ff, 0xc000)] {
            let reply = answer(&with_opt(query.clone(), size, asked, &options), &address(), 512);
            assert_eq!(reply, with_opt(bare.clone(), size, expected, &echoed), "{size}");
        }
    }

    #[test]
    fn truncates_what_exceeds_the_limit_and_keeps_the_opt_record() {
        let query = with_opt(
            query("a.cluster.local", 1),
            512,
            0,
            &[&b"\x00\x0c\x01\x90"[..], &[0; 400]].concat(),
        );
        let whole = answer(&query, &address(), 65535);
        assert_eq!(answer(&query, &address(), whole.len()), whole);
        let truncated = answer(&query, &address(), whole.len() - 1);
        assert_eq!(truncated, [&query[..2], &[0x87, 0x00], &query[4..]].concat());
    }

    #[test]
    fn fills_a_truncated_reply_with_the_records_that_fit() {
        let address = |last| Record {
            owner: b"\x01a\x07cluster\x05local\0".to_vec(),
            ttl: 30,
            data: Data::A([10, 0, 0, last].into()),
        };
        let content = Body {
            answer: (0..20).map(address).collect(),
            additional: (20..40).map(address).collect(),
            ..Body::empty(Rcode::NOERROR)
        };
        // A header of 12 bytes, a question of 21, 16 for each address behind a pointer to it, and 11 for OPT.
        let query = with_opt(query("a.cluster.local", 1), 1232, 0, b"");
        for (limit, answers, additionals, truncated) in [
            (684, 20, 21, false),
            (683, 20, 20, true),
            (364, 20, 1, true),
            (363, 19, 1, true),
            (60, 1, 1, true),
            (59, 0, 1, true),
        ] {
            let reply = write(&Query::read(&query).unwrap(), &content, limit);
            let message = Message::from_slice(&reply).unwrap();
            let counts = message.header_counts();
            assert!(reply.len() <= limit, "{} of {limit}", reply.len());
            assert_eq!(
                (counts.ancount(), counts.arcount(), message.header().tc()),
                (answers, additionals, truncated),
                "{limit}"
            );
        }
    }

    #[test]
    fn leaves_the_soa_out_where_the_zone_has_no_room_for_its_names() {
        let zone = [&*"a".repeat(63), &*"b".repeat(63), &*"c".repeat(63), &*"d".repeat(53)].join(".");
        let query = query(&zone, 1);
        let query = Query::read(&query).unwrap();
        let primary = Name::parse("cluster.local").unwrap();
        let zone = Zone { name_len: 247, ttl: 30 };
        let body = Setting::new(&query.qname(), zone, &primary, SERIAL).body(&Content::NoData);
        assert_eq!(body.authority, []);
    }

    #[test]
    fn writes_statuses_without_records() {
        let asked = with_opt(query("a.b", 1), 1232, 0x0001_8000, b"\x00\x03\x00\x00");
        let query = Query::read(&asked).unwrap();
        let reply = |flags: [u8; 2]| [&asked[..2], &flags, b"\0\x01\0\0\0\0\0\0", &asked[12..21]].concat();
        let refused = with_opt(reply([0x81, 5]), 1232, 0x8000, b"\x00\x03\x00\x00");
        assert_eq!(write_status(&query, Rcode::REFUSED), refused);
        assert_eq!(
            write_bad_version(&query),
            with_opt(reply([0x81, 0]), 0, 0x0100_0000, b"")
        );
    }

    #[test]
    fn empties_a_reply_to_header_and_question() {
        let query = query("Example.com", 1);
        let expected = [&query[..2], &[0x87, 0xf0], &query[4..]].concat();
        assert_eq!(truncate(&strange_reply(&query)), Some(expected));
        assert_eq!(truncate(b"short"), None);
        assert_eq!(truncate(&bare_reply(&query, 0x85)), None);
    }
}
