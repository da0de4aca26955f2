//! Making replies: what the zones say, and what the server says itself, as messages, and these as bytes for a client.
//!
//! Flags, SOA, order and OPT are those of CoreDNS's `kubernetes` plugin and server. Unlike CoreDNS, names are always
//! compressed.

use std::net::IpAddr;

use domain::base::iana::{Opcode, OptRcode, Rcode, Rtype};
use domain::base::{Header, HeaderCounts};

use super::edns;
use super::message::{MAX_LEN, Message, Question, Record};
use super::query::Query;
use super::rdata::Data;
use super::reader::WireName;
use crate::corefile::soa_ttl;
use crate::name::Name;
use crate::rules;
use crate::zone::{Content, Zone};

/// The TTL of the specification's version, in seconds.
const VERSION_TTL: u32 = 28_800;

/// The SOA's refresh, retry and expire fields, in seconds.
const SOA_TIMES: [u32; 3] = [7200, 1800, 86400];

/// What the records of a zone's reply have in common.
pub(super) struct Setting<'q> {
    query: &'q Query,
    /// The zone's name in the letter case of the question: the end of the name asked for.
    apex: &'q [u8],
    /// The zone in which the targets of PTR records lie.
    primary: &'q Name,
    ttl: u32,
    serial: u32,
}

impl<'q> Setting<'q> {
    /// The setting of this query, in the zone of its name's last bytes.
    pub(super) fn new(query: &'q Query, zone: Zone, primary: &'q Name) -> Self {
        let qname = query.qname();
        let start = qname.len().saturating_sub(zone.name_len);
        Self {
            apex: &qname[start..],
            query,
            primary,
            ttl: zone.ttl,
            serial: zone.serial,
        }
    }

    /// The reply to the query.
    pub(super) fn reply(&self, content: &Content) -> Message {
        let rcode = match content {
            Content::Records(_) | Content::Elsewhere { .. } | Content::Soa | Content::NoData => OptRcode::NOERROR,
            Content::NxDomain => OptRcode::NXDOMAIN,
            Content::Failure => OptRcode::SERVFAIL,
        };
        let mut reply = status(self.query, rcode);
        reply.header.set_aa(true);
        match content {
            Content::Records(records) => {
                reply.answer = self.records(&records.answer);
                reply.additional = self.glue(&records.glue);
            }
            Content::Elsewhere { aliases, .. } => reply.answer = self.records(aliases),
            Content::Soa => reply.answer = self.soa().into_iter().collect(),
            Content::NoData | Content::NxDomain | Content::Failure => {
                reply.authority = self.soa().into_iter().collect();
            }
        }
        reply
    }

    fn records(&self, records: &[rules::Record]) -> Vec<Record> {
        records.iter().filter_map(|record| self.record(record)).collect()
    }

    fn glue(&self, glue: &[(rules::Target, IpAddr)]) -> Vec<Record> {
        let records = glue.iter().filter_map(|(target, address)| {
            Some(Record {
                owner: below(target, self.apex)?,
                ttl: self.ttl,
                data: Data::of_address(*address),
            })
        });
        records.collect()
    }

    /// A record on the wire; `None` where a name would be too long.
    fn record(&self, record: &rules::Record) -> Option<Record> {
        let target = |target: &str| below(target, self.apex);
        let data = match &record.data {
            rules::Data::A(address) => Data::of_address((*address).into()),
            rules::Data::Aaaa(address) => Data::of_address((*address).into()),
            rules::Data::Cname(name) => Data::of_name(Rtype::CNAME, &below(name, ROOT)?),
            rules::Data::Ns(name) => Data::of_name(Rtype::NS, &target(name)?),
            rules::Data::Ptr(name) => Data::of_name(Rtype::PTR, &below(name, self.primary.as_wire())?),
            rules::Data::Txt(text) => Data::of_text(text),
            rules::Data::Srv {
                weight,
                port,
                target: name,
            } => Data::of_service(*weight, *port, &target(name)?),
        };
        let owner = match &record.owner {
            Some(owner) => below(owner, ROOT)?,
            None => self.query.qname().clone(),
        };
        let ttl = match record.data {
            rules::Data::Txt(_) => VERSION_TTL,
            _ => self.ttl,
        };
        Some(Record { owner, ttl, data })
    }

    /// The zone's SOA record, in the letter case of the question; `None` where its names would be too long.
    fn soa(&self) -> Option<Record> {
        let [refresh, retry, expire] = SOA_TIMES;
        let (mname, rname) = (below("ns.dns", self.apex)?, below("hostmaster", self.apex)?);
        Some(Record {
            owner: self.apex.to_vec(),
            ttl: soa_ttl(self.ttl),
            data: Data::of_authority(&mname, &rname, [self.serial, refresh, retry, expire, self.ttl]),
        })
    }
}

