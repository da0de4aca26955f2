//! The maps: how what the agent knows gets into the kernel, and what the kernel counted gets out.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, slice};

use anyhow::{Context as _, Result, bail};
use aya::maps::{Array, ArrayOfMaps, Map, MapData, PerCpuArray};
use aya::{Ebpf, Pod};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY;
use dns_ebpf::maps::{
    BUCKETS, Bucket, CHUNK_WORDS, Chunk, Contract, Counters, Hashing, Lease, SERVED, ServedAddresses, UNIT, Zones,
    bytes_of, ipv6_words, names,
};
use dns_ebpf::words::HashKeys;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use tracing::warn;

use super::clock::Clock;
use super::memory::Memory;
use super::record::Record;
use super::table::{Chunks, Table};
use crate::name::Name;

/// A map of values of `N` bytes.
type Bytes<const N: usize> = Array<MapData, [u8; N]>;

/// The flag of a map that can be mapped into memory (`BPF_F_MMAPABLE`).
const MMAPABLE: u32 = 1 << 10;

/// The maps that the agent writes.
pub struct Tables {
    table: Table<KernelChunks>,
    hashing: Bytes<{ size_of::<Hashing>() }>,
    zones: Bytes<{ size_of::<Zones>() }>,
    lease: Bytes<{ size_of::<Lease>() }>,
    served: Bytes<{ size_of::<ServedAddresses>() }>,
    clock: Clock,
}

impl Tables {
    /// Takes the maps of a newly opened object and draws the keys that its names are hashed with.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self> {
        let Some(Map::Array(buckets)) = ebpf.map(names::BUCKETS) else {
            bail!("the object has no buckets");
        };
        let words = BUCKETS as usize * size_of::<Bucket>() / UNIT;
        let buckets = Mapping::new(buckets.fd(), words).context("cannot map the buckets into memory")?;
        let outer = OuterMap {
            map: ArrayOfMaps::try_from(take_map(ebpf, names::CHUNKS)?)?,
            first: None,
        };
        let chunks = KernelChunks {
            outer: Arc::new(Mutex::new(outer)),
            waiter: None,
        };
        let table = Table::new(random_keys(), Memory::Mapped(buckets), chunks);
        let mut hashing = take(ebpf, names::HASHING)?;
        set(&mut hashing, &table.hashing())?;
        Ok(Self {
            table,
            hashing,
            zones: take(ebpf, names::ZONES)?,
            lease: take(ebpf, names::LEASE)?,
            served: take(ebpf, names::SERVED)?,
            clock: Clock::open()?,
        })
    }

    /// Gives a name a record, or takes it away. A name for which there is no room is left out, and told of.
    pub fn set(&mut self, name: &Name, record: Option<Record>) -> Result<()> {
        if let Err(full) = self.table.set(name, record)? {
            warn!("{full}");
        }
        Ok(())
    }

    /// Tries again what found no room.
    pub fn retry(&mut self) -> Result<()> {
        self.table.retry()
    }

    /// Makes the index as wide as suits the number of names. While that takes, and until the promise is renewed, everything
    /// passes.
    pub fn fit(&mut self) -> Result<()> {
        if self.table.is_fit() {
            return Ok(());
        }
        self.expire()?;
        self.table.await_readers()?;
        self.table.fit()?;
        set(&mut self.hashing, &self.table.hashing())
    }

    /// Makes these the zones that are answered from.
    pub fn set_zones(&mut self, zones: &Zones) -> Result<()> {
        set(&mut self.zones, zones)
    }

    /// Renews the promise that the tables are true, from now on for `lease`.
    pub fn renew(&mut self, lease: Duration, synced: bool) -> Result<()> {
        let until = self.clock.after(lease)?;
        set(
            &mut self.lease,
            &Lease {
                until,
                synced: synced.into(),
                complete: (self.table.refused() == 0).into(),
            },
        )
    }

    /// Takes the promise back: from now on everything passes.
    pub fn expire(&mut self) -> Result<()> {
        set(&mut self.lease, &Lease::default())
    }

    /// Replaces the addresses whose port 53 is ours.
    pub fn serve(&mut self, addresses: &[IpAddr]) -> Result<()> {
        set(&mut self.served, &served_addresses(addresses)?)
    }

    /// How many names stand in the maps.
    pub fn names(&self) -> usize {
        self.table.len()
    }

    /// How many times a name found no room.
    pub fn refused(&self) -> u64 {
        self.table.refusals()
    }

    /// How many bytes of the kernel's memory the names take.
    pub fn bytes(&self) -> usize {
        BUCKETS as usize * size_of::<Bucket>() + self.table.chunks() * size_of::<Chunk>()
    }
}

