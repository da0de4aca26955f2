//! Changes of single endpoints, and how fast they get through: from the API server's reply to the answer, and inside the
//! agent by its own histograms.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::Client;
use kxdns_tests::histogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::pace::Pace;
use super::prober::{self, Change, LIMIT, PAUSE};
use super::server::{Rival, Server};
use super::slices::{Slice, Slices};
use super::stage::Stage;

/// How often a writer looks whether there is something to write.
const LOOK: Duration = Duration::from_millis(1);

/// What changes have shown.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How many the API server took a second.
    pub(crate) rate: f64,
    /// From the API server's reply to the first right answer.
    pub(crate) times: Vec<Duration>,
    /// What they did inside the agent.
    pub(crate) inside: Option<Inside>,
}

/// What events do inside the agent, by its histograms.
#[derive(Debug)]
pub(crate) struct Inside {
    /// How long it takes until they are in force.
    pub(crate) seconds: Histogram,
    /// How many names are written anew.
    pub(crate) names: Histogram,
}

/// Replaces pods of headless Services at this pace, for so long, and times the answers of some.
pub(crate) fn make(stage: &Stage, server: &Server, pace: Pace, duration: Duration) -> Result<Outcome> {
    let before = server.inside()?;
    let probe = server.probe()?;
    let (sender, changes) = channel();
    let (rate, times) = thread::scope(|scope| {
        let following = scope.spawn(move || prober::follow(probe, changes, &stage.slices));
        let write = async |client| write(client, &stage.slices, pace, duration, sender).await;
        let rate = stage.cluster.run(write);
        let times = following.join().unwrap_or_else(|panic| resume_unwind(panic));
        (rate, times)
    });
    let times = times?;
    ensure!(!times.is_empty(), "no change was timed");
    let after = server.inside()?;
    Ok(Outcome {
        rate: rate?,
        times,
        inside: after.zip(before).map(|(after, before)| after.since(&before)),
    })
}

/// Fails unless every Service that may have changed is answered as it is now, and by the kernel where that is measured.
pub(crate) fn ensure_all_right(stage: &Stage, server: &Server) -> Result<()> {
    let expectations = stage.slices.expectations()?;
    let before = server.kernel_answers()?;
    let mut probe = server.probe()?;
    for expected in &expectations {
        probe.await_right(expected, PAUSE, LIMIT)?;
    }
    let answered = server.kernel_answers()? - before;
    ensure!(
        server.rival != Rival::Kxdns || answered >= expectations.len() as f64,
        "the kernel counts {answered} answers of {}",
        expectations.len()
    );
    server.ensure_no_refused_names()
}

impl Inside {
    fn since(&self, before: &Self) -> Self {
        Self {
            seconds: &self.seconds - &before.seconds,
            names: &self.names - &before.names,
        }
    }
}

/// What the writers share.
struct Writing {
    client: Client,
    slices: Arc<Slices>,
    pace: Pace,
    start: Instant,
    end: Instant,
    next: AtomicUsize,
    written: AtomicUsize,
    timed: Sender<Change>,
}

/// Writes changes, and returns how many were taken a second.
async fn write(
    client: Client,
    slices: &Arc<Slices>,
    pace: Pace,
    duration: Duration,
    timed: Sender<Change>,
) -> Result<f64> {
    connect(&client, pace.writers()).await?;
    let start = Instant::now();
    let writing = Arc::new(Writing {
        client,
        slices: Arc::clone(slices),
        pace,
        start,
        end: start + duration,
        next: AtomicUsize::new(0),
        written: AtomicUsize::new(0),
        timed,
    });
    let mut writers = JoinSet::new();
    for _ in 0..pace.writers() {
        writers.spawn(Arc::clone(&writing).write_in_turn());
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(writing.written.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}

/// Makes the connections that so many writers use at once: while it shakes hands, an API server takes fewer changes.
async fn connect(client: &Client, writers: usize) -> Result<()> {
    let mut calls = JoinSet::new();
    for _ in 0..writers {
        let client = client.clone();
        calls.spawn(async move { client.apiserver_version().await });
    }
    while let Some(called) = calls.join_next().await {
        called??;
    }
    Ok(())
}

impl Writing {
    /// Writes the changes whose turn it is, each when it is due, until the end.
    async fn write_in_turn(self: Arc<Self>) -> Result<()> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let due = self.start + self.pace.due(number);
            if due >= self.end {
                return Ok(());
            }
            sleep_until(due.into()).await;
            let Some(slice) = self.take_slice().await else {
                return Ok(());
            };
            self.replace_pod(slice, number).await?;
        }
    }

    /// Takes a slice as soon as there is one; none at the end.
    async fn take_slice(&self) -> Option<Slice> {
        while Instant::now() < self.end {
            // One at a time: the one before must have been seen.
            let at_once = if self.pace == Pace::OneByOne { 1 } else { usize::MAX };
            match self.slices.take(at_once) {
                Some(slice) => return Some(slice),
                None => sleep(LOOK).await,
            }
        }
        None
    }

    async fn replace_pod(&self, mut slice: Slice, number: usize) -> Result<()> {
        slice.replace_pod(self.slices.next_address())?;
        slice.write(&self.client).await?;
        let replied = Instant::now();
        self.written.fetch_add(1, Ordering::Relaxed);
        if !self.pace.times(number) {
            self.slices.put_back(slice);
            return Ok(());
        }
        let change = Change {
            expected: slice.expectation()?,
            replied,
            slice,
        };
        self.timed.send(change).ok().context("nobody looks any more")
    }
}
