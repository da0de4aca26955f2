//! Laying out records: from what a name has to the words that the kernel reads. See [`dns_ebpf::record`].

use dns_ebpf::maps::UNIT;
use dns_ebpf::record::{Code, HEADER_LEN, Header, MAX_SET_AT, MAX_SET_LEN, Set};
use dns_ebpf::reply::fold;
use dns_ebpf::words::{MIN_NAME_LEN, Words as _};

use crate::name::Name;
use crate::rules::qtype;
use crate::server::Held;

/// A type that stands for every one that no name has.
const ANY: u16 = 255;
/// The types that a record tells apart, and those of which it can tell one.
const TYPES: [u16; 3] = [qtype::A, qtype::AAAA, qtype::SRV];
const SPECIAL_TYPES: [u16; 4] = [qtype::PTR, qtype::TXT, qtype::NS, qtype::CNAME];

/// A record as it stands in the tables.
pub type Record = Box<[u64]>;

/// Lays out all that a name has; `None` where it does not exist, or cannot be looked up by the kernel.
pub fn lay_out(name: &Name, zone: u8, ask: impl Fn(u16) -> Held) -> Option<Record> {
    if name.as_wire().len() < MIN_NAME_LEN {
        return None;
    }
    let [a, aaaa, srv] = TYPES.map(&ask);
    let other = ask(ANY);
    let mut special = SPECIAL_TYPES
        .map(|qtype| (qtype, ask(qtype)))
        .into_iter()
        .filter(|(_, held)| *held != other);
    let (special, other) = match (special.next(), special.next()) {
        (None, _) => ((0, other.clone()), other),
        (Some(special), None) => (special, other),
        // There is room for one.
        (Some(_), Some(_)) => ((0, Held::Elsewhere), Held::Elsewhere),
    };
    let all = [a, aaaa, srv, special.1, other];
    let exists = all
        .iter()
        .any(|held| !matches!(held, Held::NxDomain | Held::FallThrough));
    exists.then(|| Layout::new(name).finish(name, zone, special.0, all))
}

/// A record of a name that has nothing.
pub fn name_only(name: &Name) -> Record {
    let nothing = [const { Held::NxDomain }; 5];
    Layout::new(name).finish(name, 0, 0, nothing)
}

/// Which words of a record say what name it is of, and which of their bits.
pub fn name_words(record: &[u64]) -> impl Iterator<Item = (usize, u64)> {
    let header = Header::from_word(record[0]);
    let len = HEADER_LEN / UNIT + usize::from(header.name_len) / UNIT;
    let length_alone = Header {
        name_len: u8::MAX,
        ..Header::from_word(0)
    };
    (0..len).map(move |index| (index, if index == 0 { length_alone.to_word() } else { u64::MAX }))
}

/// The name that a record is of.
pub fn name_of(record: &[u64]) -> Name {
    let len = usize::from(Header::from_word(record[0]).name_len);
    let words = &record[HEADER_LEN / UNIT..][..len / UNIT];
    let mut wire: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let last = record[1].to_ne_bytes();
    wire.extend(&last[UNIT - len % UNIT..]);
    Name::from_wire(&wire)
}

/// The length of a record in words, read from it.
pub fn len_of(word: impl Fn(usize) -> u64) -> usize {
    let header = Header::from_word(word(0));
    let start = HEADER_LEN / UNIT + usize::from(header.name_len) / UNIT;
    let codes = header.codes.iter().filter(|code| code.is_set());
    let ends = codes.map(|code| {
        let set = Set::from_word(word(usize::from(code.0)));
        let end = usize::from(set.at) + usize::from(set.len);
        end.div_ceil(UNIT).max(usize::from(code.0) + 1)
    });
    ends.max().unwrap_or(0).max(start)
}

/// A record that is being laid out: sets behind the name, and their bytes behind those.
struct Layout {
    sets: Vec<Set>,
    /// Where the first set stands.
    sets_at: usize,
    bytes: Vec<u8>,
}

impl Layout {
    fn new(name: &Name) -> Self {
        Self {
            sets: Vec::new(),
            sets_at: HEADER_LEN + name.as_wire().len() / UNIT * UNIT,
            bytes: Vec::new(),
        }
    }

    fn finish(mut self, name: &Name, zone: u8, special: u16, held: [Held; 5]) -> Record {
        let count = held.iter().filter(|held| self.fits(held)).count();
        let bytes_at = self.sets_at + count * size_of::<Set>();
        // In this order the addresses, which are asked for most, stand close behind the name.
        let codes = held.each_ref().map(|held| self.add(held, bytes_at));
        let header = Header {
            // A name is at most 255 bytes long, and so are the codes of the special types.
            name_len: name.as_wire().len() as u8,
            zone,
            special: special as u8,
            codes,
        };
        let wire = name.as_wire();
        let words = (0..wire.len() / UNIT).filter_map(|index| wire.word(index));
        let sets = self.sets.iter().map(|set| set.to_word());
        self.bytes.resize(self.bytes.len().next_multiple_of(UNIT), 0);
        let (bytes, _) = self.bytes.as_chunks();
        let start = [header.to_word(), wire.last_word()].into_iter();
        start
            .chain(words)
            .chain(sets)
            .chain(bytes.iter().copied().map(u64::from_ne_bytes))
            .collect()
    }

    fn fits(&self, held: &Held) -> bool {
        matches!(held, Held::Set { bytes, answers, additionals } if bytes.len() <= MAX_SET_LEN
            && *answers <= u8::MAX.into() && *additionals < u8::MAX.into())
    }

    fn add(&mut self, held: &Held, bytes_at: usize) -> Code {
        match held {
            Held::NoData => Code::NO_DATA,
            Held::NxDomain => Code::NX_DOMAIN,
            Held::Set {
                bytes,
                answers,
                additionals,
            } if self.fits(held) => {
                let at = self.place(bytes);
                // Four sets at most of the greatest length.
                debug_assert!(bytes_at + at <= MAX_SET_AT);
                self.sets.push(Set {
                    at: (bytes_at + at) as u16,
                    len: bytes.len() as u16,
                    sum: ones_sum(bytes),
                    answers: *answers as u8,
                    additionals: *additionals as u8,
                });
                Code((self.sets_at / UNIT + self.sets.len() - 1) as u8)
            }
            Held::FallThrough | Held::Elsewhere | Held::Set { .. } => Code::PASS,
        }
    }

    /// Finds these bytes among those that are there, or puts them behind.
    fn place(&mut self, bytes: &[u8]) -> usize {
        let found = self.bytes.windows(bytes.len()).position(|window| window == bytes);
        found.unwrap_or_else(|| {
            self.bytes.extend(bytes);
            self.bytes.len() - bytes.len()
        })
    }
}

/// The one's complement sum of bytes as 16-bit words in the order of the machine, padded with a zero.
fn ones_sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u16::from_ne_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    fold(words.map(u64::from).sum())
}
