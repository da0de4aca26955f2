//! Running other programs, one step at a time, so that whoever waits sees what for and how long.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// How often a quiet step says that it is still at work.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Runs steps and reports them on standard error.
pub(crate) struct Steps {
    verbose: bool,
}

impl Steps {
    /// With `verbose`, quiet steps show their output as it comes.
    pub(crate) fn new(verbose: bool) -> Self {
        Self { verbose }
    }

    /// Prints a line.
    pub(crate) fn say(&self, line: &str) {
        eprintln!("xtask: {line}");
    }

    /// Does `work` between a line that names it and a line with the time that it took.
    pub(crate) fn time<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.say(name);
        let start = Instant::now();
        let result = work();
        let end = if result.is_ok() { "done in" } else { "failed after" };
        self.say(&format!("{name}: {end} {:.1} s", start.elapsed().as_secs_f32()));
        result
    }

    /// Runs `command` as a step, its output kept back unless it fails.
    pub(crate) fn run(&self, name: &str, command: Command) -> Result<()> {
        if self.verbose {
            return self.show(name, command);
        }
        self.time(name, || {
            let program = name_program(&command);
            let (status, output) = self.wait_quietly(name, command).with_context(|| program.clone())?;
            if !status.success() {
                eprint!("{}", String::from_utf8_lossy(&output));
            }
            ensure!(status.success(), "{program}: {status}");
            Ok(())
        })
    }

    /// Runs `command` as a step, its output shown as it comes.
    pub(crate) fn show(&self, name: &str, mut command: Command) -> Result<()> {
        self.time(name, || {
            let program = name_program(&command);
            let status = command.status().with_context(|| program.clone())?;
            ensure!(status.success(), "{program}: {status}");
            Ok(())
        })
    }

    /// Runs `command` to its end and returns both its outputs, in the order in which they were written.
    fn wait_quietly(&self, name: &str, mut command: Command) -> io::Result<(ExitStatus, Vec<u8>)> {
        let (mut reader, writer) = io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn()?;
        // It holds the write end: as long as it lives, the reader sees no end.
        drop(command);
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut output = Vec::new();
            let result = reader.read_to_end(&mut output).map(|_| output);
            // The receiver is gone only when the whole program is.
            drop(sender.send(result));
        });
        let start = Instant::now();
        let output = loop {
            match receiver.recv_timeout(HEARTBEAT) {
                Ok(output) => break output?,
                Err(RecvTimeoutError::Timeout) => {
                    self.say(&format!("{name}: at work for {} s", start.elapsed().as_secs()));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("its output cannot be read")),
            }
        };
        Ok((child.wait()?, output))
    }
}

/// Becomes `command`, so that signals reach it and not a parent that knows nothing of its cleaning up.
pub(crate) fn become_program(mut command: Command) -> Result<()> {
    let program = name_program(&command);
    Err(command.exec()).context(program)
}

/// Runs `command` and returns what it printed, without the white space around.
pub(crate) fn read_output(command: &mut Command) -> Result<String> {
    let program = name_program(command);
    let output = command.output().with_context(|| program.clone())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}", errors.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn name_program(command: &Command) -> String {
    let first_argument = command.get_args().next().unwrap_or_default();
    let text = format!("{} {}", command.get_program().display(), first_argument.display());
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failing_program_fails_its_step_with_its_name_and_status() {
        let error = Steps::new(false).run("fail", shell("exit 3")).unwrap_err();
        assert_eq!(format!("{error:#}"), "sh -c: exit status: 3");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Steps::new(false)
            .run("fail", Command::new("no-such-program"))
            .unwrap_err();
        assert!(
            format!("{error:#}").starts_with("no-such-program: No such file"),
            "{error:#}"
        );
    }

    #[test]
    fn both_outputs_are_kept_in_order() {
        let (status, output) = Steps::new(false)
            .wait_quietly("echo", shell("echo a; echo b >&2; echo c"))
            .unwrap();
        assert!(status.success());
        assert_eq!(String::from_utf8(output).unwrap(), "a\nb\nc\n");
    }

    #[test]
    fn output_is_read_without_the_line_end() {
        assert_eq!(read_output(&mut shell("echo 1.2.3")).unwrap(), "1.2.3");
    }
}
