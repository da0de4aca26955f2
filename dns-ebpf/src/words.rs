//! Names as machine words: how a name is hashed and compared, eight bytes at a time and letter case aside.
//!
//! A name of `n` bytes in wire form (8 <= n <= 255) is read as its `n / 8` full words and, overlapping them, its last
//! eight bytes. No byte is looked at alone: a stored name is well-formed, so whatever equals it is well-formed too.

use crate::packet::hide;

/// The shortest name that can be read as words, in bytes.
pub const MIN_NAME_LEN: usize = 8;
/// The longest name in wire form, in bytes (RFC 1035, 2.3.4).
pub const MAX_NAME_LEN: usize = 255;
/// The most full words that a name has.
pub const MAX_WORDS: usize = MAX_NAME_LEN / 8;

/// The bit that tells an ASCII letter's case, in each byte.
pub const CASE: u64 = 0x2020_2020_2020_2020;
const ONES: u64 = 0x0101_0101_0101_0101;

/// A name that can be read in words.
pub trait Words {
    /// Its length in bytes, 8 to 255.
    fn name_len(&self) -> usize;

    /// How many full words it has.
    #[inline(always)]
    fn words(&self) -> usize {
        hide(self.name_len() / 8)
    }

    /// The same name, at a place that the verifier takes for another.
    #[must_use]
    fn afresh(&self) -> Self;

    /// Its word number `index`, which is less than [`Self::words`].
    fn word(&self, index: usize) -> Option<u64>;

    /// Its last eight bytes.
    fn last_word(&self) -> u64;
}

/// A name that can be read at any byte.
pub trait NameBytes: Words + Sized {
    /// The name that begins with its label at `at`.
    #[must_use]
    fn suffix(&self, at: usize) -> Self;

    /// The byte at `at`.
    fn byte_at(&self, at: usize) -> Option<u8>;

    /// The four bytes from `at` on; some of them may be beyond the name.
    fn half_word_at(&self, at: usize) -> Option<u32>;

    /// The eight bytes from `at` on.
    fn word_at(&self, at: usize) -> Option<u64>;
}

/// The secret that names are hashed with: one odd multiplier a word, one for the last word and one for the length.
///
/// It is drawn at random for each set of maps, so that nobody can choose names that fall together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct HashKeys {
    /// Multiplier of the length.
    pub len: u64,
    /// Multiplier of the last word.
    pub last: u64,
    /// Multipliers of the full words.
    pub words: [u64; MAX_WORDS],
}

/// Hashes a name, letter case aside.
///
/// A multilinear hash: its upper half is spread well, its lower half is not.
#[inline(always)]
pub fn hash(name: &impl Words, keys: &HashKeys) -> u64 {
    let mut sum = (name.name_len() as u64).wrapping_mul(keys.len);
    sum = sum.wrapping_add(mix(name.last_word()).wrapping_mul(keys.last));
    let (words, name) = (name.words(), name.afresh());
    for (index, key) in keys.words.iter().enumerate() {
        if index >= words {
            break;
        }
        let Some(word) = name.word(index) else { break };
        sum = sum.wrapping_add(mix(word).wrapping_mul(*key));
    }
    sum
}

#[inline(always)]
fn mix(word: u64) -> u64 {
    let folded = word | CASE;
    folded ^ (folded >> 32)
}

/// Says whether `name` is the canonical (lower-case) name `stored`, letter case aside.
///
/// Almost every query is in lower case already, so the exact comparison comes first and the bits that may differ are
/// worked out only when it fails by nothing but them.
#[inline(always)]
pub fn equal(name: &impl Words, stored: &impl Words) -> bool {
    if name.name_len() != stored.name_len() {
        return false;
    }
    let difference = difference(name, stored, |_| 0);
    if difference & !CASE != 0 {
        return false;
    }
    difference == 0 || self::difference(name, stored, letters) == 0
}

