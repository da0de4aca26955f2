//! What all benchmarks share: how much is to be done, who has a turn when, and a word on how far they are.

use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::effort::Effort;

/// How often the time that has passed is drawn anew.
const TICK: Duration = Duration::from_millis(500);

/// A run of one benchmark.
pub(crate) struct Bench {
    pub(crate) effort: Effort,
    progress: ProgressBar,
}

impl Bench {
    /// Starts the display for a benchmark. Where there is no terminal nothing is drawn.
    pub(crate) fn start(name: &str, effort: Effort) -> Result<Self> {
        let style = ProgressStyle::with_template("{elapsed:>4} {prefix} {bar:24} {pos}/{len} {wide_msg}")?;
        let progress = ProgressBar::new(0).with_style(style).with_prefix(name.to_owned());
        progress.enable_steady_tick(TICK);
        Ok(Self { effort, progress })
    }

    /// Says what is being done.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.progress.set_message(what.into());
    }

    /// Lets each subject have a turn in every round, so that a slow moment of the machine hits all of them; each round
    /// begins with another.
    pub(crate) fn take_turns<S>(
        &self,
        rounds: usize,
        subjects: &mut [S],
        name: impl Fn(&S) -> String,
        mut turn: impl FnMut(&mut S) -> Result<()>,
    ) -> Result<()> {
        self.progress.inc_length((rounds * subjects.len()) as u64);
        for round in 0..rounds {
            for at in 0..subjects.len() {
                let at = (at + round) % subjects.len();
                let subject = &mut subjects[at];
                let name = name(subject);
                self.say(format!("round {} of {rounds}: {name}", round + 1));
                turn(subject).with_context(|| format!("{name}, round {}", round + 1))?;
                self.progress.inc(1);
            }
        }
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.progress.finish_and_clear();
    }
}
