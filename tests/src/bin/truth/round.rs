//! One round: objects change while pods ask, and then all replies are checked.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use dns_userspace::kernel::hook::Hook;
use kxdns_tests::metrics::KERNEL_ANSWERS;

use crate::asker::{Entry, ask};
use crate::check::{BOUND, Checker, Counts};
use crate::delays::Delays;
use crate::history::Truth;
use crate::stage::{SERVERS, Stage};
use crate::writer::write;

/// What a round has shown.
pub(crate) struct Outcome {
    hook: Hook,
    length: Duration,
    counts: Counts,
    /// What the kernel has answered by its own counters.
    counted: usize,
    delays: Delays,
    kinds: BTreeMap<String, usize>,
    violations: Vec<String>,
}

/// Plays a round.
pub(crate) fn play(stage: &Stage, hook: Hook, length: Duration, seed: u64) -> Result<Outcome> {
    let truth = Arc::new(Truth::new(seed));
    let agent = stage.start_agent(hook)?;
    let before = agent.metrics()?.sum(KERNEL_ANSWERS, &[]);
    let entries = ask_while_writing(stage, &truth, length, seed)?;
    let counted = (agent.metrics()?.sum(KERNEL_ANSWERS, &[]) - before) as usize;
    agent.stop()?;
    let histories = truth.histories();
    let mut checker = Checker::new(&histories);
    entries.iter().for_each(|entry| checker.check(entry));
    let counts = checker.counts;
    ensure!(
        counts.records > 0 && counts.nodata > 0 && counts.nxdomain > 0 && counted > 0,
        "there is a sort of replies that did not come: {counts:?}, {counted} from the kernel"
    );
    let delays = std::mem::replace(&mut checker.delays, Delays::new(&[]));
    let kinds = std::mem::take(&mut checker.kinds);
    let violations = checker.into_violations();
    Ok(Outcome {
        hook,
        length,
        counts,
        counted,
        delays,
        kinds,
        violations,
    })
}

/// All questions and replies, in the order of the replies.
fn ask_while_writing(stage: &Stage, truth: &Arc<Truth>, length: Duration, seed: u64) -> Result<Vec<Entry>> {
    let entries = thread::scope(|scope| {
        let seeds = (0..).map(|number| seed * 1000 + number);
        let askers: Vec<_> = stage
            .pods
            .iter()
            .zip(seeds)
            .map(|(pod, seed)| scope.spawn(move || ask(pod.namespace(), SERVERS, truth, seed)))
            .collect();
        let writer = Arc::clone(truth);
        let written = stage
            .cluster
            .run(async |client| write(client, writer, seed, length).await);
        // For as long as something older might be told.
        thread::sleep(BOUND * 3 / 2);
        truth.asked.store(true, Ordering::Relaxed);
        let asked = askers
            .into_iter()
            .map(|asker| asker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        let asked = asked.collect::<Result<Vec<_>>>();
        written.and(asked)
    })?;
    let mut entries = entries.concat();
    entries.sort_by_key(|entry| entry.answered);
    Ok(entries)
}

impl Outcome {
    /// How many replies were wrong.
    pub(crate) fn violations(&self) -> usize {
        self.counts.violations + usize::from(self.counted != self.counts.by_kernel)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            questions,
            by_kernel,
            records,
            nodata,
            nxdomain,
            behind,
            violations,
        } = self.counts;
        for violation in &self.violations {
            writeln!(formatter, "{violation}")?;
        }
        writeln!(
            formatter,
            "{}, {:.1} s: {questions} questions, {} versions, {violations} wrong replies",
            self.hook,
            self.length.as_secs_f64(),
            self.delays.versions()
        )?;
        for (kind, count) in &self.kinds {
            writeln!(formatter, "  WRONG: {count} times {kind}")?;
        }
        writeln!(
            formatter,
            "  from the kernel: {} by its counters, {by_kernel} by where they came from",
            self.counted
        )?;
        writeln!(
            formatter,
            "  {records} with records, {nodata} NODATA, {nxdomain} NXDOMAIN; {behind} behind what another name had told"
        )?;
        write!(formatter, "{}", self.delays)
    }
}
