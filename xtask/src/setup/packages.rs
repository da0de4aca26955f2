//! Debian's packages, unpacked into a folder beside the system: nothing of it is installed, and nothing starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::{self, Steps};

/// Downloads packages into the empty `folder` and unpacks them there. Each is a name, or `NAME=VERSION`.
pub(super) fn unpack(steps: &Steps, title: &str, packages: &[String], folder: &Path) -> Result<()> {
    let mut download = Command::new("apt-get");
    download.arg("download").args(packages).current_dir(folder);
    steps
        .run(&format!("download {title}"), download)
        .context("if a package is no longer there, run `apt-get update` and try again")?;
    steps.time(&format!("unpack {title}"), || {
        files(folder)?.iter().try_for_each(|package| extract(package, folder))
    })
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn extract(package: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    command.arg("--extract").args([package, folder]);
    step::read_output(&mut command)?;
    fs::remove_file(package).with_context(|| format!("cannot remove {}", package.display()))
}
