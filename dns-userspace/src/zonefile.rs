//! Records in the form of zone files (RFC 1035, 5.1), read one at a time as CoreDNS's library reads them.
//!
//! The `domain` crate knows the types and their data; what it does not take and CoreDNS's library does is put into other words
//! first: times with units, bytes beyond ASCII, and owners that begin with a `$`. It refuses character strings of more than
//! 255 bytes, which that library would cut.

use std::ops::Range;
use std::str::FromStr as _;

use domain::base::iana::{Class, Rtype};
use domain::base::rdata::ComposeRecordData as _;
use domain::base::{Name, RecordData as _, ToName as _};
use domain::zonefile::inplace::{self, Entry, Zonefile};

use crate::name::MAX_NAME_LEN;

/// What lines of a zone file begin with that are no records.
const DIRECTIVES: [&str; 4] = ["$GENERATE", "$INCLUDE", "$ORIGIN", "$TTL"];

/// Where the first of the times stands in the data of a SOA record.
const FIRST_SOA_TIME: usize = 3;

/// The types whose data are read in their own form.
const TYPES: [Rtype; 35] = [
    Rtype::A,
    Rtype::AAAA,
    Rtype::CAA,
    Rtype::CDNSKEY,
    Rtype::CDS,
    Rtype::CNAME,
    Rtype::DNAME,
    Rtype::DNSKEY,
    Rtype::DS,
    Rtype::HINFO,
    Rtype::HTTPS,
    Rtype::IPSECKEY,
    Rtype::MB,
    Rtype::MD,
    Rtype::MF,
    Rtype::MG,
    Rtype::MINFO,
    Rtype::MR,
    Rtype::MX,
    Rtype::NAPTR,
    Rtype::NS,
    Rtype::NSEC,
    Rtype::NSEC3,
    Rtype::NSEC3PARAM,
    Rtype::OPENPGPKEY,
    Rtype::PTR,
    Rtype::RP,
    Rtype::RRSIG,
    Rtype::SOA,
    Rtype::SRV,
    Rtype::SSHFP,
    Rtype::SVCB,
    Rtype::TLSA,
    Rtype::TXT,
    Rtype::ZONEMD,
];

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneRecord {
    /// Its owner, in wire form and its letter case.
    pub owner: Vec<u8>,
    /// Its type.
    pub rtype: Rtype,
    /// Its class; IN unless another is given.
    pub class: Class,
    /// In seconds; 3600 unless another is given.
    pub ttl: u32,
    /// Its data in wire form, names uncompressed.
    pub data: Vec<u8>,
}

/// Why a text is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRecord {
    /// There is none in it.
    #[error("no record")]
    Empty,
    /// It would be in another file.
    #[error("$INCLUDE is not supported")]
    Include,
    /// A parenthesis or a quote is left open.
    #[error("unbalanced parenthesis or quote")]
    Unbalanced,
    /// A name has an empty label or is too long.
    #[error("bad owner name")]
    Owner,
    /// It is of a type whose data can only be given as bytes (RFC 3597, 5).
    #[error("data of {0} records are read in the form `\\# LENGTH HEXADECIMAL` only")]
    Type(Rtype),
    /// It is malformed.
    #[error("{0}")]
    Malformed(String),
}

/// Reads the first record of a text. Names without a dot at their end are names all the same.
///
/// # Errors
///
/// It has none, or is malformed.
pub fn read_record(text: &str) -> Result<ZoneRecord, NoRecord> {
    let text = adapt(text).ok_or(NoRecord::Unbalanced)? + "\n";
    let mut zone = Zonefile::from(text.as_str()).allow_invalid();
    zone.set_origin(Name::root());
    zone.set_default_class(Class::IN);
    let record = match zone.next_entry().map_err(|error| explain(&text, &error))? {
        Some(Entry::Record(record)) => record,
        Some(Entry::Include { .. }) => return Err(NoRecord::Include),
        None => return Err(NoRecord::Empty),
    };
    let mut read = ZoneRecord {
        owner: Vec::new(),
        rtype: record.data().rtype(),
        class: record.class(),
        ttl: record.ttl().as_secs(),
        data: Vec::new(),
    };
    // A vector takes whatever is written to it.
    let _ = record.owner().compose(&mut read.owner);
    let _ = record.data().compose_rdata(&mut read.data);
    match is_name(&read.owner) {
        true => Ok(read),
        false => Err(NoRecord::Owner),
    }
}

