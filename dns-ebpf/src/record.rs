//! Records: all that the tables know of one name, in the form in which the kernel answers it.
//!
//! ```text
//!  0        1     2        3  4     5    6        7      8               16          16 + 8 * words
//! +--------+-----+--------+--+-----+----+--------+------+---------------+-----------+------+-------
//! | length |zone |special |A |AAAA |SRV |special |other | last 8 bytes  | the full  | sets | their
//! |of name |     |type    |   what the name has of a type | of the name   | words     |      | bytes
//! +--------+-----+--------+--+-----+----+--------+------+---------------+-----------+------+-------
//! ```
//!
//! What a name has of a type is said by a [`Code`]. A set is all that a reply holds behind its question but for the OPT
//! record, byte by byte: pointers into the question are constants, since a record is of one name. Sets may share bytes.

use crate::outcome::{TYPE_A, TYPE_AAAA, TYPE_SRV};
use crate::packet::Stored;

/// Length of a record before the name's full words, in bytes.
pub const HEADER_LEN: usize = 16;
/// The most bytes that a set has: one more would not fit behind any question in a packet of 1,500 bytes.
pub const MAX_SET_LEN: usize = 1452;
/// The farthest that a set's bytes may begin from the beginning of their record.
pub const MAX_SET_AT: usize = 0x1fff;

/// How far a record is read at most, whatever it holds.
pub const MAX_REACH: usize = MAX_SET_AT + 2 * Stored::LEN_MASK + 8;

/// What a name has of a type: nothing, or the offset of its [`Set`] in the record in units of eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Code(pub u8);

impl Code {
    /// The name exists, records of the type do not. (Here the record's header is, and no set can be.)
    pub const NO_DATA: Self = Self(0);
    /// To this type, the name is said not to exist.
    pub const NX_DOMAIN: Self = Self(1);
    /// It is not held here.
    pub const PASS: Self = Self(0xff);

    /// Says whether it leads to a set.
    pub fn is_set(self) -> bool {
        ![Self::NO_DATA, Self::NX_DOMAIN, Self::PASS].contains(&self)
    }
}

/// A record's first eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// Length of the name, in bytes.
    pub name_len: u8,
    /// Number of the zone that the name stands in, less than [`crate::maps::ZONES`].
    pub zone: u8,
    /// The code of the type that `codes[3]` is about; 0 for none.
    pub special: u8,
    /// What the name has of A, AAAA, SRV, the special type, and any other.
    pub codes: [Code; 5],
}

impl Header {
    /// Reads a header from the word that it stands in.
    pub fn from_word(word: u64) -> Self {
        let [name_len, zone, special, codes @ ..] = word.to_ne_bytes();
        Self {
            name_len,
            zone,
            special,
            codes: codes.map(Code),
        }
    }

    /// The word that it stands in.
    pub fn to_word(self) -> u64 {
        let [a, aaaa, srv, special, other] = self.codes.map(|Code(code)| code);
        u64::from_ne_bytes([self.name_len, self.zone, self.special, a, aaaa, srv, special, other])
    }

    /// What the name has of a type.
    #[inline(always)]
    pub fn code(self, qtype: usize) -> Code {
        let [a, aaaa, srv, special, other] = self.codes;
        match qtype {
            TYPE_A => a,
            TYPE_AAAA => aaaa,
            TYPE_SRV => srv,
            qtype if qtype == usize::from(self.special) => special,
            _ => other,
        }
    }
}

/// Where a set's bytes stand, and what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Set {
    /// Offset of the bytes from the record's beginning.
    pub at: u16,
    /// How many there are.
    pub len: u16,
    /// Their one's complement sum (RFC 1071), as 16-bit words in the order of the machine.
    pub sum: u16,
    /// How many records of them belong to the answer section.
    pub answers: u8,
    /// How many behind those belong to the additional section.
    pub additionals: u8,
}

impl Set {
    /// Reads a set from the word that it stands in.
    pub fn from_word(word: u64) -> Self {
        let [a, b, c, d, e, f, answers, additionals] = word.to_ne_bytes();
        let [at, len, sum] = [[a, b], [c, d], [e, f]].map(u16::from_ne_bytes);
        Self {
            at,
            len,
            sum,
            answers,
            additionals,
        }
    }

    /// The word that it stands in.
    pub fn to_word(self) -> u64 {
        let [[a, b], [c, d], [e, f]] = [self.at, self.len, self.sum].map(u16::to_ne_bytes);
        u64::from_ne_bytes([a, b, c, d, e, f, self.answers, self.additionals])
    }
}
