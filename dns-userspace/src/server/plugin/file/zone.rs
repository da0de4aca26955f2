//! A zone: the records of a zone file, by their names in canonical order (RFC 4034, 6.1).

use std::collections::BTreeMap;
use std::path::Path;

use domain::base::iana::Rtype;

use crate::name::Name;
use crate::server::message::Record;
use crate::server::rdata::Data;
use crate::server::reader::WireName;
use crate::server::zonefile::{Error, Records};

/// A zone.
pub(super) struct Zone {
    pub(super) origin: Key,
    pub(super) serial: u32,
    /// The records that the zone begins with: SOA and NS, and their signatures.
    apex: Vec<Record>,
    /// All others. A name that only leads to longer ones has no node.
    nodes: BTreeMap<Key, Vec<Record>>,
}

/// A name such that keys are in canonical order, and the key of a zone begins those of all its names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(Vec<u8>);

/// Why a file is not loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] Error),
    /// It has no SOA record.
    #[error("file {file:?} has no SOA record for origin {origin}")]
    NoAuthority { file: String, origin: String },
}

impl Zone {
    /// Loads a file; `None` where its serial is the one that is known.
    ///
    /// # Errors
    ///
    /// What is wrong with it first.
    pub(super) fn load(path: &Path, origin: &Name, known: Option<u32>) -> Result<Option<Self>, LoadError> {
        let mut zone = Self {
            origin: Key::of(origin.as_wire()),
            serial: 0,
            apex: Vec::new(),
            nodes: BTreeMap::new(),
        };
        let mut records = Records::open(path, &origin.as_wire().to_vec())?;
        while let Some(located) = records.next()? {
            let rtype = located.record.data.rtype;
            if [Rtype::NSEC3, Rtype::NSEC3PARAM].contains(&rtype) {
                return Err(located
                    .refuse("zones with NSEC3 are not supported; sign it with NSEC")
                    .into());
            }
            if rtype == Rtype::SOA && zone.of_apex(Rtype::SOA).next().is_none() {
                let serial = serial(&located.record.data);
                if known == Some(serial) {
                    return Ok(None);
                }
            }
            zone.insert(located.record);
        }
        let last = zone.of_apex(Rtype::SOA).next().map(|record| serial(&record.data));
        zone.serial = last.ok_or_else(|| LoadError::NoAuthority {
            file: path.display().to_string(),
            origin: origin.to_string(),
        })?;
        Ok(Some(zone))
    }

    /// Takes a record, its names in lower case where CoreDNS changes them: in SRV records it does not.
    fn insert(&mut self, mut record: Record) {
        let rtype = record.data.rtype;
        if rtype != Rtype::SRV {
            record.owner.make_ascii_lowercase();
        }
        if matches!(
            rtype,
            Rtype::NS | Rtype::SOA | Rtype::CNAME | Rtype::MX | Rtype::SVCB | Rtype::HTTPS
        ) {
            record.data.lower_names();
        }
        let key = Key::of(&record.owner);
        let is_apex = match covered(&record) {
            Some(covered) => covered == Rtype::SOA || covered == Rtype::NS && key == self.origin,
            None => rtype == Rtype::SOA || rtype == Rtype::NS && key == self.origin,
        };
        if rtype == Rtype::SOA {
            // Of several the last counts.
            self.apex.retain(|other| other.data.rtype != Rtype::SOA);
        }
        match is_apex {
            true => self.apex.push(record),
            false => self.nodes.entry(key).or_default().push(record),
        }
    }

    /// The zone's SOA record or NS records, with their signatures where they are wanted.
    pub(super) fn apex(&self, rtype: Rtype, signed: bool) -> Vec<Record> {
        let signatures = self
            .apex
            .iter()
            .filter(|record| signed && covered(record) == Some(rtype));
        self.of_apex(rtype).chain(signatures).cloned().collect()
    }

    fn of_apex(&self, rtype: Rtype) -> impl Iterator<Item = &Record> {
        self.apex.iter().filter(move |record| record.data.rtype == rtype)
    }

