//! kxdns beside CoreDNS on a large cluster: the first sync, memory, a relist, and how fast changes get through.
//!
//! Both take turns in the same pod before the same API server, which this program fills: first with a hundredth of what
//! was asked for, to show what does not depend on the size, then with the rest.

#![forbid(unsafe_code)]

mod cells;
mod changes;
mod fill;
mod listings;
mod names;
mod population;
mod probe;
mod relist;
mod report;
mod server;
mod stage;
mod sync;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;

use crate::changes::Turn;
use crate::population::Population;
use crate::report::{Figures, progress};
use crate::server::Rival;
use crate::stage::Stage;

const ROUNDS: usize = 3;
/// The small size is this part of the full one.
const SMALL_PART: usize = 100;

/// Measures kxdns beside CoreDNS on a large cluster. Needs root, and `KXDNS_PEERS`.
#[derive(Parser)]
struct Arguments {
    /// The agent's binary.
    #[arg(long, value_name = "PATH")]
    kxdns: PathBuf,
    /// How many Services there are; half of them are headless.
    #[arg(long, value_name = "N")]
    services: usize,
    /// How many endpoints there are, evenly distributed over the Services.
    #[arg(long, value_name = "N")]
    endpoints: usize,
}

fn main() -> Result<()> {
    let Arguments {
        kxdns,
        services,
        endpoints,
    } = Arguments::parse();
    ensure!(
        services >= 10 * SMALL_PART,
        "at least {} Services are needed",
        10 * SMALL_PART
    );
    probe::ensure_fit(endpoints.div_ceil(services))?;
    let full = Population { services, endpoints };
    let small = Population {
        services: services / SMALL_PART,
        endpoints: full.first_endpoint_of(services / SMALL_PART),
    };
    let mut bench = Bench {
        stage: Stage::build(kxdns)?,
        turn: Turn::default(),
        figures: Default::default(),
    };
    fill::create_namespaces(&bench.stage.cluster)?;
    fill::create_services(&bench.stage.cluster, full, 0..small.services)?;
    bench.measure_changes(0, small)?;
    fill::create_services(&bench.stage.cluster, full, small.services..full.services)?;
    bench.measure_syncs(full)?;
    bench.measure_changes(1, full)?;
    bench.measure_relists(full)?;
    let [kxdns, coredns] = bench.figures;
    report::tell([small, full], kxdns, coredns);
    Ok(())
}

struct Bench {
    stage: Stage,
    turn: Turn,
    /// In the order of [`Rival::ALL`].
    figures: [Figures; 2],
}

impl Bench {
    fn measure_syncs(&mut self, population: Population) -> Result<()> {
        let last = self.stage.expectation(population.last_headless())?;
        for round in 1..=ROUNDS {
            for (rival, figures) in Rival::ALL.into_iter().zip(&mut self.figures) {
                progress(&format!(
                    "round {round} of {ROUNDS}: the first sync of {}",
                    rival.name()
                ));
                let (server, sync) = sync::sync(&self.stage, rival, &last)?;
                progress(&format!("{}: {sync:?}", rival.name()));
                figures.syncs.push(sync);
                server.stop()?;
            }
        }
        Ok(())
    }

    fn measure_changes(&mut self, at: usize, population: Population) -> Result<()> {
        for (rival, figures) in Rival::ALL.into_iter().zip(&mut self.figures) {
            progress(&format!(
                "changes of {} endpoints: {}",
                population.endpoints,
                rival.name()
            ));
            let last = self.stage.expectation(population.last_headless())?;
            let (server, _) = sync::sync(&self.stage, rival, &last)?;
            if rival == Rival::Kxdns {
                figures.inside[at] = Some(changes::count_changes(
                    &self.stage,
                    &server,
                    population,
                    &mut self.turn,
                )?);
            }
            figures.times[at] = changes::time_changes(&self.stage, &server, population, &mut self.turn)?;
            server.stop()?;
        }
        Ok(())
    }

    fn measure_relists(&mut self, population: Population) -> Result<()> {
        for (rival, figures) in Rival::ALL.into_iter().zip(&mut self.figures) {
            progress(&format!("a relist: {}", rival.name()));
            let last = self.stage.expectation(population.last_headless())?;
            let (server, _) = sync::sync(&self.stage, rival, &last)?;
            let relist = relist::relist(&mut self.stage, &server, population, &mut self.turn)?;
            progress(&format!("{}: {relist:?}", rival.name()));
            figures.relist = Some(relist);
            server.stop()?;
        }
        Ok(())
    }
}
