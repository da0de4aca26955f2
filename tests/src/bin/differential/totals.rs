//! What a run has asked and seen, for its summary.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use domain::base::Rtype;

use crate::compare::Verdict;
use crate::share::Share;
use kxdns_tests::meaning::Reply;
use kxdns_tests::question::Question;

/// Counts of all that was compared.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) clusters: usize,
    pub(crate) changes: usize,
    pub(crate) questions: usize,
    pub(crate) differences: usize,
    /// Replies that CoreDNS had to cut and the kernel had not.
    pub(crate) uncut: usize,
    /// Replies that kxdns cut, since the link could not carry them in one piece.
    pub(crate) too_long: usize,
    /// What of it the kernel has answered.
    pub(crate) share: Share,
    truncated: usize,
    tcp: usize,
    answered: usize,
    rcodes: BTreeMap<String, usize>,
    types: BTreeMap<String, usize>,
    deviations: BTreeMap<&'static str, usize>,
}

impl Totals {
    /// Counts a question, what CoreDNS replied, and what the comparison came to.
    pub(crate) fn count(&mut self, question: &Question, reply: &Reply, verdict: Verdict) {
        self.questions += 1;
        self.tcp += usize::from(question.tcp);
        let rtype = Rtype::from_int(question.rtype).to_string();
        *self.types.entry(rtype).or_default() += 1;
        let rcode = match reply {
            Reply::Message(meaning) => meaning.rcode.to_string(),
            _ => "no reply".to_owned(),
        };
        *self.rcodes.entry(rcode).or_default() += 1;
        if let Some(meaning) = reply.meaning() {
            self.truncated += usize::from(meaning.truncated);
            self.answered += usize::from(!meaning.answer().is_empty());
        }
        match verdict {
            Verdict::Same => {}
            Verdict::Deviation(name) => *self.deviations.entry(name).or_default() += 1,
            Verdict::Different => self.differences += 1,
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{} questions ({} over TCP) about {} clusters with {} changes; {} with answers, {} truncated",
            self.questions, self.tcp, self.clusters, self.changes, self.answered, self.truncated
        )?;
        writeln!(formatter, "by rcode: {}", shares(&self.rcodes, self.questions))?;
        writeln!(formatter, "by type: {}", shares(&self.types, self.questions))?;
        for (name, number) in &self.deviations {
            writeln!(formatter, "on purpose: {number} times {name}")?;
        }
        if self.share.is_known() {
            writeln!(formatter, "cut by CoreDNS and whole from the kernel: {}", self.uncut)?;
            writeln!(formatter, "cut since the link cannot carry them: {}", self.too_long)?;
            write!(formatter, "{}", self.share)?;
        }
        write!(formatter, "differences: {}", self.differences)
    }
}

fn shares(counts: &BTreeMap<String, usize>, total: usize) -> String {
    let sorted = by_count(counts);
    let share = |count: usize| count as f64 * 100.0 / total.max(1) as f64;
    let told = sorted
        .iter()
        .map(|(name, count)| format!("{name} {:.1} %", share(**count)));
    told.collect::<Vec<_>>().join(", ")
}

/// The most frequent first.
pub(crate) fn by_count(counts: &BTreeMap<String, usize>) -> Vec<(&String, &usize)> {
    let mut sorted: Vec<(&String, &usize)> = counts.iter().collect();
    sorted.sort_by_key(|(_, count)| Reverse(**count));
    sorted
}
