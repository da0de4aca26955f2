//! The programs in the kernel, one frame at a time, beside the same core in plain memory: answers, and frames that must
//! pass with every byte as it was.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::time::{Duration, Instant};

use dns_ebpf::outcome::{Kind, Outcome, Pass, Rcode};
use dns_ebpf::packet::MemoryFrame;
use dns_userspace::name::Name;
use kxdns_tests::figures::tell;
use kxdns_tests::frames::{Family, Query, frame, ones_sum, open_reply, pseudo_header, wire_name};
use kxdns_tests::program::{Hook, Programs};
use kxdns_tests::tables::{HostTables, addresses, cluster_local};

const NAME: &str = "web-service.default.svc.cluster.local";
const MIXED: &str = "wEB-SERVICE.DEFAULT.svc.Cluster.LOCAL";
const SIX: &str = "six.default.svc.cluster.local";
const DUAL: &str = "dual.default.svc.cluster.local";
const IPV4: [u8; 4] = [10, 107, 37, 188];
const IPV6: [u8; 16] = [0xfd, 0, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

/// The programs, and the same core in plain memory, over the same names.
struct Both {
    programs: Programs,
    memory: HostTables,
}

impl Both {
    /// Over no names.
    fn empty() -> Self {
        let mut programs = Programs::load().unwrap();
        programs.tables.set_zones(&cluster_local()).unwrap();
        Self {
            programs,
            memory: HostTables::new(cluster_local()),
        }
    }

    /// Over the names of these tests.
    fn new() -> Self {
        let mut both = Self::empty();
        both.put(NAME, Some(IPV4), None);
        both.put(SIX, None, Some(IPV6));
        both.put(DUAL, Some(IPV4), Some(IPV6));
        both.put(&longest(), Some(IPV4), Some(IPV6));
        both.put("default.pod.cluster.local", None, None);
        both
    }

    fn put(&mut self, name: &str, ipv4: Option<[u8; 4]>, ipv6: Option<[u8; 16]>) {
        let name = Name::parse(name).unwrap();
        self.programs.set(&name, addresses(&name, ipv4, ipv6)).unwrap();
        self.memory.set(&name, addresses(&name, ipv4, ipv6));
    }

    fn remove(&mut self, name: &str) {
        let name = Name::parse(name).unwrap();
        self.programs.set(&name, None).unwrap();
        self.memory.set(&name, None);
    }

    /// Runs a frame through every program and through the core in memory, checks that all make the same of it, and returns
    /// what that is.
    fn run(&self, frame: &[u8]) -> (Outcome, Vec<u8>) {
        let (outcome, memory) = self.memory.answer(frame, 0, ROOM);
        for hook in Hook::ALL {
            let visit = self.programs.run(hook, frame).unwrap();
            let answered = matches!(outcome, Outcome::Answered(..));
            assert_eq!(visit.answered, answered, "{hook:?} {outcome:?} {frame:02x?}");
            assert_eq!(visit.frame, memory, "{hook:?} {frame:02x?}");
        }
        let moved = self.memory.answer(frame, ROOM, 0);
        assert_eq!(moved, (outcome, memory.clone()), "room before the frame, not behind");
        (outcome, memory)
    }

    /// Runs a query that is answered, and returns the message.
    fn ask(&self, query: &Query, vlans: &[u16], family: Family) -> Vec<u8> {
        let frame = frame(family, vlans, &query.message());
        let (outcome, reply) = self.run(&frame);
        assert!(matches!(outcome, Outcome::Answered(..)), "{outcome:?} to {query:?}");
        open_reply(&frame, &reply).to_vec()
    }
}

/// Room around a frame: enough for any reply.
const ROOM: usize = 1500;

/// A name of 255 bytes in wire form.
fn longest() -> String {
    let label = "x".repeat(63);
    format!("{label}.{label}.{label}.{}.svc.cluster.local", "y".repeat(43))
}

/// Says what the message of a reply holds: flags, counts and the records after the question, as bytes.
fn parts(message: &[u8], question_len: usize) -> ([u8; 10], &[u8]) {
    (message[2..12].try_into().unwrap(), &message[12 + question_len..])
}

#[test]
fn answers_are_written_as_coredns_means_them() {
    let both = Both::new();
    let a = |name_at: [u8; 2]| [&name_at[..], &[0, 1, 0, 1, 0, 0, 0, 30, 0, 4], &IPV4].concat();
    let aaaa = |name_at: [u8; 2]| [&name_at[..], &[0, 28, 0, 1, 0, 0, 0, 30, 0, 16], &IPV6].concat();
    // (question, type, header after the ID, records)
    let cases = [
        (NAME, TYPE_A, [0x85, 0, 0, 1, 0, 1, 0, 0, 0, 0], a([0xc0, 12])),
        (MIXED, TYPE_A, [0x85, 0, 0, 1, 0, 1, 0, 0, 0, 0], a([0xc0, 12])),
        (SIX, TYPE_AAAA, [0x85, 0, 0, 1, 0, 1, 0, 0, 0, 0], aaaa([0xc0, 12])),
        (DUAL, TYPE_A, [0x85, 0, 0, 1, 0, 1, 0, 0, 0, 0], a([0xc0, 12])),
        (DUAL, TYPE_AAAA, [0x85, 0, 0, 1, 0, 1, 0, 0, 0, 0], aaaa([0xc0, 12])),
        (NAME, TYPE_AAAA, [0x85, 0, 0, 1, 0, 0, 0, 1, 0, 0], soa(NAME)),
        (SIX, TYPE_A, [0x85, 0, 0, 1, 0, 0, 0, 1, 0, 0], soa(SIX)),
    ];
    for (name, qtype, header, records) in cases {
        for family in Family::ALL {
            let query = Query::new(name, qtype);
            let message = both.ask(&query, &[], family);
            assert_eq!(message[..2], query.message()[..2], "ID");
            let question = &query.message()[12..];
            assert_eq!(
                &message[12..12 + question.len()],
                question,
                "question, in its letter case"
            );
            assert_eq!(
                parts(&message, question.len()),
                (header, &records[..]),
                "{name} {qtype}"
            );
        }
    }
}

/// What is left to others is among [`passing`].
#[test]
fn an_address_below_a_namespace_is_the_name_of_a_pod() {
    let both = Both::new();
    let exists = |name: &str, address: [u8; 4]| {
        let question_len = wire_name(name).len() + 4;
        for family in Family::ALL {
            let message = both.ask(&Query::new(name, TYPE_A), &[], family);
            let a = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4], &address[..]].concat();
            let header = [0x85, 0, 0, 1, 0, 1, 0, 0, 0, 0];
            assert_eq!(parts(&message, question_len), (header, &a[..]), "{name}");
            for qtype in [TYPE_AAAA, 16, 65] {
                let message = both.ask(&Query::new(name, qtype), &[], family);
                let header = [0x85, 0, 0, 1, 0, 0, 0, 1, 0, 0];
                assert_eq!(parts(&message, question_len), (header, &soa(name)[..]), "{name}");
            }
        }
    };
    for (name, address) in [
        ("10-1-2-3", [10, 1, 2, 3]),
        ("0-0-0-0", [0, 0, 0, 0]),
        ("255-255-255-255", [255, 255, 255, 255]),
        ("100-20-3-199", [100, 20, 3, 199]),
        ("x.10-1-2-3", [10, 1, 2, 3]),
        ("x.y.10-1-2-3", [10, 1, 2, 3]),
    ] {
        exists(&format!("{name}.default.pod.cluster.local"), address);
    }
    exists("10-1-2-3.DEFAULT.Pod.cluster.local", [10, 1, 2, 3]);
    for name in [
        "10-1-2-3.ghost",
        "x.y.z.10-1-2-3.default",
        "10-1-2.default",
        "10-1-2-3-4.default",
        "10-1-2-256.default",
        "10-1-2-1000.default",
        "999999999999999.default",
        "10-01-2-3.default",
        "00-1-2-3.default",
        "10-1-2-x.default",
        "web.default",
    ] {
        let name = format!("{name}.pod.cluster.local");
        for family in Family::ALL {
            let message = both.ask(&Query::new(&name, TYPE_A), &[], family);
            let header = [0x85, 3, 0, 1, 0, 0, 0, 1, 0, 0];
            assert_eq!(
                parts(&message, wire_name(&name).len() + 4),
                (header, &soa(&name)[..]),
                "{name}"
            );
        }
    }
}

