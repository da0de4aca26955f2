//! One cluster from its making to its end: batches of changes, and after each the same questions to both servers.

use std::collections::BTreeSet;
use std::thread;

use anyhow::Result;

use crate::compare::{Case, Verdict, aspects, compare};
use crate::corefiles::Corefile;
use crate::generate::{Maker, change, generate};
use crate::meaning::Reply;
use crate::question::Question;
use crate::questions::questions;
use crate::report::Report;
use crate::shrink::shrink;
use crate::stage::{Program, Server, Stage};
use crate::totals::Totals;
use crate::world::World;
use crate::writer::Writer;

/// How often the objects of a cluster change while it is asked about.
pub(crate) const BATCHES: usize = 5;

/// What is compared, and how.
pub(crate) struct Plan<'a> {
    pub(crate) seed: u64,
    pub(crate) corefile: &'a Corefile,
    pub(crate) other: Program,
    pub(crate) questions: usize,
    /// The names of the Pods that are terminating at the time.
    pub(crate) terminating: BTreeSet<String>,
}

/// Plays one cluster.
pub(crate) fn play(
    stage: &Stage,
    writer: &mut Writer<'_>,
    plan: &mut Plan<'_>,
    report: &mut Report,
    totals: &mut Totals,
) -> Result<()> {
    let mut maker = Maker::new(plan.seed);
    let mut world = generate(&mut maker);
    // A server learns of objects by a list or by a watch: each has its turn.
    let (listed, watched) = if plan.seed.is_multiple_of(2) {
        (true, false)
    } else {
        (false, true)
    };
    if listed {
        writer.write(&world)?;
    }
    let mut servers = stage.start_servers(plan.corefile, plan.other)?;
    if watched {
        writer.write(&world)?;
    }
    for batch in 0..BATCHES {
        if batch > 0 {
            totals.changes += change(&mut maker, &mut world);
            writer.write(&world)?;
        }
        servers = forget(servers, plan)?;
        writer.settle(&mut servers, plan.corefile)?;
        let snapshot = writer.read()?;
        plan.terminating = snapshot.terminating();
        let asked = questions(&mut maker.dice, &snapshot, plan.questions / BATCHES);
        let found = ask_both(&mut servers, plan, &asked, totals)?;
        for question in found {
            servers = examine(servers, writer, plan, &world, &question, report)?;
        }
    }
    totals.clusters += 1;
    writer.write(&World::default())
}

/// Starts a server with a cache anew: it would answer from before the changes.
pub(crate) fn forget<'a>(servers: [Server<'a>; 2], plan: &Plan<'_>) -> Result<[Server<'a>; 2]> {
    if !plan.corefile.caches() {
        return Ok(servers);
    }
    let [first, second] = servers;
    let second = if second.program == Program::CoreDns {
        second.restart()?
    } else {
        second
    };
    Ok([first.restart()?, second])
}

/// Asks both servers, and returns the questions at which they differ.
fn ask_both(
    servers: &mut [Server<'_>; 2],
    plan: &Plan<'_>,
    asked: &[Question],
    totals: &mut Totals,
) -> Result<Vec<Question>> {
    let [first, second] = servers;
    let (coredns, other) = thread::scope(|scope| {
        let coredns = scope.spawn(|| first.asker.ask_all(asked));
        let other = second.asker.ask_all(asked);
        (coredns.join(), other)
    });
    let coredns = coredns.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let mut found = Vec::new();
    for ((question, coredns), other) in asked.iter().zip(&coredns).zip(&other?) {
        let corefile = plan.corefile;
        let verdict = compare(&Case {
            corefile,
            question,
            coredns,
            other,
            terminating: &plan.terminating,
        });
        totals.count(question, coredns, verdict);
        if verdict == Verdict::Different {
            found.push(question.clone());
        }
    }
    Ok(found)
}

/// Asks once more about a difference, and reduces the cluster to what shows it if it is of a new sort.
fn examine<'a>(
    servers: [Server<'a>; 2],
    writer: &mut Writer<'_>,
    plan: &Plan<'_>,
    world: &World,
    question: &Question,
    report: &mut Report,
) -> Result<[Server<'a>; 2]> {
    let mut servers = servers;
    let replies = ask_once(&mut servers, question)?;
    if !differ(plan, question, &replies) {
        report.passing(plan, question)?;
        return Ok(servers);
    }
    if !report.is_new(plan, question, &replies) {
        return Ok(servers);
    }
    let [coredns, other] = &replies;
    let (servers, least) = shrink(servers, writer, plan, world, (question, &aspects(coredns, other)))?;
    report.lasting(plan, question, &least, &replies)?;
    Ok(servers)
}

pub(crate) fn ask_once(servers: &mut [Server<'_>; 2], question: &Question) -> Result<[Reply; 2]> {
    let [first, second] = servers;
    Ok([first.asker.ask(question)?, second.asker.ask(question)?])
}

pub(crate) fn differ(plan: &Plan<'_>, question: &Question, [coredns, other]: &[Reply; 2]) -> bool {
    let corefile = plan.corefile;
    compare(&Case {
        corefile,
        question,
        coredns,
        other,
        terminating: &plan.terminating,
    }) == Verdict::Different
}
