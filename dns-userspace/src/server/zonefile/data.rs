//! The data of records as zone files have them. The forms of most types are the `domain` crate's; what CoreDNS's library
//! reads beyond them is done here: `@` for the origin, units of time in SOA records, long texts, types of a like form.

use bytes::Bytes;
use domain::base::Name as DomainName;
use domain::base::iana::{Class, Rtype};
use domain::base::rdata::ComposeRecordData as _;
use domain::zonefile::inplace::{Entry, Zonefile};

use super::Problem;
use super::entry::strings;
use crate::server::rdata::Data;
use crate::server::reader::{Reader, WireName};

/// The longest character string, in bytes.
const MAX_TEXT: usize = 255;

/// The words of a SOA record that are times.
const TIMES: std::ops::Range<usize> = 3..7;

/// What is said of types whose form is not known.
const OPAQUE: &str = "kxdns does not know their form; write them as `\\# LENGTH HEX` (RFC 3597)";

/// Reads the words behind a record's type.
pub(super) fn read(rtype: Rtype, class: Class, words: &[String], origin: &WireName) -> Result<Data, Problem> {
    let is_generic = words.first().is_some_and(|word| word == "\\#");
    let bytes = match rtype {
        Rtype::TXT | Rtype::SPF | Rtype::AVC | Rtype::NINFO | Rtype::RESINFO if !is_generic => read_texts(words),
        _ => read_form(rtype, words, origin),
    };
    let unreadable = |reason| Problem::Data { rtype, reason };
    let bytes = bytes.map_err(unreadable)?;
    Data::read(rtype, class, &mut Reader::new(&bytes)).ok_or_else(|| unreadable("they are malformed".to_owned()))
}

/// Reads texts; those that are too long are cut, as in CoreDNS.
fn read_texts(words: &[String]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for word in words {
        let strings = strings(word).ok_or_else(|| format!("`{word}` has an escape that is none"))?;
        for string in strings {
            let mut parts: Vec<_> = string.chunks(MAX_TEXT).collect();
            if parts.is_empty() {
                parts.push(&[]);
            }
            for part in parts {
                bytes.push(part.len() as u8);
                bytes.extend(part);
            }
        }
    }
    match bytes.is_empty() {
        true => Err("they are missing".to_owned()),
        false => Ok(bytes),
    }
}

/// Reads data of the other types.
fn read_form(rtype: Rtype, words: &[String], origin: &WireName) -> Result<Vec<u8>, String> {
    let form = form_of(rtype);
    // The owner, TTL and class make an entry of it, and are not looked at.
    let mut entry = format!(". 0 IN {form}");
    for (index, word) in words.iter().enumerate() {
        let word = match word.as_str() {
            "@" if has_names(form) => describe(origin),
            word if form == Rtype::SOA && TIMES.contains(&index) => {
                let seconds = parse_time(word).ok_or_else(|| format!("`{word}` is no time such as `3600` or `1h`"))?;
                seconds.to_string()
            }
            word => word.to_owned(),
        };
        entry.push(' ');
        entry.push_str(&word);
    }
    entry.push('\n');
    let mut file = Zonefile::from(entry.as_str());
    let origin = DomainName::from_octets(Bytes::copy_from_slice(origin));
    file.set_origin(origin.map_err(|error| error.to_string())?);
    match file.next_entry() {
        Ok(Some(Entry::Record(record))) => {
            let mut bytes = Vec::new();
            let Ok(()) = record.data().compose_rdata(&mut bytes);
            Ok(bytes)
        }
        Ok(_) => Err("they are missing".to_owned()),
        // Its line and column are those of the entry made here.
        Err(error) => {
            let error = error.to_string();
            let reason = error.split_once(": ").map_or(error.as_str(), |(_, reason)| reason);
            Err(match reason {
                "unknown record type with concrete data" => OPAQUE.to_owned(),
                reason => reason.to_owned(),
            })
        }
    }
}

/// A type whose data have the same form, and which the `domain` crate reads.
fn form_of(rtype: Rtype) -> Rtype {
    match rtype {
        Rtype::AFSDB | Rtype::RT | Rtype::KX | Rtype::LP => Rtype::MX,
        Rtype::SMIMEA => Rtype::TLSA,
        Rtype::DLV | Rtype::TA => Rtype::DS,
        Rtype::NSAPPTR => Rtype::PTR,
        Rtype::TALINK => Rtype::RP,
        other => other,
    }
}

/// Whether a word of the data may be a name, so that `@` stands for the origin.
fn has_names(form: Rtype) -> bool {
    let forms = [
        Rtype::NS,
        Rtype::CNAME,
        Rtype::DNAME,
        Rtype::PTR,
        Rtype::MB,
        Rtype::MD,
        Rtype::MF,
        Rtype::MG,
        Rtype::MR,
        Rtype::MINFO,
        Rtype::RP,
        Rtype::MX,
        Rtype::SRV,
        Rtype::SOA,
        Rtype::NAPTR,
        Rtype::SVCB,
        Rtype::HTTPS,
        Rtype::NSEC,
        Rtype::RRSIG,
        Rtype::IPSECKEY,
    ];
    forms.contains(&form)
}