/// The chunks in the kernel.
struct KernelChunks {
    outer: Arc<Mutex<OuterMap>>,
    /// Waits for a grace period.
    waiter: Option<JoinHandle<Result<()>>>,
}

/// The array of maps that the chunks stand in.
struct OuterMap {
    map: ArrayOfMaps<MapData, MapData>,
    /// The first chunk that was made, which stays.
    first: Option<MapData>,
}

impl OuterMap {
    /// The first chunk takes the place: its memory is there anyway, and no slot leads to it by this number.
    fn withdraw(&mut self, number: u32) -> Result<()> {
        let first = self.first.as_ref().context("there is no chunk")?;
        self.map.set(number, first, 0).context("cannot write to a BPF map")
    }

    /// A change of an array of maps returns when every program that ran then has ended, also if it changes nothing (Linux
    /// 4.20, `maybe_wait_bpf_programs`). `membarrier` would do, too, but not on a machine with `nohz_full`.
    fn await_readers(&mut self) -> Result<()> {
        // Without a chunk nobody has ever read anything.
        if self.first.is_none() {
            return Ok(());
        }
        self.withdraw(0)
    }
}

fn lock(outer: &Mutex<OuterMap>) -> MutexGuard<'_, OuterMap> {
    outer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Chunks for KernelChunks {
    fn make(&mut self, number: u32) -> Result<Memory> {
        let (key_len, value_len) = (size_of::<u32>() as u32, size_of::<Chunk>() as u32);
        let map = aya_obj::Map::new_from_params(BPF_MAP_TYPE_ARRAY as u32, key_len, value_len, 1, MMAPABLE);
        let map = MapData::create(map, "kxdns_chunk", None).context("cannot make a BPF map")?;
        let mapping = Mapping::new(map.fd(), CHUNK_WORDS).context("cannot map a BPF map into memory")?;
        let mut outer = lock(&self.outer);
        outer.map.set(number, &map, 0).context("cannot write to a BPF map")?;
        outer.first.get_or_insert(map);
        Ok(Memory::Mapped(mapping))
    }

    fn withdraw(&mut self, number: u32) -> Result<()> {
        lock(&self.outer).withdraw(number)
    }

    /// The kernel takes 6 to 16 ms for it, and on a busy machine rarely ten times that: events do not wait for it.
    fn begin_grace_period(&mut self) -> Result<()> {
        let outer = self.outer.clone();
        let waiter = thread::Builder::new()
            .name("grace-period".into())
            .spawn(move || lock(&outer).await_readers());
        self.waiter = Some(waiter.context("cannot start a thread")?);
        Ok(())
    }

    fn has_grace_period_ended(&self) -> bool {
        self.waiter.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn end_grace_period(&mut self) -> Result<()> {
        let Some(waiter) = self.waiter.take() else {
            return Ok(());
        };
        waiter.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// The values of an mmapable BPF array, mapped into the agent's memory.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
}

#[expect(unsafe_code, reason = "memory that the kernel shares")]
// SAFETY: the memory is shared by design, and reached by atomic operations alone.
unsafe impl Send for Mapping {}
#[expect(unsafe_code, reason = "memory that the kernel shares")]
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `words` words of an array's values.
    ///
    /// # Errors
    ///
    /// Fails where the map is no mmapable array, or is shorter.
    #[expect(unsafe_code, reason = "memory that the kernel shares")]
    pub fn new(map: impl AsFd, words: usize) -> io::Result<Self> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the kernel chooses an address where nothing is mapped, so no memory in use is replaced.
        let start = unsafe { mmap(ptr::null_mut(), 8 * words, access, flags, map.as_fd(), 0)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, words })
    }

    #[expect(unsafe_code, reason = "memory that the kernel shares")]
    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `new` mapped as many words at this address, page-aligned, until the value is dropped; the kernel shares
        // the memory, which is what atomics are for.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Mapping {
    #[expect(unsafe_code, reason = "memory that the kernel shares")]
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no reference to it outlives the value. It cannot fail for a mapping
        // that exists.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), 8 * self.words) };
    }
}

