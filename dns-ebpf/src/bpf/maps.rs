//! The BPF maps of the contract, and the tables that the core reads over them.

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray};
use dns_ebpf::decide::{Lookup, Tables};
use dns_ebpf::maps::{self, Arrays, Bucket, Counters, Lease, Record, ServedAddresses};
use dns_ebpf::outcome::{Outcome, Pass};
use dns_ebpf::query::{QuestionName, Served};
use dns_ebpf::words::HashKeys;

#[map]
static BUCKETS: Array<Bucket> = Array::with_max_entries(maps::BUCKETS, 0);
#[map]
static RECORDS: Array<Record> = Array::with_max_entries(maps::RECORDS, 0);
#[map]
static HASH_KEYS: Array<HashKeys> = Array::with_max_entries(1, 0);
#[map]
static LEASE: Array<Lease> = Array::with_max_entries(1, 0);
#[map]
static SERVED: Array<ServedAddresses> = Array::with_max_entries(1, 0);
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// The tables in the kernel.
pub(super) struct KernelTables;

impl KernelTables {
    /// Counts an outcome on this CPU.
    #[inline(always)]
    pub(super) fn count(&self, outcome: Outcome) {
        let index = dns_ebpf::packet::hide(outcome.counter());
        if let Some(counters) = COUNTERS.get_ptr_mut(0)
            && index < Outcome::COUNT
        {
            // SAFETY: the element is this CPU's own, and a program is not interrupted by another run of itself there
            // that it could share it with; the index is within it.
            unsafe { (*counters.cast::<u64>().add(index)) += 1 };
        }
    }
}

impl Tables<QuestionName<'_>> for KernelTables {
    #[inline(always)]
    fn standing(&self) -> Result<(), Pass> {
        let lease = LEASE.get(0).ok_or(Pass::LeaseExpired)?;
        if lease.synced == 0 {
            return Err(Pass::Unsynced);
        }
        // SAFETY: the helper takes nothing and returns a number.
        if unsafe { bpf_ktime_get_coarse_ns() } >= lease.until {
            return Err(Pass::LeaseExpired);
        }
        Ok(())
    }

    #[inline(always)]
    fn find(&self, name: &QuestionName<'_>) -> Lookup {
        maps::find(self, name)
    }

    #[inline(always)]
    fn serial(&self) -> u32 {
        LEASE.get(0).map_or(0, |lease| lease.serial)
    }
}

impl Served for KernelTables {
    #[inline(always)]
    fn serves_ipv4(&self, address: [u8; 4]) -> bool {
        SERVED.get(0).is_some_and(|served| served.has_ipv4(address))
    }

    #[inline(always)]
    fn serves_ipv6(&self, address: [u64; 2]) -> bool {
        SERVED.get(0).is_some_and(|served| served.has_ipv6(address))
    }
}

// SAFETY: the kernel hands out pointers to an array's elements, aligned to eight bytes, that live as long as the map,
// which lives as long as the program.
unsafe impl Arrays for KernelTables {
    #[inline(always)]
    fn bucket(&self, number: u32) -> Option<*const Bucket> {
        BUCKETS.get_ptr(number)
    }

    #[inline(always)]
    fn record(&self, number: u32) -> Option<*const Record> {
        RECORDS.get_ptr(number)
    }

    #[inline(always)]
    fn hash_keys(&self) -> Option<&HashKeys> {
        HASH_KEYS.get(0)
    }
}