/// A name as zone files have it, with its last dot.
fn describe(name: &WireName) -> String {
    crate::name::Name::from_wire(name).to_string()
}

/// Reads a time in seconds, or of numbers with the units `w`, `d`, `h`, `m` and `s`.
pub(super) fn parse_time(text: &str) -> Option<u32> {
    let (mut total, mut number) = (0_u64, 0_u64);
    for character in text.bytes() {
        let unit = match character.to_ascii_lowercase() {
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
        total = total.checked_add(number.checked_mul(unit)?)?;
        number = 0;
    }
    u32::try_from(total.checked_add(number)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(rtype: Rtype, text: &str) -> Result<Vec<u8>, String> {
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        let data = read(rtype, Class::IN, &words, &b"\x01o\0".to_vec());
        data.map(|data| data.as_bytes().to_vec())
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn data_are_read_by_their_type() {
        let long = format!("\"{}\"", "x".repeat(300));
        let cut = [&[255][..], &[b'x'; 255], &[45], &[b'x'; 45]].concat();
        let times = [1_u32, 7200, 5400, 1_209_600, 60].map(u32::to_be_bytes).concat();
        for (rtype, text, expected) in [
            (Rtype::A, "10.0.0.1", b"\x0a\0\0\x01".to_vec()),
            (Rtype::CNAME, "a", b"\x01a\x01o\0".to_vec()),
            (Rtype::CNAME, "A.b.", b"\x01A\x01b\0".to_vec()),
            (Rtype::NS, "@", b"\x01o\0".to_vec()),
            (Rtype::MX, "1 @", b"\0\x01\x01o\0".to_vec()),
            (Rtype::SRV, "1 2 3 .", b"\0\x01\0\x02\0\x03\0".to_vec()),
            (Rtype::AFSDB, "1 a.", b"\0\x01\x01a\0".to_vec()),
            (
                Rtype::SOA,
                "@ a. 1 2h 1h30M 2w 60",
                [&b"\x01o\0\x01a\0"[..], &times].concat(),
            ),
            (Rtype::TXT, "a \"\" \"b\"\"c\" @", b"\x01a\x00\x01b\x01c\x01@".to_vec()),
            (Rtype::TXT, &long, cut),
            (Rtype::SPF, "\\195\\169", b"\x02\xc3\xa9".to_vec()),
            (
                Rtype::HTTPS,
                "1 . alpn=\"h2,h3\"",
                b"\0\x01\0\0\x01\0\x06\x02h2\x02h3".to_vec(),
            ),
            (Rtype::A, "\\# 4 0a000001", b"\x0a\0\0\x01".to_vec()),
            (Rtype::TXT, "\\# 2 0161", b"\x01a".to_vec()),
            (Rtype::LOC, "\\# 16 00 000000000000 000000000000000000", vec![0; 16]),
            (Rtype::from_int(65_400), "\\# 3 616263", b"abc".to_vec()),
        ] {
            assert_eq!(read_text(rtype, text), Ok(expected), "{rtype} {text}");
        }
    }

    #[test]
    fn data_that_are_none_of_their_type_are_told() {
        for (rtype, text, expected) in [
            (Rtype::A, "10.0.0.256", "cannot read the data of this A record: "),
            (
                Rtype::A,
                "",
                "cannot read the data of this A record: unexpected end of entry",
            ),
            (
                Rtype::A,
                "10.0.0.1 10.0.0.2",
                "cannot read the data of this A record: trailing tokens",
            ),
            (
                Rtype::TXT,
                "",
                "cannot read the data of this TXT record: they are missing",
            ),
            (Rtype::CNAME, "a..b", "cannot read the data of this CNAME record: "),
            (
                Rtype::SOA,
                "a. b. 1 2x 3 4 5",
                "cannot read the data of this SOA record: `2x` is no time such as `3600` or `1h`",
            ),
            (
                Rtype::LOC,
                "52 N 4 E 0m",
                "cannot read the data of this LOC record: kxdns does not know their form; write them as `\\# LENGTH HEX`",
            ),
        ] {
            let error = read_text(rtype, text).unwrap_err();
            assert!(error.starts_with(expected), "{rtype} {text}: {error}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("3600", Some(3600)),
            ("1h", Some(3600)),
            ("1W2D3h4m5s", Some(788_645)),
            ("1h30", Some(3630)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("99999999999999999999", None),
            ("-1", None),
            ("1.5h", None),
            ("1y", None),
        ] {
            assert_eq!(parse_time(text), seconds, "{text}");
        }
    }
}
