//! `cargo xtask demo`: it tells its whole story, and leaves nothing behind however it ends.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kxdns_tests::peers::find_agent;
use kxdns_tests::wait::until;
use rustix::process::{Pid, Signal, kill_process};

const STORY_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn the_demo_tells_its_whole_story_in_under_a_minute() -> Result<()> {
    let start = Instant::now();
    let output = demo(&[])?.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(start.elapsed() < STORY_LIMIT);
    assert_eq!(text.matches("Welcome to NGINX!").count(), 7, "{text}");
    assert_eq!(text.matches("the kernel follows after").count(), 3, "{text}");
    assert!(text.contains("the kernel, tcx"), "{text}");
    Ok(())
}

#[test]
fn nothing_is_left_of_a_demo_that_is_killed() -> Result<()> {
    leaves_nothing_behind(Signal::KILL)
}

#[test]
fn nothing_is_left_of_a_demo_that_is_interrupted() -> Result<()> {
    leaves_nothing_behind(Signal::INT)
}

#[test]
fn nothing_is_left_of_a_demo_that_is_terminated() -> Result<()> {
    leaves_nothing_behind(Signal::TERM)
}

/// Ends the demo in the middle of its story and awaits the end of all its processes and namespaces.
fn leaves_nothing_behind(signal: Signal) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mut child = demo(&["--keep"])?;
    read_until(&mut child, "the kernel follows after")?;
    let spaces = network_namespaces_of(&descendants(child.id()))?;
    ensure!(
        spaces.len() >= 5,
        "node, pods and upstream have namespaces, found {spaces:?}"
    );
    kill_process(Pid::from_child(&child), signal)?;
    child.wait()?;
    until("the end of every process in the demo's namespaces", END_LIMIT, || {
        let left = network_namespaces_of(&all_processes()?)?;
        Ok(left.is_disjoint(&spaces).then_some(()))
    })?;
    assert_eq!(fs::read_to_string("/proc/self/mounts")?, mounts);
    Ok(())
}

fn demo(arguments: &[&str]) -> Result<Child> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.arg("--kxdns").arg(find_agent()?).args(arguments);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the demo")
}

fn read_until(child: &mut Child, words: &str) -> Result<()> {
    let output = child.stdout.take().context("no output")?;
    let found = BufReader::new(output)
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains(words));
    ensure!(found, "the demo ended before it said {words:?}");
    Ok(())
}

fn descendants(process: u32) -> Vec<PathBuf> {
    let folder = PathBuf::from(format!("/proc/{process}"));
    let children = fs::read_to_string(folder.join(format!("task/{process}/children"))).unwrap_or_default();
    let deeper = children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .flat_map(descendants);
    std::iter::once(folder).chain(deeper).collect()
}

fn all_processes() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir("/proc")?.filter_map(Result::ok).map(|entry| entry.path());
    Ok(entries.filter(|path| path.join("ns/net").is_symlink()).collect())
}

/// The network namespaces that these processes are in, but for this one's own.
fn network_namespaces_of(processes: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let own = fs::read_link("/proc/self/ns/net")?;
    let handle = |process: &PathBuf| fs::read_link(Path::new(process).join("ns/net")).ok();
    Ok(processes
        .iter()
        .filter_map(handle)
        .filter(|space| *space != own)
        .collect())
}
