//! Programs that run in a namespace for a while, with their output kept.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::until;

const STOP_LIMIT: Duration = Duration::from_secs(10);
const TOLD_LINES: usize = 20;

/// A running program. Dropping it kills the program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a command made by [`crate::namespace::Namespace::command`].
    pub fn start(name: &str, mut command: Command) -> Result<Process> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start nsenter for {name}"))?;
        let output = Arc::new(Mutex::new(String::new()));
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|stream| keep(stream, &output)));
        readers.extend(child.stderr.take().map(|stream| keep(stream, &output)));
        Ok(Process {
            name: name.to_owned(),
            child,
            output,
            readers,
        })
    }

    /// What the program has written so far, both streams in order of arrival.
    pub fn output(&self) -> String {
        lock(&self.output).clone()
    }

    /// Waits for a condition and fails with the program's last words when it ends first.
    pub fn await_that<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let child = &mut self.child;
        let result = until(what, limit, || match child.try_wait()? {
            Some(status) => bail!("it ended before {what} ({status})"),
            None => condition(),
        });
        result.with_context(|| format!("{}:\n{}", self.name, self.last_words()))
    }

    /// Waits until the program has written these words.
    pub fn await_output(&mut self, words: &str, limit: Duration) -> Result<()> {
        let output = Arc::clone(&self.output);
        self.await_that(&format!("{words:?}"), limit, || {
            Ok(lock(&output).contains(words).then_some(()))
        })
    }

    /// Asks the program to end (SIGTERM) and returns how it did, with all that it wrote.
    pub fn terminate(mut self) -> Result<(ExitStatus, String)> {
        self.signal(Signal::TERM)?;
        self.wait("its end after SIGTERM", STOP_LIMIT)
    }

    /// Kills the program (SIGKILL) and waits until it is gone, with all that it held.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.wait("its end after SIGKILL", STOP_LIMIT).map(drop)
    }

    /// Waits until the program ends by itself.
    pub fn finish(mut self, limit: Duration) -> Result<(ExitStatus, String)> {
        self.wait("its end", limit)
    }

    fn wait(&mut self, what: &str, limit: Duration) -> Result<(ExitStatus, String)> {
        let child = &mut self.child;
        let ended = until(what, limit, || Ok(child.try_wait()?));
        let status = ended.with_context(|| format!("{}:\n{}", self.name, self.last_words()))?;
        for reader in self.readers.drain(..) {
            // A reader that failed has kept what came before.
            let _ = reader.join();
        }
        Ok((status, self.output()))
    }

    /// Stops the program (SIGSTOP) until [`Process::resume`].
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused program go on (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        // nsenter stops itself when its child is stopped.
        let nsenter = Pid::from_child(&self.child);
        kill_process(nsenter, Signal::CONT).with_context(|| format!("cannot signal nsenter for {}", self.name))?;
        self.signal(Signal::CONT)
    }

    /// The program's process id: that of the only child of the `nsenter` that was started.
    pub fn pid(&self) -> Result<Pid> {
        let nsenter = self.child.id();
        let children = format!("/proc/{nsenter}/task/{nsenter}/children");
        let program = until("its process", STOP_LIMIT, || {
            Ok(fs::read_to_string(&children)
                .context("it has ended already")?
                .trim()
                .parse()
                .ok())
        });
        let program = program.with_context(|| format!("{}:\n{}", self.name, self.last_words()))?;
        Pid::from_raw(program).context("no process has the id 0")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    fn last_words(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        lines[lines.len().saturating_sub(TOLD_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // It may end between these lines, or with its namespace: either is what is wanted.
            let _ = self.signal(Signal::KILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn keep(stream: impl Read + Send + 'static, output: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let output = Arc::clone(output);
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let mut kept = lock(&output);
            kept.push_str(&String::from_utf8_lossy(&line));
            kept.push('\n');
        }
    })
}

fn lock(output: &Mutex<String>) -> MutexGuard<'_, String> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}
