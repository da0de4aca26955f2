//! The kernel's core, in plain memory.

use std::cmp::min;

use dns_ebpf::answer;
use dns_ebpf::decide::{Entry, Lookup, Tables, Zone};
use dns_ebpf::maps::ipv6_words;
use dns_ebpf::outcome::{Outcome, Pass};
use dns_ebpf::packet::MemoryFrame;
use dns_ebpf::query::{QuestionName, Served};
use dns_ebpf::words::{Words as _, equal};

use crate::frames::{self, DNS_SERVICE, Family, open_reply};
use crate::hostile::meaning::Meaning;

/// Room around a frame: enough for any reply.
const ROOM: usize = 256;

/// Length of a DNS header in bytes (RFC 1035, 4.1.1).
const HEADER_LEN: usize = 12;

/// `web.default.svc.cluster.local`.
const NAME: &[u8] = b"\x03web\x07default\x03svc\x07cluster\x05local\0";
const ZONE: Zone = Zone { name_len: 15, ttl: 30 };

/// A frame is passed as it came, or answered by a right frame with a right message, and the same wherever its room is.
///
/// The first byte says what the rest is: a whole frame, or a message that is put into a frame of either family.
pub fn frame(data: &[u8]) {
    let Some((&form, rest)) = data.split_first() else {
        return;
    };
    let rest = &rest[..min(rest.len(), 1500)];
    let frame = match form % 3 {
        0 => rest.to_vec(),
        1 => frames::frame(Family::V4, &[], rest),
        _ => frames::frame(Family::V6, &[], rest),
    };
    let (outcome, reply) = run(&frame, 0, ROOM);
    assert_eq!(
        run(&frame, ROOM, 0),
        (outcome, reply.clone()),
        "room before it or behind it"
    );
    match outcome {
        Outcome::Pass(_) => assert_eq!(reply, frame, "it is passed as it came"),
        Outcome::Answered(..) => check_reply(&frame, &reply),
    }
    check_without_room(&frame);
}

/// A reply repeats ID and question, and its records are read back as what the tables say.
fn check_reply(query: &[u8], reply: &[u8]) {
    let message = open_reply(query, reply);
    let asked = &query[reply.len() - message.len()..];
    assert!(message[2] & 0x84 == 0x84, "it is a response with authority");
    assert_eq!(message[..2], asked[..2], "ID");
    let question = HEADER_LEN..HEADER_LEN + NAME.len() + 4;
    assert_eq!(message[question.clone()], asked[question], "in its letter case");

    let meaning = Meaning::read(message);
    assert!(meaning.as_ref().is_ok_and(is_true), "{meaning:?}");
}

/// Whether a reply has the one record that there is, or the SOA.
fn is_true(reply: &Meaning) -> bool {
    let [answer, authority, additional] = &reply.records;
    let question = reply
        .questions
        .first()
        .and_then(|question| question.split_once(" type "));
    let is_record = match (question, &answer[..], &authority[..]) {
        (Some((name, "1 class 1")), [record], []) => *record == format!("{name} 30 class 1 type 1 10.96.1.1"),
        (Some((_, "1 class 1")), ..) => false,
        (Some(_), [], [soa]) => soa.to_ascii_lowercase().starts_with("cluster.local 30 class 1 type 6 "),
        _ => false,
    };
    is_record && additional.iter().all(|record| record.starts_with("OPT "))
}

/// With no room to grow, only what needs none is answered; nothing is ever written into a frame that passes.
fn check_without_room(frame: &[u8]) {
    let (outcome, bytes) = run(frame, 0, 0);
    if matches!(outcome, Outcome::Pass(_)) {
        assert_eq!(bytes, frame);
    }
}

fn run(frame: &[u8], before: usize, behind: usize) -> (Outcome, Vec<u8>) {
    let mut buffer = [&vec![0; before], frame, &vec![0; behind]].concat();
    let mut memory = MemoryFrame::new(&mut buffer, before..before + frame.len(), false);
    let outcome = answer(&mut memory, &OneName);
    (outcome, memory.bytes().to_vec())
}

/// Tables that know one name.
struct OneName;

impl Tables<QuestionName<'_>> for OneName {
    fn standing(&self) -> Result<(), Pass> {
        Ok(())
    }

    fn find(&self, name: &QuestionName<'_>) -> Lookup {
        // Nothing is denied: the core does not walk names, so that what it hands over may be none.
        match name.name_len() == NAME.len() && equal(name, &NAME) {
            true => Lookup::found(Entry::new(Some([10, 96, 1, 1]), None, ZONE)),
            false => Lookup::unknown(Pass::NameUnknown),
        }
    }

    fn serial(&self) -> u32 {
        7
    }
}

impl Served for OneName {
    fn serves_ipv4(&self, address: [u8; 4]) -> bool {
        address == DNS_SERVICE.0.octets()
    }

    fn serves_ipv6(&self, address: [u64; 2]) -> bool {
        address == ipv6_words(DNS_SERVICE.1.octets())
    }
}