/// ORs together the bits in which the two names differ, but for those that `ignored` names for a stored word.
#[inline(always)]
fn difference(name: &impl Words, stored: &impl Words, ignored: impl Fn(u64) -> u64) -> u64 {
    let (words, name) = (name.words(), name.afresh());
    let last = stored.last_word();
    let mut bits = (name.last_word() ^ last) & !ignored(last);
    for index in 0..MAX_WORDS {
        if index >= words {
            break;
        }
        let Some(asked) = name.word(index) else { break };
        let Some(word) = stored.word(index) else { break };
        bits |= (asked ^ word) & !ignored(word);
    }
    bits
}

/// Sets the case bit of each byte of `word` that is a lower-case ASCII letter.
#[inline(always)]
pub fn letters(word: u64) -> u64 {
    let low = word & (ONES * 0x7f);
    let from_a = low + ONES * (0x80 - b'a' as u64);
    let beyond_z = low + ONES * (0x7f - b'z' as u64);
    ((from_a & !beyond_z & !word) & (ONES * 0x80)) >> 2
}

/// A name in wire form, of 8 to 255 bytes.
impl Words for &[u8] {
    fn afresh(&self) -> Self {
        self
    }

    fn name_len(&self) -> usize {
        self.len()
    }

    fn word(&self, index: usize) -> Option<u64> {
        let bytes = self.get(8 * index..).and_then(<[u8]>::first_chunk);
        bytes.copied().map(u64::from_ne_bytes)
    }

    fn last_word(&self) -> u64 {
        self.last_chunk().copied().map_or(0, u64::from_ne_bytes)
    }
}

impl NameBytes for &[u8] {
    fn suffix(&self, at: usize) -> Self {
        self.get(at..).unwrap_or_default()
    }

    fn byte_at(&self, at: usize) -> Option<u8> {
        self.get(at).copied()
    }

    fn half_word_at(&self, at: usize) -> Option<u32> {
        let bytes = self.get(at..).and_then(<[u8]>::first_chunk);
        bytes.copied().map(u32::from_ne_bytes)
    }

    fn word_at(&self, at: usize) -> Option<u64> {
        let bytes = self.get(at..).and_then(<[u8]>::first_chunk);
        bytes.copied().map(u64::from_ne_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: HashKeys = HashKeys {
        len: 5,
        last: 3,
        words: [0x9e37_79b9_7f4a_7c15; MAX_WORDS],
    };

    #[test]
    fn only_lower_case_letters_have_a_case_bit() {
        for byte in 0..=u8::MAX {
            let expected = if byte.is_ascii_lowercase() { 0x20 } else { 0 };
            for position in 0..8 {
                let word = u64::from(byte) << (8 * position);
                assert_eq!(
                    letters(word),
                    expected << (8 * position),
                    "byte {byte:#x} at {position}"
                );
            }
        }
    }

    #[test]
    fn names_are_equal_whatever_their_case_and_hash_alike() {
        let stored = b"\x0bweb-service\x07default\x03svc\x07cluster\x05local\0";
        for name in [
            &b"\x0bweb-service\x07default\x03svc\x07cluster\x05local\0"[..],
            b"\x0bWEB-SERVICE\x07DEFAULT\x03SVC\x07CLUSTER\x05LOCAL\0",
            b"\x0bwEB-SERVICE\x07Default\x03sVC\x07CLUSTEr\x05LoCaL\0",
        ] {
            assert!(equal(&name, &&stored[..]));
            assert_eq!(hash(&name, &KEYS), hash(&&stored[..], &KEYS));
        }
    }

    #[test]
    fn names_that_differ_in_any_bit_but_case_are_not_equal() {
        let stored = b"\x04a-1z\x07default\x03svc\x07cluster\x05local\0";
        for index in 0..stored.len() {
            for bit in 0..8 {
                let mut name = *stored;
                name[index] ^= 1 << bit;
                let expected = name.eq_ignore_ascii_case(stored);
                assert_eq!(equal(&&name[..], &&stored[..]), expected, "byte {index}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_name_is_not_equal_to_its_own_beginning() {
        let long = b"\x07default\x03svc\x07cluster\x05local\0";
        assert!(!equal(&&long[..8], &&long[..]));
    }
}
