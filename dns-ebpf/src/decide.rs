//! The deciding function: from a question to what is answered, for the kernel and for tables in plain memory alike.
//!
//! It knows no packet and no message. Which names there are and what they have is said by the tables, which the agent
//! makes by the rules of CoreDNS's `kubernetes` plugin; here is only what follows from them for a question.

use crate::maps::{Maps, StoredRecord, find};
use crate::outcome::{Pass, Rcode, TYPE_A, TYPE_SOA, TYPE_SRV};
use crate::packet::{forget, hide};
use crate::record::{Code, Set};
use crate::words::NameBytes;
use crate::zone::{Zone, dashed_ipv4};

/// What to answer to a question of class IN.
///
/// Verifier: no two fields share memory, or the compiler computes with what may be a pointer.
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
    /// Of [`Content::Set`]: which.
    pub set: Set,
    /// Of [`Content::Made`]: which.
    pub made: Made,
}

/// What stands behind a reply's question but for the OPT record.
#[derive(Clone, Copy)]
pub enum Content<'t> {
    /// A set of this name.
    Set(StoredRecord<'t>),
    /// One record that is made of what is known of the zone.
    Made(&'t Zone),
}

/// A record that is not held, but made for the reply: the zone's SOA record, or the A record of an address in it.
///
/// Verifier: one number for both, so that it can be forgotten which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made(usize);

impl Made {
    /// The zone's SOA record.
    const SOA: Self = Self(1 << 32);

    #[inline(always)]
    fn of_address(address: u32) -> Self {
        Self(address as usize)
    }

    /// The address of an A record; `None` of the SOA record.
    #[inline(always)]
    pub fn address(self) -> Option<u32> {
        (hide(self.0) < Self::SOA.0).then_some(self.0 as u32)
    }
}

impl<'t> Verdict<'t> {
    #[inline(always)]
    fn set(record: StoredRecord<'t>, set: Set) -> Self {
        Self {
            rcode: Rcode::NoError,
            answers: set.answers,
            authorities: 0,
            additionals: set.additionals,
            content: Content::Set(record),
            set,
            made: Made::SOA,
        }
    }

    /// There is nothing: the SOA record says for how long.
    #[inline(always)]
    fn denial(zone: &'t Zone, rcode: Rcode) -> Self {
        Self::made(zone, rcode, [0, 1], Made::SOA)
    }

    #[inline(always)]
    fn soa(zone: &'t Zone) -> Self {
        Self::made(zone, Rcode::NoError, [1, 0], Made::SOA)
    }

    #[inline(always)]
    fn address(zone: &'t Zone, address: u32) -> Self {
        Self::made(zone, Rcode::NoError, [1, 0], Made::of_address(address))
    }

    /// Verifier: all of it is forgotten, or the reply would be walked through once for each that there is.
    #[inline(always)]
    fn made(zone: &'t Zone, rcode: Rcode, counts: [usize; 2], Made(made): Made) -> Self {
        let [answers, authorities] = counts.map(|count| forget(count) as u8);
        Self {
            rcode,
            answers,
            authorities,
            additionals: 0,
            content: Content::Made(zone),
            set: Set::default(),
            made: Made(forget(made)),
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
fn decide_found<'t>(maps: &'t impl Maps, record: StoredRecord<'t>, qtype: usize) -> Result<Verdict<'t>, Pass> {
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
    let shape = zone.shape(name)?;
    if zone.has_pods(&shape)
        && let Some(address) = dashed_ipv4(name, shape.object_at)?
        && forget(usize::from(find(maps, &name.suffix(shape.namespace_at))?.is_some())) != 0
    {
        return decide_pod(zone, address, qtype);
    }
    zone.check_absence(name, &shape)?;
    // As CoreDNS does: any name of a zone has the zone's SOA, if only to say that there is none of its own.
    let rcode = if hide(qtype) == TYPE_SOA {
        Rcode::NoError
    } else {
        Rcode::NxDomain
    };
    Ok(Verdict::denial(zone, rcode))
}

/// A Pod's name is known by nothing but its address: its A record is the name spelled out.
#[inline(always)]
fn decide_pod(zone: &Zone, address: u32, qtype: usize) -> Result<Verdict<'_>, Pass> {
    match hide(qtype) {
        TYPE_A => Ok(Verdict::address(zone, address)),
        TYPE_SRV => Err(Pass::NotHeld),
        _ => Ok(Verdict::denial(zone, Rcode::NoError)),
    }
}
