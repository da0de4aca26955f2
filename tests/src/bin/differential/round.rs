//! One cluster from its making to its end: batches of changes, and after each the same questions to both servers.

use std::collections::BTreeSet;
use std::thread;

use anyhow::{Result, ensure};
use kxdns_tests::metrics::Metrics;

use crate::ask::Told;
use crate::compare::{Case, Verdict, aspects, compare};
use crate::corefiles::Corefile;
use crate::generate::{Maker, change, generate};
use crate::known::Known;
use crate::questions::questions;
use crate::report::Report;
use crate::settle::is_marker;
use crate::share::Share;
use crate::shrink::shrink;
use crate::stage::{Program, Server, Stage};
use crate::totals::Totals;
use crate::world::World;
use crate::writer::Writer;
use kxdns_tests::meaning::Reply;
use kxdns_tests::question::Question;

/// How often the objects of a cluster change while it is asked about.
pub(crate) const BATCHES: usize = 5;

/// What is compared, and how.
pub(crate) struct Plan<'a> {
    pub(crate) seed: u64,
    pub(crate) corefile: &'a Corefile,
    pub(crate) other: Program,
    pub(crate) questions: usize,
    /// What is known of the cluster at the time.
    pub(crate) known: Known,
}

impl Plan<'_> {
    fn compare(&self, question: &Question, coredns: &Reply, other: &Reply, is_repeated: bool) -> Verdict {
        compare(&Case {
            corefile: self.corefile,
            question,
            coredns,
            other,
            known: &self.known,
            is_repeated,
            is_itself: self.other == Program::CoreDns,
        })
    }
}

/// A question, and the replies that differ.
type Difference = (Question, [Reply; 2]);

/// Plays one cluster.
pub(crate) fn play(
    stage: &Stage,
    writer: &mut Writer<'_>,
    plan: &mut Plan<'_>,
    report: &mut Report,
    totals: &mut Totals,
) -> Result<()> {
    let mut maker = Maker::new(plan.seed, plan.corefile);
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
        plan.known = Known::of(&snapshot);
        let asked = questions(&mut maker.dice, &snapshot, plan.corefile, plan.questions / BATCHES);
        let found = ask_both(&mut servers, plan, &asked, totals)?;
        for difference in found {
            servers = examine(servers, writer, plan, &world, &difference, report)?;
        }
    }
    totals.clusters += 1;
    writer.write(&World::default())
}

/// Starts servers with a cache anew: they would answer from before the changes, or one of them from before the other.
pub(crate) fn forget<'a>(servers: [Server<'a>; 2], plan: &Plan<'_>) -> Result<[Server<'a>; 2]> {
    if !plan.corefile.caches() {
        return Ok(servers);
    }
    let [first, second] = servers;
    Ok([first.restart()?, second.restart()?])
}

