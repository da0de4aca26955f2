//! The clock that leases are counted by: the kernel's ticks, which a program of the agent's tells.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, include_bytes_aligned};
use rustix::time::{ClockId, clock_getres};

/// The object as it was built with this agent.
static OBJECT: &[u8] = include_bytes_aligned!(env!("KXDNS_CLOCK_OBJECT"));

/// The shortest frame that a program can be run on.
const FRAME: [u8; 64] = [0; 64];

/// The clock.
pub struct Clock {
    ebpf: Ebpf,
    /// How long a tick is.
    tick: Duration,
}

impl Clock {
    /// Loads the program.
    pub fn open() -> Result<Self> {
        let mut ebpf = Ebpf::load(OBJECT).context("the kernel does not take the clock's program")?;
        program(&mut ebpf)?.load()?;
        // The coarse clocks go on with each tick.
        let tick = clock_getres(ClockId::MonotonicCoarse);
        let tick = Duration::try_from(tick).context("the kernel's ticks have no length")?;
        Ok(Self { ebpf, tick })
    }

    /// What the programs will read after this time has passed. It is good for half of the clock's round: 24 days at least.
    pub fn after(&mut self, time: Duration) -> Result<u32> {
        let options = TestRunOptions {
            data_in: Some(&FRAME),
            ..TestRunOptions::new()
        };
        let run = program(&mut self.ebpf)?
            .test_run(options)
            .context("the kernel does not tell its clock")?;
        Ok(run.return_value.wrapping_add(self.ticks(time)))
    }

    /// How many ticks a time has, rounded up.
    fn ticks(&self, time: Duration) -> u32 {
        let tick = self.tick.as_nanos().max(1);
        u32::try_from(time.as_nanos().div_ceil(tick)).map_or(MAX_TICKS, |ticks| ticks.min(MAX_TICKS))
    }
}

/// Half of the clock's round.
const MAX_TICKS: u32 = i32::MAX as u32;

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    let program = ebpf.program_mut("kxdns_clock").context("the object has no clock")?;
    Ok(program.try_into()?)
}
