//! A query in the making, to be bent.

use super::names;
use super::random::Random;

/// Question, answer, authority, additional.
pub const SECTIONS: usize = 4;

/// A message in the making.
pub struct Draft {
    /// Everything of the header's second word.
    pub flags: u16,
    /// QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT.
    pub counts: [u16; SECTIONS],
    /// The question's name, in wire form if it is one.
    pub name: Vec<u8>,
    /// The question's type.
    pub qtype: u16,
    /// The question's class.
    pub class: u16,
    /// What follows the question.
    pub rest: Vec<u8>,
}

impl Draft {
    /// A query for addresses of this name.
    pub fn new(name: Vec<u8>) -> Draft {
        let counts = [1, 0, 0, 0];
        Draft {
            flags: 0x0100,
            counts,
            name,
            qtype: 1,
            class: 1,
            rest: Vec::new(),
        }
    }

    /// A query for something known, of a common type.
    pub fn usual(random: &mut Random) -> Draft {
        let mut draft = Draft::new(names::known(random));
        draft.qtype = random.pick([1, 1, 28, 12, 33, 16]);
        draft
    }

    /// Adds a record to a section, which takes the place of its number in the message.
    pub fn push(&mut self, section: usize, record: &[u8]) {
        self.counts[section] += 1;
        self.rest.extend(record);
    }

    /// The question on the wire.
    pub fn question(&self) -> Vec<u8> {
        [&self.name[..], &self.qtype.to_be_bytes(), &self.class.to_be_bytes()].concat()
    }

    /// The header on the wire, with the ID 0.
    pub fn header(&self) -> Vec<u8> {
        let words = [0, self.flags].into_iter().chain(self.counts);
        words.flat_map(u16::to_be_bytes).collect()
    }

    /// The message.
    pub fn finish(&self) -> Vec<u8> {
        [self.header(), self.question(), self.rest.clone()].concat()
    }
}
