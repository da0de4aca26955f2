//! OPT records (RFC 6891): a query's, the form of options, and what a reply's is made of.

use domain::base::iana::{Class, OptionCode, Rtype};

use super::message::Record;
use super::rdata::Data;
use super::reader::Reader;

/// The flag that says that the client wants signatures.
pub(super) const DO: u16 = 0x8000;

/// The flags that are echoed: DO and the seven after it.
const ECHOED_FLAGS: u16 = 0xff00;

/// The options that are echoed; all others are dropped.
const ECHOED_OPTIONS: [OptionCode; 5] = [
    OptionCode::NSID,
    OptionCode::EXPIRE,
    OptionCode::COOKIE,
    OptionCode::TCP_KEEPALIVE,
    OptionCode::PADDING,
];

/// The longest EXPIRE option (RFC 7314): a number of seconds.
const EXPIRE_LEN: usize = 4;

/// A query's OPT record.
pub(super) struct Edns<'a> {
    /// The UDP payload size that the client advertises, in bytes.
    pub(super) payload_size: u16,
    /// The EDNS version.
    pub(super) version: u8,
    /// The sixteen flags; DO is the highest bit.
    pub(super) flags: u16,
    options: &'a [u8],
}

impl<'a> Edns<'a> {
    /// What an OPT record says.
    pub(super) fn of(record: &'a Record) -> Self {
        Self {
            payload_size: record.data.class.to_int(),
            version: (record.ttl >> 16) as u8,
            flags: record.ttl as u16,
            options: record.data.as_bytes(),
        }
    }

    /// Whether the client wants signatures.
    pub(super) fn wants_signatures(&self) -> bool {
        self.flags & DO != 0
    }

    /// The OPT record of a reply that has none of its own.
    pub(super) fn echo(&self) -> Record {
        self.echo_also(&[])
    }

    /// The same, with options of these codes as well.
    pub(super) fn echo_also(&self, codes: &[OptionCode]) -> Record {
        let mut options = Vec::new();
        for (code, data) in read_options(self.options) {
            let data = match code {
                OptionCode::EXPIRE => &data[..data.len().min(EXPIRE_LEN)],
                _ => data,
            };
            if ECHOED_OPTIONS.contains(&code) || codes.contains(&code) {
                write_option(&mut options, code, data);
            }
        }
        opt(self.payload_size, self.flags & ECHOED_FLAGS, &options)
    }

    /// Makes an upstream's OPT record one for this client: its options stay.
    pub(super) fn adapt(&self, record: &mut Record) {
        record.owner = vec![0];
        record.data.class = Class::from_int(self.payload_size);
        record.ttl &= u32::from(ECHOED_FLAGS);
        record.ttl |= u32::from(self.flags & DO);
    }
}

/// An OPT record of version 0; the message's rcode gives it its extended rcode.
pub(super) fn opt(payload_size: u16, flags: u16, options: &[u8]) -> Record {
    let mut data = Data::of_bytes(Rtype::OPT, options);
    data.class = Class::from_int(payload_size);
    Record {
        owner: vec![0],
        ttl: flags.into(),
        data,
    }
}

/// The options that stand in an OPT record's data.
pub(super) fn read_options(data: &[u8]) -> impl Iterator<Item = (OptionCode, &[u8])> {
    let mut reader = Reader::new(data);
    std::iter::from_fn(move || read_option(&mut reader))
}

/// Adds an option to an OPT record's data.
pub(super) fn write_option(options: &mut Vec<u8>, code: OptionCode, data: &[u8]) {
    options.extend(code.to_int().to_be_bytes());
    options.extend((data.len() as u16).to_be_bytes());
    options.extend(data);
}

/// Reads options to the end: each has its length, and the form that its code asks for.
pub(super) fn check_options(reader: &mut Reader<'_>) -> Option<()> {
    while !reader.is_at_end() {
        let (code, data) = read_option(reader)?;
        let is_well_formed = match (code, data.len()) {
            (OptionCode::LLQ, len) => len >= 18,
            (OptionCode::UL, len) => len == 4 || len == 8,
            (OptionCode::CLIENT_SUBNET, _) => is_subnet(data),
            (OptionCode::EXPIRE, len) => len == 0 || len >= EXPIRE_LEN,
            (OptionCode::TCP_KEEPALIVE, len) => len == 0 || len == 2,
            (OptionCode::EXTENDED_ERROR | OptionCode::ZONEVERSION, len) => len >= 2,
            (OptionCode::REPORT_CHANNEL, _) => Reader::new(data).name().is_some(),
            _ => true,
        };
        if !is_well_formed {
            return None;
        }
    }
    Some(())
}

fn read_option<'a>(reader: &mut Reader<'a>) -> Option<(OptionCode, &'a [u8])> {
    let code = OptionCode::from_int(reader.u16()?);
    let len = reader.u16()?;
    Some((code, reader.take(len.into())?))
}

/// A client subnet (RFC 7871, 6): family, prefix lengths of query and reply, address. Without a family it has no prefix.
fn is_subnet(data: &[u8]) -> bool {
    let &[_, _, source, scope, ..] = data else {
        return false;
    };
    match &data[..2] {
        [0, 0] => source == 0,
        [0, 1] => source.max(scope) <= 32,
        [0, 2] => source.max(scope) <= 128,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(code: u16, data: &[u8]) -> Vec<u8> {
        [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
    }

    #[test]
    fn options_have_forms() {
        for (code, data, is_well_formed) in [
            (1, &[0; 17][..], false),
            (1, &[0; 18], true),
            (2, &[0; 4], true),
            (2, &[0; 5], false),
            (3, b"anything", true),
            (8, b"\0\0\0\0", true),
            (8, b"\0\0\x20\0", false),
            (8, b"\0\x01\x18\0\x0a\0\0", true),
            (8, b"\0\x01\x21\0", false),
            (8, b"\0\x01\x18\x21", false),
            (8, b"\0\x02\x80\0", true),
            (8, b"\0\x02\x81\0", false),
            (8, b"\0\x03\0\0", false),
            (8, b"\0\x01\x18", false),
            (9, b"", true),
            (9, &[0; 3], false),
            (9, &[0; 9], true),
            (10, b"x", true),
            (11, &[0; 2], true),
            (11, &[0; 1], false),
            (15, &[0; 1], false),
            (15, &[0; 2], true),
            (18, b"\x01a\0", true),
            (18, b"\x01a", false),
            (19, &[0; 1], false),
            (65001, b"", true),
        ] {
            let options = [option(3, b""), option(code, data)].concat();
            let checked = check_options(&mut Reader::new(&options));
            assert_eq!(checked.is_some(), is_well_formed, "{code}: {data:02x?}");
        }
        for cut in 1..option(3, b"ab").len() {
            assert_eq!(check_options(&mut Reader::new(&option(3, b"ab")[..cut])), None, "{cut}");
        }
    }

    #[test]
    fn an_expire_option_is_echoed_as_a_number() {
        let asked = opt(1232, 0, &option(9, b"12345"));
        assert_eq!(Edns::of(&asked).echo(), opt(1232, 0, &option(9, b"1234")));
    }
}