/// Asks both servers, and returns where they differ.
fn ask_both(
    servers: &mut [Server<'_>; 2],
    plan: &Plan<'_>,
    asked: &[Question],
    totals: &mut Totals,
) -> Result<Vec<Difference>> {
    // What depends on the questions before it is asked one at a time.
    let step = if plan.corefile.remembers() { 1 } else { asked.len() };
    let counted = Counted::start(&servers[1])?;
    let (mut coredns, mut other) = (Vec::new(), Vec::new());
    for questions in asked.chunks(step.max(1)) {
        let [told, told_by_other] = ask_at_once(servers, questions)?;
        coredns.extend(told);
        other.extend(told_by_other);
    }
    counted.finish(&servers[1], plan, asked, &other, &mut totals.share)?;
    let [first, second] = servers;
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for ((question, coredns), other) in asked.iter().zip(coredns).zip(other) {
        let replies = complete([first, second], question, [coredns, other], totals)?;
        let [coredns, other] = &replies;
        let name = question.name.lower();
        let is_repeated = is_marker(&name) || !names.insert(name);
        let verdict = plan.compare(question, coredns, other, is_repeated);
        totals.count(question, coredns, verdict);
        if verdict == Verdict::Different {
            found.push((question.clone(), replies));
        }
    }
    Ok(found)
}

/// Asks both servers the same at the same time.
fn ask_at_once([first, second]: &mut [Server<'_>; 2], questions: &[Question]) -> Result<[Vec<Told>; 2]> {
    let (coredns, other) = thread::scope(|scope| {
        let coredns = scope.spawn(|| first.asker.ask_all(questions));
        let other = second.asker.ask_all(questions);
        (coredns.join(), other)
    });
    let coredns = coredns.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    Ok([coredns, other?])
}

/// What a server had counted before it was asked through a hook.
struct Counted(Option<(Metrics, usize)>);

impl Counted {
    fn start(server: &Server<'_>) -> Result<Counted> {
        let Program::Kxdns(Some(_)) = server.program else {
            return Ok(Counted(None));
        };
        Ok(Counted(Some((server.metrics()?, server.asker.repeated))))
    }

    /// Takes down what of it the kernel has answered.
    fn finish(
        self,
        server: &Server<'_>,
        plan: &Plan<'_>,
        asked: &[Question],
        told: &[Told],
        share: &mut Share,
    ) -> Result<()> {
        let Counted(Some((before, repeated))) = self else {
            return Ok(());
        };
        let counted = share.count_metrics(&before, &server.metrics()?);
        let seen = told.iter().filter(|told| told.by_kernel).count();
        // What was sent again may have been answered twice.
        ensure!(
            counted == seen || server.asker.repeated > repeated,
            "the kernel says to have answered {counted} questions, and {seen} of its answers have come"
        );
        for (question, told) in asked.iter().zip(told) {
            share.count(plan.corefile, question, told);
        }
        Ok(())
    }
}

/// Both replies as they are compared: where one of them was cut for a reason that the other one does not have, it is to
/// say over TCP what the other one says.
fn complete(
    [first, second]: [&mut Server<'_>; 2],
    question: &Question,
    [coredns, other]: [Told; 2],
    totals: &mut Totals,
) -> Result<[Reply; 2]> {
    let over_tcp = Question {
        tcp: true,
        ..question.clone()
    };
    match (is_cut(&coredns), is_cut(&other)) {
        // The kernel compresses its replies better, so that more of them fit.
        (Some(true), Some(false)) if other.by_kernel => {
            totals.uncut += 1;
            Ok([first.asker.ask(&over_tcp)?.reply, other.reply])
        }
        // kxdns sends no fragments.
        (Some(false), Some(true)) if second.asker.room(question).is_some_and(|room| coredns.length > room) => {
            totals.too_long += 1;
            Ok([coredns.reply, second.asker.ask(&over_tcp)?.reply])
        }
        _ => Ok([coredns.reply, other.reply]),
    }
}

/// `None` if it is no message.
fn is_cut(told: &Told) -> Option<bool> {
    told.reply.meaning().map(|meaning| meaning.truncated)
}

/// Looks into a difference of a new sort: asks once more, and reduces the cluster to what shows it.
fn examine<'a>(
    servers: [Server<'a>; 2],
    writer: &mut Writer<'_>,
    plan: &Plan<'_>,
    world: &World,
    (question, first): &Difference,
    report: &mut Report,
) -> Result<[Server<'a>; 2]> {
    if !report.is_new(plan, question, first) {
        return Ok(servers);
    }
    let mut servers = forget(servers, plan)?;
    let replies = ask_once(&mut servers, plan, question)?;
    if !differ(plan, question, &replies) {
        report.passing(plan, question, first)?;
        return Ok(servers);
    }
    let [coredns, other] = &replies;
    let (servers, least) = shrink(servers, writer, plan, world, (question, &aspects(coredns, other)))?;
    report.lasting(plan, question, &least, &replies)?;
    Ok(servers)
}

/// The replies to a question by itself; where they are kept and do not differ, those to the same once more.
pub(crate) fn ask_once(servers: &mut [Server<'_>; 2], plan: &Plan<'_>, question: &Question) -> Result<[Reply; 2]> {
    let replies = ask_now(servers, question)?;
    if differ(plan, question, &replies) || !plan.corefile.caches() {
        return Ok(replies);
    }
    ask_now(servers, question)
}

fn ask_now([first, second]: &mut [Server<'_>; 2], question: &Question) -> Result<[Reply; 2]> {
    let told = [first.asker.ask(question)?, second.asker.ask(question)?];
    complete([first, second], question, told, &mut Totals::default())
}

pub(crate) fn differ(plan: &Plan<'_>, question: &Question, [coredns, other]: &[Reply; 2]) -> bool {
    plan.compare(question, coredns, other, true) == Verdict::Different
}
