//! Records for places where queries have none.

use super::edns;
use super::names::{self, QUESTION_AT};
use super::random::Random;

/// Types with a meaning of their own: A, NS, CNAME, SOA, PTR, HINFO, MX, TXT, AAAA, SRV, NAPTR, OPT, DS, DNSKEY, HTTPS,
/// TKEY, TSIG, IXFR, AXFR, ANY, CAA and the ends of the range.
pub const TYPES: [u16; 26] = [
    0, 1, 1, 1, 2, 5, 6, 12, 13, 15, 16, 28, 28, 33, 35, 41, 43, 48, 65, 249, 250, 251, 252, 255, 257, 65535,
];

/// 0, IN, CH, HS, NONE and ANY.
pub const CLASSES: [u16; 6] = [0, 1, 3, 4, 254, 255];

/// A record, most often one that can be read.
pub fn record(random: &mut Random) -> Vec<u8> {
    if random.once_in(4) {
        return edns::opt(random);
    }
    let rtype = if random.once_in(6) {
        random.word()
    } else {
        random.pick(TYPES)
    };
    let data = data(rtype, random);
    let length = match random.below(12) {
        0 => data.len().saturating_sub(1),
        1 => data.len() + 1,
        _ => data.len(),
    };
    let mut record = owner(random);
    record.extend(rtype.to_be_bytes());
    record.extend(random.pick(CLASSES).to_be_bytes());
    record.extend((random.any() as u32).to_be_bytes());
    record.extend((length as u16).to_be_bytes());
    record.extend(data);
    record
}

/// A record's owner: often the question's name, by a pointer.
pub fn owner(random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => names::hostile(random),
        1 => names::known(random),
        2 => vec![0],
        _ => vec![0xc0, QUESTION_AT as u8],
    }
}

/// A record's data: often of the form that its type asks for.
fn data(rtype: u16, random: &mut Random) -> Vec<u8> {
    let any = random.below(24);
    match rtype {
        _ if random.once_in(5) => random.bytes(any),
        1 => random.bytes(4),
        28 => random.bytes(16),
        2 | 5 | 12 => owner(random),
        6 => [owner(random), owner(random), random.bytes(20)].concat(),
        15 => [random.bytes(2), owner(random)].concat(),
        16 => [vec![any as u8], random.bytes(any)].concat(),
        33 => [random.bytes(6), owner(random)].concat(),
        _ => random.bytes(any),
    }
}
