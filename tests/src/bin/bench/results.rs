//! What a run has measured, as it is written down: the page and the pictures are made of nothing else.
//!
//! Figures stand in tables. A cell holds every sample, one for each round, so that whoever reads it sees its noise.

use std::collections::BTreeMap;

use kxdns_tests::figures::percentile;
use serde::{Deserialize, Serialize};

use crate::effort::Effort;
use crate::machine::Machine;

/// All that a run has measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The commit of kxdns, with `+` behind it where files differed from it.
    pub(crate) commit: String,
    /// When it began, in UTC (RFC 3339).
    pub(crate) began: String,
    pub(crate) effort: Effort,
    pub(crate) machine: Machine,
    /// What took part, by name.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) reports: Vec<Report>,
}

/// What a benchmark has measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The benchmark, as `cargo xtask bench` calls it.
    pub(crate) name: String,
    /// What its figures are about, in a few words.
    pub(crate) title: String,
    /// How they were taken, a paragraph each, in Markdown.
    pub(crate) about: Vec<String>,
    /// How long all of it took, in seconds.
    pub(crate) seconds: f64,
    pub(crate) tables: Vec<Table>,
    pub(crate) distributions: Vec<Distribution>,
    pub(crate) goals: Vec<Goal>,
}

/// Figures of the same kinds about several things.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) title: String,
    /// What the rows are: "server", "question".
    pub(crate) rows_are: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

/// A kind of figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) unit: Unit,
}

/// What was measured of one thing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// For each column the samples, one a round; none where there is nothing to measure.
    pub(crate) cells: Vec<Vec<f64>>,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Seconds,
    Bytes,
    BitsPerSecond,
    /// Things per second.
    PerSecond,
    /// Things.
    Count,
    /// A part of a whole, from 0 to 1.
    Share,
    /// How many times one is the other.
    Ratio,
}

/// How the times of one thing are distributed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Distribution {
    /// What is drawn in the same picture.
    pub(crate) picture: String,
    /// Whose times they are.
    pub(crate) name: String,
    /// Shares, ascending from 0 to 1, and the seconds within which so many of all rounds together were done.
    pub(crate) quantiles: Vec<(f64, f64)>,
}

/// What a figure was to reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) bound: Bound,
    pub(crate) unit: Unit,
    /// One a round.
    pub(crate) samples: Vec<f64>,
}

/// Where a goal lies.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// Whether the median reaches it; `None` where nothing was measured.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let median = median(&self.samples)?;
        Some(match self.bound {
            Bound::AtLeast(least) => median >= least,
            Bound::AtMost(most) => median <= most,
        })
    }
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(title: &str, rows_are: &str, columns: &[(&str, Unit)]) -> Self {
        let column = |(name, unit): &(&str, Unit)| Column {
            name: (*name).to_owned(),
            unit: *unit,
        };
        Self {
            title: title.to_owned(),
            rows_are: rows_are.to_owned(),
            columns: columns.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds what a round has measured of one thing: a sample for each column, or `None` where there is none.
    pub(crate) fn add(&mut self, row: &str, samples: &[Option<f64>]) {
        let columns = self.columns.len();
        let at = self.rows.iter().position(|other| other.name == row);
        let at = at.unwrap_or_else(|| {
            self.rows.push(Row {
                name: row.to_owned(),
                cells: vec![Vec::new(); columns],
            });
            self.rows.len() - 1
        });
        for (cell, sample) in self.rows[at].cells.iter_mut().zip(samples) {
            cell.extend(sample);
        }
    }

    /// The samples of a row in a column; none where there is no such cell.
    pub(crate) fn samples(&self, row: &str, column: &str) -> &[f64] {
        let column = self.columns.iter().position(|other| other.name == column);
        let row = self.rows.iter().find(|other| other.name == row);
        let cell = row.zip(column).and_then(|(row, column)| row.cells.get(column));
        cell.map_or(&[], Vec::as_slice)
    }
}

/// How many times the one is the other, round by round.
pub(crate) fn ratios(ones: &[f64], others: &[f64]) -> Vec<f64> {
    ones.iter().zip(others).map(|(one, other)| one / other).collect()
}

/// The sample in the middle; `None` of none.
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    percentile(&sorted(samples), 0.5)
}

/// The samples between which the middle half lies; `None` of none.
pub(crate) fn quartiles(samples: &[f64]) -> Option<(f64, f64)> {
    let sorted = sorted(samples);
    let quarter = sorted.len() / 4;
    let lower = sorted.get(quarter).copied();
    lower.zip(sorted.iter().rev().nth(quarter).copied())
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_keeps_the_samples_of_all_rounds() {
        let mut table = Table::new("t", "server", &[("rate", Unit::PerSecond), ("p99", Unit::Seconds)]);
        table.add("a", &[Some(3.0), Some(0.1)]);
        table.add("b", &[Some(9.0), None]);
        table.add("a", &[Some(1.0), Some(0.2)]);
        assert_eq!(table.samples("a", "rate"), [3.0, 1.0]);
        assert_eq!(table.samples("b", "p99"), [0.0; 0]);
        assert_eq!(table.samples("c", "rate"), [0.0; 0]);
        assert_eq!(median(table.samples("a", "rate")), Some(3.0));
    }

    #[test]
    fn quartiles_leave_a_quarter_out_on_either_side() {
        assert_eq!(quartiles(&[]), None);
        assert_eq!(quartiles(&[4.0]), Some((4.0, 4.0)));
        assert_eq!(quartiles(&[1.0, 3.0, 2.0]), Some((1.0, 3.0)));
        assert_eq!(quartiles(&[1.0, 900.0, 3.0, 2.0, 4.0]), Some((2.0, 4.0)));
    }

    #[test]
    fn a_goal_is_met_by_the_median_and_by_nothing_else() {
        let goal = |bound, samples: &[f64]| Goal {
            what: String::new(),
            bound,
            unit: Unit::Ratio,
            samples: samples.to_vec(),
        };
        assert_eq!(goal(Bound::AtLeast(2.0), &[1.0, 2.0, 3.0]).is_met(), Some(true));
        assert_eq!(goal(Bound::AtMost(1.9), &[1.0, 2.0, 3.0]).is_met(), Some(false));
        assert_eq!(goal(Bound::AtMost(2.0), &[]).is_met(), None);
    }
}
