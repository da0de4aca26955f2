//! The kernel's core, in plain memory, over the tables of a small cluster.

use std::cmp::min;
use std::sync::{LazyLock, PoisonError};

use dns_ebpf::outcome::Outcome;
use dns_userspace::server::{Transport, reply_to};

use super::message::{KNOWN, ZONES};
use crate::frames::{self, Family, open_reply};
use crate::hostile::meaning::Meaning;
use crate::tables::HostTables;

/// Room around a frame: enough for any reply.
const ROOM: usize = 1500;

/// All that is known of the zones.
static TABLES: LazyLock<HostTables> = LazyLock::new(|| {
    let (zones, kernel_zones) = &*KNOWN;
    HostTables::of(&mut zones.write().unwrap_or_else(PoisonError::into_inner), kernel_zones)
});

/// A frame is passed as it came, or answered by a right frame with the message that the agent's server has for it, and the
/// same wherever its room is.
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
    let (outcome, reply) = TABLES.answer(&frame, 0, ROOM);
    assert_eq!(
        TABLES.answer(&frame, ROOM, 0),
        (outcome, reply.clone()),
        "room before it or behind it"
    );
    match outcome {
        Outcome::Pass(_) => assert_eq!(reply, frame, "it is passed as it came"),
        Outcome::Answered(..) => check_reply(&frame, &reply),
    }
    check_without_room(&frame);
}

/// A reply means what the agent's server says, which knows what is a query and what is none.
fn check_reply(query: &[u8], reply: &[u8]) {
    let message = open_reply(query, reply);
    let asked = &query[query.len() - (message.len() - (reply.len() - query.len()))..];
    assert_eq!(message[..2], asked[..2], "ID");
    let said = Meaning::read(message).ok();
    // Over TCP, since names are compressed otherwise: what fits here is cut there.
    let expected = reply_to(asked, Transport::Tcp, &ZONES).and_then(|expected| Meaning::read(&expected).ok());
    assert!(said.is_some() && said == expected, "{said:?} instead of {expected:?}");
}

/// With no room to grow nothing is answered; nothing is ever written into a frame that passes.
fn check_without_room(frame: &[u8]) {
    let (outcome, bytes) = TABLES.answer(frame, 0, 0);
    if matches!(outcome, Outcome::Pass(_)) {
        assert_eq!(bytes, frame);
    }
}