/// The SOA record of `cluster.local` after a question for this name in it, with serial 7 and TTL 30.
fn soa(name: &str) -> Vec<u8> {
    let zone_at = 12 + wire_name(name).len() - wire_name("cluster.local").len();
    let zone = [0xc0, zone_at as u8];
    let mut soa = [&zone[..], &[0, 6, 0, 1, 0, 0, 0, 30, 0, 42]].concat();
    soa.extend(b"\x02ns\x03dns");
    soa.extend(zone);
    soa.extend(b"\x0ahostmaster");
    soa.extend(zone);
    for number in [7u32, 7200, 1800, 86400, 30] {
        soa.extend(number.to_be_bytes());
    }
    soa
}

#[test]
fn flags_and_opt_are_repeated() {
    let both = Both::new();
    let query = |flags| Query {
        flags,
        ..Query::new(NAME, TYPE_A)
    };
    // RD and CD come back, AD does not.
    for (asked, replied) in [(0x0000, 0x8400), (0x0100, 0x8500), (0x0110, 0x8510), (0x0120, 0x8500)] {
        let message = both.ask(&query(asked), &[], Family::V4);
        assert_eq!(message[2..4], u16::to_be_bytes(replied), "{asked:#x}");
    }
    // The size comes back as it is, of the flags the upper byte.
    for (size, flags, replied) in [(1232u16, 0x8000, 0x80), (100, 0, 0), (65535, 0xc0ff, 0xc0)] {
        for qtype in [TYPE_A, TYPE_AAAA] {
            for family in Family::ALL {
                let message = both.ask(&query(0x0100).with_opt(size, flags, &[]), &[], family);
                let [size_0, size_1] = size.to_be_bytes();
                let opt = [0, 0, 41, size_0, size_1, 0, 0, replied, 0, 0, 0];
                assert_eq!(message[message.len() - 11..], opt, "{qtype}");
                assert_eq!(message[10..12], [0, 1], "ARCOUNT");
            }
        }
    }
}

