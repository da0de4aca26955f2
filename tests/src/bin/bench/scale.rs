//! kxdns beside CoreDNS as a cluster grows: the first sync, memory, how fast changes get through, and a relist.
//!
//! Both take turns before the same API server, which is filled to each size in turn. kxdns runs on a node without opening a
//! DNS socket: whatever answers the client's pod is the kernel.

mod changes;
mod figures;
mod fill;
mod listings;
mod names;
mod pace;
mod population;
mod probe;
mod prober;
mod relist;
mod server;
mod slices;
mod stage;
mod sync;

use std::time::Duration;

use anyhow::Result;

use self::figures::Figures;
use self::pace::Pace;
use self::population::Population;
use self::server::Rival;
use self::stage::Stage;
use crate::bench::Bench;
use crate::effort::Effort;
use crate::results::Report;

/// Measures both at every size.
pub(crate) fn measure(bench: &Bench) -> Result<Report> {
    let plan = Plan::new(bench.effort);
    bench.say("starting a control plane");
    let mut stage = Stage::build()?;
    let mut figures = Figures::new();
    let mut population = Population::new(0);
    fill::create_namespaces(&stage.cluster)?;
    for &services in plan.sizes {
        let before = population.services;
        population = Population::new(services);
        bench.say(format!("filling in {}", population.name()));
        fill::create_services(&stage, population, before..services)?;
        measure_size(bench, &plan, &stage, population, &mut figures)?;
    }
    measure_relists(bench, &plan, &mut stage, population, &mut figures)?;
    Ok(figures.into_report(population, about(&plan)))
}

/// How much is done.
struct Plan {
    /// How many Services there are, ascending.
    sizes: &'static [usize],
    rounds: usize,
    relists: usize,
    /// How long endpoints change at each pace, in a round.
    changing: Duration,
    /// A server is at rest when it has been synced for so long.
    rest: Duration,
}

impl Plan {
    fn new(effort: Effort) -> Self {
        let grown = &[100, 1_000, 10_000][..];
        Self {
            sizes: effort.pick(&grown[..1], grown, grown),
            rounds: effort.pick(1, 2, 3),
            relists: effort.pick(1, 1, 2),
            changing: effort.pick(
                Duration::from_millis(250),
                Duration::from_secs(3),
                Duration::from_secs(5),
            ),
            rest: effort.pick(
                Duration::from_millis(100),
                Duration::from_secs(2),
                Duration::from_secs(5),
            ),
        }
    }
}

fn measure_size(
    bench: &Bench,
    plan: &Plan,
    stage: &Stage,
    population: Population,
    figures: &mut Figures,
) -> Result<()> {
    let name = |rival: &Rival| format!("{}, {}", population.name(), rival.name());
    bench.take_turns(plan.rounds, &mut Rival::ALL.clone(), name, |rival| {
        let last = stage.slices.last()?;
        let (server, sync) = sync::sync(stage, *rival, &last, plan.rest)?;
        figures.add_sync(population, *rival, &sync);
        for pace in Pace::ALL {
            let outcome = changes::make(stage, &server, pace, plan.changing)?;
            figures.add_changes(population, *rival, pace, &outcome);
        }
        changes::ensure_all_right(stage, &server)?;
        server.stop()
    })
}

fn measure_relists(
    bench: &Bench,
    plan: &Plan,
    stage: &mut Stage,
    population: Population,
    figures: &mut Figures,
) -> Result<()> {
    let mut number = 0;
    let name = |rival: &Rival| format!("a relist of {}", rival.name());
    bench.take_turns(plan.relists, &mut Rival::ALL.clone(), name, |rival| {
        number += 1;
        let last = stage.slices.last()?;
        let (server, _) = sync::sync(stage, *rival, &last, Duration::ZERO)?;
        let relist = relist::relist(stage, &server, population, number, plan.rest)?;
        figures.add_relist(*rival, &relist);
        server.stop()
    })
}

/// How it is measured, for whoever reads the figures.
fn about(plan: &Plan) -> Vec<String> {
    let Plan { changing, rest, .. } = plan;
    vec![
        "A real API server with etcd is filled to each size in turn; half of the Services are headless, each has 15 endpoints \
         in one EndpointSlice. kxdns and CoreDNS take turns before it, by the same Corefile without `cache`. A pod on their \
         node asks: for kxdns the DNS Service's address, behind which there is nothing but the kernel (`--kernel-only`, tcx \
         on the pod's link), for CoreDNS CoreDNS itself, in another pod of the node."
            .to_owned(),
        format!(
            "First sync: from the start of the process, which for kxdns includes a pause of up to a second by chance, until \
             it says that it is ready and a Service is answered rightly. Memory is what is resident, at the peak of that and \
             {rest:?} later. Of kxdns it includes the kernel's tables, which the agent has mapped; its other BPF maps and its \
             programs are told beside it."
        ),
        format!(
            "Event to answer: an endpoint of a headless Service gets another address; from the API server's reply to the \
             write until the pod is answered with it. Slices are written whole, but without `managedFields`, whose \
             book-keeping is a fifth of what a write costs an API server. The writes come at even distances, as far as the \
             API server takes them, for {changing:?} a round, of each Service in turn; up to some 200 a second are timed, \
             chosen beforehand. Replies that were never right fail the run, and so does any Service that is not answered \
             rightly in the end. \"Inside kxdns\" is from the event's arrival at the agent to the kernel's new record, \
             estimated from a histogram."
        ),
        "A relist: the server is stopped, the API server is restarted, an object of each kind changes; from when the server \
         goes on until all of it is answered rightly and, of kxdns, every list has ended."
            .to_owned(),
    ]
}