    /// The records of a name, the zone's SOA and NS records aside; `None` where there are none.
    pub(super) fn node(&self, key: &Key) -> Option<Node<'_>> {
        self.nodes.get(key).map(|records| Node(records))
    }

    /// The last name that is not behind this one.
    pub(super) fn before(&self, key: &Key) -> Option<(&Key, Node<'_>)> {
        let (found, records) = self.nodes.range(..=key).next_back()?;
        Some((found, Node(records)))
    }

    /// Whether a name that has no records has longer ones below it.
    pub(super) fn leads_on(&self, key: &Key) -> bool {
        let next = self.nodes.range(key..).next();
        next.is_some_and(|(found, _)| found != key && found.is_within(key))
    }
}

/// The records of a name.
#[derive(Clone, Copy)]
pub(super) struct Node<'z>(&'z [Record]);

impl<'z> Node<'z> {
    /// The records of a type.
    pub(super) fn of(self, rtype: Rtype) -> impl Iterator<Item = &'z Record> {
        self.0.iter().filter(move |record| record.data.rtype == rtype)
    }

    /// The signatures of the records of a type.
    pub(super) fn signatures_of(self, rtype: Rtype) -> impl Iterator<Item = &'z Record> {
        self.0.iter().filter(move |record| covered(record) == Some(rtype))
    }

    /// The records of a type, with their signatures where they are wanted.
    pub(super) fn set(self, rtype: Rtype, signed: bool) -> Vec<Record> {
        let signatures = self.signatures_of(rtype).filter(|_| signed);
        self.of(rtype).chain(signatures).cloned().collect()
    }
}

impl Key {
    /// The key of a name in wire form: its labels from the right in lower case, each with an end that sorts before all bytes.
    pub(super) fn of(name: &[u8]) -> Self {
        let mut labels = Vec::with_capacity(8);
        let mut rest = name;
        while let Some((&len, tail)) = rest.split_first().filter(|(len, _)| **len > 0) {
            let Some((label, tail)) = tail.split_at_checked(len.into()) else {
                break;
            };
            labels.push(label);
            rest = tail;
        }
        let mut key = Self(Vec::with_capacity(name.len()));
        labels.iter().rev().for_each(|label| key.push(label));
        key
    }

    fn push(&mut self, label: &[u8]) {
        for byte in label.to_ascii_lowercase() {
            match byte {
                0 | 1 => self.0.extend([1, byte + 1]),
                _ => self.0.push(byte),
            }
        }
        self.0.push(0);
    }

    /// The number of its labels.
    pub(super) fn count(&self) -> usize {
        self.0.iter().filter(|byte| **byte == 0).count()
    }

    /// The name of its last `count` labels; `None` where it has less.
    pub(super) fn last(&self, count: usize) -> Option<Self> {
        let mut ends = self.0.iter().enumerate().filter(|(_, byte)| **byte == 0);
        let end = match count.checked_sub(1) {
            Some(index) => ends.nth(index)?.0 + 1,
            None => 0,
        };
        Some(Self(self.0[..end].to_vec()))
    }

    /// The name without its first label; `None` for the root.
    pub(super) fn parent(&self) -> Option<Self> {
        self.last(self.count().checked_sub(1)?)
    }

    /// The wildcard below it.
    pub(super) fn wildcard(&self) -> Self {
        let mut wildcard = self.clone();
        wildcard.push(b"*");
        wildcard
    }

    /// Whether it is a name or lies below it.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

/// The type of the records that a signature is one of.
fn covered(record: &Record) -> Option<Rtype> {
    let Data {
        rtype: Rtype::RRSIG, ..
    } = record.data
    else {
        return None;
    };
    let number = record.data.as_bytes().first_chunk().copied()?;
    Some(Rtype::from_int(u16::from_be_bytes(number)))
}

/// The serial of a SOA record.
fn serial(soa: &Data) -> u32 {
    let numbers = soa.as_bytes().last_chunk::<20>();
    let serial = numbers.and_then(|numbers| numbers.first_chunk().copied());
    serial.map_or(0, u32::from_be_bytes)
}

/// The name that a record leads to.
pub(super) fn target(record: &Record) -> Option<WireName> {
    record.data.first_name().map(<[u8]>::to_vec)
}