/// What a pod's socket leaves to its device: the pseudo-header's sum, which tc passes on for the reply. (XDP never sees such
/// a frame natively, and in generic mode the receiver does not look.)
#[test]
fn a_checksum_that_the_transmitter_completes_is_left_to_it() {
    let both = Both::new();
    for family in Family::ALL {
        for query in [
            Query::new(NAME, TYPE_A),
            Query::new(SIX, TYPE_AAAA).with_opt(1232, 0, &[]),
        ] {
            let mut frame = query.frame(family);
            let udp_at = 14 + family.header_len();
            let [pod, service] = family.addresses();
            let sum = |udp_len: usize| ones_sum(&pseudo_header(pod, service, udp_len as u16)).to_be_bytes();
            let waiting = sum(frame.len() - udp_at);
            frame[udp_at + 6..udp_at + 8].copy_from_slice(&waiting);
            let visit = both.programs.run(Hook::Tc, &frame).unwrap();
            assert!(visit.answered);
            let expected = sum(visit.frame.len() - udp_at);
            assert_eq!(visit.frame[udp_at + 6..udp_at + 8], expected, "{family:?}");
            assert_eq!(both.memory.answer(&frame, 0, ROOM).1, visit.frame, "{family:?}");
        }
    }
}

/// A right checksum that is the pseudo-header's sum as well: the query's ID is chosen so.
#[test]
fn a_checksum_that_could_be_both_is_asked_about() {
    let both = Both::new();
    for family in Family::ALL {
        let [pod, service] = family.addresses();
        let frame = (0..=u16::MAX)
            .map(|id| {
                Query {
                    id,
                    ..Query::new(NAME, TYPE_A)
                }
                .frame(family)
            })
            .find(|frame| {
                let udp = &frame[14 + family.header_len()..];
                udp[6..8] == ones_sum(&pseudo_header(pod, service, udp.len() as u16)).to_be_bytes()
            })
            .unwrap();
        // Nobody completes a test run's checksum, so the reply has to have a right one of its own, or none.
        for hook in Hook::ALL {
            open_reply(&frame, &both.programs.run(hook, &frame).unwrap().frame);
        }
        let mut buffer = [&frame[..], &[0; 256]].concat();
        let waiting = MemoryFrame::new(&mut buffer, 0..frame.len(), true);
        let (_, reply) = both.memory.answer_in(waiting);
        let udp = &reply[14 + family.header_len()..];
        assert_eq!(
            udp[6..8],
            ones_sum(&pseudo_header(pod, service, udp.len() as u16)).to_be_bytes()
        );
    }
}

