//! What the kernel has answered of the questions over UDP about the cluster's zones, by their types, and which sorts of
//! questions it has passed to the server.

use std::collections::BTreeMap;
use std::fmt;

use domain::base::Rtype;
use domain::base::iana::{OptRcode, OptionCode};
use kxdns_tests::metrics::{KERNEL_ANSWERS, KERNEL_PASSES, Metrics};

use crate::ask::Told;
use crate::corefiles::Corefile;
use crate::totals::by_count;
use kxdns_tests::meaning::{Meaning, Reply};
use kxdns_tests::question::{Edns, Question, Z};

/// How many sorts of questions are told.
const TOLD: usize = 25;
/// The labels of names that mean themselves, wherever they stand.
const WORDS: [&str; 6] = ["svc", "pod", "dns", "ns", "dns-version", "_zone"];

/// What the kernel was asked and has answered.
#[derive(Default)]
pub(crate) struct Share {
    types: BTreeMap<String, Part>,
    /// How many of the questions it has passed are of each sort.
    passed: BTreeMap<String, usize>,
    /// The first of them.
    examples: BTreeMap<String, String>,
    /// What its own counters say, by their labels. They count what is asked about other zones and over TCP, too.
    counters: BTreeMap<String, usize>,
}

/// A part of a whole.
#[derive(Clone, Copy, Default)]
struct Part {
    answered: usize,
    asked: usize,
}

impl Share {
    /// Whether the kernel was asked at all.
    pub(crate) fn is_known(&self) -> bool {
        !self.counters.is_empty()
    }

    /// Counts a question, if it is one of those that the kernel might answer.
    pub(crate) fn count(&mut self, corefile: &Corefile, question: &Question, told: &Told) {
        let Some(shape) = shape(corefile, question).filter(|_| !question.tcp) else {
            return;
        };
        let rtype = Rtype::from_int(question.rtype).to_string();
        let part = self.types.entry(rtype.clone()).or_default();
        part.asked += 1;
        part.answered += usize::from(told.by_kernel);
        if !told.by_kernel {
            let sort = format!("{shape} {rtype}, {}{}", outcome(&told.reply), oddities(question));
            *self.passed.entry(sort.clone()).or_default() += 1;
            self.examples.entry(sort).or_insert_with(|| question.to_string());
        }
    }

    /// Counts what the agent's metrics have come to between two readings, and returns the kernel's answers.
    pub(crate) fn count_metrics(&mut self, before: &Metrics, after: &Metrics) -> usize {
        for name in [KERNEL_ANSWERS, KERNEL_PASSES] {
            for (labels, value) in after.series(name) {
                let former = before.series(name).find(|(other, _)| *other == labels);
                let more = value - former.map_or(0.0, |(_, value)| value);
                *self.counters.entry(format!("{name}{labels}")).or_default() += more as usize;
            }
        }
        (after.sum(KERNEL_ANSWERS, &[]) - before.sum(KERNEL_ANSWERS, &[])) as usize
    }
}

/// The name of a question by its place in the zone: labels that objects give are an X. `None` outside of all zones.
fn shape(corefile: &Corefile, question: &Question) -> Option<String> {
    let name = question.name.lower();
    let is_in = |zone: &&str| name.strip_suffix('.').is_some_and(|name| is_within(name, zone));
    let zone = corefile.zones().split(' ').find(is_in)?;
    let own = question.name.0.len() - zone.split('.').count();
    let label = |label: &Vec<u8>| {
        let text = String::from_utf8_lossy(label).to_ascii_lowercase();
        let is_word = WORDS.contains(&text.as_str());
        if is_word { text } else { "X".to_owned() }
    };
    let labels: String = question.name.0[..own].iter().map(|it| label(it) + ".").collect();
    // Those of an address are a word, whole or not.
    let labels = if zone.ends_with("arpa") {
        address(own, zone)
    } else {
        labels
    };
    Some(labels + zone)
}

fn is_within(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn address(labels: usize, zone: &str) -> String {
    let whole = if zone.starts_with("ip6") { 32 } else { 4 };
    match labels {
        0 => String::new(),
        _ if labels == whole => "ADDRESS.".to_owned(),
        _ => "OTHER.".to_owned(),
    }
}

/// What the reply comes to.
fn outcome(reply: &Reply) -> String {
    match reply.meaning() {
        None => "no reply".to_owned(),
        Some(meaning) if meaning.flags.contains("RA") => "forwarded".to_owned(),
        Some(meaning) if meaning.truncated => "cut".to_owned(),
        Some(meaning) => rcode(meaning),
    }
}

fn rcode(meaning: &Meaning) -> String {
    match meaning.rcode {
        OptRcode::NOERROR if meaning.answer().is_empty() => "NODATA".to_owned(),
        OptRcode::NOERROR => "records".to_owned(),
        rcode => rcode.to_string(),
    }
}

/// What sets a question apart from what resolvers ask.
fn oddities(question: &Question) -> String {
    let edns = match &question.edns {
        None => String::new(),
        Some(edns) => describe(edns),
    };
    let odd = [
        (question.class != 1, ", class not IN"),
        (question.opcode != 0, ", opcode not QUERY"),
        (question.flags & Z != 0, ", Z"),
    ];
    odd.iter()
        .filter(|(holds, _)| *holds)
        .fold(edns, |text, (_, name)| text + name)
}

fn describe(edns: &Edns) -> String {
    if edns.version != 0 {
        return ", EDNS of another version".to_owned();
    }
    match &edns.options[..] {
        [] => ", EDNS".to_owned(),
        [(code, _)] if OptionCode::from_int(*code) == OptionCode::COOKIE => ", EDNS with a cookie".to_owned(),
        _ => ", EDNS with other options".to_owned(),
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.types.values().fold(Part::default(), |sum, part| Part {
            answered: sum.answered + part.answered,
            asked: sum.asked + part.asked,
        });
        writeln!(
            formatter,
            "answered in the kernel, of what was asked over UDP about the cluster's zones:"
        )?;
        writeln!(formatter, "  {:<10}{all}", "all")?;
        let mut types: Vec<_> = self.types.iter().collect();
        types.sort_by_key(|(_, part)| std::cmp::Reverse(part.asked));
        for (name, part) in types {
            writeln!(formatter, "  {name:<10}{part}")?;
        }
        writeln!(formatter, "by the kernel's counters, of all packets:")?;
        for (name, count) in by_count(&self.counters).into_iter().filter(|(_, count)| **count > 0) {
            writeln!(formatter, "  {count:>9}  {name}")?;
        }
        let passed: usize = self.passed.values().sum();
        writeln!(
            formatter,
            "the most frequent of {} sorts of {passed} questions that it passed:",
            self.passed.len()
        )?;
        for (sort, count) in by_count(&self.passed).into_iter().take(TOLD) {
            let example = self.examples.get(sort).map_or("", String::as_str);
            writeln!(formatter, "  {count:>9}  {sort}: {example}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.answered as f64 * 100.0 / self.asked.max(1) as f64;
        write!(formatter, "{:>9} of {:>9}  {share:5.1} %", self.answered, self.asked)
    }
}
