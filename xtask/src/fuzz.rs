//! `cargo xtask fuzz`: libFuzzer over everything that reads bytes, one target after the other.
//!
//! The pinned stable compiler does it: it has the sanitizers' runtime, and `RUSTC_BOOTSTRAP` lets it take the flags of a
//! nightly one, as for the BPF programs. So there is no second compiler, and no second bpf-linker that goes with it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::setup::{self, Need};
use crate::step::Steps;
use crate::workspace;

/// The longest input, in bytes: no frame or message that is asked about is longer.
const MAX_LEN: usize = 2048;

/// Fuzzes `target`, or all of them, for so many seconds each. What is found stays in `tests/fuzz/artifacts`.
pub(crate) fn run(steps: &Steps, target: Option<&str>, seconds: u32) -> Result<()> {
    setup::provide(steps, &[Need::Toolchain, Need::Fuzzer])?;
    let targets = targets()?;
    let unknown = target.filter(|target| !targets.iter().any(|known| known == target));
    ensure!(unknown.is_none(), "the targets are: {}", targets.join(", "));
    let chosen = targets
        .iter()
        .filter(|known| target.is_none_or(|target| *known == target));
    for target in chosen {
        steps.show(&format!("fuzz {target}"), fuzz(target, seconds)?)?;
    }
    Ok(())
}

/// The targets, which are the programs in `tests/fuzz/fuzz_targets`.
fn targets() -> Result<Vec<String>> {
    let folder = folder().join("fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut names: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.display().to_string()))
        .collect();
    names.sort();
    Ok(names)
}

/// What the fuzzer finds on its way goes to a folder of its own: the corpus is kept small by hand.
fn fuzz(target: &str, seconds: u32) -> Result<Command> {
    let found = workspace::target().join("fuzz-corpus").join(target);
    fs::create_dir_all(&found).with_context(|| found.display().to_string())?;
    let mut command = Command::new(setup::fuzzer()?);
    command
        .current_dir(folder())
        .args(["fuzz", "run", "--fuzz-dir"])
        .arg(folder())
        .arg(target)
        .arg(found)
        .arg(folder().join("corpus").join(target))
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_LEN}"))
        .args(["-timeout=10", "-print_final_stats=1", "-verbosity=0"])
        .env("RUSTC_BOOTSTRAP", "1");
    Ok(command)
}

fn folder() -> PathBuf {
    workspace::root().join("tests/fuzz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_corpus() {
        let targets = targets().unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            assert!(folder().join("corpus").join(&target).is_dir(), "{target}");
        }
    }
}