/// The root's name in wire form.
pub(super) const ROOT: &[u8] = &[0];

/// The name with these labels left of a zone's, given in wire form; `None` where it would be none.
pub(super) fn below(labels: &str, zone: &[u8]) -> Option<WireName> {
    let mut wire = Vec::with_capacity(labels.len() + zone.len() + 1);
    for label in labels.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).ok().filter(|len| *len < 64)?);
        wire.extend(label.bytes());
    }
    wire.extend(zone);
    (wire.len() <= crate::name::MAX_NAME_LEN).then_some(wire)
}

/// A reply without records: what the server itself says.
pub(super) fn status(query: &Query, rcode: OptRcode) -> Message {
    Message::new(
        reply_header(query.message.header),
        rcode,
        query.message.question.clone(),
    )
}

/// Writes a reply for its client: with the OPT record that is due, and no longer than the client takes.
pub(super) fn write(query: &Query, mut reply: Message) -> Vec<u8> {
    if let Some(asked) = query.edns() {
        match reply.opt_mut() {
            Some(opt) => asked.adapt(opt),
            None => reply.additional.push(asked.echo()),
        }
    }
    reply.extend_rcode();
    reply.write(query.size_limit())
}

/// Writes the reply to an EDNS version that is not known (RFC 6891, 6.1.3): BADVERS, with an empty OPT.
pub(super) fn write_bad_version(query: &Query) -> Vec<u8> {
    let mut reply = status(query, OptRcode::BADVERS);
    reply.additional.push(edns::opt(0, 0, &[]));
    reply.extend_rcode();
    reply.write(MAX_LEN)
}

/// Writes FORMERR with the question, for a query whose records cannot be read.
pub(super) fn write_rejection(query: Header, question: Question) -> Vec<u8> {
    Message::new(rejection_header(query), OptRcode::FORMERR, question).write(MAX_LEN)
}

/// Writes a reply of a header only, for a query whose header will not do or whose question cannot be read.
pub(super) fn write_bare_rejection(query: Header, rcode: Rcode) -> Vec<u8> {
    let mut header = rejection_header(query);
    if rcode == Rcode::NOTIMP {
        header.set_opcode(query.opcode());
    }
    write_bare(header, rcode)
}

/// Writes SERVFAIL in a reply of a header only, for a query that is no more than that.
pub(super) fn write_bare_failure(query: Header) -> Vec<u8> {
    write_bare(reply_header(query), Rcode::SERVFAIL)
}

fn write_bare(mut header: Header, rcode: Rcode) -> Vec<u8> {
    header.set_rcode(rcode);
    [header.as_slice(), HeaderCounts::new().as_slice()].concat()
}

/// The header of a reply.
fn reply_header(query: Header) -> Header {
    let copied = query.opcode() == Opcode::QUERY;
    let mut header = Header::new();
    header.set_id(query.id());
    header.set_qr(true);
    header.set_opcode(query.opcode());
    header.set_rd(copied && query.rd());
    header.set_cd(copied && query.cd());
    header
}

/// The header of a rejection, which copies more of the query's flags, and not its opcode.
fn rejection_header(query: Header) -> Header {
    let mut header = query;
    header.set_qr(true);
    header.set_opcode(Opcode::QUERY);
    header.set_aa(false);
    header.set_z(false);
    header
}

#[cfg(test)]
mod tests {
    use domain::base::{Message as Reading, ParsedName};
    use domain::rdata::AllRecordData;

    use super::super::testing::*;
    use super::*;
    use crate::rules::{Data as RuleData, Record as RuleRecord, Records};

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

    fn reply(query: &Query, content: &Content, ttl: u32) -> Message {
        let zone = Zone {
            name_len: 15,
            ttl,
            serial: SERIAL,
        };
        let primary = Name::parse("cluster.local").unwrap();
        Setting::new(query, zone, &primary).reply(content)
    }

    /// The reply over UDP in the zone `cluster.local`.
    fn answer(query: &[u8], content: &Content) -> Vec<u8> {
        let query = Query::read(query, UDP).unwrap();
        write(&query, reply(&query, content, 30))
    }