/// What is wrong, without the place, which is often the one behind the text.
fn explain(text: &str, error: &inplace::Error) -> NoRecord {
    let words = find_words(text).unwrap_or_default();
    if let Some((_, rtype)) = find_type(text, &words).filter(|(_, rtype)| !TYPES.contains(rtype)) {
        return NoRecord::Type(rtype);
    }
    let error = error.to_string();
    let reason = error.split_once(": ").map_or(&*error, |(_, reason)| reason);
    NoRecord::Malformed(reason.to_owned())
}

/// Puts into other words what the `domain` crate does not take; `None` where it would read beyond the end.
fn adapt(text: &str) -> Option<String> {
    let mut text = escape_bytes(text);
    let words = find_words(&text)?;
    let Some(owner) = words.first().map(|word| &text[word.clone()]) else {
        return Some(text);
    };
    let is_directive = DIRECTIVES.iter().any(|name| name.eq_ignore_ascii_case(owner));
    let owner_at = words[0].start;
    let hides_dollar = owner.starts_with('$') && !is_directive;
    // From the end, so that what is before stays in its place.
    for word in find_times(&text, &words).into_iter().rev() {
        if let Some(seconds) = parse_time(&text[word.clone()]) {
            text.replace_range(word, &seconds.to_string());
        }
    }
    if hides_dollar {
        text.insert(owner_at, '\\');
    }
    Some(text)
}

/// Escapes what is not ASCII, byte by byte.
fn escape_bytes(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii() {
            true => escaped.push(char::from(byte)),
            false => escaped += &format!("\\{byte:03}"),
        }
    }
    escaped
}

/// The words of a record, which ends with its line unless a parenthesis is open; `None` where one is at the end.
fn find_words(text: &str) -> Option<Vec<Range<usize>>> {
    let mut words = Vec::new();
    let (mut open, mut start) = (0_usize, None);
    let (mut is_quoted, mut is_comment, mut is_escaped) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        let is_plain = !is_quoted && !is_comment && !is_escaped;
        let ends = is_plain && matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'(' | b')' | b';' | b'"');
        if ends || is_comment {
            words.extend(start.take().map(|start| start..at));
        } else {
            start.get_or_insert(at);
        }
        match byte {
            b'"' if !is_comment && !is_escaped => is_quoted = !is_quoted,
            b';' if is_plain => is_comment = true,
            b'(' if is_plain => open += 1,
            b')' if is_plain => open = open.saturating_sub(1),
            b'\n' => {
                is_comment = false;
                if open == 0 && !is_quoted && !words.is_empty() {
                    return Some(words);
                }
            }
            _ => {}
        }
        is_escaped = byte == b'\\' && !is_escaped;
    }
    words.extend(start.map(|start| start..text.len()));
    (open == 0 && !is_quoted).then_some(words)
}

/// The words that are times: the TTL, before the type, and those of a SOA record.
fn find_times(text: &str, words: &[Range<usize>]) -> Vec<Range<usize>> {
    let Some((at, rtype)) = find_type(text, words) else {
        return Vec::new();
    };
    let soa = match rtype {
        Rtype::SOA => words.get(at + 1 + FIRST_SOA_TIME..).unwrap_or_default(),
        _ => &[],
    };
    [&words[1..at], soa].concat()
}

/// The type, and which of the words it is.
fn find_type(text: &str, words: &[Range<usize>]) -> Option<(usize, Rtype)> {
    let rtype = |at: usize| Some((at, Rtype::from_str(&text[words[at].clone()]).ok()?));
    (1..words.len()).find_map(rtype)
}

