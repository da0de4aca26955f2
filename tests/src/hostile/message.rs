//! Hostile messages, made of a seed: each is a query that is wrong in some way, or right in an unusual one.

use super::draft::{Draft, SECTIONS};
use super::edns;
use super::names::{self, QUESTION_AT};
use super::random::Random;
use super::record::{CLASSES, TYPES, owner, record};
use crate::frames::wire_name;

const UDP_LIMIT: usize = 512;
/// Makes the message number `number` of a seed; its ID is one that no other message of a few thousand has, and even.
pub fn make(seed: u64, number: u16) -> Vec<u8> {
    let mut random = Random::new(seed ^ (u64::from(number) << 32));
    let mut message = of_family(&mut random, number);
    if random.once_in(8) {
        damage(&mut message, &mut random);
    }
    set_id(&mut message, number.wrapping_mul(2));
    message
}

/// A plain query for an address, to be answered whatever came before.
pub fn plain_query(name: &str, id: u16) -> Vec<u8> {
    let mut draft = Draft::new(wire_name(name));
    draft.flags = 0x0100;
    let mut message = draft.finish();
    set_id(&mut message, id);
    message
}

/// Sets the ID where the message is long enough to have one.
pub fn set_id(message: &mut [u8], id: u16) {
    if let Some(bytes) = message.first_chunk_mut() {
        *bytes = id.to_be_bytes();
    }
}

/// The families take turns; `turn` lets one go through all that there is of a few things.
fn of_family(random: &mut Random, number: u16) -> Vec<u8> {
    let turn = usize::from(number / 10);
    match number % 10 {
        0 => header(random),
        1 => counts(random, turn),
        2 => question(random),
        3 if turn.is_multiple_of(4) => chain(random),
        3 => question(random),
        4 => types(random),
        5 | 6 => opt(random),
        7 => records(random),
        8 => cut(random, turn),
        _ => overlong(random),
    }
}

/// Every opcode, and any flags.
fn header(random: &mut Random) -> Vec<u8> {
    let mut draft = Draft::usual(random);
    draft.flags = match random.below(3) {
        0 => random.word(),
        1 => random.word() & 0x7fff,
        _ => random.pick([
            0, 0x0010, 0x0020, 0x0040, 0x0080, 0x0100, 0x0200, 0x0400, 0x2100, 0x2400, 0x0130,
        ]),
    };
    if random.once_in(3) {
        let record = edns::opt(random);
        draft.push(3, &record);
    }
    draft.finish()
}

/// 0 to 3 in every count, with what they promise, with less or with more.
fn counts(random: &mut Random, turn: usize) -> Vec<u8> {
    let mut draft = Draft::usual(random);
    let promised: [u16; SECTIONS] = std::array::from_fn(|section| (turn >> (2 * section)) as u16 & 3);
    let kept = if random.once_in(2) {
        promised
    } else {
        std::array::from_fn(|_| random.pick([0, 1, 2, 3]))
    };
    let mut message = draft.header();
    for _ in 0..kept[0] {
        message.extend(draft.question());
    }
    for _ in 0..kept[1] + kept[2] + kept[3] {
        message.extend(record(random));
    }
    draft.counts = promised;
    let header = draft.header();
    message[..header.len()].copy_from_slice(&header);
    message
}

/// A name that may be none.
fn question(random: &mut Random) -> Vec<u8> {
    let mut draft = Draft::new(names::hostile(random));
    draft.qtype = random.pick([1, 28, 12, 16, 33]);
    if random.once_in(4) {
        let record = edns::opt(random);
        draft.push(3, &record);
    }
    draft.finish()
}

/// A name that is a pointer to a pointer, and so on; a name at the end, or no end.
fn chain(random: &mut Random) -> Vec<u8> {
    let pointer = |target: usize| [0xc0 | (target >> 8) as u8, target as u8];
    let first = QUESTION_AT + 6;
    let mut draft = Draft::new(pointer(first).to_vec());
    let length = random.pick([1, 2, 5, 9, 10, 11, 125, 126, 127, 128]);
    let next = (1..=length).flat_map(|step| pointer(first + 2 * step));
    draft.rest = next.collect();
    match random.below(3) {
        0 => draft.rest.extend(pointer(first)),
        _ => draft.rest.extend(names::known(random)),
    }
    draft.finish()
}

