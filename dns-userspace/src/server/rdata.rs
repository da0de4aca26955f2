//! The data of records (RFC 1035, 3.3): what they look like by type, reading them, and making those of the zones.

use std::net::IpAddr;

use domain::base::iana::{Class, Rtype};

use super::edns;
use super::reader::{Reader, WireName};

/// A record's type, class and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) rtype: Rtype,
    pub(super) class: Class,
    /// In wire form, without compressed names.
    bytes: Vec<u8>,
    /// Where names begin in it, in order.
    names: Vec<usize>,
}

/// A part of a record's data.
enum Field {
    /// So many bytes.
    Bytes(usize),
    /// A name.
    Name,
    /// Names up to the end.
    Names,
    /// A length of one byte, and so many bytes: a character string.
    Text,
    /// Character strings up to the end.
    Texts,
    /// A length of so many bytes, and so many bytes.
    Counted(usize),
    /// As many bytes as the number says that stands at this place of the data and is so many bytes wide.
    Measured(usize, usize),
    /// What the data's second byte says: nothing, an address or a name.
    Gateway,
    /// What is left, whatever it is.
    Rest,
    /// What is left, where this can read it.
    Checked(fn(&mut Reader<'_>) -> Option<()>),
}

use Field::{Bytes, Checked, Counted, Gateway, Measured, Name, Names, Rest, Text, Texts};

/// What the data of a type look like. These are the types whose data CoreDNS reads; data may end after any field.
fn form(rtype: Rtype) -> &'static [Field] {
    match rtype {
        Rtype::A | Rtype::UID | Rtype::GID => &[Bytes(4)],
        Rtype::AAAA => &[Bytes(16)],
        Rtype::EUI48 => &[Bytes(6)],
        Rtype::EUI64 => &[Bytes(8)],
        Rtype::L32 => &[Bytes(2), Bytes(4)],
        Rtype::L64 | Rtype::NID => &[Bytes(2), Bytes(8)],
        Rtype::LOC => &[Bytes(1), Bytes(1), Bytes(1), Bytes(1), Bytes(4), Bytes(4), Bytes(4)],
        Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME | Rtype::NSAPPTR => &[Name],
        Rtype::MB | Rtype::MD | Rtype::MF | Rtype::MG | Rtype::MR => &[Name],
        Rtype::MINFO | Rtype::RP | Rtype::TALINK => &[Name, Name],
        Rtype::MX | Rtype::AFSDB | Rtype::RT | Rtype::KX | Rtype::LP => &[Bytes(2), Name],
        Rtype::PX => &[Bytes(2), Name, Name],
        Rtype::SRV => &[Bytes(2), Bytes(2), Bytes(2), Name],
        Rtype::SOA => &[Name, Name, Bytes(4), Bytes(4), Bytes(4), Bytes(4), Bytes(4)],
        Rtype::NAPTR => &[Bytes(2), Bytes(2), Text, Text, Text, Name],
        Rtype::TXT | Rtype::SPF | Rtype::AVC | Rtype::NINFO | Rtype::RESINFO => &[Texts],
        Rtype::X25 | Rtype::UINFO => &[Text],
        Rtype::HINFO | Rtype::ISDN => &[Text, Text],
        Rtype::GPOS => &[Text, Text, Text],
        Rtype::CAA => &[Bytes(1), Text, Rest],
        Rtype::URI => &[Bytes(2), Bytes(2), Rest],
        Rtype::APL => &[Checked(check_prefixes)],
        Rtype::SVCB | Rtype::HTTPS => &[Bytes(2), Name, Checked(check_parameters)],
        Rtype::SSHFP => &[Bytes(1), Bytes(1), Rest],
        Rtype::TLSA | Rtype::SMIMEA => &[Bytes(1), Bytes(1), Bytes(1), Rest],
        Rtype::DS | Rtype::CDS | Rtype::TA | Rtype::DLV => &[Bytes(2), Bytes(1), Bytes(1), Rest],
        Rtype::KEY | Rtype::DNSKEY | Rtype::CDNSKEY | Rtype::RKEY => &[Bytes(2), Bytes(1), Bytes(1), Rest],
        Rtype::CERT => &[Bytes(2), Bytes(2), Bytes(1), Rest],
        Rtype::ZONEMD => &[Bytes(4), Bytes(1), Bytes(1), Rest],
        Rtype::SIG | Rtype::RRSIG => SIGNATURE,
        Rtype::NXT | Rtype::NSEC => &[Name, Checked(check_types)],
        Rtype::NSEC3PARAM => &[Bytes(1), Bytes(1), Bytes(2), Counted(1)],
        Rtype::NSEC3 => &[
            Bytes(1),
            Bytes(1),
            Bytes(2),
            Counted(1),
            Counted(1),
            Checked(check_types),
        ],
        Rtype::CSYNC => &[Bytes(4), Bytes(2), Checked(check_types)],
        Rtype::IPSECKEY => &[Bytes(1), Bytes(1), Bytes(1), Gateway, Rest],
        Rtype::AMTRELAY => &[Bytes(1), Bytes(1), Gateway],
        Rtype::HIP => &[Bytes(1), Bytes(1), Bytes(2), Measured(0, 1), Measured(2, 2), Names],
        Rtype::TKEY => &[Name, Bytes(4), Bytes(4), Bytes(2), Bytes(2), Counted(2), Counted(2)],
        Rtype::TSIG => &[Name, Bytes(6), Bytes(2), Counted(2), Bytes(2), Bytes(2), Counted(2)],
        Rtype::OPT => &[Checked(edns::check_options)],
        // Types of questions, which no record has.
        Rtype::ANY | Rtype::NXNAME => &[],
        _ => &[Rest],
    }
}

/// Type covered, algorithm, labels, three times, key tag, signer, signature.
const SIGNATURE: &[Field] = &[
    Bytes(2),
    Bytes(1),
    Bytes(1),
    Bytes(4),
    Bytes(4),
    Bytes(4),
    Bytes(2),
    Name,
    Rest,
];

/// The types whose names may be compressed: those of RFC 1035 and no others (RFC 3597, 4).
const COMPRESSED: [Rtype; 11] = [
    Rtype::NS,
    Rtype::MD,
    Rtype::MF,
    Rtype::CNAME,
    Rtype::SOA,
    Rtype::MB,
    Rtype::MG,
    Rtype::MR,
    Rtype::PTR,
    Rtype::MINFO,
    Rtype::MX,
];

/// A stretch of data: bytes, or a name.
pub(super) enum Piece<'a> {
    Bytes(&'a [u8]),
    Name(&'a [u8]),
}

impl Data {
    /// Data of class IN without names.
    pub(super) fn of_bytes(rtype: Rtype, bytes: &[u8]) -> Self {
        Self {
            rtype,
            class: Class::IN,
            bytes: bytes.to_vec(),
            names: Vec::new(),
        }
    }

    /// An address.
    pub(super) fn of_address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_bytes(Rtype::A, &address.octets()),
            IpAddr::V6(address) => Self::of_bytes(Rtype::AAAA, &address.octets()),
        }
    }

