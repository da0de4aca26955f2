//! Where things are in this clone, and how cargo is called in it.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

/// The clone's top folder.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// A program that `cargo build --release` leaves.
pub(crate) fn release_program(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// `cargo <subcommand>` at the clone's top, as if it were called from a shell there.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root()).arg(subcommand);
    // Build scripts of some dependencies watch these: passed on, cargo from a shell and cargo from here would each
    // rebuild what the other has built.
    for (name, _) in env::vars_os().filter(|(name, _)| is_set_by_cargo_run(name)) {
        command.env_remove(name);
    }
    command
}

fn is_set_by_cargo_run(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Fails, with the command to run instead, unless root runs this.
pub(crate) fn require_root(command: &str) -> Result<()> {
    if is_root()? {
        return Ok(());
    }
    bail!(
        "`cargo xtask {command}` makes network namespaces and loads BPF programs, which needs root: \
         sudo --preserve-env=HOME env \"PATH=$PATH\" cargo xtask {command}"
    )
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> Result<bool> {
    let process = fs::metadata("/proc/self").context("/proc is not mounted, and kxdns needs it")?;
    Ok(process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.lock").is_file());
    }

    #[test]
    fn cargo_is_called_without_what_cargo_run_adds() {
        assert!(is_set_by_cargo_run(OsStr::new("CARGO_PKG_NAME")));
        assert!(is_set_by_cargo_run(OsStr::new("CARGO_MANIFEST_DIR")));
        assert!(!is_set_by_cargo_run(OsStr::new("CARGO_HOME")));
        assert!(!is_set_by_cargo_run(OsStr::new("CARGO_TARGET_DIR")));
    }
}