#[test]
fn vlan_tags_are_kept() {
    let both = Both::new();
    for vlans in [&[0x8100][..], &[0x88a8], &[0x88a8, 0x8100], &[0x8100, 0x8100]] {
        for family in Family::ALL {
            for query in [
                Query::new(NAME, TYPE_A),
                Query::new(NAME, TYPE_AAAA).with_opt(1232, 0, &[]),
            ] {
                both.ask(&query, vlans, family);
            }
        }
    }
}

#[test]
fn names_of_every_length_are_answered() {
    let mut both = Both::empty();
    for len in 1..=63 {
        for namespace in ["n", "nnnnnnnn", &"n".repeat(63)] {
            let name = format!("{}.{namespace}.svc.cluster.local", "s".repeat(len));
            both.put(&name, Some(IPV4), None);
            for family in Family::ALL {
                both.ask(&Query::new(&name, TYPE_A), &[], family);
                both.ask(&Query::new(&name, TYPE_AAAA).with_opt(512, 0, &[]), &[], family);
            }
        }
    }
}

#[test]
fn the_longest_name_is_answered() {
    let both = Both::new();
    assert_eq!(wire_name(&longest()).len(), 255);
    let mixed: String = longest().chars().map(|c| if c == 'x' { 'X' } else { c }).collect();
    for family in Family::ALL {
        for query in [
            Query::new(&longest(), TYPE_A),
            Query::new(&mixed, TYPE_AAAA).with_opt(1232, 0x8000, &[]),
        ] {
            both.ask(&query, &[], family);
        }
    }
}

#[test]
fn a_name_is_answered_as_long_as_it_is_in_the_tables() {
    let mut both = Both::new();
    let frame = Query::new(NAME, TYPE_A).frame(Family::V4);
    both.put(NAME, Some([10, 0, 0, 9]), None);
    let (outcome, reply) = both.run(&frame);
    assert_eq!(outcome, Outcome::Answered(Kind::A, Rcode::NoError));
    assert!(reply.ends_with(&[10, 0, 0, 9]));
    both.remove(NAME);
    let (outcome, _) = both.run(&frame);
    assert_eq!(outcome, Outcome::Answered(Kind::A, Rcode::NxDomain));
}

#[test]
fn nothing_is_answered_without_a_live_lease_and_synced_tables() {
    let Both { mut programs, .. } = Both::new();
    let frame = Query::new(NAME, TYPE_A).frame(Family::V4);
    let check = |programs: &Programs, reason: Option<Pass>| {
        for hook in Hook::ALL {
            let before = programs.counts.read().unwrap();
            let visit = programs.run(hook, &frame).unwrap();
            assert_eq!(visit.answered, reason.is_none(), "{hook:?} {reason:?}");
            let outcome = reason.map_or(Outcome::Answered(Kind::A, Rcode::NoError), Outcome::Pass);
            assert_counted_once(programs, before, outcome);
        }
    };
    let (hour, moment) = (Duration::from_secs(3600), Duration::from_millis(1));
    programs.tables.renew(hour, true).unwrap();
    check(&programs, None);
    programs.tables.renew(hour, false).unwrap();
    check(&programs, Some(Pass::Unsynced));
    programs.tables.expire().unwrap();
    check(&programs, Some(Pass::Unsynced));
    // The kernel's clock is coarse: a lease may end a tick late.
    programs.tables.renew(moment, true).unwrap();
    let ended = Instant::now() + Duration::from_secs(2);
    while programs.run(Hook::Tc, &frame).unwrap().answered {
        assert!(Instant::now() < ended, "the lease does not end");
    }
    check(&programs, Some(Pass::LeaseExpired));
}

