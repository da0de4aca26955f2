//! Reading the bytes of a message: numbers, names, and parts that end before the message does.

use crate::name::MAX_NAME_LEN;

/// How many pointers a name may lead through: CoreDNS's limit, one for each label of the longest name.
const MAX_POINTERS: usize = 126;

/// A name in uncompressed wire form, its letter case kept.
pub(super) type WireName = Vec<u8>;

/// A place in a message. What is read is `None` where the message ends before it does.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads a message from its first byte on.
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { message, at: 0 }
    }

    /// Says whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.message.len()
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        let rest = self.message.get(self.at..).unwrap_or_default();
        self.at = self.message.len();
        rest
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.message.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(taken)
    }

    /// The next `len` bytes, as a part of the message: a name in it may point to what comes before, not behind it.
    pub(super) fn part(&mut self, len: usize) -> Option<Self> {
        let at = self.at;
        self.take(len)?;
        Some(Self {
            message: &self.message[..self.at],
            at,
        })
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A name (RFC 1035, 4.1.4). Like CoreDNS, it lets pointers lead forward too; `None` also where a label is of an
    /// unknown kind, the name longer than 255 bytes, or the pointers more than 126.
    pub(super) fn name(&mut self) -> Option<WireName> {
        let mut wire = Vec::with_capacity(64);
        let mut labels = self.clone();
        let mut pointers = 0;
        loop {
            let first = labels.u8()?;
            match first >> 6 {
                0b00 => {
                    wire.push(first);
                    if first == 0 {
                        break;
                    }
                    wire.extend(labels.take(first.into())?);
                    if wire.len() >= MAX_NAME_LEN {
                        return None;
                    }
                }
                0b11 => {
                    let second = labels.u8()?;
                    pointers += 1;
                    match pointers {
                        1 => self.at = labels.at,
                        2..=MAX_POINTERS => {}
                        _ => return None,
                    }
                    labels.at = u16::from_be_bytes([first & 0x3f, second]).into();
                }
                _ => return None,
            }
        }
        if pointers == 0 {
            self.at = labels.at;
        }
        Some(wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name at this place of a message, and where the reader then stands.
    fn name_at(message: &[u8], at: usize) -> Option<(WireName, usize)> {
        let mut reader = Reader { message, at };
        reader.name().map(|name| (name, reader.at))
    }

    #[test]
    fn pointers_lead_to_names_before_and_behind() {
        let message = b"\x01a\xc0\x08\x01b\xc0\x00\x01c\0";
        assert_eq!(name_at(message, 0), Some((b"\x01a\x01c\0".to_vec(), 4)));
        assert_eq!(name_at(message, 4), Some((b"\x01b\x01a\x01c\0".to_vec(), 8)));
        assert_eq!(name_at(message, 8), Some((b"\x01c\0".to_vec(), 11)));
    }

    #[test]
    fn a_name_that_has_no_end_is_none() {
        for message in [
            &b""[..],
            b"\x01",
            b"\x01a",
            b"\xc0",
            b"\xc0\x00",
            b"\xc0\x02",
            b"\x40\0",
            b"\x80\0",
        ] {
            assert_eq!(name_at(message, 0), None, "{message:02x?}");
        }
    }

    #[test]
    fn names_and_chains_of_pointers_have_limits() {
        let labels = |count: usize, last: usize| {
            let label = |len: usize| [&[len as u8][..], &vec![b'x'; len]].concat();
            [label(63).repeat(count), label(last), vec![0]].concat()
        };
        assert_eq!(name_at(&labels(3, 61), 0), Some((labels(3, 61), 255)));
        assert_eq!(name_at(&labels(3, 62), 0), None);
        for (pointers, expected) in [(126, Some((vec![0], 2))), (127, None)] {
            let chain = (1..=pointers).flat_map(|next: u16| (0xc000 | (2 * next)).to_be_bytes());
            let message: Vec<u8> = chain.chain([0]).collect();
            assert_eq!(name_at(&message, 0), expected, "{pointers}");
        }
    }

    #[test]
    fn a_part_ends_before_the_message() {
        let mut reader = Reader::new(b"\x01a\0\xc0\x05\0");
        reader.take(3).unwrap();
        let mut part = reader.part(2).unwrap();
        assert_eq!(part.name(), None, "it points behind the part");
        assert_eq!(reader.rest(), [0]);
        assert!(reader.is_at_end() && reader.part(1).is_none() && reader.u8().is_none());
    }
}
