//! The same load against every server that a cluster's DNS could have, with the same records: what a pod gets from each, and
//! what it costs.

mod cost;
mod field;

use std::time::Duration;

use anyhow::Result;
use kxdns_tests::load::{Arrival, Load, LoadReport};

use crate::bench::Bench;
use crate::latency::{self, LATENCY, distribution};
use crate::path::Answerer;
use crate::processors::ClientsFirst;
use crate::results::{Bound, Goal, Report, Table, Unit, ratios};
use cost::{COST, Moment};
use dns_userspace::kernel::hook::Hook;
use field::{BEHIND_KUBE_PROXY, DIRECT, Field, Subject, Work};

/// How many queries are out at a time where as many answers as possible are wanted.
const MANY: usize = 64;
/// Queries a second of the open loops: what every cluster has, and what a busy node has.
const RATES: [u32; 2] = [1_000, 10_000];
/// At which of them latency has its goal and its picture.
const LOAD: u32 = 10_000;
const COST_GOAL: f64 = 100.0;
const LATENCY_GOAL: f64 = 50.0;

struct Figures {
    throughput: Table,
    cost: Table,
    open: [(u32, Table); RATES.len()],
}

/// Measures.
pub(crate) fn measure(bench: &Bench) -> Result<Report> {
    let _first = ClientsFirst::reserve()?;
    bench.say("a control plane, kube-proxy, and everyone's servers");
    let field = Field::build()?;
    let mut subjects = field.subjects()?;
    let mut figures = Figures::new();
    let duration = bench.effort.pick(
        Duration::from_millis(100),
        Duration::from_millis(500),
        Duration::from_secs(1),
    );
    bench.take_turns(
        bench.effort.pick(1, 5, 10),
        &mut subjects,
        |subject| subject.name.clone(),
        |subject| figures.take(subject, duration),
    )?;
    let picture = format!("Latency at {LOAD} questions a second");
    // One hook is enough to look at: there are no more colours.
    let hook = Answerer::Kxdns.name(Hook::Tcx);
    let seen = |subject: &&Subject<'_>| !matches!(subject.work, Work::Program(_)) || subject.name == hook;
    let distributions = subjects
        .iter()
        .filter(seen)
        .map(|subject| distribution(&picture, &subject.name, &subject.times));
    Ok(Report {
        title: "Beside other servers".into(),
        about: ABOUT.map(str::to_owned).into(),
        distributions: distributions.collect(),
        goals: figures.goals(),
        tables: figures.tables(),
        ..Report::default()
    })
}

impl Figures {
    fn new() -> Self {
        let throughput = [("answers", Unit::PerSecond), ("lost", Unit::Count)];
        let open = |rate| {
            let title = format!("{rate} questions a second, open loop");
            (rate, Table::new(&title, "server", &LATENCY))
        };
        Self {
            throughput: Table::new("Throughput", "server", &throughput),
            cost: Table::new("What an answer costs", "server", &COST),
            open: RATES.map(open),
        }
    }

    /// A subject's turn.
    fn take(&mut self, subject: &mut Subject<'_>, duration: Duration) -> Result<()> {
        let before = Moment::of(subject)?;
        let report = ask(subject, Arrival::Closed(MANY), duration)?;
        let samples = before.samples(subject, &report)?;
        self.cost.add(&subject.name, &samples);
        self.throughput
            .add(&subject.name, &[Some(report.rate()), Some(report.lost as f64)]);
        for (rate, table) in &mut self.open {
            let report = ask(subject, Arrival::Open((*rate).into()), duration)?;
            table.add(&subject.name, &latency::samples(&report));
            if *rate == LOAD {
                subject.times.add(&report.times)?;
            }
        }
        Ok(())
    }

    fn goals(&self) -> Vec<Goal> {
        let kxdns = Answerer::Kxdns.name(Hook::Tcx);
        let cost = |server| self.cost.samples(server, cost::OWN);
        let p99 = |server| {
            let table = self.open.iter().find(|(rate, _)| *rate == LOAD);
            table.map_or(&[][..], |(_, table)| table.samples(server, "p99"))
        };
        let goal = |what: String, bound, samples| Goal {
            what,
            bound: Bound::AtLeast(bound),
            unit: Unit::Ratio,
            samples,
        };
        vec![
            goal(
                "processor time of CoreDNS for an answer, as a multiple of that of the kernel's program".into(),
                COST_GOAL,
                ratios(cost(DIRECT), cost(&kxdns)),
            ),
            goal(
                format!("p99 of CoreDNS behind kube-proxy at {LOAD} questions a second, as a multiple of kxdns's"),
                LATENCY_GOAL,
                ratios(p99(BEHIND_KUBE_PROXY), p99(&kxdns)),
            ),
        ]
    }

    fn tables(self) -> Vec<Table> {
        let open = self.open.into_iter().map(|(_, table)| table);
        [self.throughput].into_iter().chain(open).chain([self.cost]).collect()
    }
}

/// Loads a subject. Whatever it replies is right; a query may be lost.
fn ask(subject: &Subject<'_>, arrival: Arrival, duration: Duration) -> Result<LoadReport> {
    let load = Load {
        cases: &subject.cases,
        arrival,
        duration,
    };
    load.run_rightly(&subject.clients)
}

const ABOUT: [&str; 4] = [
    "All servers know the same 1,000 Services, and a pod asks all the same, over a veth to its node: of ten questions four for an \
     address, two for an IPv6 address that there is not, and four for names that do not exist. Every reply is read and compared \
     with the right one. One client thread has the first processor to itself, all servers the others; the kernel's programs run \
     where the packet is sent, so they share the client's processor. Everyone is on the same machine: the network between nodes, \
     which CoreDNS is behind in a cluster, comes on top of its times and not of the kernel's.",
    "CoreDNS has the `kubernetes` plugin on a real API server and `cache 30`. *Behind kube-proxy* is the way of a cluster: the \
     Service's address, DNATed by kube-proxy's nftables rules. *Node-local* is CoreDNS as NodeLocal DNSCache configures it. \
     unbound, dnsmasq and Knot DNS have the records in their own configuration ([tests/servers](../tests/servers)).",
    "*Throughput* is with 64 questions out at a time; the client, which reads every reply, is the limit of the fast ones, and the \
     reflector shows where that is. In an open loop questions are sent at fixed times whatever comes back, and a time runs from \
     when its question was due.",
    "*Its own* processor time is that of the server's process, or that of the program by the kernel's statistics, which slow it \
     by some 20 to 50 ns. *Softirqs* and *machine* are of all processors, the client's part among them. Memory of kxdns is that \
     of the agent and of the BPF maps.",
];