    /// A character string of at most 255 bytes.
    pub(super) fn of_text(text: &str) -> Self {
        let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
        Self::of_bytes(Rtype::TXT, &[&[len], &text.as_bytes()[..len.into()]].concat())
    }

    /// A name, for the types that have nothing else.
    pub(super) fn of_name(rtype: Rtype, name: &WireName) -> Self {
        Self::of_bytes(rtype, &[]).and_name(name)
    }

    /// A service of priority 0 (RFC 2782).
    pub(super) fn of_service(weight: u16, port: u16, target: &WireName) -> Self {
        let numbers: Vec<u8> = [0, weight, port]
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect();
        Self::of_bytes(Rtype::SRV, &numbers).and_name(target)
    }

    /// The start of a zone; the numbers are serial, refresh, retry, expire and minimum.
    pub(super) fn of_authority(mname: &WireName, rname: &WireName, numbers: [u32; 5]) -> Self {
        let mut data = Self::of_name(Rtype::SOA, mname).and_name(rname);
        data.bytes
            .extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
        data
    }

    fn and_name(mut self, name: &WireName) -> Self {
        self.names.push(self.bytes.len());
        self.bytes.extend(name);
        self
    }

    /// Reads data to the end; `None` where they are none of this type.
    pub(super) fn read(rtype: Rtype, class: Class, reader: &mut Reader<'_>) -> Option<Self> {
        let mut data = Self {
            rtype,
            class,
            bytes: Vec::new(),
            names: Vec::new(),
        };
        for field in form(rtype) {
            if reader.is_at_end() {
                break;
            }
            data.read_field(field, reader)?;
        }
        // A list of names that are all pointers grows much when it is expanded.
        let fits = data.bytes.len() <= usize::from(u16::MAX);
        (fits && reader.is_at_end()).then_some(data)
    }

