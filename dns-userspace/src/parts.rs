//! The parts of a running agent, each a task or a thread: all go on until they are told to stop, or none does.

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Parts that run. The first that ends, in whatever way, takes the others with it.
#[derive(Debug)]
pub struct Parts {
    tasks: JoinSet<Result<()>>,
    shutdown: CancellationToken,
}

impl Parts {
    /// No part yet. All are to go on until `shutdown`, and no longer.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self {
            tasks: JoinSet::new(),
            shutdown,
        }
    }

    /// Starts a part; `name` tells which one it was that ended too early.
    pub fn start(&mut self, name: &'static str, part: impl Future<Output = Result<()>> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move { judge(name, part.await, &shutdown) });
    }

    /// Starts a part that blocks, on a thread of its own.
    pub fn start_blocking(&mut self, name: &'static str, part: impl FnOnce() -> Result<()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn_blocking(move || judge(name, part(), &shutdown));
    }

    /// Waits until all parts have ended.
    ///
    /// # Errors
    ///
    /// The first failure of a part, and a part that ended or panicked before `shutdown` has failed.
    pub async fn finish(mut self) -> Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            self.shutdown.cancel();
            outcome = outcome.and(ended.context("a part of kxdns has failed").flatten());
        }
        outcome
    }
}

fn judge(name: &str, outcome: Result<()>, shutdown: &CancellationToken) -> Result<()> {
    outcome?;
    ensure!(
        shutdown.is_cancelled(),
        "{name} has ended, and kxdns cannot go on without it"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;
    use futures::FutureExt as _;

    use super::*;

    /// Runs the part beside one that waits for its end, and returns what is said of both.
    async fn finish(part: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
        let shutdown = CancellationToken::new();
        let mut parts = Parts::new(shutdown.clone());
        parts.start("the part", part);
        parts.start("waiting", shutdown.cancelled_owned().map(Ok));
        parts.finish().await
    }

    #[tokio::test]
    async fn a_part_that_ends_takes_the_others_with_it() {
        let ended = finish(async { Ok(()) }).await.unwrap_err();
        assert_eq!(
            ended.to_string(),
            "the part has ended, and kxdns cannot go on without it"
        );
        let failed = finish(async { bail!("no more links") }).await.unwrap_err();
        assert_eq!(failed.to_string(), "no more links");
        let panicked = finish(async { panic!("out of range") }).await.unwrap_err();
        assert!(format!("{panicked:#}").contains("out of range"), "{panicked:#}");
    }

    #[tokio::test]
    async fn all_end_well_when_they_are_told_to() {
        let shutdown = CancellationToken::new();
        let mut parts = Parts::new(shutdown.clone());
        let telling = shutdown.clone();
        parts.start("waiting", shutdown.clone().cancelled_owned().map(Ok));
        parts.start_blocking("telling", move || {
            telling.cancel();
            Ok(())
        });
        parts.finish().await.unwrap();
        assert!(shutdown.is_cancelled());
    }
}
