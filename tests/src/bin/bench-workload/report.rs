//! What the rounds of a resolver have come to.

use std::fmt;

use kxdns_tests::figures::{percentile, readable};

use crate::round::{Library, Round};

/// A resolver's rounds.
pub(crate) struct Report {
    pub(crate) library: Library,
    lookups: usize,
    pub(crate) without: Vec<Round>,
    pub(crate) with: Vec<Round>,
}

impl Report {
    pub(crate) fn new(library: Library, lookups: usize) -> Report {
        Report {
            library,
            lookups,
            without: Vec::new(),
            with: Vec::new(),
        }
    }

    /// Whether every lookup found what it should.
    pub(crate) fn is_right(&self) -> bool {
        self.wrong().next().is_none()
    }

    fn wrong(&self) -> impl Iterator<Item = &String> {
        self.without.iter().chain(&self.with).flat_map(|round| &round.wrong)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = |part: fn(&Round) -> u64| self.with.iter().map(part).sum::<u64>();
        let left = |rounds: &[Round]| rounds.iter().map(|round| round.left).sum::<u64>();
        let answered = seen(|round| round.kernel.answered);
        let about_cluster = answered + seen(|round| round.kernel.passed);
        let asked = about_cluster + seen(|round| round.kernel.outside);
        writeln!(
            formatter,
            "{}: {} rounds of {} lookups, {} wrong",
            self.library.name,
            self.with.len(),
            self.lookups,
            self.wrong().count()
        )?;
        writeln!(
            formatter,
            "      answered in the kernel: {answered} of {about_cluster} questions about the cluster's names ({:.4}), of \
             {asked} questions in all",
            answered as f64 / about_cluster.max(1) as f64
        )?;
        let (without, with) = (left(&self.without), left(&self.with));
        writeln!(
            formatter,
            "      queries that left the node: {without} without kxdns, {with} with it ({:.1} % fewer)",
            100.0 * (1.0 - with as f64 / without.max(1) as f64)
        )?;
        for (kind, title) in ["a cluster's name", "another name"].iter().enumerate() {
            let [without, with] = [&self.without, &self.with].map(|rounds| times(rounds, kind));
            writeln!(
                formatter,
                "      a lookup of {title}, lowest / median / p99: {without} without kxdns, {with} with it"
            )?;
        }
        for wrong in self.wrong() {
            writeln!(formatter, "      wrong: {wrong}")?;
        }
        Ok(())
    }
}

fn times(rounds: &[Round], kind: usize) -> String {
    let mut times: Vec<_> = rounds.iter().flat_map(|round| &round.times[kind]).copied().collect();
    times.sort_unstable();
    let shares = [0.0, 0.5, 0.99].map(|share| percentile(&times, share).map_or("-".to_owned(), readable));
    shares.join(" / ")
}
