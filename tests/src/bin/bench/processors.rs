//! Which processors whom runs on.

use std::thread::available_parallelism;

use anyhow::Result;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps this thread, and all that it starts meanwhile, off the first processor, on which the first client asks. Where there
/// is one processor alone, they share it.
pub(crate) struct ClientsFirst {
    before: CpuSet,
}

impl ClientsFirst {
    pub(crate) fn reserve() -> Result<Self> {
        let before = sched_getaffinity(None)?;
        if available_parallelism()?.get() > 1 {
            let mut others = before;
            others.unset(0);
            sched_setaffinity(None, &others)?;
        }
        Ok(Self { before })
    }
}

impl Drop for ClientsFirst {
    fn drop(&mut self) {
        // What could be set before can be set again.
        let _ = sched_setaffinity(None, &self.before);
    }
}
