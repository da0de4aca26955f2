//! The deciding function: from a question to what is answered, for the kernel and for tables in plain memory alike.
//!
//! It knows no packet and no message. Which names there are and what they have is said by the tables, which the agent
//! makes by the rules of CoreDNS's `kubernetes` plugin; here is only what follows from them for a question.

use crate::maps::{Maps, find};
use crate::outcome::{Pass, Rcode, TYPE_SOA};
use crate::packet::hide;
use crate::record::{Code, Set, StoredRecord};
use crate::words::NameBytes;
use crate::zone::Zone;

/// What to answer to a question of class IN.
#[derive(Clone, Copy)]
pub struct Verdict<'t> {
    /// The rcode.
    pub rcode: Rcode,
    /// How many records the answer section has.
    pub answers: u8,
    /// How many records the authority section has.
    pub authorities: u8,
    /// How many records the additional section has, the OPT record not among them.
    pub additionals: u8,
    /// What stands in those.
    pub content: Content<'t>,
}

/// What stands behind a reply's question but for the OPT record.
#[derive(Clone, Copy)]
pub enum Content<'t> {
    /// A set.
    Set(StoredRecord, Set),
    /// The zone's SOA record.
    Soa(&'t Zone),
}

impl<'t> Verdict<'t> {
    #[inline(always)]
    fn set(record: StoredRecord, set: Set) -> Self {
        Self {
            rcode: Rcode::NoError,
            answers: set.answers,
            authorities: 0,
            additionals: set.additionals,
            content: Content::Set(record, set),
        }
    }

    /// There is nothing: the SOA record says for how long.
    #[inline(always)]
    fn denial(zone: &'t Zone, rcode: Rcode) -> Self {
        Self {
            rcode,
            answers: 0,
            authorities: 1,
            additionals: 0,
            content: Content::Soa(zone),
        }
    }

    #[inline(always)]
    fn soa(zone: &'t Zone) -> Self {
        Self {
            answers: 1,
            authorities: 0,
            ..Self::denial(zone, Rcode::NoError)
        }
    }
}

/// Decides a question.
#[inline(always)]
pub fn decide<'t>(maps: &'t impl Maps, name: &impl NameBytes, qtype: usize) -> Result<Verdict<'t>, Pass> {
    check_standing(maps)?;
    match find(maps, name)? {
        Some(record) => decide_found(maps, record, qtype),
        None => decide_absent(maps, name, qtype),
    }
}

/// Says whether the tables may be answered from at all: synced, and under a live lease.
#[inline(always)]
fn check_standing(maps: &impl Maps) -> Result<(), Pass> {
    let lease = maps.lease().ok_or(Pass::LeaseExpired)?;
    if lease.synced == 0 {
        return Err(Pass::Unsynced);
    }
    lease.is_live(maps.now()).then_some(()).ok_or(Pass::LeaseExpired)
}

#[inline(always)]
fn decide_found<'t>(maps: &'t impl Maps, record: StoredRecord, qtype: usize) -> Result<Verdict<'t>, Pass> {
    let header = record.header();
    let zone = || {
        let zones = maps.zones().ok_or(Pass::Unsynced)?;
        zones.0.get(usize::from(header.zone)).ok_or(Pass::Unsynced)
    };
    if hide(qtype) == TYPE_SOA {
        let zone = zone()?;
        let is_apex = u32::from(header.name_len) == zone.len;
        return Ok(if is_apex {
            Verdict::soa(zone)
        } else {
            Verdict::denial(zone, Rcode::NoError)
        });
    }
    match header.code(hide(qtype)) {
        Code::PASS => Err(Pass::NotHeld),
        Code::NO_DATA => Ok(Verdict::denial(zone()?, Rcode::NoError)),
        Code::NX_DOMAIN => Ok(Verdict::denial(zone()?, Rcode::NxDomain)),
        code => Ok(Verdict::set(record, record.set(code))),
    }
}

#[inline(always)]
fn decide_absent<'t>(maps: &'t impl Maps, name: &impl NameBytes, qtype: usize) -> Result<Verdict<'t>, Pass> {
    let zones = maps.zones().ok_or(Pass::Unsynced)?;
    let zone = zones.find(name).ok_or(Pass::OutsideZones)?;
    if maps.lease().is_none_or(|lease| lease.complete == 0) {
        return Err(Pass::Uncertain);
    }
    zone.check_absence(name)?;
    // As CoreDNS does: any name of a zone has the zone's SOA, if only to say that there is none of its own.
    let rcode = if hide(qtype) == TYPE_SOA {
        Rcode::NoError
    } else {
        Rcode::NxDomain
    };
    Ok(Verdict::denial(zone, rcode))
}
