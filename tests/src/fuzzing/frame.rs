//! The kernel's core, in plain memory, over the tables of a small cluster, and the programs in the kernel beside it.

#![expect(clippy::panic, reason = "a fuzzer's property fails so")]

use std::cmp::min;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use dns_ebpf::maps::MemoryMaps;
use dns_ebpf::outcome::{Outcome, Pass};
use dns_userspace::server::{Transport, reply_to};

use super::message::{KNOWN, ZONES};
use crate::frames::{self, Family, open_reply};
use crate::hostile::meaning::Meaning;
use crate::program::{Hook, Programs};
use crate::tables::{HostTables, answer_over};

/// Room around a frame: enough for any reply.
const ROOM: usize = 1500;
/// The shortest frame that the kernel runs every program on.
const MIN_PROGRAM_FRAME: usize = 54;
/// One frame in so many goes through the programs too, which takes a hundred times as long.
const SAMPLE: u32 = 64;

/// All that is known of the zones.
static TABLES: LazyLock<HostTables> = LazyLock::new(|| {
    let (zones, kernel_zones) = &*KNOWN;
    HostTables::of(&mut zones.write().unwrap_or_else(PoisonError::into_inner), kernel_zones)
});

/// The same as the core reads it.
static MAPS: LazyLock<MemoryMaps<'static>> = LazyLock::new(|| TABLES.maps());

/// The programs over the same.
static PROGRAMS: LazyLock<Mutex<Programs>> = LazyLock::new(|| {
    let (zones, kernel_zones) = &*KNOWN;
    let mut zones = zones.write().unwrap_or_else(PoisonError::into_inner);
    let programs = Programs::load().and_then(|mut programs| {
        programs.fill(&mut zones, kernel_zones)?;
        Ok(programs)
    });
    match programs {
        Ok(programs) => Mutex::new(programs),
        Err(error) => panic!("{error:#}"),
    }
});

/// How many frames there were, and how many of them the programs have seen.
static SEEN: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
/// After how many of them that is told.
const TOLD: u64 = 10_000_000;

/// A frame is passed as it came, or answered by a right frame with the message that the agent's server has for it, the same
/// wherever its room is, and the same by the programs in the kernel.
///
/// The first byte says what the rest is: a whole frame, or a message that is put into frames of both families and of every
/// number of VLAN tags.
pub fn frame(data: &[u8]) {
    let Some((&form, rest)) = data.split_first() else {
        return;
    };
    let rest = &rest[..min(rest.len(), 1500)];
    if form.is_multiple_of(3) {
        if let (_, Some(message)) = check(rest) {
            check_message(&rest[message_at(rest)..], &message);
        }
        return;
    }
    let vlans = [&[][..], &[0x8100], &[0x88a8, 0x8100]];
    let frames = vlans.map(|vlans| Family::ALL.map(|family| frames::frame(family, vlans, rest)));
    let [first, others] = [&frames.as_flattened()[..1], &frames.as_flattened()[1..]];
    let (outcome, message) = check(&first[0]);
    if let Some(message) = &message {
        check_message(rest, message);
    }
    for other in others.iter().map(|other| check(other)) {
        // A longer frame's reply may be too large where that of a shorter one is not.
        if other.0 != Outcome::Pass(Pass::TooLarge) {
            assert_eq!(other, (outcome, message.clone()), "in another frame");
        }
    }
}

/// Where the message begins in a frame that was answered: only such as [`frames::frame`] makes are.
fn message_at(frame: &[u8]) -> usize {
    let tags = frame[12..].as_chunks::<4>().0.iter();
    let ip_at = 14
        + 4 * tags
            .take_while(|tag| [[0x81, 0], [0x88, 0xa8]].contains(&[tag[0], tag[1]]))
            .count();
    let ip_len = if frame[ip_at] >> 4 == 4 { 20 } else { 40 };
    ip_at + ip_len + 8
}

/// Checks what becomes of a frame, and returns it with the message that answers it.
fn check(frame: &[u8]) -> (Outcome, Option<Vec<u8>>) {
    count(0);
    let (outcome, reply) = answer_over(&MAPS, frame, 0, ROOM);
    let elsewhere = answer_over(&MAPS, frame, ROOM, 0);
    assert_eq!(elsewhere, (outcome, reply.clone()), "room before it and not behind");
    let nowhere = answer_over(&MAPS, frame, 0, 0);
    assert!(matches!(nowhere.0, Outcome::Pass(_)), "without room: {nowhere:?}");
    assert_eq!(nowhere.1, frame, "it is passed as it came");
    if frame.len() >= MIN_PROGRAM_FRAME && digest(frame).is_multiple_of(SAMPLE) {
        check_programs(frame, outcome, &reply);
    }
    let message = match outcome {
        Outcome::Answered(..) => Some(open_reply(frame, &reply).to_vec()),
        Outcome::Pass(_) => None,
    };
    assert!(message.is_some() || reply == frame, "it is passed as it came");
    (outcome, message)
}

/// A reply means what the agent's server says, which knows what is a query and what is none.
fn check_message(asked: &[u8], message: &[u8]) {
    assert_eq!(message[..2], asked[..2], "ID");
    let read = |reply: &[u8]| Meaning::read(reply).ok().map(Meaning::without_case);
    let said = read(message);
    // Over TCP, since names are compressed otherwise: what fits here is cut there.
    let expected = reply_to(asked, Transport::Tcp, &ZONES).and_then(|expected| read(&expected));
    assert!(said.is_some() && said == expected, "{said:?} instead of {expected:?}");
}

fn check_programs(frame: &[u8], outcome: Outcome, reply: &[u8]) {
    // The link on which the kernel runs programs for a test takes longer frames.
    if outcome == Outcome::Pass(Pass::TooLarge) {
        return;
    }
    count(1);
    let programs = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
    for hook in Hook::ALL {
        let visit = match programs.run(hook, frame) {
            Ok(visit) => visit,
            Err(error) => panic!("{hook:?}: {error:#}"),
        };
        assert_eq!(visit.answered, matches!(outcome, Outcome::Answered(..)), "{hook:?}");
        if visit.frame != reply {
            // The addresses of a set begin with any, and the checksum is the same wherever they begin.
            let meaning = |reply: &[u8]| Meaning::read(open_reply(frame, reply)).ok();
            assert!(
                visit.answered && meaning(&visit.frame) == meaning(reply),
                "{hook:?}: {:02x?} instead of {reply:02x?}",
                visit.frame
            );
        }
    }
}

/// Counts a frame, and says from time to time how many there have been.
#[expect(clippy::print_stderr, reason = "whoever fuzzes counts along")]
fn count(by: usize) {
    if (SEEN[by].fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(TOLD) {
        let [frames, sampled] = SEEN.each_ref().map(|seen| seen.load(Ordering::Relaxed));
        eprintln!("{frames} frames, of which the programs have seen {sampled}");
    }
}

/// A number that falls evenly, and for the same bytes always alike (FNV-1a).
fn digest(bytes: &[u8]) -> u32 {
    let add = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, add) >> 8
}