    /// The records of a reply, after their section.
    fn list(reply: &[u8]) -> Vec<String> {
        let message = Reading::from_slice(reply).unwrap();
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
        assert_eq!(answer(&query, &address()), expected);
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
            let parsed = Query::read(&query, UDP).unwrap();
            let reply = write(&parsed, reply(&parsed, &content, ttl));
            assert_eq!(list(&reply), expected, "{content:?}");
            assert_eq!(reply[12..query.len()], query[12..], "{content:?}");
            let header = Reading::from_slice(&reply).unwrap().header();
            assert_eq!(
                (header.rcode(), header.aa(), header.tc()),
                (rcode, true, false),
                "{content:?}"
            );
        }
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
            assert_eq!(answer(&query, &address())[2..4], expected, "{asked:02x?}");
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
        let bare = answer(&query, &address());
        for (size, asked, expected) in [(100, 0, 0), (1232, 0x8000, 0x8000), (65535, 0xc0ff, 0xc000)] {
            let reply = answer(&with_opt(query.clone(), size, asked, &options), &address());
            assert_eq!(reply, with_opt(bare.clone(), size, expected, &echoed), "{size}");
        }
    }

    #[test]
    fn an_upstreams_opt_record_is_made_one_for_the_client() {
        let plain = query("a", 1);
        let upstreams = with_opt(plain.clone(), 4096, 0x00ff_40ff, b"\0\x03\0\x02id");
        for (size, flags, expected) in [(1232, 0, 0x4000), (0, 0xc000, 0xc000), (512, 0x00ff, 0x4000)] {
            let query = with_opt(plain.clone(), size, flags, b"\0\x0a\0\0");
            let reply = Message::read(&upstreams).unwrap();
            let written = write(&Query::read(&query, UDP).unwrap(), reply);
            assert_eq!(written, with_opt(plain.clone(), size, expected, b"\0\x03\0\x02id"));
        }
    }

    #[test]
    fn an_extended_rcode_outlives_the_opt_record_that_it_came_in() {
        let query = Query::read(&with_opt(query("a", 1), 1232, 0, b""), UDP).unwrap();
        let reply = write(&query, status(&query, OptRcode::BADCOOKIE));
        assert_eq!(Message::read(&reply).unwrap().rcode, OptRcode::BADCOOKIE);
    }

    #[test]
    fn truncates_what_exceeds_the_limit_and_keeps_the_opt_record() {
        let padded = |len: u16| {
            let padding = [&b"\x00\x0c"[..], &len.to_be_bytes(), &vec![0; len.into()]].concat();
            with_opt(query("a.cluster.local", 1), 512, 0, &padding)
        };
        // A header of 12 bytes, a question of 21, an address of 16, OPT with 15.
        assert_eq!(answer(&padded(448), &address()).len(), 512);
        let truncated = padded(449);
        let expected = [&truncated[..2], &[0x87, 0x00], &truncated[4..]].concat();
        assert_eq!(answer(&truncated, &address()), expected);
    }

    #[test]
    fn fills_a_truncated_reply_with_the_records_that_fit() {
        let address = |last| Record {
            owner: b"\x01a\x07cluster\x05local\0".to_vec(),
            ttl: 30,
            data: Data::of_address([10, 0, 0, last].into()),
        };
        let mut content = status(
            &Query::read(&query("a.cluster.local", 1), UDP).unwrap(),
            OptRcode::NOERROR,
        );
        content.answer = (0..20).map(address).collect();
        content.additional = (20..40).map(address).collect();
        // OPT records keep their place, and their room.
        content.additional.insert(1, edns::opt(1232, 0, b""));
        // A header of 12 bytes, a question of 21, 16 for each address behind a pointer to it, and 11 for OPT.
        for (limit, answers, additionals, truncated) in [
            (684, 20, 21, false),
            (683, 20, 20, true),
            (364, 20, 1, true),
            (363, 19, 1, true),
            (60, 1, 1, true),
            (59, 0, 1, true),
        ] {
            let reply = content.write(limit);
            let message = Reading::from_slice(&reply).unwrap();
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
        let query = Query::read(&query, UDP).unwrap();
        let primary = Name::parse("cluster.local").unwrap();
        let zone = Zone {
            name_len: 247,
            ttl: 30,
            serial: SERIAL,
        };
        let reply = Setting::new(&query, zone, &primary).reply(&Content::NoData);
        assert_eq!(reply.authority, []);
    }

    #[test]
    fn writes_statuses_without_records() {
        let asked = with_opt(query("a.b", 1), 1232, 0x0001_8000, b"\x00\x03\x00\x00");
        let query = Query::read(&asked, UDP).unwrap();
        let reply = |flags: [u8; 2]| [&asked[..2], &flags, b"\0\x01\0\0\0\0\0\0", &asked[12..21]].concat();
        let refused = with_opt(reply([0x81, 5]), 1232, 0x8000, b"\x00\x03\x00\x00");
        assert_eq!(write(&query, status(&query, OptRcode::REFUSED)), refused);
        assert_eq!(
            write_bad_version(&query),
            with_opt(reply([0x81, 0]), 0, 0x0100_0000, b"")
        );
    }
}