fn assert_counted_once(programs: &Programs, before: dns_ebpf::maps::Counters, outcome: Outcome) {
    let mut expected = before;
    expected[outcome.counter()] += 1;
    assert_eq!(programs.counts.read().unwrap(), expected, "{outcome:?}");
}

/// A frame that must pass, why, and what it is.
fn passing() -> Vec<(&'static str, Pass, Vec<u8>)> {
    let ask = || Query::new(NAME, TYPE_A);
    let v4 = || ask().frame(Family::V4);
    let v6 = || ask().frame(Family::V6);
    let with = |frame: Vec<u8>, at: usize, bytes: &[u8]| {
        let mut frame = frame;
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    };
    let named = |wire: Vec<u8>| Query { name: wire, ..ask() }.frame(Family::V4);
    let flags = |flags| Query { flags, ..ask() }.frame(Family::V4);
    let counts = |counts| Query { counts, ..ask() }.frame(Family::V4);
    let rest = |count, rest: &[u8]| {
        Query {
            counts: [1, 0, 0, count],
            rest: rest.to_vec(),
            ..ask()
        }
        .frame(Family::V4)
    };
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let cookie = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    let server_cookie = [&[0, 10, 0, 16][..], &[7; 16]].concat();
    let ip_options = {
        let mut frame = with(v4(), 14, &[0x46]);
        frame.splice(34..34, [1, 1, 1, 1]);
        frame
    };
    let extension_header = {
        let mut frame = with(v6(), 20, &[0]);
        frame.splice(54..54, [17, 0, 1, 4, 0, 0, 0, 0]);
        frame
    };
    vec![
        ("ARP", Pass::NotDns, with(v4(), 12, &[0x08, 0x06])),
        (
            "three VLAN tags",
            Pass::NotDns,
            frame(Family::V4, &[0x8100; 3], &ask().message()),
        ),
        ("TCP", Pass::NotDns, with(v4(), 23, &[6])),
        ("TCP over IPv6", Pass::NotDns, with(v6(), 20, &[6])),
        ("another port", Pass::NotDns, with(v4(), 36, &[0, 54])),
        ("first fragment", Pass::NotDns, with(v4(), 20, &[0x20, 0])),
        ("last fragment", Pass::NotDns, with(v4(), 20, &[0, 8])),
        ("the reserved fragment bit", Pass::NotDns, with(v4(), 20, &[0x80, 0])),
        ("IP options", Pass::NotDns, ip_options),
        ("IP version 5", Pass::NotDns, with(v4(), 14, &[0x55])),
        ("IPv6 extension header", Pass::NotDns, extension_header),
        ("IPv6 fragment header", Pass::NotDns, with(v6(), 20, &[44])),
        ("IPv4 in an IPv6 frame", Pass::NotDns, with(v4(), 12, &[0x86, 0xdd])),
        ("another address", Pass::NotServed, with(v4(), 30, &[10, 96, 0, 11])),
        ("another IPv6 address", Pass::NotServed, with(v6(), 53, &[0xb])),
        ("the unspecified address", Pass::NotServed, with(v4(), 30, &[0; 4])),
        ("total length too small", Pass::Malformed, with(v4(), 16, &[0, 60])),
        ("total length too large", Pass::Malformed, with(v4(), 16, &[1, 0])),
        ("UDP length too small", Pass::Malformed, with(v4(), 38, &[0, 30])),
        ("UDP length too large", Pass::Malformed, with(v4(), 38, &[1, 0])),
        ("payload length too small", Pass::Malformed, with(v6(), 18, &[0, 30])),
        ("bytes behind the packet", Pass::Malformed, [v4(), vec![0; 6]].concat()),
        ("no UDP payload", Pass::Malformed, frame(Family::V4, &[], &[])),
        (
            "a cut header",
            Pass::Malformed,
            frame(Family::V4, &[], &ask().message()[..11]),
        ),
        (
            "a header alone",
            Pass::Malformed,
            frame(Family::V4, &[], &ask().message()[..12]),
        ),
        (
            "a cut question",
            Pass::Malformed,
            frame(Family::V4, &[], &ask().message()[..16]),
        ),
        ("OPT counted, not there", Pass::Edns, counts([1, 0, 0, 1])),
        ("a response", Pass::NotQuery, flags(0x8180)),
        ("opcode IQUERY", Pass::NotQuery, flags(0x0900)),
        ("opcode STATUS", Pass::NotQuery, flags(0x1100)),
        ("opcode NOTIFY", Pass::NotQuery, flags(0x2100)),
        ("opcode UPDATE", Pass::NotQuery, flags(0x2900)),
        ("AA set", Pass::NotQuery, flags(0x0500)),
        ("TC set", Pass::NotQuery, flags(0x0300)),
        ("RA set", Pass::NotQuery, flags(0x0180)),
        ("Z set", Pass::NotQuery, flags(0x0140)),
        ("an rcode", Pass::NotQuery, flags(0x0101)),
        ("no question", Pass::NotQuery, counts([0, 0, 0, 0])),
        ("two questions", Pass::NotQuery, {
            let again = ask().message()[12..].to_vec();
            Query {
                counts: [2, 0, 0, 0],
                rest: again,
                ..ask()
            }
            .frame(Family::V4)
        }),
        ("an answer", Pass::NotQuery, counts([1, 1, 0, 0])),
        ("an authority", Pass::NotQuery, counts([1, 0, 1, 0])),
        ("two OPTs", Pass::NotQuery, rest(2, &[opt, opt].concat())),
        (
            "OPT version 1",
            Pass::Edns,
            rest(1, &[0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 0]),
        ),
        (
            "an extended rcode",
            Pass::Edns,
            rest(1, &[0, 0, 41, 4, 208, 1, 0, 0, 0, 0, 0]),
        ),
        (
            "OPT with a server's cookie",
            Pass::Edns,
            ask().with_opt(1232, 0, &server_cookie).frame(Family::V4),
        ),
        (
            "OPT with a short cookie",
            Pass::Edns,
            ask().with_opt(1232, 0, &cookie[..11]).frame(Family::V4),
        ),
        (
            "OPT with another option of the same length",
            Pass::Edns,
            ask()
                .with_opt(1232, 0, &[0, 12, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0])
                .frame(Family::V4),
        ),
        (
            "OPT with a cookie and another option",
            Pass::Edns,
            ask()
                .with_opt(1232, 0, &[&cookie[..], &[0, 3, 0, 0]].concat())
                .frame(Family::V4),
        ),
        (
            "OPT with a name",
            Pass::Class,
            rest(1, &[1, b'a', 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]),
        ),
        (
            "a TSIG record",
            Pass::Edns,
            rest(1, &[0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0]),
        ),
        ("class CH", Pass::Class, Query { class: 3, ..ask() }.frame(Family::V4)),
        (
            "class ANY",
            Pass::Class,
            Query { class: 255, ..ask() }.frame(Family::V6),
        ),
        (
            "class NONE",
            Pass::Class,
            Query { class: 254, ..ask() }.frame(Family::V4),
        ),
        ("the root", Pass::OutsideZones, named(vec![0])),
        (
            "a name outside the zone",
            Pass::OutsideZones,
            named(wire_name("www.example.com")),
        ),
        (
            "a name that ends like the zone",
            Pass::OutsideZones,
            named(wire_name("web.default.svc.mycluster.local")),
        ),
        (
            "a Pod by what may be an IPv6 address",
            Pass::Uncertain,
            named(wire_name("fd00--1.default.pod.cluster.local")),
        ),
        (
            "a port of a Pod",
            Pass::NotHeld,
            Query::new("10-0-0-1.default.pod.cluster.local", 33).frame(Family::V4),
        ),
        (
            "a port without underscores",
            Pass::Uncertain,
            named(wire_name("http.TCP.web-service.default.svc.cluster.local")),
        ),
        (
            "any port of a protocol",
            Pass::Uncertain,
            named(wire_name("_._udp.web-service.default.svc.cluster.local")),
        ),
        (
            "more labels than are walked over",
            Pass::Uncertain,
            named(wire_name(&format!("{}svc.cluster.local", "a.".repeat(16)))),
        ),
        (
            "a pointer before the zone",
            Pass::Malformed,
            named([&wire_name("web")[..4], &[0xc0, 12], &wire_name("cluster.local")].concat()),
        ),
        (
            "the root before the zone",
            Pass::Malformed,
            named([&wire_name("web")[..], &wire_name("cluster.local")].concat()),
        ),
        (
            "a label of 64 bytes before the zone",
            Pass::Malformed,
            named([&[64][..], &[b'a'; 64], &wire_name("cluster.local")].concat()),
        ),
        (
            "a pointer in the question",
            Pass::OutsideZones,
            named([&wire_name(NAME)[..12], &[0xc0, 12]].concat()),
        ),
        ("a pointer as the question", Pass::OutsideZones, named(vec![0xc0, 12])),
        (
            "a label of 64 bytes",
            Pass::OutsideZones,
            named([&[64][..], &[b'a'; 64], &[0]].concat()),
        ),
        (
            "a name of 256 bytes",
            Pass::Malformed,
            named([[63u8; 64], [63; 64], [63; 64], [63; 64]].concat()),
        ),
        (
            "no root label",
            Pass::OutsideZones,
            named(wire_name(NAME)[..37].to_vec()),
        ),
        (
            "a length byte off by the case bit",
            Pass::Malformed,
            named({
                let mut wire = wire_name(NAME);
                wire[0] ^= 0x20;
                wire
            }),
        ),
        ("AXFR", Pass::Transfer, Query::new(NAME, 252).frame(Family::V4)),
        ("IXFR", Pass::Transfer, Query::new(NAME, 251).frame(Family::V6)),
    ]
}

