//! The kernel's tables in plain memory, filled as the agent fills the kernel's, and the kernel's core over them.

use dns_ebpf::answer;
use dns_ebpf::maps::{Lease, MemoryMaps, ServedAddresses, Zones, ipv6_words};
use dns_ebpf::outcome::Outcome;
use dns_ebpf::packet::MemoryFrame;
use dns_ebpf::words::{HashKeys, MAX_WORDS};
use dns_ebpf::zone::{Zone, denial};
use dns_userspace::cluster::object::Kind;
use dns_userspace::corefile::{Fallthrough, Reason, Verdict, ZonePlan, is_reverse};
use dns_userspace::kernel::record::{self, Record};
use dns_userspace::kernel::table::{OwnChunks, Table};
use dns_userspace::kernel::zones::{self, KernelZone};
use dns_userspace::name::Name;
use dns_userspace::rules::Options;
use dns_userspace::server::{Held, Passage};
use dns_userspace::zone::{ServedZone, ZoneOptions, ZoneTable};

use crate::frames::{DNS_SERVICE, wire_name};

/// Any keys will do where nobody tries to make names fall together.
pub const KEYS: HashKeys = HashKeys {
    len: 0x94d0_49bb_1331_11eb,
    last: 0xbf58_476d_1ce4_e5b9,
    words: [0x9e37_79b9_7f4a_7c15; MAX_WORDS],
};

/// An empty, unsynced table of these zones with a TTL of 30 seconds, of which the first is the primary one, and the zones
/// that the kernel answers from.
///
/// Panics where there is no zone.
pub fn zone_table(
    zones: &[&str],
    names: Options,
    fallthrough: Fallthrough,
    kinds: &[Kind],
) -> (ZoneTable, Vec<KernelZone>) {
    let zones = zones.iter().map(|zone| Name::from_wire(&wire_name(zone)));
    let plan: Vec<_> = zones
        .map(|zone| ZonePlan {
            verdict: match fallthrough.concerns(&zone) {
                true => Verdict::ExistingOnly(Reason::Fallthrough),
                false => Verdict::Everything,
            },
            zone,
        })
        .collect();
    let served = plan.iter().map(|plan| ServedZone {
        name: plan.zone.clone(),
        reverse: is_reverse(&plan.zone),
    });
    let kernel_zones = zones::choose(&plan, &names);
    let options = ZoneOptions {
        names,
        ttl: 30,
        primary: plan[0].zone.clone(),
        fallthrough,
    };
    (ZoneTable::new(served.collect(), options, kinds.to_vec()), kernel_zones)
}

/// The zone `cluster.local` with serial 7 and a TTL of 30 seconds, in which everything is denied but Pods' names.
pub fn cluster_local() -> Zones {
    let mut zones = Zones::default();
    zones.0[0] = Zone {
        serial: 7,
        denial: denial::ALL | denial::PODS,
        ..Zone::new(&wire_name("cluster.local"), 30).unwrap_or_default()
    };
    zones
}

/// The record of a name in `cluster.local` that has these addresses and nothing else.
pub fn addresses(name: &Name, ipv4: Option<[u8; 4]>, ipv6: Option<[u8; 16]>) -> Option<Record> {
    record::lay_out(name, 0, |qtype| match (qtype, ipv4, ipv6) {
        (1, Some(address), _) => one_record(1, &address),
        (28, _, Some(address)) => one_record(28, &address),
        _ => Held::NoData,
    })
}

/// A set of one record of the name asked for, with a TTL of 30 seconds.
fn one_record(rtype: u8, data: &[u8]) -> Held {
    Held::Set {
        bytes: [&[0xc0, 12, 0, rtype, 0, 1, 0, 0, 0, 30, 0, data.len() as u8], data].concat(),
        answers: 1,
        additionals: 0,
    }
}

/// The tables of the kernel's contract, synced, under a lease, serving the DNS Service.
#[derive(Debug)]
pub struct HostTables {
    table: Table<OwnChunks>,
    zones: Zones,
}

impl HostTables {
    /// Starts without names.
    pub fn new(zones: Zones) -> Self {
        Self {
            table: Table::in_memory(KEYS),
            zones,
        }
    }

    /// Fills tables with all that a zone table has in these zones.
    pub fn of(table: &mut ZoneTable, kernel_zones: &[KernelZone]) -> Self {
        let mut tables = Self::new(zones::lay_out(kernel_zones, table));
        table.for_each_name(|table, name| {
            let record = zones::record(kernel_zones, &Passage::default(), table, &name);
            tables.set(&name, record);
        });
        tables
    }

    /// Gives a name a record, or takes it away.
    ///
    /// Panics where there is no room.
    pub fn set(&mut self, name: &Name, record: Option<Record>) {
        let set = self.table.set(name, record);
        assert!(matches!(set, Ok(Ok(()))), "{name}: {set:?}");
        let fit = self.table.fit();
        assert!(fit.is_ok() && self.table.refused() == 0, "{fit:?}");
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Makes these the zones.
    pub fn set_zones(&mut self, zones: Zones) {
        self.zones = zones;
    }

    /// The tables as the core reads them.
    pub fn maps(&self) -> MemoryMaps<'_> {
        let mut served = ServedAddresses::default();
        served.ipv4[0] = DNS_SERVICE.0.octets();
        served.ipv6[0] = ipv6_words(DNS_SERVICE.1.octets());
        MemoryMaps {
            buckets: self.table.buckets(),
            chunks: self.table.chunk_memory().collect(),
            hashing: self.table.hashing(),
            zones: self.zones,
            lease: Lease {
                until: 1,
                synced: 1,
                complete: 1,
            },
            served,
        }
    }

    /// Runs the core on a frame with this much room before and behind it, and returns what became of it.
    pub fn answer(&self, frame: &[u8], before: usize, behind: usize) -> (Outcome, Vec<u8>) {
        answer_over(&self.maps(), frame, before, behind)
    }

    /// Runs the core on a frame, and returns what became of it.
    pub fn answer_in(&self, memory: MemoryFrame<'_>) -> (Outcome, Vec<u8>) {
        run(&self.maps(), memory)
    }
}

/// The same as [`HostTables::answer`], over maps that are at hand.
pub fn answer_over(maps: &MemoryMaps<'_>, frame: &[u8], before: usize, behind: usize) -> (Outcome, Vec<u8>) {
    let mut buffer = [&vec![0; before], frame, &vec![0; behind]].concat();
    run(maps, MemoryFrame::new(&mut buffer, before..before + frame.len(), false))
}

fn run(maps: &MemoryMaps<'_>, mut memory: MemoryFrame<'_>) -> (Outcome, Vec<u8>) {
    let outcome = answer(&mut memory, maps);
    (outcome, memory.bytes().to_vec())
}
