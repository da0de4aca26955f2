//! All of a question but its name and type: the class, the header's bits and the OPT record.

use crate::dice::Dice;
use kxdns_tests::question::{AD, CD, Edns, RD, Z};

/// IN, CH, HS, NONE or ANY.
pub(crate) fn class(dice: &mut Dice) -> u16 {
    if dice.percent(3) {
        dice.pick(&[3, 4, 254, 255, 0])
    } else {
        1
    }
}

/// QUERY, IQUERY, STATUS, NOTIFY or UPDATE.
pub(crate) fn opcode(dice: &mut Dice) -> u8 {
    if dice.below(1000) < 5 {
        dice.pick(&[1, 2, 4, 5])
    } else {
        0
    }
}

pub(crate) fn flags(dice: &mut Dice) -> u16 {
    let shares = [(RD, 90), (CD, 8), (AD, 12), (Z, 1)];
    shares
        .iter()
        .filter(|(_, share)| dice.percent(*share))
        .map(|(bit, _)| bit)
        .sum()
}

pub(crate) fn edns(dice: &mut Dice) -> Option<Edns> {
    if dice.percent(45) {
        return None;
    }
    let flags = [0, 0, 0, 0x8000, 0x8000, 0x4000, 0x0001];
    Some(Edns {
        size: dice.pick(&[512, 512, 1232, 1232, 1232, 1400, 1452, 4096, 4096, 65535, 100, 0]),
        version: u8::from(dice.below(200) == 0),
        flags: dice.pick(&flags),
        options: (0..dice.weighted(&[75, 20, 5])).map(|_| option(dice)).collect(),
    })
}

/// NSID, a client's subnet, EXPIRE, a cookie, keepalive, padding, or one that nobody knows.
fn option(dice: &mut Dice) -> (u16, Vec<u8>) {
    match dice.below(7) {
        0 => (3, Vec::new()),
        1 => (8, vec![0, 1, 24, 0, 192, 0, 2]),
        2 => (9, Vec::new()),
        3 => (10, vec![1, 2, 3, 4, 5, 6, 7, 8]),
        4 => (11, Vec::new()),
        5 => (12, vec![0; dice.below(32)]),
        _ => (65001, vec![7; dice.below(9)]),
    }
}
