//! What answers cost: processor time and memory.

use std::time::Duration;

use anyhow::Result;
use kxdns_tests::load::LoadReport;
use kxdns_tests::usage::{self, kernel_memory, memory, processor_time};
use rustix::process::Pid;

use super::field::{Subject, Work};
use crate::results::Unit;

/// The column of the processor time that is a server's own.
pub(super) const OWN: &str = "its own";

/// The columns of the table.
pub(super) const COST: [(&str, Unit); 4] = [
    (OWN, Unit::Seconds),
    ("softirqs", Unit::Seconds),
    ("machine", Unit::Seconds),
    ("memory", Unit::Bytes),
];

/// What has been used until a moment.
pub(super) struct Moment {
    processes: Duration,
    softirqs: Duration,
    machine: Duration,
}

impl Moment {
    pub(super) fn of(subject: &Subject<'_>) -> Result<Self> {
        let pids = subject.work.pids()?;
        let times = pids
            .iter()
            .map(|pid| processor_time(*pid))
            .collect::<Result<Vec<_>>>()?;
        let machine = usage::machine()?;
        Ok(Self {
            processes: times.iter().sum(),
            softirqs: machine.softirqs,
            machine: machine.busy,
        })
    }

    /// What each answer of a load has cost since then: a round's samples for [`COST`].
    pub(super) fn samples(self, subject: &Subject<'_>, report: &LoadReport) -> Result<[Option<f64>; 4]> {
        let now = Self::of(subject)?;
        let each = |now: Duration, before: Duration| (now - before).as_secs_f64() / report.answered as f64;
        let own = match &subject.work {
            Work::Program(path) => path.program_time(&subject.clients, &subject.cases)?,
            _ => each(now.processes, self.processes),
        };
        Ok([
            Some(own),
            Some(each(now.softirqs, self.softirqs)),
            Some(each(now.machine, self.machine)),
            subject.work.memory()?.map(|bytes| bytes as f64),
        ])
    }
}

impl Work<'_> {
    /// The processes that answer, or hold what answers.
    fn pids(&self) -> Result<Vec<Pid>> {
        match self {
            Self::Servers(pids) => Ok(pids.clone()),
            Self::Agent(agent) => Ok(vec![agent.pid()?]),
            Self::Program(path) => path.agent.iter().map(|agent| agent.pid()).collect(),
        }
    }

    /// The memory of all of it; `None` of a reflector, which has none to speak of.
    fn memory(&self) -> Result<Option<u64>> {
        let pids = self.pids()?;
        if pids.is_empty() {
            return Ok(None);
        }
        let each = |pid: &Pid| Ok(memory(*pid)?.now + kernel_memory(*pid)?);
        pids.iter().map(each).sum::<Result<u64>>().map(Some)
    }
}
