//! Room for queries that wait for upstreams, and for connections: bounded in all, and shared fairly.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

/// Room for what clients have going on.
///
/// A client may take as much as it leaves free (dynamic thresholds, as in the buffers of switches): alone up to half of the
/// room, and less the more others take, so that whoever comes later finds some.
#[derive(Clone)]
pub(super) struct Slots(Arc<Mutex<Taken>>);

struct Taken {
    free: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// Room that is taken, until it is dropped.
pub(super) struct Slot {
    slots: Slots,
    client: IpAddr,
}

impl Slots {
    /// Room for so much.
    pub(super) fn new(free: usize) -> Self {
        Self(Arc::new(Mutex::new(Taken {
            free,
            by_client: HashMap::new(),
        })))
    }

    /// Takes room for a client, if it may have any.
    pub(super) fn take(&self, client: IpAddr) -> Option<Slot> {
        let mut taken = self.lock();
        let own = taken.by_client.get(&client).copied().unwrap_or(0);
        if own >= taken.free {
            return None;
        }
        taken.free -= 1;
        taken.by_client.insert(client, own + 1);
        Some(Slot {
            slots: self.clone(),
            client,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        taken.free += 1;
        if let Some(own) = taken.by_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn a_client_alone_takes_half_and_leaves_room_for_others() {
        let slots = Slots::new(1000);
        let first: Vec<_> = std::iter::from_fn(|| slots.take(client(1))).collect();
        assert_eq!(first.len(), 500);
        let second: Vec<_> = std::iter::from_fn(|| slots.take(client(2))).collect();
        assert_eq!(second.len(), 250);
        assert!(slots.take(client(1)).is_none());
        assert!(slots.take(client(3)).is_some());
    }

    #[test]
    fn what_is_given_back_is_free_again() {
        let slots = Slots::new(1000);
        let all = |last| std::iter::from_fn(|| slots.take(client(last))).collect::<Vec<_>>();
        drop(all(1));
        assert_eq!(all(2).len(), 500);
        assert!(slots.lock().by_client.is_empty());
    }
}
