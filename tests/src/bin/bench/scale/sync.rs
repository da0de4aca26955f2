//! The first sync: how long it takes, and what it costs in processor time and memory.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use kxdns_tests::usage::{Memory, kernel_memory, memory, processor_time};

use super::listings::{self, IntoKernel};
use super::probe::Expectation;
use super::server::{Rival, Server};
use super::stage::Stage;

const LIMIT: Duration = Duration::from_secs(60);
/// How exactly the times are known; asking more often would take processor time from the server.
const PAUSE: Duration = Duration::from_millis(10);

/// What a first sync has shown.
#[derive(Clone, Debug)]
pub(crate) struct Sync {
    /// From the start of the process until it says that it is ready and a Service is answered rightly.
    pub(crate) answered: Duration,
    /// From the first list until it says that it is ready, where the server tells when it listed.
    pub(crate) from_list: Option<Duration>,
    /// The names' way into the kernel, which is a part of that.
    pub(crate) into_kernel: Option<IntoKernel>,
    /// Processor time until it was ready and answered.
    pub(crate) processor: Duration,
    /// Memory at that time.
    pub(crate) synced: Memory,
    /// Memory when it has rested.
    pub(crate) rest: Memory,
    /// Memory of the BPF maps and programs, which is the kernel's.
    pub(crate) kernel: u64,
}

/// Starts a server, awaits its first sync, lets it rest for so long, and hands it back running.
pub(crate) fn sync(stage: &Stage, rival: Rival, expected: &Expectation, rest: Duration) -> Result<(Server, Sync)> {
    let mut server = Server::start(stage, rival)?;
    let [ready, answered] = await_both(&mut server, expected)?;
    let processor = processor_time(server.pid)?;
    let synced = memory(server.pid)?;
    let log = server.process.output();
    sleep(rest);
    server.ensure_no_refused_names()?;
    let sync = Sync {
        answered: ready.monotonic.max(answered.monotonic) - server.started,
        from_list: listings::time_from_first(&listings::read(&log), ready.wall),
        into_kernel: listings::into_kernel(&log),
        processor,
        synced,
        rest: memory(server.pid)?,
        kernel: kernel_memory(server.pid)?,
    };
    Ok((server, sync))
}

/// A moment by both clocks: the log has only the wall's.
#[derive(Clone, Copy, Debug)]
struct Moment {
    monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    fn now() -> Moment {
        Moment {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }
}

/// When the server said that it was ready, and when it first answered rightly.
fn await_both(server: &mut Server, expected: &Expectation) -> Result<[Moment; 2]> {
    let mut probe = server.probe()?;
    let (mut ready, mut answered) = (None, None);
    loop {
        if ready.is_none() && server.is_ready() {
            ready = Some(Moment::now());
        }
        if answered.is_none() && probe.is_right(expected)? {
            answered = Some(Moment::now());
        }
        if let (Some(ready), Some(answered)) = (ready, answered) {
            return Ok([ready, answered]);
        }
        server.ensure_alive()?;
        ensure!(
            server.started.elapsed() < LIMIT,
            "ready {ready:?}, right answer {answered:?} for {expected:?}, but {:?}; it said:\n{}",
            probe.last(),
            server.process.output()
        );
        sleep(PAUSE);
    }
}
