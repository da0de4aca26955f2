//! Tells of differences: once for each sort, with all that it takes to see it again.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use domain::base::Rtype;
use kxdns_tests::figures::tell;

use crate::compare::aspects;
use crate::round::Plan;
use crate::stage::Program;
use crate::world::World;
use kxdns_tests::meaning::Reply;
use kxdns_tests::question::Question;

/// How many sorts of differences are looked into of those in the same aspects, and of all.
const ALIKE: usize = 4;
const SORTS: usize = 60;

/// The differences so far.
pub(crate) struct Report {
    /// Where each is written into a file of its own, if anywhere.
    pub(crate) folder: Option<PathBuf>,
    sorts: BTreeMap<String, usize>,
    /// How many sorts differ in the same aspects.
    alike: BTreeMap<String, usize>,
}

impl Report {
    pub(crate) fn new(folder: Option<PathBuf>) -> Report {
        Report {
            folder,
            sorts: BTreeMap::new(),
            alike: BTreeMap::new(),
        }
    }

    /// Whether a difference is the first of its sort: the same in type, rcodes and what differs.
    pub(crate) fn is_new(&mut self, plan: &Plan<'_>, question: &Question, replies: &[Reply; 2]) -> bool {
        let sort = format!("{} under {}", sort_of(question, replies), plan.corefile.name);
        let number = self.sorts.entry(sort).or_default();
        *number += 1;
        if *number > 1 {
            return false;
        }
        let alike = self
            .alike
            .entry(aspects(&replies[0], &replies[1]).join(" "))
            .or_default();
        *alike += 1;
        *alike <= ALIKE && self.sorts.len() <= SORTS
    }

    /// Tells of a difference that was gone when it was looked at again.
    pub(crate) fn passing(&self, plan: &Plan<'_>, question: &Question, replies: &[Reply; 2]) -> Result<()> {
        let [coredns, other] = replies;
        tell(&format!(
            "PASSING DIFFERENCE in {}\n{question}\n\nCoreDNS: {coredns}\n{}: {other}\nagain: {}\n",
            aspects(coredns, other).join(", "),
            plan.other,
            command(plan)
        ))
    }

    /// Tells of a difference with the objects that show it.
    pub(crate) fn lasting(
        &self,
        plan: &Plan<'_>,
        question: &Question,
        world: &World,
        replies: &[Reply; 2],
    ) -> Result<()> {
        let [coredns, other] = replies;
        let mut text = format!(
            "DIFFERENCE in {} under the Corefile {}\n{question}\n\nCoreDNS: {coredns}\n{}: {other}\n",
            aspects(coredns, other).join(", "),
            plan.corefile.name,
            plan.other
        );
        for (_, body) in world.iter() {
            text += &format!("{body}\n");
        }
        text += &format!("\nagain: {}\n", command(plan));
        tell(&text)?;
        self.keep(&text)
    }

    fn keep(&self, text: &str) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{:03}-{}.txt", self.sorts.len(), std::process::id()));
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// How often each sort of difference was seen.
    pub(crate) fn sorts(&self) -> impl Iterator<Item = (&String, &usize)> {
        self.sorts.iter()
    }
}

/// What differs where. The type of a question tells more about names of the cluster than about others.
fn sort_of(question: &Question, [coredns, other]: &[Reply; 2]) -> String {
    let rcode = |reply: &Reply| {
        reply
            .meaning()
            .map_or_else(|| "silence".to_owned(), |meaning| meaning.rcode.to_string())
    };
    let name = question.name.lower();
    let place = match name.rsplit_terminator('.').next() {
        Some("local") => format!("{} in the zone", Rtype::from_int(question.rtype)),
        Some("arpa") => "reverse names".to_owned(),
        _ => "other names".to_owned(),
    };
    let aspects = aspects(coredns, other).join("+");
    format!("{aspects} of {place}, {}-{}", rcode(coredns), rcode(other))
}

fn command(plan: &Plan<'_>) -> String {
    let hook = match plan.other {
        Program::Kxdns(Some(hook)) => format!(" --hook {hook}"),
        _ => String::new(),
    };
    format!(
        "cargo xtask differential --seed {} --clusters 1 --questions {} --corefile {}{hook}",
        plan.seed, plan.questions, plan.corefile.name
    )
}
