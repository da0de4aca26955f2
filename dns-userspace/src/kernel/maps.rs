//! The maps: how what the agent knows gets into the kernel, and what the kernel counted gets out.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aya::maps::{Array, Map, MapData, PerCpuArray};
use aya::{Ebpf, Pod};
use dns_ebpf::maps::{Bucket, Contract, Counters, Lease, Record, SERVED, ServedAddresses, bytes_of, ipv6_words, names};
use dns_ebpf::words::HashKeys;
use rustix::time::{ClockId, clock_gettime};
use tracing::warn;

use super::placement::{Placement, Write};
use crate::zone::Change;

/// A map of values of `N` bytes.
type Bytes<const N: usize> = Array<MapData, [u8; N]>;

/// The maps that the agent writes.
pub struct Tables {
    buckets: Bytes<{ size_of::<Bucket>() }>,
    records: Bytes<{ size_of::<Record>() }>,
    lease: Bytes<{ size_of::<Lease>() }>,
    served: Bytes<{ size_of::<ServedAddresses>() }>,
    placement: Placement,
}

impl Tables {
    /// Takes the maps of a newly opened object and draws the keys that its names are hashed with.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self> {
        let keys = random_keys();
        // Only borrowed: a map that is dropped is closed, and no program that is loaded later finds it.
        let hash_keys = ebpf.map_mut(names::HASH_KEYS).context("the object has no hash keys")?;
        let mut hash_keys: Array<_, [u8; size_of::<HashKeys>()]> = hash_keys.try_into()?;
        hash_keys
            .set(0, &bytes_of(&keys), 0)
            .context("cannot write the hash keys")?;
        Ok(Self {
            buckets: take(ebpf, names::BUCKETS)?,
            records: take(ebpf, names::RECORDS)?,
            lease: take(ebpf, names::LEASE)?,
            served: take(ebpf, names::SERVED)?,
            placement: Placement::new(keys),
        })
    }

    /// Publishes changes, one by one and in their order; no reader sees one half done.
    ///
    /// A name for which there is no room is left out, so that its questions pass, and counted.
    pub fn publish(&mut self, changes: &[Change]) -> Result<()> {
        for change in changes {
            let writes = match change {
                Change::Put(name, entry) => self.placement.put(name, entry),
                Change::Remove(name) => Ok(self.placement.remove(name)),
            };
            match writes {
                Ok(writes) => self.apply(&writes)?,
                Err(full) => warn!("{full}"),
            }
        }
        Ok(())
    }

    fn apply(&mut self, writes: &[Write]) -> Result<()> {
        for write in writes {
            match write {
                Write::Bucket(number, bucket) => set(&mut self.buckets, *number, bucket)?,
                Write::Record(number, record) => set(&mut self.records, *number, record)?,
            }
        }
        Ok(())
    }

    /// Renews the promise that the tables are true, from now on for `lease`.
    pub fn renew(&mut self, lease: Duration, synced: bool, serial: u32) -> Result<()> {
        let until = monotonic().saturating_add(lease);
        let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        set(
            &mut self.lease,
            0,
            &Lease {
                until,
                synced: synced.into(),
                serial,
            },
        )
    }

    /// Takes the promise back: from now on everything passes.
    pub fn expire(&mut self) -> Result<()> {
        set(&mut self.lease, 0, &Lease::default())
    }

    /// Replaces the addresses whose port 53 is ours.
    pub fn serve(&mut self, addresses: &[IpAddr]) -> Result<()> {
        set(&mut self.served, 0, &served_addresses(addresses)?)
    }

    /// How many names stand in the maps.
    pub fn names(&self) -> usize {
        self.placement.len()
    }

    /// How many times a name found no room.
    pub fn refused(&self) -> u64 {
        self.placement.refused()
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
    let map: Map = ebpf
        .take_map(name)
        .with_context(|| format!("the object has no map {name}"))?;
    Array::try_from(map).with_context(|| format!("map {name} is not what this agent expects"))
}

fn set<T: Contract, const N: usize>(map: &mut Bytes<N>, index: u32, value: &T) -> Result<()>
where
    [u8; N]: Pod,
{
    map.set(index, &bytes_of(value), 0).context("cannot write to a BPF map")
}

fn random_keys() -> HashKeys {
    // Odd, so that no bit of a word is lost in the multiplication.
    let key = || rand::random::<u64>() | 1;
    HashKeys {
        words: std::array::from_fn(|_| key()),
        last: key(),
        len: key(),
    }
}

/// The clock that leases are counted by: it stops while the machine is suspended, as the kernel's side of it does.
fn monotonic() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
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