    fn read_field(&mut self, field: &Field, reader: &mut Reader<'_>) -> Option<()> {
        match *field {
            Bytes(len) => self.bytes.extend(reader.take(len)?),
            Name => self.read_name(reader)?,
            Names => {
                while !reader.is_at_end() {
                    self.read_name(reader)?;
                }
            }
            Text => self.read_text(reader)?,
            Texts => {
                while !reader.is_at_end() {
                    self.read_text(reader)?;
                }
            }
            Counted(width) => {
                let at = self.bytes.len();
                self.bytes.extend(reader.take(width)?);
                if !reader.is_at_end() {
                    self.read_measured(at, width, reader)?;
                }
            }
            Measured(at, width) => self.read_measured(at, width, reader)?,
            Gateway => match self.bytes[1] {
                1 => self.bytes.extend(reader.take(4)?),
                2 => self.bytes.extend(reader.take(16)?),
                3 => self.read_name(reader)?,
                _ => {}
            },
            Rest => self.bytes.extend(reader.rest()),
            Checked(check) => {
                check(&mut reader.clone())?;
                self.bytes.extend(reader.rest());
            }
        }
        Some(())
    }

    fn read_name(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.names.push(self.bytes.len());
        self.bytes.extend(reader.name()?);
        Some(())
    }

    fn read_text(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let at = self.bytes.len();
        self.bytes.extend(reader.take(1)?);
        self.read_measured(at, 1, reader)
    }

    fn read_measured(&mut self, at: usize, width: usize, reader: &mut Reader<'_>) -> Option<()> {
        let digits = self.bytes.get(at..at + width)?;
        let len = digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit));
        self.bytes.extend(reader.take(len)?);
        Some(())
    }

    /// Says whether the names in it may be compressed.
    pub(super) fn is_compressed(&self) -> bool {
        COMPRESSED.contains(&self.rtype)
    }

    /// The data, cut into names and what is between them.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut at = 0;
        let mut names = self.names.iter().copied().peekable();
        std::iter::from_fn(move || {
            let end = match names.peek() {
                Some(&name) if name == at => {
                    names.next();
                    let start = at;
                    at += name_len(&self.bytes[start..]);
                    return Some(Piece::Name(&self.bytes[start..at]));
                }
                Some(&name) => name,
                None => self.bytes.len(),
            };
            let bytes = &self.bytes[at..end];
            at = end;
            (!bytes.is_empty()).then_some(Piece::Bytes(bytes))
        })
    }

    /// The first name in it, if it has one.
    pub(super) fn first_name(&self) -> Option<&[u8]> {
        let start = *self.names.first()?;
        self.bytes.get(start..start + name_len(&self.bytes[start..]))
    }

    /// Puts another name in place of the first, if it has one.
    pub(super) fn set_first_name(&mut self, name: &[u8]) {
        let Some((start, old)) = self.names.first().copied().zip(self.first_name().map(<[u8]>::len)) else {
            return;
        };
        self.bytes.splice(start..start + old, name.iter().copied());
        for at in &mut self.names[1..] {
            *at = *at + name.len() - old;
        }
    }

    /// Puts the names in it into lower case.
    pub(super) fn lower_names(&mut self) {
        for &at in &self.names {
            let len = name_len(&self.bytes[at..]);
            self.bytes[at..at + len].make_ascii_lowercase();
        }
    }

    /// The data as one stretch of bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The length of the name that these bytes begin with.
