//! A virtual machine that is emulated, so that it needs neither hardware support nor privileges, and that runs tests.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::setup::Kernel;

/// What the machine says to us, and not to whoever reads along, begins with this.
const MARK: &str = "vm: ";
const END: &str = "end";
const MEMORY: &str = "1G";
/// How long the machine may take. An idle computer of two cores needs less than half of it.
const LIMIT: Duration = Duration::from_secs(600);

/// Runs a kernel with this file system and shows what it says, until it says that it has come to the end. Returns what
/// it said to us.
pub(super) fn run(kernel: &Kernel, initramfs: File) -> Result<Vec<String>> {
    let mut child = command(kernel, initramfs)
        .spawn()
        .context("cannot start qemu-system-x86_64")?;
    let result = read(&mut child);
    // It may have ended by itself, which is for `read` to judge.
    drop(child.kill());
    child.wait()?;
    result
}

fn command(kernel: &Kernel, initramfs: File) -> Command {
    // Killed with us, however we end.
    let mut command = Command::new("setpriv");
    command
        .args([
            "--pdeathsig",
            "KILL",
            "qemu-system-x86_64",
            "-accel",
            "tcg",
            "-cpu",
            "max",
        ])
        .args([
            "-smp",
            "2",
            "-m",
            MEMORY,
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args([
            "-chardev",
            "file,id=output,path=/dev/stdout",
            "-serial",
            "chardev:output",
        ])
        .arg("-kernel")
        .arg(kernel.image())
        // The file has no name any more.
        .args(["-initrd", "/dev/stdin", "-append", "console=ttyS0 quiet panic=-1"])
        .stdin(initramfs)
        .stdout(Stdio::piped());
    command
}

fn read(machine: &mut Child) -> Result<Vec<String>> {
    let lines = follow(machine.stdout.take().context("no output")?);
    let deadline = Instant::now() + LIMIT;
    let mut said = Vec::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => match find_mark(&line) {
                Some(END) => return Ok(said),
                Some(words) => said.push(words.to_owned()),
                None => eprintln!("    {line}"),
            },
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("the machine has not come to its end within {LIMIT:?}"),
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the machine ended before its tests did"),
        }
    }
}

/// Reads lines as they come, without their ends.
fn follow(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || -> io::Result<()> {
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
            if sender.send(line).is_err() {
                break;
            }
        }
        Ok(())
    });
    receiver
}

/// What a line says to us. The kernel's messages and the serial line's own may come before it.
fn find_mark(line: &str) -> Option<&str> {
    line.split_once(MARK).map(|(_, words)| words)
}

/// Fails unless this kernel has run, and each of `tests` has passed on it.
pub(super) fn judge(said: &[String], release: &str, tests: &[&str]) -> Result<()> {
    let has_said = |words: &str| said.iter().any(|line| line == words);
    ensure!(
        has_said(&format!("Linux {release}")),
        "another kernel has run: {}",
        said.join(", ")
    );
    let failed: Vec<_> = tests
        .iter()
        .copied()
        .filter(|test| !has_said(&format!("{test} ended with 0")))
        .collect();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn what_is_meant_for_us_is_found_in_a_line() {
        assert_eq!(find_mark("vm: end"), Some("end"));
        assert_eq!(
            find_mark("[    1.5] veth: loadingvm: Linux 6.1.0-56"),
            Some("Linux 6.1.0-56")
        );
        assert_eq!(find_mark("test vm_ends ... ok"), None);
    }

    #[test]
    fn a_kernel_passes_when_each_of_its_tests_has() {
        let all = said(&["Linux 6.1.0-56", "hooks ended with 0", "program ended with 0"]);
        judge(&all, "6.1.0-56", &["hooks", "program"]).unwrap();
        assert!(judge(&all, "6.1.0-5", &["hooks", "program"]).is_err());
        let error = judge(&all, "6.1.0-56", &["hooks", "program", "other"]).unwrap_err();
        assert_eq!(error.to_string(), "failed: other");
        let one = said(&["Linux 6.1.0-56", "hooks ended with 101", "program ended with 0"]);
        let error = judge(&one, "6.1.0-56", &["hooks", "program"]).unwrap_err();
        assert_eq!(error.to_string(), "failed: hooks");
    }

    #[test]
    fn output_is_followed_line_by_line() {
        let lines = follow(&b"one\r\ntwo\xff\r\nthree"[..]);
        assert_eq!(lines.iter().collect::<Vec<_>>(), ["one", "two\u{fffd}", "three"]);
    }
}
