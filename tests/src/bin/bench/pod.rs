//! What a pod waits for the kernel's answer, and how many it gets, beside a program at the same hook that sends every
//! question back as it came.

use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Result;
use dns_userspace::kernel::hook::Hook;
use kxdns_tests::load::{Arrival, Case, Client, Load, LoadReport};

use crate::bench::Bench;
use crate::latency::{self, LATENCY};
use crate::path::{Answerer, Path, Place};
use crate::processors::ClientsFirst;
use crate::records::{KINDS, cases, kinds, records};
use crate::results::{Bound, Goal, Report, Table, Unit, ratios};

/// How many sockets a thread has.
const SOCKETS: usize = 4;
/// How many queries a thread has out at a time where it wants as many answers as it can get.
const MANY: usize = 32;
/// Queries a second of the open loops, over all threads.
const RATES: [u32; 2] = [1_000, 20_000];
/// Of the reflector's throughput.
const GOAL: f64 = 0.95;

/// A path with its threads, and what they ask.
struct Subject<'p> {
    path: Path<'p>,
    cases: Vec<Case>,
    /// The same kind by kind.
    kinds: [Vec<Case>; KINDS.len()],
    /// One thread, and one for each processor.
    one: Vec<Client>,
    all: Vec<Client>,
}

struct Figures {
    throughput: Table,
    single: Table,
    other_processor: Table,
    program: Table,
    open: Vec<(u32, Table)>,
}

/// Measures.
pub(crate) fn measure(bench: &Bench) -> Result<Report> {
    let processors = available_parallelism()?.get();
    let _first = ClientsFirst::reserve()?;
    let records = records();
    let (cases, kinds) = (cases(&records)?, kinds(&records)?);
    bench.say("nodes and pods");
    let places = Answerer::by_every_hook()
        .map(|_| Place::build())
        .collect::<Result<Vec<_>>>()?;
    let open = |(place, (hook, answerer))| -> Result<Subject<'_>> {
        let path = Path::open(place, hook, answerer, &records)?;
        Ok(Subject {
            cases: path.cases(&cases),
            kinds: kinds.each_ref().map(|cases| path.cases(cases)),
            one: place.clients(1, SOCKETS)?,
            all: place.clients(processors, SOCKETS)?,
            path,
        })
    };
    let mut subjects = places
        .iter()
        .zip(Answerer::by_every_hook())
        .map(open)
        .collect::<Result<Vec<_>>>()?;
    let mut figures = Figures::new();
    let duration = Duration::from_millis(bench.effort.pick(50, 400, 500));
    bench.take_turns(
        bench.effort.pick(1, 5, 10),
        &mut subjects,
        |subject| subject.path.name(),
        |subject| figures.take(subject, duration),
    )?;
    for subject in subjects {
        subject.path.close()?;
    }
    Ok(figures.report())
}

impl Subject<'_> {
    fn ask(&self, clients: &[Client], arrival: Arrival, duration: Duration) -> Result<LoadReport> {
        let load = Load {
            cases: &self.cases,
            arrival,
            duration,
        };
        load.run_rightly(clients)
    }
}

impl Figures {
    fn new() -> Self {
        let columns = [
            ("one thread", Unit::PerSecond),
            ("a thread for each processor", Unit::PerSecond),
            ("lost", Unit::Count),
        ];
        let latency = |title: &str| Table::new(title, "path", &LATENCY);
        Self {
            throughput: Table::new("Throughput", "path", &columns),
            single: latency("One question at a time"),
            other_processor: latency("One question at a time, taken in by another processor"),
            program: Table::new(
                "The program's own time in place",
                "path",
                &KINDS.map(|kind| (kind, Unit::Seconds)),
            ),
            open: RATES
                .map(|rate| (rate, latency(&format!("{rate} questions a second, open loop"))))
                .into(),
        }
    }

    /// A subject's turn.
    fn take(&mut self, subject: &mut Subject<'_>, duration: Duration) -> Result<()> {
        let name = subject.path.name();
        let one = subject.ask(&subject.one, Arrival::Closed(MANY), duration)?;
        let all = subject.ask(&subject.all, Arrival::Closed(MANY), duration)?;
        let lost = (one.lost + all.lost) as f64;
        self.throughput
            .add(&name, &[Some(one.rate()), Some(all.rate()), Some(lost)]);
        let single = subject.ask(&subject.one, Arrival::Closed(1), duration)?;
        self.single.add(&name, &latency::samples(&single));
        for (rate, table) in &mut self.open {
            let report = subject.ask(&subject.one, Arrival::Open((*rate).into()), duration)?;
            table.add(&name, &latency::samples(&report));
        }
        let times: Result<Vec<_>> = subject
            .kinds
            .iter()
            .map(|cases| Ok(Some(subject.path.program_time(&subject.one, cases)?)))
            .collect();
        self.program.add(&name, &times?);
        if subject.path.hook == Hook::XdpNative || subject.all.len() == 1 {
            return Ok(());
        }
        subject.path.place.receive_on(Some(1))?;
        let report = subject.ask(&subject.one, Arrival::Closed(1), duration)?;
        self.other_processor.add(&name, &latency::samples(&report));
        subject.path.place.receive_on(None)
    }

    fn report(self) -> Report {
        let goal = |hook| {
            let rates = |answerer: Answerer| self.throughput.samples(&answerer.name(hook), "one thread");
            Goal {
                what: format!("throughput of a pod, {hook}, as a part of the reflector's"),
                bound: Bound::AtLeast(GOAL),
                unit: Unit::Ratio,
                samples: ratios(rates(Answerer::Kxdns), rates(Answerer::Reflector)),
            }
        };
        let goals = Hook::ALL.map(goal).into();
        let open = self.open.into_iter().map(|(_, table)| table);
        let tables = [self.throughput, self.single, self.other_processor, self.program].into_iter();
        Report {
            title: "From a pod".into(),
            about: ABOUT.map(str::to_owned).into(),
            goals,
            tables: tables.chain(open).filter(|table| !table.rows.is_empty()).collect(),
            ..Report::default()
        }
    }
}

const ABOUT: [&str; 4] = [
    "A pod of its own for each hook asks over a veth, and beside each another whose node has a program at the same hook that \
     swaps addresses and sends the question back: what that takes is what the kernel, the link and the socket take. Both have \
     turns. Of ten questions four are for an address of one of 1,000 Services, two for an IPv6 address that there is not, and \
     four for names that do not exist. Every reply is read and compared with the right one.",
    "A thread stays on one processor. The kernel takes in and answers what a pod sends on the processor that sends it, so that \
     the answer is there when the system call returns; *taken in by another processor* is by receive packet steering (RPS), \
     which native XDP comes before.",
    "Throughput is with 32 questions out at a time, one system call a packet. In an open loop questions are sent at fixed times \
     whatever comes back, and a time runs from when its question was due.",
    "*The program's own time in place* is by the kernel's run-time statistics, which slow it by some 20 to 50 ns, while one question \
     after the other is asked: between two runs a pod's system calls and the kernel's way there and back empty the caches, which \
     a test run leaves warm.",
];
