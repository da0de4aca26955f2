//! Writing replies: pure functions from a query and what to say to the bytes on the wire.
//!
//! Flags, SOA and OPT are those of CoreDNS's `kubernetes` plugin and server. Unlike CoreDNS, names are always
//! compressed, against the question first: owners keep the question's letter case, and more fits before truncation.

use std::net::{Ipv4Addr, Ipv6Addr};

use dns_ebpf::decide::{Action, Entry, Verdict, Zone};
use domain::base::iana::{Class, Opcode, OptionCode, Rcode};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder, PushError};
use domain::base::name::{Name, ToName};
use domain::base::opt::{Opt, UnknownOptData};
use domain::base::wire::Composer;
use domain::base::{Header, Message, MessageBuilder, Record, Serial, StaticCompressor, Ttl};
use domain::rdata::{A, Aaaa, Soa, ZoneRecordData};

use super::query::{Edns, Query};

/// The longest TTL of an SOA record, in seconds.
const MAX_SOA_TTL: u32 = 300;

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
const BADVERS_EXTENDED: u8 = 1;

type OwnedName = Name<Vec<u8>>;
type Data = ZoneRecordData<Vec<u8>, OwnedName>;
type OwnedRecord = Record<OwnedName, Data>;

/// What the zones say to a question: the part of a reply that is not copied from the query.
pub(super) struct Content {
    rcode: Rcode,
    answer: Vec<OwnedRecord>,
    authority: Vec<OwnedRecord>,
    additional: Vec<OwnedRecord>,
}

impl Content {
    /// Turns the verdict on a query's question into records; `None` where it says nothing.
    ///
    /// `serial` is the one of the zones.
    pub(super) fn of(verdict: Verdict, query: &Query<'_>, serial: u32) -> Option<Self> {
        let owner: OwnedName = query.question.qname().to_name();
        let Entry { ipv4, ipv6, zone, .. } = verdict.entry;
        Some(match verdict.action {
            Action::A => Self::positive(owner, zone, A::new(Ipv4Addr::from(ipv4.0)).into()),
            Action::Aaaa => Self::positive(owner, zone, Aaaa::new(Ipv6Addr::from(ipv6.0)).into()),
            Action::NoData => Self::negative(Rcode::NOERROR, &owner, zone, serial),
            Action::NxDomain => Self::negative(Rcode::NXDOMAIN, &owner, zone, serial),
            Action::Pass(_) => return None,
        })
    }

    fn positive(owner: OwnedName, zone: Zone, data: Data) -> Self {
        let record = Record::new(owner, Class::IN, Ttl::from_secs(zone.ttl), data);
        Self {
            rcode: Rcode::NOERROR,
            answer: vec![record],
            authority: Vec::new(),
            additional: Vec::new(),
        }
    }

    fn negative(rcode: Rcode, qname: &OwnedName, zone: Zone, serial: u32) -> Self {
        Self {
            rcode,
            answer: Vec::new(),
            authority: soa(qname, zone, serial).into_iter().collect(),
            additional: Vec::new(),
        }
    }
}

/// Writes an authoritative reply of at most `limit` bytes: records that do not fit are left out from the end, and TC is
/// set. The OPT record is always in it.
pub(super) fn write(query: &Query<'_>, content: &Content, limit: usize) -> Vec<u8> {
    let status = Status {
        authoritative: true,
        ..Status::of(content.rcode)
    };
    let opt = query.edns.as_ref().map(echo);
    compose(query, status, Some((content, limit)), opt.as_ref())
}

/// Writes a reply of the server's own: AA=0 and no records but OPT.
pub(super) fn write_status(query: &Query<'_>, rcode: Rcode) -> Vec<u8> {
    compose(query, Status::of(rcode), None, query.edns.as_ref().map(echo).as_ref())
}

/// Writes the reply to an EDNS version that is not known (RFC 6891, 6.1.3): BADVERS, with an empty OPT.
pub(super) fn write_bad_version(query: &Query<'_>) -> Vec<u8> {
    let opt = ReplyOpt {
        payload_size: 0,
        extended_rcode: BADVERS_EXTENDED,
        flags: 0,
        options: Opt::empty(),
    };
    compose(query, Status::of(Rcode::NOERROR), None, Some(&opt))
}

/// Writes a reply of a header only, with RD copied.
pub(super) fn write_bare(header: Header, opcode: Opcode, rcode: Rcode) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    let reply = builder.header_mut();
    reply.set_id(header.id());
    reply.set_qr(true);
    reply.set_opcode(opcode);
    reply.set_rd(header.rd());
    reply.set_rcode(rcode);
    builder.finish()
}

/// Empties a reply that is too big for its transport: header with TC set, and the question.
///
/// Returns `None` where the reply cannot be read that far.
pub(super) fn truncate(reply: &[u8]) -> Option<Vec<u8>> {
    let message = Message::from_slice(reply).ok()?;
    let mut builder = MessageBuilder::new_vec();
    *builder.header_mut() = message.header();
    builder.header_mut().set_tc(true);
    let mut builder = builder.question();
    builder.push(message.sole_question().ok()?).ok()?;
    Some(builder.finish())
}

