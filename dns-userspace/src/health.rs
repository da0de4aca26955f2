//! Asking our own `/health` every second, as CoreDNS's `health` does: a machine that is overloaded is slow to answer it.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::http::reachable;

/// How often it is asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What takes longer is told of.
const SLOW: Duration = Duration::from_secs(1);

/// What is measured.
#[derive(Clone)]
pub struct HealthMetrics {
    durations: Histogram,
    failures: Counter,
}

impl HealthMetrics {
    /// Makes it and registers it.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            // 0.25 ms, and ten times that up to 2.5 s.
            durations: Histogram::new(exponential_buckets(0.00025, 10.0, 5)),
            failures: Counter::default(),
        };
        registry.register_with_unit(
            "coredns_health_request_duration",
            "How long our own /health took to answer",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register(
            "coredns_health_request_failures",
            "How often our own /health did not answer",
            metrics.failures.clone(),
        );
        metrics
    }
}

/// Asks the page at this address until `shutdown`.
pub async fn watch(address: SocketAddr, metrics: HealthMetrics, shutdown: CancellationToken) {
    let mut rounds = interval(INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(rounds.tick()).await.is_some() {
        let begun = Instant::now();
        let Some(asked) = shutdown.run_until_cancelled(timeout(PATIENCE, ask(address))).await else {
            return;
        };
        let taken = begun.elapsed();
        metrics.durations.observe(taken.as_secs_f64());
        match asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Err(error) => {
                metrics.failures.inc();
                warn!("our own /health at {address} does not answer: {error}");
            }
            Ok(()) if taken > SLOW => warn!("our own /health at {address} took {taken:?} to answer"),
            Ok(()) => {}
        }
    }
}

async fn ask(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(reachable(address)).await?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await?;
    match response.starts_with(b"HTTP/1.") {
        true => Ok(()),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;
    use crate::http::testing::open;
    use crate::http::{health, serve};

    #[tokio::test]
    async fn what_answers_and_what_does_not_is_measured() {
        let mut registry = Registry::default();
        let metrics = HealthMetrics::register(&mut registry);
        let (listener, address) = open().await;
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, health, shutdown.clone()));
        ask(address).await.unwrap();
        shutdown.cancel();
        serving.await.unwrap();
        let watching = CancellationToken::new();
        let watched = tokio::spawn(watch(address, metrics, watching.clone()));
        let text = loop {
            let mut text = String::new();
            text::encode(&mut text, &registry).unwrap();
            if text.contains("coredns_health_request_failures_total 1\n") {
                break text;
            }
            tokio::task::yield_now().await;
        };
        assert!(
            text.contains("coredns_health_request_duration_seconds_count 1\n"),
            "{text}"
        );
        watching.cancel();
        watched.await.unwrap();
    }
}
