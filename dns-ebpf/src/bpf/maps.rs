//! The BPF maps of the contract, and the tables that the core reads over them.

use core::ffi::c_void;

use aya_ebpf::btf_maps;
use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_jiffies64};
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{Array, PerCpuArray};
use dns_ebpf::maps::{self, Bucket, Chunk, Counters, Hashing, Lease, Maps, ServedAddresses, Zones};
use dns_ebpf::outcome::Outcome;

/// The agent writes to these maps by mapping them into its memory.
const MMAPABLE: u32 = 1 << 10;

#[map]
static BUCKETS: Array<Bucket> = Array::with_max_entries(maps::BUCKETS, MMAPABLE);
#[btf_map]
static CHUNKS: btf_maps::ArrayOfMaps<btf_maps::Array<Chunk, 1, { MMAPABLE as usize }>, { maps::CHUNKS as usize }> =
    btf_maps::ArrayOfMaps::new();
#[map]
static HASHING: Array<Hashing> = Array::with_max_entries(1, 0);
#[map]
static ZONES: Array<Zones> = Array::with_max_entries(1, 0);
#[map]
static LEASE: Array<Lease> = Array::with_max_entries(1, 0);
#[map]
static SERVED: Array<ServedAddresses> = Array::with_max_entries(1, 0);
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// How many bytes of memory of its own a CPU has: more than any query.
pub(super) const SCRATCH_LEN: usize = 512;

#[map]
static SCRATCH: PerCpuArray<[u8; SCRATCH_LEN]> = PerCpuArray::with_max_entries(1, 0);

/// Memory of this CPU's own, of [`SCRATCH_LEN`] bytes.
#[inline(always)]
pub(super) fn scratch() -> Option<*mut c_void> {
    SCRATCH.get_ptr_mut(0).map(<*mut _>::cast)
}

/// The tables in the kernel.
pub(super) struct KernelMaps;

impl KernelMaps {
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

// SAFETY: the kernel hands out pointers to an array's elements, aligned to eight bytes, that live as long as the map,
// which lives as long as the program. The agent keeps the rest of the promise: it writes to what a slot has led to only
// after every program that ran then has ended.
unsafe impl Maps for KernelMaps {
    #[inline(always)]
    fn bucket(&self, number: u32) -> Option<*const Bucket> {
        BUCKETS.get_ptr(number)
    }

    #[inline(always)]
    fn chunk(&self, number: u32) -> Option<*const Chunk> {
        CHUNKS.get_value(number, &0).map(core::ptr::from_ref)
    }

    #[inline(always)]
    fn hashing(&self) -> Option<&Hashing> {
        HASHING.get(0)
    }

    #[inline(always)]
    fn zones(&self) -> Option<&Zones> {
        ZONES.get(0)
    }

    #[inline(always)]
    fn lease(&self) -> Option<&Lease> {
        LEASE.get(0)
    }

    #[inline(always)]
    fn served(&self) -> Option<&ServedAddresses> {
        SERVED.get(0)
    }

    #[inline(always)]
    fn now(&self) -> u32 {
        // SAFETY: the helper takes nothing and returns a number.
        unsafe { bpf_jiffies64() as u32 }
    }

    #[inline(always)]
    fn random(&self) -> u32 {
        // SAFETY: the helper takes nothing and returns a number.
        unsafe { bpf_get_prandom_u32() }
    }
}
