//! The lines that `log` and `errors` write: to standard output, as CoreDNS writes them, so that whatever reads those reads ours.
//!
//! A thread of its own writes them. Whoever reads them may be slow; then lines are lost and counted, and no query waits.

use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use prometheus_client::metrics::counter::Counter;

/// How many lines may wait to be written.
const WAITING: usize = 10_000;

/// Where lines are written to.
#[derive(Clone)]
pub struct Journal {
    lines: SyncSender<String>,
    lost: Counter,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Fatal,
}

impl Journal {
    /// One that writes to standard output, and counts what it cannot write in time.
    ///
    /// # Errors
    ///
    /// No thread can be made.
    pub fn to_stdout(lost: Counter) -> io::Result<Self> {
        Self::to(io::stdout(), lost)
    }

    /// One that nobody reads.
    pub fn to_nobody() -> Self {
        let (lines, _) = sync_channel(0);
        Self {
            lines,
            lost: Counter::default(),
        }
    }

    /// One that writes to this.
    pub(super) fn to(output: impl Write + Send + 'static, lost: Counter) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING);
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_all(&waiting, BufWriter::new(output)))?;
        Ok(Self { lines, lost })
    }

    /// Writes a line of information, some time.
    pub fn info(&self, text: &str) {
        self.write(Level::Info, text);
    }

    /// Writes a line about an error, some time.
    pub fn error(&self, text: &str) {
        self.write(Level::Error, text);
    }

    /// Writes a line, some time.
    pub(super) fn write(&self, level: Level, text: &str) {
        let level = match level {
            // As in CoreDNS, which writes such lines with `debug` only; and that is not ours to obey.
            Level::Debug => return,
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
            Level::Fatal => "FATAL",
        };
        if self.lines.try_send(format!("[{level}] {text}\n")).is_err() {
            self.lost.inc();
        }
    }
}

/// Writes what comes, and flushes whenever nothing is left to write, until nobody writes any more.
fn write_all(lines: &Receiver<String>, mut output: BufWriter<impl Write>) {
    while let Ok(first) = lines.recv() {
        let more = std::iter::once(first).chain(std::iter::from_fn(|| lines.try_recv().ok()));
        for line in more {
            // Where nobody reads, nobody misses it.
            let _ = output.write_all(line.as_bytes());
        }
        let _ = output.flush();
    }
}