/// The parts of a reply's header that are not copied from the query.
#[derive(Clone, Copy)]
struct Status {
    authoritative: bool,
    rcode: Rcode,
}

impl Status {
    fn of(rcode: Rcode) -> Self {
        Self {
            authoritative: false,
            rcode,
        }
    }
}

/// A reply's OPT record.
struct ReplyOpt {
    payload_size: u16,
    extended_rcode: u8,
    flags: u16,
    options: Opt<Vec<u8>>,
}

impl ReplyOpt {
    /// Its length in bytes: the root's name, type, class, TTL and length of the data before the options.
    fn wire_len(&self) -> usize {
        11 + self.options.len()
    }
}

/// `content` comes with the length in bytes that the reply may have with it.
fn compose(query: &Query<'_>, status: Status, content: Option<(&Content, usize)>, opt: Option<&ReplyOpt>) -> Vec<u8> {
    let Ok(mut builder) = MessageBuilder::from_target(StaticCompressor::new(Vec::with_capacity(512)));
    *builder.header_mut() = reply_header(query.header, status);
    push_all(builder, query, content, opt)
        // Only a message beyond 64 KiB is refused, which a single question cannot ask for.
        .map_or_else(
            |_| write_bare(query.header, Opcode::QUERY, Rcode::SERVFAIL),
            |builder| builder.finish().into_target(),
        )
}

fn reply_header(query: Header, status: Status) -> Header {
    let copied = query.opcode() == Opcode::QUERY;
    let mut header = Header::new();
    header.set_id(query.id());
    header.set_qr(true);
    header.set_opcode(query.opcode());
    header.set_aa(status.authoritative);
    header.set_rd(copied && query.rd());
    header.set_cd(copied && query.cd());
    header.set_rcode(status.rcode);
    header
}

fn push_all<Target: Composer>(
    builder: MessageBuilder<Target>,
    query: &Query<'_>,
    content: Option<(&Content, usize)>,
    opt: Option<&ReplyOpt>,
) -> Result<AdditionalBuilder<Target>, PushError> {
    let mut builder = builder.question();
    builder.push(query.question)?;
    let mut builder = match content {
        None => builder.additional(),
        Some((content, limit)) => {
            let room = limit.saturating_sub(opt.map_or(0, ReplyOpt::wire_len));
            // The builder's limit is the first length that is too much.
            builder.set_push_limit(room + 1);
            push_content(builder.answer(), content)
        }
    };
    builder.clear_push_limit();
    if let Some(opt) = opt {
        let bits = u32::from(opt.extended_rcode) << 24 | u32::from(opt.flags);
        builder.push((
            Name::root_slice(),
            Class::from_int(opt.payload_size),
            Ttl::from_secs(bits),
            &opt.options,
        ))?;
    }
    Ok(builder)
}

/// Pushes record by record until one does not fit.
fn push_content<Target: Composer>(mut builder: AnswerBuilder<Target>, content: &Content) -> AdditionalBuilder<Target> {
    let answered = content.answer.iter().try_for_each(|record| builder.push(record));
    let mut builder = builder.authority();
    let authorized = answered.and_then(|()| content.authority.iter().try_for_each(|record| builder.push(record)));
    let mut builder = builder.additional();
    let whole = authorized.and_then(|()| content.additional.iter().try_for_each(|record| builder.push(record)));
    builder.header_mut().set_tc(whole.is_err());
    builder
}

fn echo(edns: &Edns<'_>) -> ReplyOpt {
    let mut options = Opt::empty();
    for option in edns.options.iter::<UnknownOptData<_>>().flatten() {
        if ECHOED_OPTIONS.contains(&option.code()) {
            // They came in one OPT record, so they fit into one.
            let _ = options.push(&option);
        }
    }
    ReplyOpt {
        payload_size: edns.payload_size,
        extended_rcode: 0,
        flags: edns.flags & ECHOED_FLAGS,
        options,
    }
}

/// The SOA record of the zone that `qname` ends in, in the letter case of `qname`.
///
/// `None` where the zone's name leaves no room for the labels before it.
fn soa(qname: &OwnedName, zone: Zone, serial: u32) -> Option<OwnedRecord> {
    let start = qname.len().checked_sub(zone.name_len.into())?;
    let apex = &qname.as_slice()[start..];
    let below = |labels: &[u8]| Name::from_octets([labels, apex].concat()).ok();
    let [refresh, retry, expire] = SOA_TIMES.map(Ttl::from_secs);
    let data = Soa::new(
        below(b"\x02ns\x03dns")?,
        below(b"\x0ahostmaster")?,
        Serial(serial),
        refresh,
        retry,
        expire,
        Ttl::from_secs(zone.ttl),
    );
    Some(Record::new(
        below(b"")?,
        Class::IN,
        Ttl::from_secs(zone.ttl.min(MAX_SOA_TTL)),
        data.into(),
    ))
}

