//! What was measured, in tables: a row for each size, and the samples of a cell are the rounds'.

use std::collections::BTreeMap;

use kxdns_tests::figures::percentile;

use super::changes::Outcome;
use super::pace::Pace;
use super::population::Population;
use super::relist::Relist;
use super::server::Rival;
use super::sync::Sync;
use crate::results::{Bound, Column, Distribution, Goal, Report, Table, Unit, median};

/// So long an event may take to the kernel's answer, at the 99th percentile.
const GOAL: f64 = 0.010;
/// The paces for which it holds.
const GOAL_PACES: [Pace; 2] = [Pace::PerSecond(100), Pace::PerSecond(1_000)];
/// What is drawn of a distribution.
const SHARES: [f64; 10] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0];

/// All figures.
pub(crate) struct Figures {
    syncs: Table,
    memory: Table,
    names: Table,
    relists: Table,
    rates: Table,
    waits: BTreeMap<Pace, Table>,
    /// The single times, by the number of Services.
    times: BTreeMap<(usize, Rival, Pace), Vec<f64>>,
}

impl Figures {
    /// No figure yet.
    pub(crate) fn new() -> Self {
        let table = |title: &str, columns| Table::new(title, "size", columns);
        let wait = |pace: Pace| (pace, table(&format!("Event to answer, {}", pace.name()), &WAITS));
        Self {
            syncs: table("First sync", &SYNCS),
            memory: table("Memory", &MEMORY),
            names: table("Names in the kernel", &NAMES),
            relists: Table::new("A relist", "server", &RELISTS),
            rates: Table {
                columns: rate_columns(),
                ..table("Changes that the API server has taken", &[])
            },
            waits: Pace::ALL.map(wait).into(),
            times: BTreeMap::new(),
        }
    }

    pub(crate) fn add_sync(&mut self, population: Population, rival: Rival, sync: &Sync) {
        let size = &population.name();
        let own = [
            sync.from_list.map(|time| time.as_secs_f64()),
            sync.into_kernel.map(|names| names.took.as_secs_f64()),
        ];
        let both = [sync.answered, sync.processor].map(|time| time.as_secs_f64());
        self.syncs.add(size, &beside(rival, &both, &own));
        let both = [sync.synced.peak as f64, sync.rest.now as f64];
        self.memory
            .add(size, &beside(rival, &both, &[Some(sync.kernel as f64)]));
        if let Some(names) = sync.into_kernel {
            let (count, bytes) = (names.names as f64, names.bytes as f64);
            self.names
                .add(size, &[Some(count), Some(bytes), Some(bytes / count), None]);
        }
    }