/// Any type and class.
fn types(random: &mut Random) -> Vec<u8> {
    let mut draft = Draft::new(names::known(random));
    draft.qtype = if random.once_in(6) {
        random.word()
    } else {
        random.pick(TYPES)
    };
    draft.class = match random.below(4) {
        0 => random.pick(CLASSES),
        1 if random.once_in(2) => random.word(),
        _ => 1,
    };
    if random.once_in(4) {
        let record = edns::opt(random);
        draft.push(3, &record);
    }
    draft.finish()
}

/// OPT records: one, two, elsewhere than at the root, in other sections, beside other records.
fn opt(random: &mut Random) -> Vec<u8> {
    let mut draft = Draft::usual(random);
    let owner = if random.once_in(6) { owner(random) } else { vec![0] };
    let first = edns::opt_at(&owner, random);
    match random.below(10) {
        0 => draft.push(1, &first),
        1 => draft.push(2, &first),
        2 => {
            let second = edns::opt(random);
            draft.push(3, &first);
            draft.push(3, &second);
        }
        3 => {
            let other = record(random);
            draft.push(3, &other);
            draft.push(3, &first);
        }
        4 => {
            let other = record(random);
            draft.push(3, &first);
            draft.push(3, &other);
        }
        _ => draft.push(3, &first),
    }
    draft.finish()
}

/// A record in each section that may have one.
fn records(random: &mut Random) -> Vec<u8> {
    let mut draft = Draft::usual(random);
    for section in 1..SECTIONS {
        if random.once_in(2) {
            let record = record(random);
            draft.push(section, &record);
        }
    }
    draft.finish()
}

/// A message with everything in it, cut anywhere.
fn cut(random: &mut Random, turn: usize) -> Vec<u8> {
    let mut draft = Draft::usual(random);
    for section in 1..SECTIONS {
        if random.once_in(3) {
            let record = record(random);
            draft.push(section, &record);
        }
    }
    if draft.counts[3] < 2 {
        let record = edns::opt(random);
        draft.push(3, &record);
    }
    let mut message = draft.finish();
    message.truncate(turn % (message.len() + 1));
    message
}

/// A message that ends late: by bytes behind its end, or by padding; about as long as UDP allows, or longer.
fn overlong(random: &mut Random) -> Vec<u8> {
    let mut draft = Draft::usual(random);
    let length = random.pick([UDP_LIMIT - 1, UDP_LIMIT, UDP_LIMIT + 1, UDP_LIMIT + 100, 1400, 0]);
    if random.once_in(2) {
        let padding = length.saturating_sub(draft.finish().len() + 15);
        let mut record = vec![0, 0, 41, 4, 208, 0, 0, 0, 0];
        record.extend((padding as u16 + 4).to_be_bytes());
        record.extend([0, 12]);
        record.extend((padding as u16).to_be_bytes());
        record.extend(vec![0; padding]);
        draft.push(3, &record);
    }
    let mut message = draft.finish();
    let missing = match length.saturating_sub(message.len()) {
        0 => random.below(40),
        missing => missing,
    };
    message.extend(random.bytes(missing));
    message
}

/// Changes a few bytes anywhere.
fn damage(message: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(message.len());
        match random.below(4) {
            0 => message.insert(at, random.byte()),
            1 if at < message.len() => drop(message.remove(at)),
            _ => {
                if let Some(byte) = message.get_mut(at) {
                    *byte = random.byte();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_seed_and_number_make_the_same_message() {
        assert!((0..1000).all(|number| make(1, number) == make(1, number)));
    }

    #[test]
    fn messages_hardly_ever_repeat() {
        let all: HashSet<Vec<u8>> = (0..5000).map(|number| make(1, number)[..].to_vec()).collect();
        assert!(all.len() > 4900, "{}", all.len());
    }

    #[test]
    fn every_length_of_a_header_occurs() {
        let lengths: HashSet<usize> = (0..20_000).map(|number| make(1, number).len()).collect();
        assert!((0..=20).all(|length| lengths.contains(&length)), "{lengths:?}");
    }
}