/// Lays out served addresses as the programs compare them.
///
/// Fails where there are more of a family than fit.
pub fn served_addresses(addresses: &[IpAddr]) -> Result<ServedAddresses> {
    let mut served = ServedAddresses::default();
    let (mut ipv4, mut ipv6) = (served.ipv4.iter_mut(), served.ipv6.iter_mut());
    for address in addresses {
        let placed = match address {
            IpAddr::V4(address) => ipv4.next().map(|place| *place = address.octets()),
            IpAddr::V6(address) => ipv6.next().map(|place| *place = ipv6_words(address.octets())),
        };
        if placed.is_none() {
            bail!("more than {SERVED} served addresses of a family: {address} and what follows does not fit");
        }
    }
    Ok(served)
}

/// What the programs counted.
pub struct Counts(PerCpuArray<MapData, Counters>);

impl Counts {
    /// Takes the counters of a newly opened object.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self> {
        let map = ebpf.take_map(names::COUNTERS).context("the object has no counters")?;
        Ok(Self(PerCpuArray::try_from(map)?))
    }

    /// The counters summed over the CPUs.
    pub fn read(&self) -> Result<Counters> {
        let per_cpu = self.0.get(&0, 0).context("cannot read the kernel's counters")?;
        let mut sum: Counters = Default::default();
        for counters in per_cpu.iter() {
            sum.iter_mut().zip(counters).for_each(|(sum, count)| *sum += count);
        }
        Ok(sum)
    }
}

fn take<const N: usize>(ebpf: &mut Ebpf, name: &str) -> Result<Bytes<N>>
where
    [u8; N]: Pod,
{
    Array::try_from(take_map(ebpf, name)?).with_context(|| format!("map {name} is not what this agent expects"))
}

fn take_map(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    let map = ebpf.take_map(name);
    map.with_context(|| format!("the object has no map {name}"))
}

fn set<T: Contract, const N: usize>(map: &mut Bytes<N>, value: &T) -> Result<()>
where
    [u8; N]: Pod,
{
    map.set(0, &bytes_of(value), 0).context("cannot write to a BPF map")
}

fn random_keys() -> HashKeys {
    // Odd, so that no bit of a word is lost in the multiplication.
    let key = || rand::random::<u64>() | 1;
    HashKeys {
        len: key(),
        last: key(),
        words: std::array::from_fn(|_| key()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_the_addresses_that_were_given_and_no_other() {
        let served = served_addresses(&["10.96.0.10".parse().unwrap(), "fd00::a".parse().unwrap()]).unwrap();
        assert!(served.has_ipv4([10, 96, 0, 10]));
        assert!(!served.has_ipv4([10, 96, 0, 11]));
        assert!(!served.has_ipv4([0; 4]), "an unused place serves nothing");
        let address: std::net::Ipv6Addr = "fd00::a".parse().unwrap();
        assert!(served.has_ipv6(ipv6_words(address.octets())));
        assert!(!served.has_ipv6([0; 2]), "an unused place serves nothing");
    }

    #[test]
    fn refuses_more_addresses_than_fit() {
        let addresses: Vec<IpAddr> = (0..=SERVED as u8).map(|n| [10, 0, 0, n].into()).collect();
        assert!(served_addresses(&addresses[1..]).is_ok());
        assert!(served_addresses(&addresses).is_err());
    }
}
