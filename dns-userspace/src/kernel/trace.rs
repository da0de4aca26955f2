//! What the programs log under `--trace`, passed on to the agent's own log.

use std::io;

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Starts passing on what the programs of a newly opened object log, until `shutdown`.
///
/// To be called within a tokio runtime.
pub fn start(ebpf: &mut Ebpf, shutdown: CancellationToken) -> Result<()> {
    let logger = EbpfLogger::init(ebpf).context("--trace: the programs cannot log")?;
    #[expect(
        deprecated,
        reason = "the logger owns its descriptor; the function that replaces this one is unsafe to call"
    )]
    let logger = AsyncFd::with_interest(logger, Interest::READABLE).context("--trace: their log cannot be read")?;
    tokio::spawn(async move {
        if let Some(Err(error)) = shutdown.run_until_cancelled(pass_on(logger)).await {
            warn!("--trace: {error}");
        }
    });
    Ok(())
}

async fn pass_on<L: log::Log>(mut logger: AsyncFd<EbpfLogger<L>>) -> io::Result<()> {
    loop {
        let mut ready = logger.readable_mut().await?;
        ready.get_inner_mut().flush();
        ready.clear_ready();
    }
}