#[cfg(test)]
mod tests {
    use dns_ebpf::outcome::Pass;
    use domain::base::ParsedName;
    use domain::rdata::AllRecordData;

    use super::super::testing::*;
    use super::*;

    /// The zone `cluster.local`.
    const ZONE: Zone = Zone { name_len: 15, ttl: 30 };
    const SERIAL: u32 = 1_700_000_000;

    fn verdict(action: Action, zone: Zone) -> Verdict {
        let ipv6 = "fd00::a".parse::<Ipv6Addr>().unwrap().octets();
        Verdict {
            action,
            entry: Entry::new(Some([10, 96, 0, 10]), Some(ipv6), zone),
        }
    }

    fn address() -> Verdict {
        verdict(Action::A, ZONE)
    }

    fn answer(query: &[u8], verdict: Verdict, limit: usize) -> Vec<u8> {
        let query = Query::read(query).unwrap();
        write(&query, &Content::of(verdict, &query, SERIAL).unwrap(), limit)
    }

    /// The records of a reply, after their section.
    fn records(reply: &[u8]) -> Vec<String> {
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
        assert_eq!(answer(&query, address(), 512), expected);
    }

    #[test]
    fn writes_each_verdict_in_the_letter_case_of_the_question() {
        let soa = |ttl: u32, minimum: u32| {
            format!(
                "Authority Cluster.LOCAL. {ttl} IN SOA ns.dns.Cluster.LOCAL. hostmaster.Cluster.LOCAL. \
                 {SERIAL} 7200 1800 86400 {minimum}"
            )
        };
        let with_ttl = |ttl| Zone { ttl, ..ZONE };
        let owner = "Answer Web.Default.svc.Cluster.LOCAL.";
        for (verdict, rcode, record) in [
            (address(), Rcode::NOERROR, format!("{owner} 30 IN A 10.96.0.10")),
            (
                verdict(Action::Aaaa, with_ttl(3600)),
                Rcode::NOERROR,
                format!("{owner} 3600 IN AAAA fd00::a"),
            ),
            (verdict(Action::NoData, ZONE), Rcode::NOERROR, soa(30, 30)),
            (verdict(Action::NxDomain, ZONE), Rcode::NXDOMAIN, soa(30, 30)),
            (
                verdict(Action::NxDomain, with_ttl(3600)),
                Rcode::NXDOMAIN,
                soa(300, 3600),
            ),
            (verdict(Action::NoData, with_ttl(0)), Rcode::NOERROR, soa(0, 0)),
        ] {
            let query = query("Web.Default.svc.Cluster.LOCAL", 1);
            let reply = answer(&query, verdict, 512);
            assert_eq!(records(&reply), [record], "{verdict:?}");
            assert_eq!(reply[12..query.len()], query[12..], "{verdict:?}");
            let header = Message::from_slice(&reply).unwrap().header();
            assert_eq!(
                (header.rcode(), header.aa(), header.tc()),
                (rcode, true, false),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn says_nothing_of_what_the_tables_pass() {
        let query = query("a.cluster.local", 1);
        let query = Query::read(&query).unwrap();
        assert!(Content::of(verdict(Action::Pass(Pass::Unsynced), ZONE), &query, SERIAL).is_none());
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
            assert_eq!(answer(&query, address(), 512)[2..4], expected, "{asked:02x?}");
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
        let bare = answer(&query, address(), 512);
        for (size, asked, expected) in [(100, 0, 0), (1232, 0x8000, 0x8000), (65535, 0xc0ff, 0xc000)] {
            let reply = answer(&with_opt(query.clone(), size, asked, &options), address(), 512);
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
        let whole = answer(&query, address(), 65535);
        assert_eq!(answer(&query, address(), whole.len()), whole);
        let truncated = answer(&query, address(), whole.len() - 1);
        assert_eq!(truncated, [&query[..2], &[0x87, 0x00], &query[4..]].concat());
    }

    #[test]
    fn fills_a_truncated_reply_with_the_records_that_fit() {
        let address = |last| {
            let data = A::new(Ipv4Addr::new(10, 0, 0, last)).into();
            let owner = Name::from_octets(b"\x01a\x07cluster\x05local\0".to_vec()).unwrap();
            Record::new(owner, Class::IN, Ttl::from_secs(30), data)
        };
        let content = Content {
            rcode: Rcode::NOERROR,
            answer: (0..20).map(address).collect(),
            authority: Vec::new(),
            additional: (20..40).map(address).collect(),
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
        let reply = answer(
            &query(&zone, 1),
            verdict(Action::NoData, Zone { name_len: 247, ttl: 30 }),
            512,
        );
        assert_eq!(records(&reply), [""; 0]);
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