fn name_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    while let Some(&label) = bytes.get(len).filter(|label| **label > 0) {
        len += usize::from(label) + 1;
    }
    len + 1
}

/// The windows of a bitmap of types (RFC 4034, 4.1.2): in order, and none empty.
fn check_types(reader: &mut Reader<'_>) -> Option<()> {
    let mut least = 0;
    while !reader.is_at_end() {
        let (window, len) = (u16::from(reader.u8()?), reader.u8()?);
        if window < least || !(1..=32).contains(&len) {
            return None;
        }
        reader.take(len.into())?;
        least = window + 1;
    }
    Some(())
}

/// The parameters of a service binding (RFC 9460, 2.2): in order, and their values as their keys ask for.
fn check_parameters(reader: &mut Reader<'_>) -> Option<()> {
    let mut least = 0;
    while !reader.is_at_end() {
        let key = u32::from(reader.u16()?);
        let len = reader.u16()?.into();
        let mut value = reader.part(len)?;
        let is_well_formed = match key {
            // mandatory
            0 => len.is_multiple_of(2),
            // alpn
            1 => Data::of_bytes(Rtype::TXT, &[]).read_field(&Texts, &mut value).is_some(),
            // no-default-alpn, ohttp
            2 | 8 => len == 0,
            // port
            3 => len == 2,
            // ipv4hint
            4 => len > 0 && len.is_multiple_of(4),
            // ipv6hint
            6 => len > 0 && len.is_multiple_of(16) && !value.rest().chunks(16).any(is_mapped),
            0xffff => false,
            _ => true,
        };
        if key < least || !is_well_formed {
            return None;
        }
        least = key + 1;
    }
    Some(())
}

/// Says whether an IPv6 address is one of IPv4.
fn is_mapped(address: &[u8]) -> bool {
    address.starts_with(b"\0\0\0\0\0\0\0\0\0\0\xff\xff")
}

