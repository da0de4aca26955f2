//! `kxdns`: parses the command line, and runs the agent until it is told to stop, or checks a Corefile.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use dns_userspace::check::check;
use dns_userspace::cli::{Arguments, Command, Run};
use dns_userspace::{run, watch};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(options) => {
            log(options.verbose);
            // A Corefile may have several errors, each with a line of its own.
            run_to_the_end(*options).inspect_err(|error| format!("{error:#}").lines().for_each(|line| error!("{line}")))
        }
        Command::Check(options) => tell(check(&options)).inspect_err(|error| {
            // Where nobody reads it, the exit status still says so.
            let _ = writeln!(io::stderr(), "{error:#}");
        }),
    };
    done.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn tell(text: Result<String>) -> Result<()> {
    io::stdout()
        .write_all(text?.as_bytes())
        .context("cannot write to standard output")
}

fn run_to_the_end(options: Run) -> Result<()> {
    let runtime = Runtime::new().context("cannot start")?;
    let ended = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        cancel_on_signal(&shutdown).context("cannot wait for signals")?;
        let reload = Arc::new(Notify::new());
        ask_on_signal(&reload).context("cannot wait for signals")?;
        run::run(options, shutdown, reload).await
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

/// Has the Corefile read again on SIGUSR1.
fn ask_on_signal(reload: &Arc<Notify>) -> io::Result<()> {
    let mut signal = signal(SignalKind::user_defined1())?;
    let reload = reload.clone();
    tokio::spawn(async move {
        while signal.recv().await.is_some() {
            reload.notify_one();
        }
    });
    Ok(())
}
