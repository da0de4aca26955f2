//! One resolver's lookups in all pods, checked and counted.

use std::net::IpAddr;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dns_ebpf::outcome::Pass;
use kxdns_tests::agent::Agent;
use kxdns_tests::metrics::{KERNEL_ANSWERS, KERNEL_PASSES, Metrics};
use kxdns_tests::peers::find_lookup;
use kxdns_tests::pod::Pod;

use super::mix::Entry;
use super::stage::Stage;

/// A C library whose resolver looks names up.
#[derive(Clone, Copy)]
pub(crate) struct Library {
    pub(crate) name: &'static str,
    /// What Rust's targets call it.
    target: &'static str,
}

/// All of them.
pub(crate) const LIBRARIES: [Library; 2] = [
    Library {
        name: "glibc",
        target: "gnu",
    },
    Library {
        name: "musl",
        target: "musl",
    },
];

/// What came of a resolver's lookups.
pub(crate) struct Round {
    /// How many queries left the node.
    pub(crate) left: u64,
    /// What the kernel has counted; nothing without kxdns.
    pub(crate) kernel: Seen,
    /// How long each lookup took: of names of the cluster, and of others.
    pub(crate) times: [Vec<Duration>; 2],
    /// The lookups that went wrong.
    pub(crate) wrong: Vec<String>,
}

/// What the kernel has seen of questions, by its own counters.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    /// What it has answered.
    pub(crate) answered: u64,
    /// What it has passed that is about the cluster's zones.
    pub(crate) passed: u64,
    /// What is about other zones.
    pub(crate) outside: u64,
}

impl Seen {
    fn read(agent: Option<&Agent<'_>>) -> Result<Seen> {
        let Some(agent) = agent else {
            return Ok(Seen::default());
        };
        let metrics = agent.metrics()?;
        let passed = |pass: Pass| count(&metrics, KERNEL_PASSES, &[("reason", pass.label())]);
        let outside = passed(Pass::OutsideZones);
        Ok(Seen {
            answered: count(&metrics, KERNEL_ANSWERS, &[]),
            // What is no question to the cluster's DNS is none about its zones.
            passed: count(&metrics, KERNEL_PASSES, &[]) - passed(Pass::NotDns) - passed(Pass::NotServed) - outside,
            outside,
        })
    }

    fn since(self, before: Seen) -> Seen {
        Seen {
            answered: self.answered - before.answered,
            passed: self.passed - before.passed,
            outside: self.outside - before.outside,
        }
    }
}

fn count(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> u64 {
    metrics.sum(name, labels) as u64
}

impl Stage {
    /// Lets this C library's resolver look the names up in every pod, one after the other in each.
    pub(crate) fn look_up(&self, library: Library, entries: &[Entry], agent: Option<&Agent<'_>>) -> Result<Round> {
        let program = find_lookup(library.target)?;
        let names = entries.iter().map(|entry| entry.name).collect::<Vec<_>>().join("\n");
        let (left, seen) = (self.left()?, Seen::read(agent)?);
        let look_up = |pod: &Pod| pod.namespace().feed(&program.to_string_lossy(), &[], &names);
        let outputs: Vec<_> = thread::scope(|scope| {
            let pods: Vec<_> = self.pods.iter().map(|pod| scope.spawn(move || look_up(pod))).collect();
            let results = pods.into_iter().map(|pod| pod.join());
            results
                .map(|output| output.unwrap_or_else(|panic| resume_unwind(panic)))
                .collect::<Result<_>>()
        })?;
        let mut round = Round {
            left: self.left()? - left,
            kernel: Seen::read(agent)?.since(seen),
            times: [vec![], vec![]],
            wrong: Vec::new(),
        };
        for output in outputs {
            ensure!(output.lines().count() == entries.len(), "{}: {output}", library.name);
            for (entry, line) in entries.iter().zip(output.lines()) {
                let taken = round.take(entry, line);
                taken.with_context(|| format!("{}: {line}", library.name))?;
            }
        }
        Ok(round)
    }
}

impl Round {
    /// How many lookups there were.
    pub(crate) fn lookups(&self) -> usize {
        self.times.iter().map(Vec::len).sum()
    }

    /// Takes what a lookup came to: nanoseconds and addresses.
    fn take(&mut self, entry: &Entry, line: &str) -> Result<()> {
        let mut words = line.split(' ');
        let time = words.next().context("no time")?.parse()?;
        self.times[usize::from(!entry.is_of_cluster)].push(Duration::from_nanos(time));
        let addresses = words.map(str::parse).collect::<Result<Vec<IpAddr>, _>>()?;
        if addresses != entry.addresses() {
            self.wrong.push(format!("{}: {addresses:?}", entry.name));
        }
        Ok(())
    }
}
