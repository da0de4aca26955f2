//! How a program ends that compares: by what it found, or on a signal, and either way with nothing left behind.

use std::process::ExitCode;
use std::thread;

use anyhow::Result;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::figures::tell;
use crate::namespace::close_all;

/// Runs the program, which says whether it found everything right.
pub fn run_and_close(run: impl FnOnce() -> Result<bool>) -> ExitCode {
    let outcome = end_on_signals().and_then(|()| run());
    close_all();
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is nowhere else to tell it.
            let _ = tell(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Ends everything on SIGINT or SIGTERM.
fn end_on_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            close_all();
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}