/// The prefixes of an address list (RFC 3123, 4): of a known family, and without zeros at the end.
fn check_prefixes(reader: &mut Reader<'_>) -> Option<()> {
    while !reader.is_at_end() {
        let family_len = match reader.u16()? {
            1 => 4,
            2 => 16,
            _ => return None,
        };
        let (prefix, len) = (usize::from(reader.u8()?), usize::from(reader.u8()? & 0x7f));
        let address = reader.take(len)?;
        if prefix > 8 * family_len || len > family_len || address.last() == Some(&0) {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rtype: u16, bytes: &[u8]) -> Option<Data> {
        // What stands before data can be pointed to.
        let message = [b"\x01a\0", bytes].concat();
        let mut reader = Reader::new(&message);
        reader.take(3).unwrap();
        Data::read(Rtype::from_int(rtype), Class::IN, &mut reader)
    }

    #[test]
    fn names_are_read_and_expanded() {
        let soa = |mname: &[u8]| [mname, b"\xc0\x00", &[7; 20]].concat();
        let data = read(6, &soa(b"\x01b\xc0\x00")).unwrap();
        assert_eq!(data.as_bytes(), [&b"\x01b\x01a\0\x01a\0"[..], &[7; 20]].concat());
        assert_eq!(data.names, [0, 5]);
        let pieces = data.pieces().map(|piece| match piece {
            Piece::Bytes(bytes) => (false, bytes.len()),
            Piece::Name(name) => (true, name.len()),
        });
        assert_eq!(pieces.collect::<Vec<_>>(), [(true, 5), (true, 3), (false, 20)]);
        let mx = read(15, b"\0\x01\xc0\x00").unwrap();
        assert_eq!((mx.as_bytes(), &mx.names[..]), (&b"\0\x01\x01a\0"[..], &[2][..]));
    }

    #[test]
    fn the_first_name_may_change() {
        let numbers = [7; 20];
        let mut soa = read(6, &[&b"\x01b\xc0\x00\xc0\x00"[..], &numbers].concat()).unwrap();
        assert_eq!(soa.first_name(), Some(&b"\x01b\x01a\0"[..]));
        for name in [&b"\x04long\x02er\0"[..], b"\0", b"\x01c\0"] {
            soa.set_first_name(name);
            assert_eq!(soa.first_name(), Some(name));
            assert_eq!(soa.as_bytes(), [name, b"\x01a\0", &numbers].concat());
            assert_eq!(soa.names, [0, name.len()]);
        }
        let mut address = read(1, b"\x0a\0\0\x01").unwrap();
        address.set_first_name(b"\0");
        assert_eq!((address.first_name(), address.as_bytes()), (None, &b"\x0a\0\0\x01"[..]));
    }

    #[test]
    fn data_may_end_after_any_field_and_nowhere_else() {
        let numbers: Vec<u8> = (0..20).collect();
        let soa = [b"\0\0", &numbers[..]].concat();
        for len in 0..=soa.len() {
            // Two names of one byte, then numbers of four.
            let is_end_of_field = len < 3 || (len - 2).is_multiple_of(4);
            assert_eq!(read(6, &soa[..len]).is_some(), is_end_of_field, "{len}");
        }
        assert_eq!(read(6, &[&soa[..], &[0]].concat()), None, "a byte too many");
    }

    #[test]
    fn expanded_data_have_a_limit_too() {
        let servers = |count: usize| [&b"\0\0\0\0"[..], &b"\xc0\x00".repeat(count)].concat();
        let most = (usize::from(u16::MAX) - 4) / 3;
        assert_eq!(read(55, &servers(most)).unwrap().as_bytes().len(), 4 + 3 * most);
        assert_eq!(read(55, &servers(most + 1)), None);
    }

    #[test]
    fn data_are_checked_by_their_type() {
        for (rtype, bytes, is_well_formed) in [
            // A, and a type that nobody knows
            (1, &b"\x0a\0\0\x01"[..], true),
            (1, b"\x0a\0\0", false),
            (0xfedc, b"\x0a\0\0", true),
            // ANY has no data.
            (255, b"", true),
            (255, b"\0", false),
            // TXT
            (16, b"\x01a\0\x02bc", true),
            (16, b"\x01a\x03bc", false),
            // NSEC: windows in order, with something in them
            (47, b"\0\0\x01\x40\x01\x02\x40\0", true),
            (47, b"\0\x01\x01\x40\0\x01\x40", false),
            (47, b"\0\0\0", false),
            (47, b"\0\0\x21", false),
            // NSEC3: salt and hash
            (50, b"\x01\0\0\0\x02ab\x01c\0\x01\x40", true),
            (50, b"\x01\0\0\0\x02", true),
            (50, b"\x01\0\0\0\x02a", false),
            // HIP: a tag of one byte, a key of two, a server
            (55, b"\x01\x02\0\x02tkk\xc0\x00", true),
            (55, b"\x01\x02\0\x02tk", false),
            // IPSECKEY: without gateway, with one of each kind
            (45, b"\x0a\0\x02key", true),
            (45, b"\x0a\x01\x02\x0a\0\0\x01key", true),
            (45, b"\x0a\x01\x02\x0a\0\0", false),
            (45, b"\x0a\x03\x02\xc0\x00key", true),
            // TSIG: counted parts
            (250, b"\0\0\0\0\0\0\0\0\0\0\x01m\0\0\0\0\0\0", true),
            (250, b"\0\0\0\0\0\0\0\0\0\0\x02m", false),
            // HTTPS: parameters in order
            (65, b"\0\x01\0\0\x01\0\x03\x02h2\0\x03\0\x02\x01\xbb", true),
            (65, b"\0\x01\0\0\x03\0\x02\x01\xbb\0\x01\0\x03\x02h2", false),
            (65, b"\0\x01\0\0\x01\0\x03\x03h2", false),
            (65, b"\0\x01\0\0\x04\0\0", false),
            (65, b"\0\x01\0\xff\xff\0\0", false),
            // APL
            (42, b"\0\x01\x08\x01\x0a\0\x02\0\x81\x20", true),
            (42, b"\0\x01\x21\0", false),
            (42, b"\0\x01\x08\x01\0", false),
            (42, b"\0\x03\x08\x01\x0a", false),
        ] {
            assert_eq!(
                read(rtype, bytes).is_some(),
                is_well_formed,
                "type {rtype}: {bytes:02x?}"
            );
        }
    }
}
