//! What a run ran on.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result, ensure};
use kxdns_tests::peers::{find_agent, find_peer, find_server, find_server_libraries};
use rustix::system::{sysinfo, uname};
use serde::{Deserialize, Serialize};

/// A machine, as far as its speed goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    /// In bytes.
    pub(crate) memory: u64,
    /// As `uname -r` says it.
    pub(crate) kernel: String,
}

impl Machine {
    /// The machine that runs this.
    pub(crate) fn find() -> Result<Self> {
        let info = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
        let model = info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let memory = sysinfo();
        Ok(Self {
            processor: model.map_or("unknown", |(_, model)| model).to_owned(),
            processors: available_parallelism()?.get(),
            memory: memory.totalram * u64::from(memory.mem_unit),
            kernel: uname().release().to_string_lossy().into_owned(),
        })
    }
}

/// The commit that the working tree is at, with `+` behind it where files differ from it; `unknown` where git does not tell.
pub(crate) fn commit() -> String {
    let short = git(&["rev-parse", "--short", "HEAD"]);
    let changes = git(&["status", "--porcelain", "--untracked-files=no"]);
    match (short, changes) {
        (Ok(short), Ok(changes)) if changes.is_empty() => short,
        (Ok(short), _) => format!("{short}+"),
        (Err(_), _) => "unknown".to_owned(),
    }
}

/// What each program that takes part says of its version.
pub(crate) fn versions() -> Result<BTreeMap<String, String>> {
    let calls = [
        ("kxdns", find_agent()?, "--version"),
        ("CoreDNS", find_peer("coredns")?, "-version"),
        ("unbound", find_server("unbound")?, "-V"),
        ("dnsmasq", find_server("dnsmasq")?, "--version"),
        ("Knot DNS", find_server("knotd")?, "--version"),
    ];
    let version = |(name, program, argument): (&str, PathBuf, &str)| {
        let mut command = Command::new(&program);
        command.arg(argument).env("LD_LIBRARY_PATH", find_server_libraries()?);
        let text = output(command)?;
        Ok((name.to_owned(), text.lines().next().unwrap_or_default().to_owned()))
    };
    calls.into_iter().map(version).collect()
}

fn git(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    output(command)
}

fn output(mut command: Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}", errors.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