/// Reads a time with units, such as `1h30m`, as seconds.
fn parse_time(text: &str) -> Option<u32> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (mut seconds, mut number) = (0_u64, 0_u64);
    for byte in text.bytes() {
        let unit = match byte.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        number = 0;
    }
    seconds.checked_add(number)?.try_into().ok()
}

/// Whether bytes are a name and nothing else: the `domain` crate lets empty labels pass.
fn is_name(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((&len, tail)) = rest.split_first().filter(|(len, _)| **len > 0) {
        let Some(tail) = tail.get(len.into()..) else {
            return false;
        };
        rest = tail;
    }
    rest == [0] && bytes.len() <= MAX_NAME_LEN
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Owner, TTL, class, type and data of a record.
    fn read(text: &str) -> Option<(Vec<u8>, u32, String, Vec<u8>)> {
        let record = read_record(text).ok()?;
        let kind = format!("{} {}", record.class, record.rtype);
        Some((record.owner, record.ttl, kind, record.data))
    }

    #[test]
    fn reads_records_as_coredns_does() {
        let address = [10, 0, 0, 1];
        let soa = |times: [u32; 5]| {
            let times = times.map(u32::to_be_bytes).concat();
            [b"\x01m\0\x01r\0", &times[..]].concat()
        };
        for (text, owner, ttl, kind, data) in [
            (
                "A.b. 60 IN A 10.0.0.1",
                &b"\x01A\x01b\0"[..],
                60,
                "IN A",
                address.to_vec(),
            ),
            (
                "a.b 60 in a 10.0.0.1 ; comment",
                b"\x01a\x01b\0",
                60,
                "IN A",
                address.to_vec(),
            ),
            ("a IN 60 A 10.0.0.1", b"\x01a\0", 60, "IN A", address.to_vec()),
            ("a A 10.0.0.1", b"\x01a\0", 3600, "IN A", address.to_vec()),
            ("a 60 CH A 10.0.0.1", b"\x01a\0", 60, "CH A", address.to_vec()),
            ("a 1h30m IN A 10.0.0.1", b"\x01a\0", 5400, "IN A", address.to_vec()),
            ("a IN 1W2 A 10.0.0.1", b"\x01a\0", 604_802, "IN A", address.to_vec()),
            ("1d 1d IN A 10.0.0.1", b"\x021d\0", 86_400, "IN A", address.to_vec()),
            (". 60 IN NS a", b"\0", 60, "IN NS", b"\x01a\0".to_vec()),
            ("@ 60 IN CNAME a.b", b"\0", 60, "IN CNAME", b"\x01a\x01b\0".to_vec()),
            ("$a 60 IN CNAME $b.", b"\x02$a\0", 60, "IN CNAME", b"\x02$b\0".to_vec()),
            ("\\$a 60 IN A 10.0.0.1", b"\x02$a\0", 60, "IN A", address.to_vec()),
            (
                "a\\.b\\;\\200.c 60 IN A 10.0.0.1",
                b"\x05a.b;\xc8\x01c\0",
                60,
                "IN A",
                address.to_vec(),
            ),
            (
                "\u{e9} 60 IN TXT \u{e9} \"1h ; (\"",
                b"\x02\xc3\xa9\0",
                60,
                "IN TXT",
                b"\x02\xc3\xa9\x061h ; (".to_vec(),
            ),
            ("a 60 IN MX 10 1d", b"\x01a\0", 60, "IN MX", b"\0\x0a\x021d\0".to_vec()),
            (
                "a 60 IN SOA m r (1 60 60 60 60)",
                b"\x01a\0",
                60,
                "IN SOA",
                soa([1, 60, 60, 60, 60]),
            ),
            (
                "a 60 IN SOA m r 1 (\n1h ; refresh\n 15m 1w 1d)",
                b"\x01a\0",
                60,
                "IN SOA",
                soa([1, 3600, 900, 604_800, 86_400]),
            ),
            (
                "a 60 IN TYPE65280 \\# 2 abcd",
                b"\x01a\0",
                60,
                "IN TYPE65280",
                vec![0xab, 0xcd],
            ),
            (
                "\n\na 60 IN A 10.0.0.1\nb is no record",
                b"\x01a\0",
                60,
                "IN A",
                address.to_vec(),
            ),
            (
                "$TTL 7\n$ORIGIN b.\na IN A 10.0.0.1",
                b"\x01a\x01b\0",
                7,
                "IN A",
                address.to_vec(),
            ),
        ] {
            let expected = (owner.to_vec(), ttl, kind.to_owned(), data);
            assert_eq!(read(text), Some(expected), "{text}: {:?}", read_record(text));
        }
    }

    #[test]
    fn refuses_what_is_no_record() {
        let (label, text) = ("a".repeat(64), "a".repeat(256));
        for text in [
            "",
            " ",
            "; comment",
            "a",
            "a 60",
            "a 60 IN",
            "a 60 IN A",
            "a 60 IN A 10.0.0",
            "a 60 IN A 10.0.0.1 2",
            "a 60 60 IN A 10.0.0.1",
            "a 60x IN A 10.0.0.1",
            "a 99999999w IN A 10.0.0.1",
            "a 60 IN NOTYPE 10.0.0.1",
            "a 60 IN MX a",
            "a..b 60 IN A 10.0.0.1",
            ".a 60 IN A 10.0.0.1",
            ".. 60 IN A 10.0.0.1",
            " a 60 IN A 10.0.0.1",
            "a 60 IN SOA m r (1 60 60 60 60",
            "a TXT (b",
            "a TXT \"b",
            "a TXT b)",
            "a TXT b\\",
            "$INCLUDE /etc/passwd",
            "$GENERATE 1-2 a$ A 10.0.0.$",
            &format!("{label} 60 IN A 10.0.0.1"),
            &format!("a 60 IN TXT {text}"),
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn says_why_a_text_is_no_record() {
        for (text, expected) in [
            ("", "no record"),
            ("$INCLUDE x", "$INCLUDE is not supported"),
            ("a..b A 10.0.0.1", "bad owner name"),
            ("a TXT (", "unbalanced parenthesis or quote"),
            (
                "a 60 IN LOC 1 N 1 E 0",
                "data of LOC records are read in the form `\\# LENGTH HEXADECIMAL` only",
            ),
            ("a A x", "expected IPv4 address"),
        ] {
            assert_eq!(read_record(text).unwrap_err().to_string(), expected);
        }
    }

    proptest! {
        /// What clients ask for gets into records.
        #[test]
        fn takes_or_refuses_any_text(
            words in proptest::collection::vec("[ -~\n\t]{0,8}|[a-z.\\\\\"();$@0-9]{0,12}|A|TXT|SOA|MX|SRV|CAA|SVCB|HTTPS|NAPTR|DS|NSEC|NSEC3|RRSIG|TLSA|IPSECKEY|TYPE9|IN|60|\\\\#|\u{e9}", 0..12),
            blank in "[ \n]|",
        ) {
            let text = words.join(&blank);
            if let Ok(record) = read_record(&text) {
                prop_assert!(is_name(&record.owner), "{:?}", record);
            }
        }

        #[test]
        fn takes_any_name_as_owner_and_in_data(labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..6)) {
            let mut wire: Vec<u8> = labels.iter().flat_map(|label| [&[label.len() as u8][..], label].concat()).collect();
            wire.push(0);
            wire.make_ascii_lowercase();
            let name = crate::name::Name::from_wire(&wire);
            let (owner, _, _, data) = read(&format!("{name} 60 IN CNAME {name}")).unwrap();
            prop_assert_eq!((owner, data), (wire.clone(), wire));
        }
    }
}
