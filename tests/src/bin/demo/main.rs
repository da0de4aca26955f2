//! `cargo xtask demo`: the story of a small cluster on one machine, told by what a pod sees.
//!
//! There is no API server and no kubelet: the objects come from YAML files, the pods are network namespaces. All else
//! is as in a cluster: the agent and its programs, the pods' resolv.conf, the C library's resolver and curl.

#![forbid(unsafe_code)]

mod backends;
mod follow;
mod load;
mod page;
mod stage;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};
use clap::Parser;
use kxdns_tests::namespace::close_all;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::page::Page;
use crate::stage::Stage;

/// Shows kxdns at work in network namespaces. Needs root.
#[derive(Debug, Parser)]
struct Arguments {
    /// The agent's binary.
    #[arg(long, value_name = "PATH")]
    kxdns: PathBuf,
    /// Leaves everything running until Ctrl-C, and says how to enter it.
    #[arg(long)]
    keep: bool,
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The story is told: a signal is the ordinary end.
static KEPT: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let page = Page::to_stdout();
    match end_on_signals().and_then(|()| run(&arguments, &page)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if INTERRUPTED.load(Ordering::SeqCst) => wait_for_the_end(),
        Err(error) => {
            page.error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, page: &Page) -> Result<()> {
    let program = arguments.kxdns.canonicalize();
    let program = program.with_context(|| format!("{}: run `cargo xtask build`", arguments.kxdns.display()))?;
    let stage = Stage::build(page)?;
    let agent = stage.start_agent(&program, "auto")?;
    story::tell(page, &stage, &agent)?;
    follow::watch_a_service(page, &stage)?;
    agent.stop()?;
    load::compare(page, &stage, &program)?;
    if arguments.keep {
        let _agent = stage.start_agent(&program, "auto")?;
        stage.print_entrances(page)?;
        KEPT.store(true, Ordering::SeqCst);
        wait_for_the_end()
    }
    Ok(())
}

/// Ends the demo on SIGINT or SIGTERM at any time, with all that it started.
fn end_on_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            close_all();
            let status = if KEPT.load(Ordering::SeqCst) { 0 } else { 128 + signal };
            std::process::exit(status);
        }
    });
    Ok(())
}

/// The thread that got the signal ends the process.
fn wait_for_the_end() -> ! {
    loop {
        thread::park();
    }
}