    pub(crate) fn add_changes(&mut self, population: Population, rival: Rival, pace: Pace, outcome: &Outcome) {
        let size = &population.name();
        let mut times: Vec<f64> = outcome.times.iter().map(|time| time.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let both = [0.5, 0.99].map(|share| percentile(&times, share).unwrap_or_default());
        let inside = outcome.inside.as_ref();
        let own = [0.5, 0.99].map(|share| inside.and_then(|inside| inside.seconds.estimate(share)));
        if let Some(table) = self.waits.get_mut(&pace) {
            table.add(size, &beside(rival, &both, &own));
        }
        // It does not depend on the pace.
        let names = inside.filter(|_| pace == Pace::OneByOne);
        let names = names.and_then(|inside| inside.names.mean());
        self.names.add(size, &[None, None, None, names]);
        let rates = paces_with_rates().map(|(other, of)| ((other, of) == (rival, pace)).then_some(outcome.rate));
        self.rates.add(size, &rates.collect::<Vec<_>>());
        self.times
            .entry((population.services, rival, pace))
            .or_default()
            .extend(times);
    }

    pub(crate) fn add_relist(&mut self, rival: Rival, relist: &Relist) {
        let samples = [
            relist.converged.as_secs_f64(),
            relist.processor.as_secs_f64(),
            relist.rest.peak as f64,
            relist.rest.now as f64,
        ];
        self.relists.add(rival.name(), &samples.map(Some));
    }

    /// All of it; distributions and goals are about the largest size.
    pub(crate) fn into_report(self, largest: Population, about: Vec<String>) -> Report {
        let goals = GOAL_PACES.map(|pace| self.goal(largest, pace)).into();
        let distributions = self.distributions(largest);
        let mut tables = vec![self.syncs, self.memory, self.names, self.relists];
        tables.extend(self.waits.into_values());
        tables.push(self.rates);
        Report {
            title: "How it grows with the cluster".to_owned(),
            about,
            tables,
            distributions,
            goals,
            ..Report::default()
        }
    }

    fn goal(&self, largest: Population, pace: Pace) -> Goal {
        let size = largest.name();
        let samples = self
            .waits
            .get(&pace)
            .map_or(&[][..], |table| table.samples(&size, KXDNS_P99));
        let taken = median(self.rates.samples(&size, &rate_name(Rival::Kxdns, pace)));
        Goal {
            what: format!(
                "event to the kernel's answer, p99, at {size}, {} (taken: {:.0})",
                pace.name(),
                taken.unwrap_or_default()
            ),
            bound: Bound::AtMost(GOAL),
            unit: Unit::Seconds,
            samples: samples.to_vec(),
        }
    }

    fn distributions(&self, largest: Population) -> Vec<Distribution> {
        let of_largest = self
            .times
            .iter()
            .filter(|((services, _, pace), _)| *services == largest.services && *pace != Pace::OneByOne);
        let distribution = |((_, rival, pace), times): (&(usize, Rival, Pace), &Vec<f64>)| Distribution {
            picture: "event to answer".to_owned(),
            name: rate_name(*rival, *pace),
            quantiles: quantiles(times),
        };
        of_largest.map(distribution).collect()
    }
}

const SYNCS: [(&str, Unit); 6] = [
    ("kxdns, from its start until it answers", Unit::Seconds),
    ("kxdns, processor time", Unit::Seconds),
    ("CoreDNS, from its start until it answers", Unit::Seconds),
    ("CoreDNS, processor time", Unit::Seconds),
    ("kxdns, from its first list until it answers", Unit::Seconds),
    ("kxdns, all names into the kernel", Unit::Seconds),
];

const MEMORY: [(&str, Unit); 5] = [
    ("kxdns, peak", Unit::Bytes),
    ("kxdns, at rest", Unit::Bytes),
    ("CoreDNS, peak", Unit::Bytes),
    ("CoreDNS, at rest", Unit::Bytes),
    ("kxdns, other BPF maps and programs", Unit::Bytes),
];

const NAMES: [(&str, Unit); 4] = [
    ("names", Unit::Count),
    ("memory", Unit::Bytes),
    ("memory of a name", Unit::Bytes),
    ("names that an event rewrites", Unit::Count),
];

const RELISTS: [(&str, Unit); 4] = [
    ("until all is right again", Unit::Seconds),
    ("processor time", Unit::Seconds),
    ("memory, peak", Unit::Bytes),
    ("memory, at rest", Unit::Bytes),
];

const KXDNS_P99: &str = "kxdns, p99";

const WAITS: [(&str, Unit); 6] = [
    ("kxdns, p50", Unit::Seconds),
    (KXDNS_P99, Unit::Seconds),
    ("CoreDNS, p50", Unit::Seconds),
    ("CoreDNS, p99", Unit::Seconds),
    ("inside kxdns, p50", Unit::Seconds),
    ("inside kxdns, p99", Unit::Seconds),
];

fn rate_columns() -> Vec<Column> {
    let column = |(rival, pace): (Rival, Pace)| Column {
        name: rate_name(rival, pace),
        unit: Unit::PerSecond,
    };
    paces_with_rates().map(column).collect()
}

fn rate_name(rival: Rival, pace: Pace) -> String {
    format!("{}, {}", rival.name(), pace.name())
}

/// All but those whose rate is a matter of how fast one waits.
fn paces_with_rates() -> impl Iterator<Item = (Rival, Pace)> {
    let paces = |rival| Pace::ALL.map(|pace| (rival, pace));
    let all = Rival::ALL.into_iter().flat_map(paces);
    all.filter(|(_, pace)| *pace != Pace::OneByOne)
}

/// Puts what both rivals have, kxdns first, before what kxdns alone has.
fn beside(rival: Rival, both: &[f64], own: &[Option<f64>]) -> Vec<Option<f64>> {
    let both: Vec<_> = both.iter().copied().map(Some).collect();
    let (other, none) = (vec![None; both.len()], vec![None; own.len()]);
    match rival {
        Rival::Kxdns => [&both, &other, own].concat(),
        Rival::CoreDns => [&other, &both, &none[..]].concat(),
    }
}

fn quantiles(times: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quantile = |share| Some((share, percentile(&sorted, share)?));
    SHARES.into_iter().filter_map(quantile).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_measured_at_the_largest_size_is_held_to_the_goal() {
        let mut figures = Figures::new();
        let sizes = [10, 1_000].map(Population::new);
        for (population, millis) in sizes.iter().zip([30, 5]) {
            let outcome = Outcome {
                rate: 1_000.0,
                times: vec![Duration::from_millis(millis)],
                inside: None,
            };
            figures.add_changes(*population, Rival::Kxdns, Pace::PerSecond(1_000), &outcome);
        }
        let report = figures.into_report(sizes[1], Vec::new());
        let samples: Vec<_> = report.goals.iter().map(|goal| &goal.samples[..]).collect();
        assert_eq!(samples, [&[][..], &[0.005]]);
        assert_eq!(report.distributions.len(), 1);
        assert_eq!(report.distributions[0].quantiles[0], (0.0, 0.005));
    }

    #[test]
    fn each_rival_has_columns_of_its_own() {
        let one = Some(1.0);
        assert_eq!(beside(Rival::Kxdns, &[1.0], &[one]), [one, None, one]);
        assert_eq!(beside(Rival::CoreDns, &[1.0], &[one]), [None, one, None]);
    }
}
