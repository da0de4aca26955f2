//! `kxdns`: parses the command line and runs the agent until it is told to stop.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use dns_userspace::cli::{Arguments, Command, Run};
use dns_userspace::{run, watch};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let Command::Run(options) = Arguments::parse().command;
    log(options.verbose);
    match run_to_the_end(*options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A Corefile may have several errors, each with a line of its own.
            format!("{error:#}").lines().for_each(|line| error!("{line}"));
            ExitCode::FAILURE
        }
    }
}

fn run_to_the_end(options: Run) -> Result<()> {
    let runtime = Runtime::new().context("cannot start")?;
    let ended = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        cancel_on_signal(&shutdown).context("cannot wait for signals")?;
        run::run(options, shutdown).await
    });
    // What may still be at work is a look-up of the API server's name, which nobody waits for any more.
    runtime.shutdown_background();
    ended
}

/// Logs to standard error; `RUST_LOG` overrides the verbosity.
fn log(verbosity: u8) {
    let level = match verbosity {
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    let directives = format!("{level},{}", watch::LOG_DIRECTIVES);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(verbosity > 0)
        .init();
}

fn cancel_on_signal(shutdown: &CancellationToken) -> io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signal = signal(kind)?;
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            signal.recv().await;
            info!("stopping");
            shutdown.cancel();
        });
    }
    Ok(())
}