#[test]
fn whatever_else_passes_with_every_byte_as_it_was() {
    let both = Both::new();
    for (what, reason, frame) in passing() {
        let (outcome, memory) = both.memory.answer(&frame, ROOM, ROOM);
        assert_eq!(outcome, Outcome::Pass(reason), "{what}");
        assert_eq!(memory, frame, "{what}");
        for hook in Hook::ALL {
            let before = both.programs.counts.read().unwrap();
            let visit = both.programs.run(hook, &frame).unwrap();
            assert!(!visit.answered, "{what}: {hook:?}");
            assert_eq!(visit.frame, frame, "{what}: {hook:?}");
            assert_counted_once(&both.programs, before, Outcome::Pass(reason));
        }
    }
}

/// The kernel takes no frame shorter than an Ethernet header, and tc none shorter than its IP header.
#[test]
fn a_query_cut_anywhere_passes() {
    let both = Both::new();
    for family in Family::ALL {
        let whole = Query::new(NAME, TYPE_A).with_opt(1232, 0, &[]).frame(family);
        for len in 0..whole.len() {
            let cut = &whole[..len];
            let (outcome, memory) = both.memory.answer(cut, 64, 64);
            assert!(matches!(outcome, Outcome::Pass(_)), "{len} bytes: {outcome:?}");
            assert_eq!(memory, cut, "{len} bytes");
            for hook in Hook::ALL
                .into_iter()
                .filter(|hook| len >= 14 + 40 || (len >= 14 && !hook.is_tc()))
            {
                let visit = both.programs.run(hook, cut).unwrap();
                assert!(!visit.answered && visit.frame == cut, "{len} bytes: {hook:?}");
            }
        }
    }
}

#[test]
fn a_frame_without_room_passes_with_every_byte_as_it_was() {
    let both = Both::new();
    for query in [
        Query::new(NAME, TYPE_A),
        Query::new(NAME, TYPE_AAAA),
        Query::new(SIX, TYPE_AAAA),
    ] {
        for family in Family::ALL {
            let frame = query.frame(family);
            for room in 0..16 {
                let (outcome, memory) = both.memory.answer(&frame, room, room);
                assert_eq!(outcome, Outcome::Pass(Pass::NoRoom), "{room} bytes");
                assert_eq!(memory, frame, "{room} bytes");
            }
        }
    }
}

#[test]
fn the_verifier_walks_through_few_instructions() {
    let both = Both::new();
    for hook in Hook::ALL {
        let (verified, instructions) = both.programs.instructions(hook).unwrap();
        tell(&format!("{hook:?}: {instructions} instructions, {verified} verified")).unwrap();
        assert!(verified <= 100_000, "{hook:?}: {verified}");
    }
}
