//! `kxdns`: parses the command line and runs the agent until it is told to stop.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use dns_userspace::cli::{Arguments, Command};
use dns_userspace::{run, watch};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Run(options) = Arguments::parse().command;
    log(options.verbose);
    let shutdown = CancellationToken::new();
    match cancel_on_signal(&shutdown) {
        Ok(()) => {}
        Err(error) => error!("cannot wait for signals: {error}"),
    }
    match run::run(*options, shutdown).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
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
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(verbosity > 0)
        .init();
}

fn cancel_on_signal(shutdown: &CancellationToken) -> std::io::Result<()> {
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
